//! The registry of variables, with nginx's names where nginx has one.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use http::{HeaderName, Method};

use crate::proxy_tlv::ProxyTlv;
use crate::suggest;

/// Where variables get their values: one request, as the engine sees it.
///
/// Asking must be cheap, because conditions ask on every request: borrow, or compute once with [`Memo`](crate::Memo).
pub trait Facts {
    /// The bytes of `variable`, or `None` when this request has no such thing.
    ///
    /// Absent renders as nothing, or as `-` in logs, and compares like empty text.
    fn fact(&self, variable: &Variable) -> Option<Cow<'_, [u8]>>;

    /// The client's address after trusted proxies were taken into account; `None` on a Unix socket.
    fn client_ip(&self) -> Option<IpAddr>;

    /// The method of the request.
    fn method(&self) -> &Method;
}

/// Something a request, its connection or its answer has, and a text may refer to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Variable {
    /// One of the fixed names.
    Known(Known),
    /// `$http_user_agent`: a header of the request.
    Header(HeaderName),
    /// `$arg_page`: the first query argument of that name, raw. The name is lower-case and meets any case, as in nginx.
    Argument(Box<str>),
    /// `$cookie_session`: a cookie of the request. The name is kept as written and meets any case, as in nginx.
    Cookie(Box<str>),
    /// `$proxy_protocol_tlv_unique_id`: what a PROXY header of version 2 says beside addresses.
    ProxyTlv(ProxyTlv),
    /// `$jwt_claim_sub`: a claim of the request's bearer token, which nobody has verified.
    JwtClaim(Box<str>),
    /// `$plugin_tier`: what a plugin has set for the request.
    Plugin(Box<str>),
    /// `$sent_http_content_type`: a header of the answer to the client.
    SentHeader(HeaderName),
    /// `$upstream_http_etag`: a header of the upstream's answer.
    UpstreamHeader(HeaderName),
    /// `$upstream_cookie_session`: a cookie that the upstream's answer sets. The name is kept as written and meets any case.
    UpstreamCookie(Box<str>),
    /// A capture of the route's path, counted from 0: `{id}` of its pattern, or a group of its regex, where `$1` is 0.
    Capture(u8),
    /// `$map_backend`: what a map makes of the request.
    Map {
        /// Which of the maps in scope.
        index: u32,
        /// What the map is called.
        name: Box<str>,
    },
}

impl Variable {
    /// The variable that the registry has under `name`, written without dollar sign: `host`, `http_user_agent`.
    ///
    /// Captures and maps are not in the registry; a [`Scope`](crate::Scope) knows them.
    pub fn from_name(name: &str) -> Option<Self> {
        if let Some(known) = Known::from_name(name) {
            return Some(Self::Known(known));
        }
        FAMILIES.iter().find_map(|family| family.member(name))
    }

    /// The name in the registry, or the number of a capture counted from 1.
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Self::Known(known) => Cow::Borrowed(known.name()),
            Self::Header(name) => member_name("http_", &with_underscores(name)),
            Self::Argument(name) => member_name("arg_", name),
            Self::Cookie(name) => member_name("cookie_", name),
            Self::ProxyTlv(tlv) => member_name(PROXY_TLV_PREFIX, &tlv.to_string()),
            Self::JwtClaim(name) => member_name(JWT_CLAIM_PREFIX, name),
            Self::Plugin(name) => member_name(PLUGIN_PREFIX, name),
            Self::SentHeader(name) => member_name("sent_http_", &with_underscores(name)),
            Self::UpstreamHeader(name) => member_name("upstream_http_", &with_underscores(name)),
            Self::UpstreamCookie(name) => member_name("upstream_cookie_", name),
            Self::Capture(index) => Cow::Owned((u16::from(*index) + 1).to_string()),
            Self::Map { name, .. } => member_name(MAP_PREFIX, name),
        }
    }
}

/// As it is written in a text: `$host`, `$1`, `${arg_user-id}`.
impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        let is_plain = match self {
            Self::Capture(_) => name.len() == 1,
            _ => name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
        };
        if is_plain { write!(f, "${name}") } else { write!(f, "${{{name}}}") }
    }
}

fn member_name(prefix: &str, member: &str) -> Cow<'static, str> {
    Cow::Owned(format!("{prefix}{member}"))
}

fn with_underscores(name: &HeaderName) -> String {
    name.as_str().replace('-', "_")
}

