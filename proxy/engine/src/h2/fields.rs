//! Which header fields may pass from one side to the other.

use h2::ext::Protocol;
use http::header::{self, HeaderName};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri, Version, request};
use pingora_core::protocols::http::authority::{
    RawTargetAuthority, raw_target_authority, validate_request_authority,
};
use pingora_error::ErrorType::{InternalError, InvalidHTTPHeader};
use pingora_error::{Error, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};

/// Fields of one HTTP/1 connection, which no HTTP/2 message may carry (RFC 9113 section 8.2.2).
const CONNECTION_FIELDS: [&str; 6] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Fields that say how a message is framed, routed or authorised: in a trailer they come too late, and a receiver that
/// merges them is fooled (RFC 9110 section 6.5.1).
const NOT_IN_TRAILERS: [&str; 8] = [
    "authorization",
    "content-length",
    "cookie",
    "host",
    "proxy-authorization",
    "set-cookie",
    "te",
    "trailer",
];

/// Fields a `Connection` header cannot take away from the request.
const PROTECTED: [&str; 5] =
    ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded"];

/// Why a request must not be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is malformed (RFC 9113 section 8.1.1): the stream is to be reset.
    Framing,
    /// Nobody knows whom it is for: 400.
    Authority,
    /// Too many fields, parts of split cookies counted: 431.
    Fields,
    /// Its target is too long: 414.
    Target,
    /// CONNECT that names no protocol: 405. This is no forward proxy.
    Method,
}

/// What a request may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Fields, parts of split cookies counted.
    pub fields: usize,
    /// Bytes of the target.
    pub target: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { fields: 128, target: 8 * 1024 }
    }
}

/// Judges a request as Pingora's own HTTP/2 session would, because Pingora trusts foreign sessions to have done so. Of
/// several equal content lengths it leaves one, and of the parts of a split cookie the whole.
pub(super) fn admit(request: &mut RequestHeader, bounds: &Bounds) -> Result<(), Refused> {
    if request.headers.len() > bounds.fields {
        return Err(Refused::Fields);
    }
    if request.raw_path().len() > bounds.target {
        return Err(Refused::Target);
    }
    if request.raw_path().iter().any(|byte| matches!(byte, 0 | b'\n' | b'\r' | b' ')) {
        return Err(Refused::Framing);
    }
    if request.method == Method::CONNECT && request.extensions.get::<Protocol>().is_none() {
        return Err(Refused::Method);
    }
    unify_content_length(request)?;
    join_cookies(request)?;
    let has_authority =
        request.uri.authority().is_some() || request.headers.contains_key(header::HOST);
    if !has_authority || validate_request_authority(request).is_err() {
        return Err(Refused::Authority);
    }
    if request.method == Method::CONNECT
        || matches!(raw_target_authority(request.raw_path()), RawTargetAuthority::None)
    {
        return Ok(());
    }
    Err(Refused::Authority)
}

fn unify_content_length(request: &mut RequestHeader) -> Result<(), Refused> {
    let mut lengths = request.headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(()) };
    let is_single = lengths.next().is_none() && first.as_bytes().iter().all(u8::is_ascii_digit);
    if is_single && !first.is_empty() {
        return Ok(());
    }
    let length = content_length(&request.headers).ok_or(Refused::Framing)?;
    request.insert_header(header::CONTENT_LENGTH, length).map_err(|_| Refused::Framing)
}

/// HTTP/2 clients may send a cookie in parts, which nothing but HTTP/2 understands (RFC 9113 section 8.2.3).
fn join_cookies(request: &mut RequestHeader) -> Result<(), Refused> {
    let parts: Vec<&[u8]> =
        request.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if parts.len() < 2 {
        return Ok(());
    }
    let whole = HeaderValue::from_bytes(&parts.join(&b"; "[..])).map_err(|_| Refused::Framing)?;
    request.insert_header(header::COOKIE, whole).map_err(|_| Refused::Framing)
}

/// The one length that all content-length fields agree on.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    let mut agreed = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for item in value.to_str().ok()?.split(',').map(str::trim) {
            let length =
                item.bytes().all(|byte| byte.is_ascii_digit()).then(|| item.parse().ok())??;
            if *agreed.get_or_insert(length) != length {
                return None;
            }
        }
    }
    agreed
}

