//! The values that templates and conditions may refer to, taken from one request.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, Method, StatusCode, Version, header};
use pingora_http::RequestHeader;
use switchback_value::{Facts, Known, Variable};
use switchback_variant::{Capabilities, Needs, Segment};

use super::answer_head::Lines;
use super::context::{Context, Try};
use super::encode::pictures::Shown;
use super::{jwt, set_cookie};
use crate::clock;
use crate::listen::connection::Connection;
use crate::listen::tls;

/// One request, as templates and conditions see it.
pub(crate) struct RequestFacts<'r> {
    head: &'r RequestHeader,
    context: &'r Context,
    /// The head of the answer to the client, once there is one.
    sent: Option<&'r Lines<'r>>,
    /// Its status, while it is not out yet.
    status: Option<StatusCode>,
    /// The head of the upstream's answer, while it is at hand.
    upstream: Option<&'r HeaderMap>,
    /// Whether the answer to the client is the upstream's.
    is_upstreams: bool,
}

type Value<'f> = Option<Cow<'f, [u8]>>;

impl<'r> RequestFacts<'r> {
    /// A request that has no answer yet.
    pub(crate) fn new(head: &'r RequestHeader, context: &'r Context) -> Self {
        Self { head, context, sent: None, status: None, upstream: None, is_upstreams: false }
    }

    /// With the head of the answer to the client.
    pub(crate) fn with_sent(self, sent: &'r Lines<'r>) -> Self {
        Self { sent: Some(sent), ..self }
    }

    /// With the head of an answer that is about to go to the client.
    pub(crate) fn with_answer(self, status: StatusCode, lines: &'r Lines<'r>) -> Self {
        Self { sent: Some(lines), status: Some(status), ..self }
    }

    /// The same, if that is the upstream's.
    pub(crate) fn of_upstream_if(self, is_upstreams: bool) -> Self {
        Self { is_upstreams, ..self }
    }

    /// With the head of the upstream's answer.
    pub(crate) fn with_upstream(self, upstream: Option<&'r HeaderMap>) -> Self {
        Self { upstream, ..self }
    }

    /// The head as the client sent it, whatever was asked for since.
    fn received(&self) -> &RequestHeader {
        self.context.received.as_deref().unwrap_or(self.head)
    }

    /// What is known of the request.
    pub(crate) fn context(&self) -> &Context {
        self.context
    }

