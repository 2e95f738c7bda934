//! Types of other crates and of the plan, as they are written in a configuration.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderName, Method, StatusCode};
use ipnet::IpNet;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;

use switchback_value::{MediaRange, PathGlob};

use crate::model::{ClientVerify, ImageMode, UnknownName};
use crate::native::{Decoder, FromText, KeyText, Node, Problem, Setting, integer, listed};
use crate::plan::{
    Autoindex, BalanceBy, CipherSuite, Coding, EncodedSlash, EndpointRole, Facility, ImageFormat,
    Isolation, KeyGroup, LogEscape, LogLevel, MappingBy, MessageFormat, OnError, OtherPeers,
    ProbeKind, ProxyVersion, RangeOf, SameSite, StickyTo, Symlinks, SyslogSeverity, TlsVersion,
    UpstreamProtocol,
};

/// Makes an enum a word out of a fixed list.
macro_rules! words {
    ($type:ty, $expected:literal: $($word:literal = $value:ident),+) => {
        impl FromText for $type {
            const EXPECTED: &'static str = $expected;

            fn from_text(text: &str) -> Result<Self, Problem> {
                match text {
                    $($word => Ok(Self::$value),)+
                    _ => {
                        let problem = Problem::new(format!("`{text}` is not {}", Self::EXPECTED));
                        Err(problem.hint(format!("one of {}", listed([$($word),+]))))
                    }
                }
            }

            fn to_text(&self) -> Cow<'_, str> {
                Cow::Borrowed(match self { $(Self::$value => $word,)+ })
            }

            fn schema() -> Schema {
                json_schema!({ "enum": [$($word),+] })
            }
        }
    };
}

words!(LogLevel, "a log level": "error" = Error, "warn" = Warn, "info" = Info, "debug" = Debug, "trace" = Trace);
words!(MessageFormat, "how messages are written": "text" = Text, "json" = Json);
words!(LogEscape, "a way to escape": "default" = Default, "json" = Json, "none" = None);
words!(SyslogSeverity, "a severity": "emerg" = Emerg, "alert" = Alert, "crit" = Crit, "error" = Error, "warn" = Warn,
    "notice" = Notice, "info" = Info, "debug" = Debug);
words!(Facility, "a facility": "kern" = Kern, "user" = User, "mail" = Mail, "daemon" = Daemon, "auth" = Auth,
    "intern" = Intern, "lpr" = Lpr, "news" = News, "uucp" = Uucp, "clock" = Clock, "authpriv" = Authpriv, "ftp" = Ftp,
    "ntp" = Ntp, "audit" = Audit, "alert" = Alert, "cron" = Cron, "local0" = Local0, "local1" = Local1, "local2" = Local2,
    "local3" = Local3, "local4" = Local4, "local5" = Local5, "local6" = Local6, "local7" = Local7);
words!(EncodedSlash, "what to do with `%2f`": "keep" = Keep, "decode" = Decode, "refuse" = Refuse);
words!(Autoindex, "how to list a directory": "off" = Off, "html" = Html, "json" = Json);
words!(Coding, "an encoding": "br" = Br, "zstd" = Zstd, "gzip" = Gzip);
words!(ImageFormat, "a format that images are made in": "avif" = Avif, "webp" = Webp);
words!(ImageMode, "when images are made": "background" = Background, "inline" = Inline);
words!(Symlinks, "what to do with symbolic links": "beneath" = Beneath, "never" = Never);
words!(SameSite, "a value of `SameSite`": "strict" = Strict, "lax" = Lax, "none" = None);
words!(StickyTo, "what a visitor stays with": "endpoint" = Endpoint, "shard" = Shard);
words!(OtherPeers, "what to do with other connections": "close" = Close, "plain" = Plain);
words!(ProxyVersion, "a version of the PROXY protocol": "v1" = V1, "v2" = V2);
words!(BalanceBy, "a way to balance": "p2c" = P2c, "round_robin" = RoundRobin, "least_requests" = LeastRequests,
    "least_time" = LeastTime, "random" = Random, "ip_hash" = IpHash, "hash" = Hash);
words!(OnError, "what becomes of a request that a plugin fails at": "closed" = Closed, "open" = Open);
words!(Isolation, "who shares an instance of a plugin": "worker" = Worker, "request" = Request);
words!(ProbeKind, "a kind of probe": "http" = Http, "tcp" = Tcp, "tls" = Tls, "grpc" = Grpc);
words!(UpstreamProtocol, "a protocol": "http1" = Http1, "h2" = H2);
words!(EndpointRole, "a role": "primary" = Primary, "replica" = Replica);
words!(MappingBy, "a mapping": "modulo" = Modulo, "remainder" = Remainder, "anchor" = Anchor, "rendezvous" = Rendezvous, "maglev" = Maglev,
    "ketama" = Ketama, "ranges" = Ranges, "table" = Table);
words!(RangeOf, "what ranges are of": "text" = Text, "numbers" = Numbers, "hash" = Hash);