/// Makes `response` fit for an HTTP/2 client.
pub(super) fn clean_response(response: &mut ResponseHeader) {
    for name in CONNECTION_FIELDS {
        response.remove_header(name);
    }
}

/// Makes `trailers` fit to be sent.
pub(super) fn clean_trailers(trailers: &mut HeaderMap) {
    for name in CONNECTION_FIELDS.iter().chain(&NOT_IN_TRAILERS) {
        trailers.remove(*name);
    }
}

/// The request as an HTTP/2 origin gets it: no connection fields, `Host` turned into the authority.
///
/// Pingora cleans requests to HTTP/1 and to its own HTTP/2 origins, but not those to foreign sessions.
///
/// # Errors
/// When it has no authority, its target is not UTF-8, or it is CONNECT.
pub(super) fn origin_request(request: &RequestHeader, scheme: Scheme) -> Result<request::Parts> {
    if request.method == Method::CONNECT || !request.raw_path_is_utf8() {
        return Error::e_explain(InvalidHTTPHeader, "this request cannot be sent over HTTP/2");
    }
    let uri = origin_uri(request, scheme)?;
    let mut parts = request.as_owned_parts();
    parts.uri = uri;
    parts.version = Version::HTTP_2;
    parts.headers.remove(header::HOST);
    clean_request(&mut parts.headers);
    Ok(parts)
}

fn origin_uri(request: &RequestHeader, scheme: Scheme) -> Result<Uri> {
    let raw = raw_target_authority(request.raw_path());
    let host = request.headers.get(header::HOST).map(HeaderValue::as_bytes);
    let authority = host
        .or_else(|| request.uri.authority().map(|authority| authority.as_str().as_bytes()))
        .or_else(|| raw.authority())
        .unwrap_or_default();
    if authority.contains(&b'@') {
        return Error::e_explain(InvalidHTTPHeader, "user information in the authority");
    }
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(scheme);
    uri.authority =
        Some(Authority::try_from(authority).or_err(InvalidHTTPHeader, "no authority for HTTP/2")?);
    uri.path_and_query = Some(origin_path(request, &raw)?);
    Uri::from_parts(uri).or_err(InternalError, "target for HTTP/2")
}

fn origin_path(request: &RequestHeader, raw: &RawTargetAuthority<'_>) -> Result<PathAndQuery> {
    let path = match raw {
        RawTargetAuthority::None => request.raw_path(),
        RawTargetAuthority::Absolute { path_and_query, .. } => path_and_query,
        RawTargetAuthority::AmbiguousAuthority => {
            return Error::e_explain(InvalidHTTPHeader, "ambiguous request target");
        }
    };
    match path.first() {
        None => Ok(PathAndQuery::from_static("/")),
        Some(b'/' | b'*') => {
            PathAndQuery::try_from(path).or_err(InvalidHTTPHeader, "request target")
        }
        Some(_) => PathAndQuery::try_from([b"/", path].concat())
            .or_err(InvalidHTTPHeader, "request target"),
    }
}