    fn header(&self, name: &HeaderName) -> Value<'_> {
        // What encodings have made of conditions is between us and the upstream.
        let said = self.context.encoding.as_ref().and_then(|encoding| encoding.said(name));
        let value = said.or_else(|| self.head.headers.get(name));
        value.map(|value| Cow::Borrowed(value.as_bytes()))
    }

    fn known(&self, known: Known) -> Value<'_> {
        self.of_request(known)
            .or_else(|| self.of_connection(known))
            .or_else(|| self.of_answer(known))
            .or_else(|| self.of_upstream(known))
            .or_else(|| self.of_process(known))
    }

    fn of_request(&self, known: Known) -> Value<'_> {
        match known {
            Known::Host => Some(text(self.host())),
            Known::Request => {
                Some(Cow::Borrowed(self.request_line())).filter(|line| !line.is_empty())
            }
            Known::RequestMethod => Some(text(self.head.method.as_str())),
            Known::RequestUri => Some(Cow::Borrowed(self.request_uri())),
            Known::Uri => Some(text(self.context.request.path.as_str())),
            Known::Args => query(self.head.raw_path()).map(Cow::Borrowed),
            Known::IsArgs => {
                Some(text(if query(self.head.raw_path()).is_some_and(|query| !query.is_empty()) {
                    "?"
                } else {
                    ""
                }))
            }
            Known::ServerProtocol => Some(text(protocol(self.head.version))),
            Known::RequestId => Some(text(&self.context.request.id)),
            Known::RequestLength => Some(number(self.request_length())),
            Known::ContentLength => self.header(&header::CONTENT_LENGTH),
            Known::ContentType => self.header(&header::CONTENT_TYPE),
            Known::RemoteUser => self.user(),
            Known::Segment => Some(text(self.segment().script.name())),
            Known::SegmentWorker => Some(text(self.segment().worker.name())),
            Known::ProxyAddXForwardedFor => Some(self.forwarded_for().into()),
            _ => None,
        }
    }

    fn of_connection(&self, known: Known) -> Value<'_> {
        let connection = &self.context.connection;
        let tls = connection.tls.as_ref();
        match known {
            Known::Scheme => Some(text(connection.scheme())),
            Known::Https => tls.map(|_| text("on")),
            Known::RemoteAddr => Some(Cow::Borrowed(self.client_text())),
            Known::BinaryRemoteAddr => self.context.request.client.map(|ip| octets(ip).into()),
            Known::RemotePort => connection.peer.map(|peer| number(peer.port().into())),
            Known::RealipRemoteAddr => Some(address_text(connection.real_peer()).into()),
            Known::RealipRemotePort => {
                connection.real_peer().map(|peer| number(peer.port().into()))
            }
            Known::ProxyProtocolAddr
            | Known::ProxyProtocolPort
            | Known::ProxyProtocolServerAddr
            | Known::ProxyProtocolServerPort => proxy_header_end(connection, known),
            Known::ServerAddr => Some(address_text(connection.local).into()),
            Known::ServerPort => connection.local.map(|local| number(local.port().into())),
            Known::ServerName => self.context.site().map(|site| text(&site.name)),
            Known::Connection => Some(number(connection.number)),
            Known::ConnectionRequests => Some(number(connection.requests())),
            Known::SslProtocol => tls.map(|tls| text(tls.protocol)),
            Known::SslCipher => tls.map(|tls| text(tls.cipher)),
            Known::SslServerName => tls.and_then(|tls| tls.server_name.as_deref()).map(text),
            Known::SslCurve => tls.and_then(|tls| tls.group).map(|group| text(tls::curve(group))),
            Known::SslSessionReused => tls.map(|tls| text(if tls.is_resumed { "r" } else { "." })),
            Known::SslAlpnProtocol => tls
                .filter(|tls| tls.has_alpn)
                .map(|tls| text(if tls.is_h2 { "h2" } else { "http/1.1" })),
            _ => match &tls?.client {
                Some(client) => client.value(known).map(text),
                None => (known == Known::SslClientVerify).then(|| text("NONE")),
            },
        }
    }

    fn of_answer(&self, known: Known) -> Value<'_> {
        let sent = &self.context.sent;
        match known {
            Known::Status => {
                let expected = self.context.stand_in.as_ref().and_then(|stand_in| stand_in.status);
                self.status
                    .or(sent.status)
                    .or(expected)
                    .map(|status| number(status.as_u16().into()))
            }
            Known::BodyBytesSent => Some(number(sent.body)),
            Known::BytesSent => Some(number(sent.body + sent.head)),
            Known::RequestTime => Some(seconds(self.context.started.elapsed()).into()),
            Known::ContentCoding => {
                self.context.asked.lock().coding.map(|coding| text(coding.name()))
            }
            Known::ImageFormat => self.shown().map(|shown| text(shown.format())),
            Known::ImageWidth => self.shown()?.width().map(|width| number(width.into())),
            Known::Route => self.context.route().map(|route| text(&route.name)),
            _ => None,
        }
    }

    fn of_upstream(&self, known: Known) -> Value<'_> {
        match known {
            Known::Upstream => self
                .context
                .asked
                .lock()
                .upstream
                .as_ref()
                .map(|name| name.as_bytes().to_vec().into()),
            Known::UpstreamShard => self.shards(),
            Known::UpstreamEpoch => self.context.asked.lock().epoch.map(number),
            Known::UpstreamAddr => self.listed(|tried| Some(tried.address.to_string())),
            Known::UpstreamStatus => {
                self.listed(|tried| tried.status.map(|status| status.as_u16().to_string()))
            }
            Known::UpstreamConnectTime => self.listed(|tried| tried.connected.map(seconds_text)),
            Known::UpstreamHeaderTime => self.listed(|tried| tried.answered.map(seconds_text)),
            Known::UpstreamResponseTime => self.listed(|tried| tried.ended.map(seconds_text)),
            Known::UpstreamResponseLength => self.listed(|tried| Some(tried.received.to_string())),
            _ => self.of_cache(known),
        }
    }

    fn of_cache(&self, known: Known) -> Value<'_> {
        let facts = self.context.cache.as_deref()?;
        match known {
            Known::UpstreamCacheStatus => Some(text(facts.outcome?.name())),
            Known::UpstreamCacheAge => Some(number(facts.age?.as_secs())),
            Known::UpstreamCacheTier => Some(text(facts.tier?.name())),
            Known::UpstreamCacheKeyHash => {
                Some(format!("{:032x}", facts.key.as_ref()?.digest()).into_bytes().into())
            }
            Known::UpstreamCacheLastModified => {
                Some(Cow::Borrowed(facts.last_modified.as_ref()?.as_bytes()))
            }
            _ => None,
        }
    }

    fn of_process(&self, known: Known) -> Value<'_> {
        let (wall, memos) = (self.context.wall, &self.context.memos);
        match known {
            Known::TimeLocal => Some(text(memos.time_local.value_or(|| clock::common_log(wall)))),
            Known::TimeIso8601 => Some(text(memos.time_iso8601.value_or(|| clock::iso8601(wall)))),
            Known::Msec => Some(
                seconds(wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()).into(),
            ),
            Known::Pid => Some(number(std::process::id().into())),
            Known::Hostname => Some(clock::hostname().into()),
            Known::SwitchbackVersion => Some(text(env!("CARGO_PKG_VERSION"))),
            _ => None,
        }
    }

    /// One value for each try, as nginx lists them; absent when nobody was asked.
    fn listed(&self, part: impl Fn(&Try) -> Option<String>) -> Value<'_> {
        let asked = self.context.asked.lock();
        let parts: Vec<String> =
            asked.tries.iter().map(|tried| part(tried).unwrap_or_else(|| "-".into())).collect();
        (!parts.is_empty()).then(|| parts.join(", ").into_bytes().into())
    }

    /// One name for each try; absent where no try was in a shard.
    fn shards(&self) -> Value<'_> {
        let has_shards = self.context.asked.lock().epoch.is_some();
        let shards = self.listed(|tried| tried.shard.as_deref().map(str::to_owned));
        shards.filter(|_| has_shards)
    }

    fn host(&self) -> &str {
        let host = &*self.context.request.host;
        match self.context.site() {
            Some(site) if host.is_empty() => &site.name,
            _ => host,
        }
    }

    fn request_uri(&self) -> &[u8] {
        let first_line = self.context.first_line.as_ref();
        first_line.map_or_else(|| self.received().raw_path(), |line| &line.uri)
    }

    fn request_line(&self) -> &[u8] {
        if let Some(line) = &self.context.first_line {
            return &line.whole;
        }
        self.context.memos.line.value_or(|| {
            let head = self.received();
            let (method, version) = (head.method.as_str(), protocol(head.version));
            [method.as_bytes(), head.raw_path(), version.as_bytes()].join(&b' ')
        })
    }

    fn user(&self) -> Value<'_> {
        let user = self
            .context
            .memos
            .user
            .value_or(|| basic_user(self.head.headers.get(header::AUTHORIZATION)?.as_bytes()));
        user.as_deref().map(Cow::Borrowed)
    }

    fn shown(&self) -> Option<Shown> {
        self.context.asked.lock().picture
    }

    fn segment(&self) -> Segment {
        Capabilities::of(&self.head.headers, Needs::SEGMENT).segment()
    }

    fn request_length(&self) -> u64 {
        let fields: usize = self
            .head
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        (self.request_line().len() + 2 + fields + 2) as u64 + self.context.body_received
    }

    pub(super) fn client_text(&self) -> &[u8] {
        let client = self.context.request.client;
        self.context
            .memos
            .client
            .value_or(|| client.map_or_else(|| b"unix:".to_vec(), |ip| ip.to_string().into_bytes()))
    }

    fn forwarded_for(&self) -> Vec<u8> {
        let peer = address_text(self.context.connection.peer);
        match self.head.headers.get("x-forwarded-for") {
            Some(before) => [before.as_bytes(), b", ", &peer].concat(),
            None => peer,
        }
    }

    fn capture(&self, index: u8) -> Value<'_> {
        let path = self.context.request.path.as_str();
        self.context.place.captures.get(path, index).map(text)
    }

    fn map(&self, index: usize) -> Value<'_> {
        let maps = &self.context.snapshot.maps;
        let (map, memo) = (maps.get(index)?, self.context.memos.maps.memo(maps, index)?);
        memo.value_or(|| map.value(self)).as_deref().map(Cow::Borrowed)
    }

    /// The head of the upstream's answer, while it is at hand.
    fn of_upstreams_answer(&self) -> Option<&HeaderMap> {
        let sent = self.sent.filter(|_| self.is_upstreams);
        self.upstream.or_else(|| sent?.map())
    }

    fn upstream_header(&self, name: &HeaderName) -> Value<'_> {
        if let Some(headers) = self.of_upstreams_answer() {
            return headers.get(name).map(|value| Cow::Borrowed(value.as_bytes()));
        }
        let asked = self.context.asked.lock();
        let value = asked.headers.as_ref()?.get(name)?;
        Some(value.as_bytes().to_vec().into())
    }

    fn upstream_cookie(&self, name: &str) -> Value<'_> {
        if let Some(headers) = self.of_upstreams_answer() {
            return set_cookie::value(headers, name).map(Cow::Borrowed);
        }
        let asked = self.context.asked.lock();
        let value = set_cookie::value(asked.headers.as_ref()?, name)?;
        Some(value.to_vec().into())
    }
}