words!(TlsVersion, "a version of TLS": "1.2" = Tls12, "1.3" = Tls13);
words!(UnknownName, "what to do with unknown names": "default" = Default, "refuse" = Refuse);
words!(ClientVerify, "whether clients show certificates": "required" = Required, "optional" = Optional);

/// By any of its names, in any case; written with the first.
impl FromText for CipherSuite {
    const EXPECTED: &'static str = "a cipher suite";

    fn from_text(text: &str) -> Result<Self, Problem> {
        by_name(&Self::ALL, Self::names, text, Self::EXPECTED)
    }

    fn to_text(&self) -> Cow<'_, str> {
        first_name(self.names())
    }
}

/// Likewise.
impl FromText for KeyGroup {
    const EXPECTED: &'static str = "a group for the key exchange";

    fn from_text(text: &str) -> Result<Self, Problem> {
        by_name(&Self::ALL, Self::names, text, Self::EXPECTED)
    }

    fn to_text(&self) -> Cow<'_, str> {
        first_name(self.names())
    }
}

fn by_name<T: Copy>(
    all: &[T],
    names: impl Fn(&T) -> &'static [&'static str],
    text: &str,
    expected: &str,
) -> Result<T, Problem> {
    let is_meant = |one: &&T| names(one).iter().any(|name| name.eq_ignore_ascii_case(text));
    all.iter().find(is_meant).copied().ok_or_else(|| {
        let known = all.iter().map(|one| names(one).first().copied().unwrap_or_default());
        Problem::new(format!("`{text}` is not {expected}"))
            .hint(format!("one of {}", listed(known)))
    })
}

fn first_name(names: &'static [&'static str]) -> Cow<'static, str> {
    Cow::Borrowed(names.first().copied().unwrap_or_default())
}

impl FromText for HeaderName {
    const EXPECTED: &'static str = "the name of a header";

    fn from_text(text: &str) -> Result<Self, Problem> {
        text.parse().map_err(|_| Problem::new(format!("`{text}` cannot be the name of a header")))
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.as_str())
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "format": "header" })
    }
}

impl FromText for MediaRange {
    const EXPECTED: &'static str = "a media type such as \"text/html\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        Self::parse(text).map_err(|error| {
            Problem::new(format!("`{text}` is no media type: {error}"))
                .hint("one type, \"text/*\", or \"application/*+json\"")
        })
    }

    fn to_text(&self) -> Cow<'_, str> {
        self.to_string().into()
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "format": "media-type" })
    }
}

impl FromText for PathGlob {
    const EXPECTED: &'static str = "a path such as \"/assets/app.*.js\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        Self::parse(text)
            .map_err(|error| Problem::new(format!("`{text}` is no such path: {error}")))
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.as_str())
    }
}

impl FromText for Method {
    const EXPECTED: &'static str = "a method such as \"GET\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        let method = text.parse().map_err(|_| Problem::new(format!("`{text}` is not a method")))?;
        let capitals = text.to_ascii_uppercase();
        if capitals != text {
            let problem =
                Problem::new(format!("`{text}` is not a method: methods are in capitals"));
            return Err(problem.hint(format!("write \"{capitals}\"")));
        }
        Ok(method)
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.as_str())
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "format": "method" })
    }
}

impl FromText for IpNet {
    const EXPECTED: &'static str = "a network such as \"10.0.0.0/8\"";

    /// A network, or the network of one address.
    fn from_text(text: &str) -> Result<Self, Problem> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        let problem = || Problem::new(format!("`{text}` is neither an address nor a network"));
        let network: Self = text.parse().map_err(|_| problem().hint("as in 10.0.0.0/8 or ::1"))?;
        if network.trunc() != network {
            let problem =
                Problem::new(format!("`{text}` says more than its {} bits", network.prefix_len()));
            return Err(problem.hint(format!(
                "write \"{}\" or \"{}\"",
                network.trunc(),
                network.addr()
            )));
        }
        Ok(network)
    }

    fn to_text(&self) -> Cow<'_, str> {
        self.to_string().into()
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "format": "network" })
    }
}

/// The statuses that an answer can end with.
const FINAL_STATUSES: std::ops::RangeInclusive<i64> = 200..=599;

impl Setting for StatusCode {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let number = integer(node, FINAL_STATUSES, decoder)?;
        u16::try_from(number).ok().and_then(|number| Self::from_u16(number).ok())
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.as_u16())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": FINAL_STATUSES.start(), "maximum": FINAL_STATUSES.end() })
    }
}

impl KeyText for StatusCode {
    fn from_key(text: &str) -> Result<Self, Problem> {
        let number =
            text.parse().ok().filter(|number| FINAL_STATUSES.contains(&i64::from(*number)));
        let status = number.and_then(|number: u16| Self::from_u16(number).ok());
        status.ok_or_else(|| Problem::new(format!("`{text}` is not a status between 200 and 599")))
    }

    fn to_key(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.as_str())
    }
}