/// Variables without number that share a prefix, such as `http_`.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// What their names begin with.
    pub prefix: &'static str,
    /// What they are, in one line.
    pub doc: &'static str,
    build: fn(&str) -> Option<Variable>,
}

impl Family {
    /// The member that `name` names in full.
    fn member(&self, name: &str) -> Option<Variable> {
        let member = name.strip_prefix(self.prefix).filter(|member| !member.is_empty())?;
        (self.build)(member)
    }

    /// The member that `name` is when its beginning, a slip away from this family's prefix, is corrected.
    fn correct(&self, name: &str) -> Option<Variable> {
        let words = self.prefix.matches('_').count();
        let (last, _) = name.match_indices('_').nth(words - 1)?;
        let (begin, member) = name.split_at(last + 1);
        let prefix = suggest::nearest(begin, [self.prefix])?;
        self.member(&format!("{prefix}{member}"))
    }
}

/// What the names of PROXY headers' values begin with.
const PROXY_TLV_PREFIX: &str = "proxy_protocol_tlv_";

/// What the names of claims begin with.
const JWT_CLAIM_PREFIX: &str = "jwt_claim_";

/// What the names of variables that plugins set begin with.
const PLUGIN_PREFIX: &str = "plugin_";

/// What the names of maps begin with.
pub(crate) const MAP_PREFIX: &str = "map_";

/// Every family, in the order of documentation.
pub const FAMILIES: [Family; 10] = [
    Family {
        prefix: "http_",
        doc: "A header of the request; dashes are written as underscores.",
        build: |name| header(name).map(Variable::Header),
    },
    Family {
        prefix: "arg_",
        doc: "The first query argument of that name, not decoded; upper and lower case are alike.",
        build: |name| Some(Variable::Argument(name.to_ascii_lowercase().into())),
    },
    Family {
        prefix: "cookie_",
        doc: "A cookie of the request; upper and lower case are alike.",
        build: |name| Some(Variable::Cookie(name.into())),
    },
    Family {
        prefix: PROXY_TLV_PREFIX,
        doc: "What a PROXY header of version 2 says: `alpn`, `authority`, `unique_id`, `netns`, `ssl_version`, `ssl_cn`, `ssl_cipher`, \
              `ssl_sig_alg`, `ssl_key_alg`, `ssl_verify` (0 when the client's certificate was found good), or a type as in `0xea`.",
        build: |name| ProxyTlv::from_name(name).map(Variable::ProxyTlv),
    },
    Family {
        prefix: JWT_CLAIM_PREFIX,
        doc: "A claim of the request's bearer token: a string, number or boolean of its payload, which is decoded only. By itself it is \
              what the client says, because nobody has verified the signature.",
        build: |name| Some(Variable::JwtClaim(name.into())),
    },
    Family {
        prefix: PLUGIN_PREFIX,
        doc: "What a plugin has set under that name for the request: small letters, digits and underscores.",
        build: |name| is_plugin_variable(name).then(|| Variable::Plugin(name.into())),
    },
    Family {
        prefix: "sent_http_",
        doc: "A header of the answer to the client; dashes are written as underscores.",
        build: |name| header(name).map(Variable::SentHeader),
    },
    Family {
        prefix: "upstream_http_",
        doc: "A header of the upstream's answer; dashes are written as underscores.",
        build: |name| header(name).map(Variable::UpstreamHeader),
    },
    Family {
        prefix: "upstream_cookie_",
        doc: "The value of a cookie that the upstream's answer sets; upper and lower case are alike.",
        build: |name| Some(Variable::UpstreamCookie(name.into())),
    },
    Family {
        prefix: MAP_PREFIX,
        doc: "What the map of that name makes of the request.",
        // Only a scope knows which maps there are.
        build: |_| None,
    },
];

/// Whether plugins may set a variable of that name, which is `$plugin_NAME` then.
pub fn is_plugin_variable(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=MAX_PLUGIN_VARIABLE).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// Bytes of the longest name that a plugin may give to a variable.
const MAX_PLUGIN_VARIABLE: usize = 64;

fn header(name: &str) -> Option<HeaderName> {
    HeaderName::from_bytes(name.replace('_', "-").as_bytes()).ok()
}

/// The variable of the registry that `name` was probably meant to be, as it is written.
pub(crate) fn nearest_variable(name: &str) -> Option<String> {
    let known = Known::ALL.iter().flat_map(|known| known.names());
    suggest::nearest(name, known).map(|name| format!("${name}")).or_else(|| {
        FAMILIES.iter().find_map(|family| family.correct(name)).map(|variable| variable.to_string())
    })
}