impl Facts for RequestFacts<'_> {
    fn fact(&self, variable: &Variable) -> Option<Cow<'_, [u8]>> {
        match variable {
            Variable::Known(known) => self.known(*known),
            Variable::Header(name) => self.header(name),
            Variable::Argument(name) => query(self.head.raw_path())
                .and_then(|query| argument(query, name))
                .map(Cow::Borrowed),
            Variable::Cookie(name) => cookie(&self.head.headers, name).map(Cow::Borrowed),
            Variable::JwtClaim(name) => {
                let authorization = self.head.headers.get(header::AUTHORIZATION)?;
                jwt::claim(authorization.as_bytes(), name).map(Cow::Owned)
            }
            Variable::ProxyTlv(tlv) => {
                let proxied = self.context.connection.proxied.as_ref()?;
                proxied.value(*tlv)
            }
            Variable::SentHeader(name) => {
                self.sent?.map()?.get(name).map(|value| Cow::Borrowed(value.as_bytes()))
            }
            Variable::UpstreamHeader(name) => self.upstream_header(name),
            Variable::UpstreamCookie(name) => self.upstream_cookie(name),
            Variable::Plugin(name) => self.context.variables.value(name).map(Cow::Borrowed),
            Variable::Capture(index) => self.capture(*index),
            Variable::Map { index, .. } => self.map(*index as usize),
        }
    }

    fn client_ip(&self) -> Option<IpAddr> {
        self.context.request.client
    }

    fn method(&self) -> &Method {
        &self.head.method
    }
}

