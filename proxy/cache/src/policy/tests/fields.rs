//! Which fields are stored and sent on.

use http::{HeaderName, Method, header};

use super::{fields, head, now, times};
use crate::policy::{Asked, Rules, hide_tags, is_unkeyed, storable, strip, tags, to_store};

fn to_keep(text: &str) -> http::HeaderMap {
    let mut head = head(200, &format!("Cache-Control: max-age=5 | {text}"));
    let request = fields("");
    let asked = Asked { method: &Method::GET, headers: &request };
    let storable = storable(asked, &head, times(), &Rules::default()).unwrap();
    to_store(&mut head, &storable, times(), &Rules::default());
    head.headers
}

#[test]
fn fields_of_one_hop_are_not_stored() {
    for (section, name) in [
        ("9110 7.6.1", "Connection"),
        ("9110 7.6.1", "Keep-Alive"),
        ("9110 7.6.1", "Proxy-Connection"),
        ("9110 7.6.1", "TE"),
        ("9110 7.6.1", "Transfer-Encoding"),
        ("9110 7.6.1", "Upgrade"),
        ("9110 6.6.2", "Trailer"),
        ("9111 3.1", "Proxy-Authenticate"),
        ("9111 3.1", "Proxy-Authentication-Info"),
        ("9111 3.1", "Proxy-Authorization"),
        ("9111 5.1, made when it is sent", "Age"),
    ] {
        assert!(!to_keep(&format!("{name}: 1")).contains_key(name), "RFC {section}: {name}");
    }
}

#[test]
fn every_other_field_is_stored() {
    for name in [
        "Test-Header",
        "X-Test-Header",
        "Content-Foo",
        "Cache-Control",
        "Content-Encoding",
        "Content-Length",
        "Content-Location",
        "Content-MD5",
        "Content-Security-Policy",
        "Content-Type",
        "Clear-Site-Data",
        "ETag",
        "Expires",
        "Public-Key-Pins",
        "Set-Cookie2",
        "X-Frame-Options",
        "X-XSS-Protection",
        "Surrogate-Key",
        "Link",
        "Cache-Status",
        "Warning",
        "CDN-Cache-Control",
    ] {
        assert!(to_keep(&format!("{name}: 1")).contains_key(name), "RFC 9111, 3.1: {name}");
    }
    assert_eq!(to_keep("X-Twice: 1 | X-Twice: 2").get_all("x-twice").iter().count(), 2);
}

#[test]
fn what_connection_lists_is_not_stored() {
    let kept =
        to_keep("Connection: a, B ,, (x) | Connection: d | a: 1 | a: 2 | b: 2 | c: 3 | d: 4");
    assert!(
        ["a", "b", "d", "connection"].iter().all(|name| !kept.contains_key(*name)),
        "RFC 9110, 7.6.1"
    );
    assert!(kept.contains_key("c"));
    let mut request = fields("Connection: x | x: 1 | TE: trailers | y: 1");
    strip(&mut request);
    assert_eq!(request.keys().collect::<Vec<_>>(), ["y"]);
}

#[test]
fn what_no_cache_and_private_name_is_not_stored() {
    let kept =
        to_keep("Cache-Control: no-cache=\"a, b\", private=\"c\" | a: 1 | b: 2 | c: 3 | d: 4");
    assert!(
        ["a", "b", "c"].iter().all(|name| !kept.contains_key(*name)),
        "RFC 9111, 5.2.2.4 and 5.2.2.7"
    );
    assert!(kept.contains_key("d"));
}

#[test]
fn a_stored_response_has_a_date() {
    assert_eq!(to_keep("")[header::DATE], httpdate::fmt_http_date(now()), "RFC 9110, 6.6.1");
    assert_eq!(
        to_keep("Date: @-3")[header::DATE],
        httpdate::fmt_http_date(now() - super::seconds(3))
    );
}

#[test]
fn fields_that_the_key_does_not_show_are_known() {
    for name in [
        "x-forwarded-host",
        "x-forwarded-scheme",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "forwarded",
    ] {
        assert!(is_unkeyed(&HeaderName::from_static(name)), "{name}");
    }
    for name in ["host", "accept", "cookie", "accept-encoding", "x-forward", "range"] {
        assert!(!is_unkeyed(&HeaderName::from_static(name)), "{name}");
    }
}

#[test]
fn tags_are_read_from_three_fields() {
    for (text, expected) in [
        ("", &[] as &[&str]),
        ("Surrogate-Key: a b\ta", &["a", "b"]),
        ("xkey: b | xkey: a,c", &["a,c", "b"]),
        ("Cache-Tag: a b , c,,", &["a b", "c"]),
        ("Surrogate-Key: z | Cache-Tag: y | xkey: x z", &["x", "y", "z"]),
    ] {
        let read = tags(&fields(text));
        assert_eq!(read.iter().map(|tag| &**tag).collect::<Vec<_>>(), expected, "{text}");
    }
    let mut headers =
        fields("Surrogate-Key: a | Surrogate-Control: max-age=1 | Cache-Tag: b | xkey: c | d: e");
    hide_tags(&mut headers);
    assert_eq!(headers.keys().collect::<Vec<_>>(), ["d"]);
}