fn clean_request(headers: &mut HeaderMap) {
    for name in nominated(headers) {
        headers.remove(name);
    }
    for name in CONNECTION_FIELDS {
        headers.remove(name);
    }
    let takes_trailers = headers.get_all(header::TE).iter().any(|te| {
        te.as_bytes()
            .split(|byte| *byte == b',')
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    });
    headers.remove(header::TE);
    if takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// The fields that `Connection` names as its own.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !PROTECTED.contains(&name.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over_h2(uri: &str, fields: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut request =
            http::Request::builder().uri(uri).version(Version::HTTP_2).body(()).unwrap();
        for (name, value) in fields {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        RequestHeader::from(request.into_parts().0)
    }

    fn judge(request: &mut RequestHeader) -> Result<(), Refused> {
        admit(request, &Bounds::default())
    }

    fn over_h1(target: &[u8], fields: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", target, None).unwrap();
        for (name, value) in fields {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    #[test]
    fn a_host_that_contradicts_the_authority_is_refused() {
        let ask = |fields| judge(&mut over_h2("https://a.example/", fields));
        assert_eq!(ask(&[]), Ok(()));
        assert_eq!(ask(&[("host", "a.example")]), Ok(()));
        assert_eq!(ask(&[("host", "b.example")]), Err(Refused::Authority));
        assert_eq!(ask(&[("host", "a.example"), ("host", "a.example")]), Err(Refused::Authority));
    }

    #[test]
    fn user_information_in_the_authority_is_refused() {
        assert_eq!(judge(&mut over_h2("https://u@a.example/", &[])), Err(Refused::Authority));
    }

    #[test]
    fn a_request_without_authority_is_refused() {
        assert_eq!(judge(&mut over_h2("/x", &[])), Err(Refused::Authority));
        assert_eq!(judge(&mut over_h2("/x", &[("host", "a.example")])), Ok(()));
    }

    #[test]
    fn contradicting_lengths_are_refused_and_equal_ones_unified() {
        let mut same =
            over_h2("https://a.example/", &[("content-length", "5"), ("content-length", "5, 5")]);
        assert_eq!(judge(&mut same), Ok(()));
        assert_eq!(same.headers.get_all("content-length").iter().count(), 1);
        for bad in ["5, 6", "+5", "", "5x"] {
            let mut request = over_h2("https://a.example/", &[]);
            request.append_header("content-length", bad).unwrap();
            assert_eq!(judge(&mut request), Err(Refused::Framing), "{bad:?}");
        }
    }

    #[test]
    fn too_many_fields_and_too_long_targets_are_refused() {
        let crumbs = |count| {
            let mut request = over_h2("https://a.example/", &[]);
            (0..count).for_each(|_| drop(request.append_header("cookie", "a=b")));
            judge(&mut request)
        };
        assert_eq!((crumbs(128), crumbs(129)), (Ok(()), Err(Refused::Fields)));
        let path =
            |length| judge(&mut over_h2(&format!("https://a.example/{}", "x".repeat(length)), &[]));
        assert_eq!((path(8191), path(8192)), (Ok(()), Err(Refused::Target)));
    }

    #[test]
    fn a_cookie_in_parts_is_joined() {
        let parts = [("cookie", "a=1"), ("cookie", "b=2; c=3")];
        let mut request = over_h2("https://a.example/", &parts);
        assert_eq!(judge(&mut request), Ok(()));
        let cookies = request.headers.get_all("cookie").iter().collect::<Vec<_>>();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }

    #[test]
    fn the_host_of_an_http1_request_becomes_the_authority() {
        let parts =
            origin_request(&over_h1(b"/a?b", &[("Host", "h.example:81")]), Scheme::HTTP).unwrap();
        assert_eq!(parts.uri.to_string(), "http://h.example:81/a?b");
        assert!(!parts.headers.contains_key("host"));
    }

    #[test]
    fn an_absolute_target_keeps_only_its_path() {
        let parts = origin_request(&over_h1(b"http://h.example?q", &[]), Scheme::HTTPS).unwrap();
        assert_eq!(parts.uri.to_string(), "https://h.example/?q");
    }

    #[test]
    fn connection_fields_and_what_they_name_stay_behind() {
        let fields = [
            ("host", "h"),
            ("connection", "close, X-Mine, host"),
            ("x-mine", "1"),
            ("te", "gzip, trailers"),
            ("upgrade", "h2c"),
        ];
        let parts = origin_request(&over_h1(b"/", &fields), Scheme::HTTP).unwrap();
        assert_eq!(parts.uri.authority().unwrap().as_str(), "h");
        assert_eq!(parts.headers.len(), 1);
        assert_eq!(parts.headers["te"], "trailers");
    }

    #[test]
    fn trailers_lose_what_frames_or_authorises() {
        let mut trailers = HeaderMap::new();
        for name in ["grpc-status", "content-length", "authorization", "transfer-encoding"] {
            trailers.insert(name, HeaderValue::from_static("0"));
        }
        clean_trailers(&mut trailers);
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["grpc-status"]);
    }
}