/// What a PROXY header says of the connection's ends.
fn proxy_header_end(connection: &Connection, known: Known) -> Value<'static> {
    let (source, destination) = connection.proxied.as_ref()?.ends?;
    let address = |end: SocketAddr| Some(end.ip().to_canonical().to_string().into_bytes().into());
    match known {
        Known::ProxyProtocolAddr => address(source),
        Known::ProxyProtocolPort => Some(number(source.port().into())),
        Known::ProxyProtocolServerAddr => address(destination),
        _ => Some(number(destination.port().into())),
    }
}

/// What stands behind the question mark; `None` without one.
pub(crate) fn query(target: &[u8]) -> Option<&[u8]> {
    let at = memchr::memchr(b'?', target)?;
    target.get(at + 1..)
}

/// The first argument of that name, in any case, not decoded.
fn argument<'q>(query: &'q [u8], name: &str) -> Option<&'q [u8]> {
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let (key, value) = pair.split_at(memchr::memchr(b'=', pair).unwrap_or(pair.len()));
        key.eq_ignore_ascii_case(name.as_bytes()).then(|| value.get(1..).unwrap_or_default())
    })
}

/// The first cookie of that name, in any case.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';')).find_map(|pair| {
        let pair = pair.trim_ascii();
        let (key, value) = pair.split_at(memchr::memchr(b'=', pair)?);
        key.eq_ignore_ascii_case(name.as_bytes()).then(|| value.get(1..).unwrap_or_default())
    })
}