/// Writes the enum and its table from the same rows: variant, name, aliases, one line of documentation.
macro_rules! registry {
    ($($variant:ident $name:literal $([$($alias:literal)+])? $doc:literal;)+) => {
        /// A variable with a fixed name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Known {
            $(#[doc = concat!("`$", $name, "`: ", $doc)] $variant,)+
        }

        impl Known {
            /// Every one, in the order of documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row { name: $name, aliases: &[$($($alias),+)?], doc: $doc },)+
                }
            }
        }
    };
}

struct Row {
    name: &'static str,
    aliases: &'static [&'static str],
    doc: &'static str,
}

impl Known {
    /// The variable of that name or alias, written without dollar sign.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.names().any(|own| own == name))
    }

    /// Its name without dollar sign.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Other names for the same thing.
    pub const fn aliases(self) -> &'static [&'static str] {
        self.row().aliases
    }

    /// What it is, in one line.
    pub const fn doc(self) -> &'static str {
        self.row().doc
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name()).chain(self.aliases().iter().copied())
    }
}

registry! {
    // The request.
    Host "host" "The host asked for, lower-case, without port: from the request line, else `Host`, else the site's name.";
    Scheme "scheme" "`http` or `https`.";
    Https "https" "`on` when the client came over TLS, else absent.";
    Request "request" "The request line as received.";
    RequestMethod "request_method" "The method.";
    RequestUri "request_uri" "Path and query of the request target, as received.";
    Uri "uri" ["document_uri"] "The normalised, decoded path.";
    Args "args" ["query_string"] "The query without its question mark.";
    IsArgs "is_args" "`?` when there is a query, else empty.";
    ServerProtocol "server_protocol" "The protocol of the request: `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.";
    RequestId "request_id" "The id of the request: 32 hexadecimal digits.";
    RequestLength "request_length" "Bytes of the request: line, headers and body.";
    ContentLength "content_length" "The request's `Content-Length` header.";
    ContentType "content_type" "The request's `Content-Type` header.";
    Segment "segment" "What scripts the client runs, as its cookie `switchback-segment` or else its headers tell: `modern`, `legacy` or `none`.";
    SegmentWorker "segment_worker" "What works behind the client's pages, likewise: `service`, `shared` or `none`.";
    RemoteUser "remote_user" "The user name of the request's Basic credentials.";

    // The connection and its two ends.
    RemoteAddr "remote_addr" "The client's address, after trusted proxies were taken into account.";
    BinaryRemoteAddr "binary_remote_addr" "The client's address as 4 or 16 raw bytes: a short key for limits.";
    RemotePort "remote_port" "The client's port.";
    RealipRemoteAddr "realip_remote_addr" "The address that opened the connection, whatever trusted proxies and PROXY headers say.";
    RealipRemotePort "realip_remote_port" "The port that opened the connection, whatever a PROXY header says.";
    ProxyAddXForwardedFor "proxy_add_x_forwarded_for" "The request's `X-Forwarded-For` with the client's address appended.";
    ServerAddr "server_addr" "The local address that took the connection.";
    ServerPort "server_port" "The local port that took the connection.";
    ServerName "server_name" "The name of the site that serves the request.";
    Connection "connection" "The serial number of the connection.";
    ConnectionRequests "connection_requests" "How many requests the connection has carried, this one included.";
    ProxyProtocolAddr "proxy_protocol_addr" "The client's address in the PROXY header.";
    ProxyProtocolPort "proxy_protocol_port" "The client's port in the PROXY header.";
    ProxyProtocolServerAddr "proxy_protocol_server_addr" "The address that the client connected to, in the PROXY header.";
    ProxyProtocolServerPort "proxy_protocol_server_port" "The port that the client connected to, in the PROXY header.";
    SslProtocol "ssl_protocol" "The version of TLS: `TLSv1.2` or `TLSv1.3`.";
    SslCipher "ssl_cipher" "The cipher suite of the TLS session.";
    SslServerName "ssl_server_name" "The server name that the client asked for in its TLS hello.";
    SslCurve "ssl_curve" "The group of the TLS key exchange, such as `X25519MLKEM768` or `prime256v1`.";
    SslAlpnProtocol "ssl_alpn_protocol" "The protocol agreed on in the TLS handshake: `h2` or `http/1.1`.";
    SslSessionReused "ssl_session_reused" "`r` when a TLS session was resumed, else `.`.";
    SslClientVerify "ssl_client_verify" "`SUCCESS` when the client has shown a certificate, which then is good, else `NONE`.";
    SslClientSDn "ssl_client_s_dn" "The subject of the client's certificate as in RFC 2253: `CN=alice,O=Example`.";
    SslClientIDn "ssl_client_i_dn" "The issuer of the client's certificate, likewise.";
    SslClientSerial "ssl_client_serial" "The serial number of the client's certificate, in hexadecimal digits.";
    SslClientFingerprint "ssl_client_fingerprint" "The SHA-1 fingerprint of the client's certificate.";
    SslClientVStart "ssl_client_v_start" "From when the client's certificate is good: `Jun  9 12:00:00 2026 GMT`.";
    SslClientVEnd "ssl_client_v_end" "Until when it is.";
    SslClientEscapedCert "ssl_client_escaped_cert" "The client's certificate as PEM, escaped for a URL.";

    // The answer.
    Status "status" "The status of the answer.";
    BodyBytesSent "body_bytes_sent" "Bytes of the answer's body sent to the client.";
    BytesSent "bytes_sent" "Bytes of the answer sent to the client, head included.";
    RequestTime "request_time" "Seconds since the first byte of the request, to the millisecond.";
    Route "route" "The name of the route that was taken.";

    ContentCoding "content_coding" "How the answer's body is encoded: `br`, `zstd`, `gzip`, `dcb`, `dcz` or `identity`, which is not at all. Absent where `encode` is off.";
    ImageFormat "image_format" "The format of the image that was sent: `avif`, `webp` or `original`. Absent where `images` is off, and for what is no image.";
    ImageWidth "image_width" "The width in pixels that the image was made in. Absent where it has its own.";

    // The upstream. Of several attempts all are listed, separated by comma and space.
    Upstream "upstream" "The name of the upstream.";
    UpstreamShard "upstream_shard" "The name of the shard. Absent where there are none.";
    UpstreamEpoch "upstream_epoch" "The number of the mapping of keys to shards that was in force. Absent where there are no shards.";
    UpstreamAddr "upstream_addr" "The address of the endpoint.";
    UpstreamStatus "upstream_status" "The status of the upstream's answer.";
    UpstreamConnectTime "upstream_connect_time" "Seconds until the connection to the endpoint stood, to the millisecond.";
    UpstreamHeaderTime "upstream_header_time" "Seconds until the head of the upstream's answer, to the millisecond.";
    UpstreamResponseTime "upstream_response_time" "Seconds until the end of the upstream's answer, to the millisecond.";
    UpstreamResponseLength "upstream_response_length" "Bytes of the body of the upstream's answer.";
    UpstreamCacheStatus "upstream_cache_status" "What the cache did: `HIT`, `MISS`, `EXPIRED`, `STALE`, `UPDATING`, `REVALIDATED` or `BYPASS`. Absent where there is no cache.";
    UpstreamCacheAge "upstream_cache_age" "How old the stored response is that was answered with, in seconds.";
    UpstreamCacheTier "upstream_cache_tier" "Where it was found: `memory` or `disk`.";
    UpstreamCacheKeyHash "upstream_cache_key_hash" "What the cache keeps the response under: 32 hexadecimal digits, which a zone's list of keys has, too.";
    UpstreamCacheLastModified "upstream_cache_last_modified" "The `Last-Modified` of the stored response.";

    // The moment and the server.
    TimeLocal "time_local" "Local time as in the common log format: `28/Jul/2026:14:03:59 +0200`.";
    TimeIso8601 "time_iso8601" "Local time in ISO 8601: `2026-07-28T14:03:59+02:00`.";
    Msec "msec" "Seconds since 1970, to the millisecond.";
    Pid "pid" "The id of the server's process.";
    Hostname "hostname" "The name of the machine.";
    SwitchbackVersion "switchback_version" "The version of Switchback.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{FAMILIES, Known, Variable, nearest_variable};

    fn named(name: &str) -> Option<Variable> {
        Variable::from_name(name)
    }

    #[test]
    fn every_known_variable_is_found_by_its_name_and_its_aliases() {
        for known in Known::ALL {
            assert_eq!(named(known.name()), Some(Variable::Known(*known)));
            for alias in known.aliases() {
                assert_eq!(named(alias), Some(Variable::Known(*known)));
            }
        }
    }

    #[test]
    fn no_name_is_given_twice_or_belongs_to_a_family() {
        let mut seen = HashSet::new();
        for name in Known::ALL.iter().flat_map(|known| known.names()) {
            assert!(seen.insert(name), "{name} is given twice");
            assert!(
                !FAMILIES.iter().any(|family| name.starts_with(family.prefix)),
                "{name} hides a family"
            );
        }
    }

    #[test]
    fn every_variable_is_documented_in_one_sentence() {
        let docs =
            Known::ALL.iter().map(|known| known.doc()).chain(FAMILIES.map(|family| family.doc));
        for doc in docs {
            assert!(doc.len() > 8 && doc.ends_with('.') && !doc.contains('\n'), "{doc}");
        }
    }

    #[test]
    fn what_nginx_calls_by_two_names_is_one_variable() {
        assert_eq!(named("document_uri"), Some(Variable::Known(Known::Uri)));
        assert_eq!(named("query_string"), Some(Variable::Known(Known::Args)));
        assert_eq!(Known::Uri.aliases(), ["document_uri"]);
        assert_eq!(Known::Host.aliases(), [""; 0]);
    }

    #[test]
    fn the_combined_log_format_of_nginx_is_covered() {
        for name in [
            "remote_addr",
            "remote_user",
            "time_local",
            "request",
            "status",
            "body_bytes_sent",
            "http_referer",
            "http_user_agent",
        ] {
            assert!(named(name).is_some(), "{name}");
        }
    }

    #[test]
    fn underscores_of_header_variables_are_dashes_of_header_names() {
        assert_eq!(named("http_user_agent"), Some(Variable::Header(http::header::USER_AGENT)));
        assert_eq!(named("http_User_Agent"), Some(Variable::Header(http::header::USER_AGENT)));
        assert_eq!(
            named("sent_http_content_type"),
            Some(Variable::SentHeader(http::header::CONTENT_TYPE))
        );
        assert_eq!(named("upstream_http_etag"), Some(Variable::UpstreamHeader(http::header::ETAG)));
    }

    #[test]
    fn arguments_are_folded_to_lower_case_and_cookies_are_not() {
        assert_eq!(named("arg_Page"), Some(Variable::Argument("page".into())));
        assert_eq!(named("cookie_PHPSESSID"), Some(Variable::Cookie("PHPSESSID".into())));
    }

    #[test]
    fn a_prefix_alone_names_nothing() {
        for family in FAMILIES {
            assert_eq!(named(family.prefix), None);
        }
        assert_eq!(named("http_x\u{e9}"), None);
        assert_eq!(named(""), None);
        assert_eq!(named("Host"), None);
    }

    #[test]
    fn names_of_variables_find_them_again() {
        for name in [
            "host",
            "http_user_agent",
            "arg_page",
            "cookie_session",
            "jwt_claim_sub",
            "sent_http_x_cache",
            "upstream_http_last_modified",
        ] {
            let variable = named(name).unwrap();
            assert_eq!(variable.name(), name);
            assert_eq!(variable.to_string(), format!("${name}"));
        }
    }

    #[test]
    fn names_that_could_run_into_the_next_letter_are_written_in_braces() {
        assert_eq!(Variable::Argument("user-id".into()).to_string(), "${arg_user-id}");
        assert_eq!(Variable::Cookie("a.b".into()).to_string(), "${cookie_a.b}");
        assert_eq!(Variable::Capture(0).to_string(), "$1");
        assert_eq!(Variable::Capture(8).to_string(), "$9");
        assert_eq!(Variable::Capture(9).to_string(), "${10}");
        assert_eq!(Variable::Capture(255).to_string(), "${256}");
    }

    #[test]
    fn a_slip_in_a_name_is_corrected() {
        assert_eq!(nearest_variable("remote_adr").as_deref(), Some("$remote_addr"));
        assert_eq!(nearest_variable("document_url").as_deref(), Some("$document_uri"));
        assert_eq!(nearest_variable("zebra"), None);
    }

    #[test]
    fn a_slip_in_a_prefix_is_corrected() {
        assert_eq!(nearest_variable("htpp_x_y").as_deref(), Some("$http_x_y"));
        assert_eq!(nearest_variable("agr_user-id").as_deref(), Some("${arg_user-id}"));
        assert_eq!(nearest_variable("sent_htp_x_cache").as_deref(), Some("$sent_http_x_cache"));
        assert_eq!(nearest_variable("upstraem_http_etag").as_deref(), Some("$upstream_http_etag"));
        assert_eq!(nearest_variable("htpp_"), None);
    }
}
