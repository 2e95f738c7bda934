//! Which fields are stored and sent on (RFC 9110, 7.6.1; RFC 9111, 3.1).

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::entry::{Head, Times};
use crate::policy::rules::Rules;
use crate::policy::store::Storable;

/// Removes what belongs to one connection, or to one client's proxy: fields that always do, and those that `Connection` lists.
pub fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        for name in listed(headers) {
            headers.remove(name);
        }
    }
    for name in OF_ONE_HOP {
        headers.remove(name);
    }
}

fn listed(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(header::CONNECTION).iter();
    let members = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    members.filter_map(|member| HeaderName::from_bytes(member.trim_ascii()).ok()).collect()
}

/// The head to store, and to send from then on: without the fields of a single hop, `Age`, those that [`Storable`] leaves out,
/// and the `Set-Cookie` that the rules ignore; with a `Date` (RFC 9110, 6.6.1).
pub fn to_store(head: &mut Head, storable: &Storable, times: Times, rules: &Rules) {
    let headers = &mut head.headers;
    strip(headers);
    headers.remove(header::AGE);
    for name in &storable.without {
        headers.remove(name);
    }
    if rules.ignores(&header::SET_COOKIE) && !rules.stores_cookies {
        headers.remove(header::SET_COOKIE);
    }
    date(headers, times);
}

/// Gives a response without a `Date` the time when it was received (RFC 9110, 6.6.1).
pub(super) fn date(headers: &mut HeaderMap, times: Times) {
    if headers.contains_key(header::DATE) {
        return;
    }
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(times.response)) {
        headers.insert(header::DATE, date);
    }
}

/// Whether a request field may change the response in ways that the key does not show: what a client says in it is not passed on
/// when a response is fetched to be stored.
#[must_use]
pub fn is_unkeyed(name: &HeaderName) -> bool {
    UNKEYED.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded-")
}

/// RFC 9110, 7.6.1; RFC 9111, 3.1; and what was never registered, but is sent.
const OF_ONE_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What applications take host, scheme, path, method or client from, in place of the request's own.
const UNKEYED: [&str; 14] = [
    "base-url",
    "client-ip",
    "forwarded",
    "front-end-https",
    "true-client-ip",
    "x-client-ip",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];