/// The user name of Basic credentials (RFC 7617).
fn basic_user(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(encoded.trim_ascii()).ok()?;
    // To nginx an empty name is none.
    let end = memchr::memchr(b':', &decoded).filter(|end| *end > 0)?;
    decoded.get(..end).map(<[u8]>::to_vec)
}

/// `HTTP/1.1` and the like.
pub(crate) fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

fn text(text: &str) -> Cow<'_, [u8]> {
    Cow::Borrowed(text.as_bytes())
}

fn number(number: u64) -> Cow<'static, [u8]> {
    Cow::Owned(number.to_string().into_bytes())
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn address_text(address: Option<SocketAddr>) -> Vec<u8> {
    address.map_or_else(|| b"unix:".to_vec(), |address| address.ip().to_string().into_bytes())
}

/// To the millisecond, as nginx writes times.
fn seconds(duration: Duration) -> Vec<u8> {
    seconds_text(duration).into_bytes()
}

fn seconds_text(duration: Duration) -> String {
    let mut text = String::with_capacity(8);
    // Writing to a String cannot fail.
    let _ = write!(text, "{}.{:03}", duration.as_secs(), duration.subsec_millis());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_found_in_any_case_and_not_decoded() {
        assert_eq!(argument(b"a=1&Page=%32&page=3", "page"), Some(&b"%32"[..]));
        assert_eq!(argument(b"flag&x=1", "flag"), Some(&b""[..]));
        assert_eq!(argument(b"a=1", "b"), None);
    }

    #[test]
    fn cookies_are_found_on_every_line() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; Session=x=y".parse().unwrap());
        headers.append(header::COOKIE, "b=2".parse().unwrap());
        assert_eq!(cookie(&headers, "session"), Some(&b"x=y"[..]));
        assert_eq!(cookie(&headers, "b"), Some(&b"2"[..]));
        assert_eq!(cookie(&headers, "c"), None);
    }

    #[test]
    fn the_user_of_basic_credentials_is_read() {
        assert_eq!(basic_user(b"Basic YWxpY2U6c2VjcmV0"), Some(b"alice".to_vec()));
        assert_eq!(basic_user(b"Bearer abc"), None);
        assert_eq!(basic_user(b"Basic Ong="), None);
        assert_eq!(basic_user(b"Basic !"), None);
    }

    #[test]
    fn times_are_written_to_the_millisecond() {
        assert_eq!(seconds_text(Duration::from_micros(1_002_900)), "1.002");
        assert_eq!(query(b"/a?b?c"), Some(&b"b?c"[..]));
        assert_eq!(query(b"/a"), None);
    }
}
