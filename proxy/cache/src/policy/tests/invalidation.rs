//! What unsafe methods make invalid.

use http::{Method, StatusCode};
use proptest::prelude::*;

use super::{fields, head};
use crate::policy::groups::{groups, invalidated_groups};
use crate::policy::invalidate::{Target, also_invalid, invalidates, resolve};

const TARGET: Target<'_> =
    Target { scheme: "http", authority: "a.example", path_and_query: "/b/c/d?q" };

#[test]
fn unsafe_methods_invalidate_where_they_succeed() {
    for (section, method, status, expected) in [
        ("9111 4.4", "POST", 200, true),
        ("9111 4.4", "PUT", 201, true),
        ("9111 4.4", "DELETE", 204, true),
        ("9111 4.4, unknown", "M-SEARCH", 200, true),
        ("9111 4.4, case", "get", 200, true),
        ("9111 4.4, a redirection", "POST", 303, true),
        ("9111 4.4, an error", "POST", 500, false),
        ("9111 4.4, an error", "PUT", 404, false),
        ("9110 9.2.1", "GET", 200, false),
        ("9110 9.2.1", "HEAD", 200, false),
        ("9110 9.2.1", "OPTIONS", 200, false),
        ("9110 9.2.1", "TRACE", 200, false),
        ("10008 2", "QUERY", 200, false),
        ("4918 9.1", "PROPFIND", 207, false),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(invalidates(&method, status), expected, "{section}: {method} {status}");
    }
}

#[test]
fn what_the_response_points_to_is_invalid_too() {
    for (section, text, expected) in [
        ("9111 4.4", "Location: /x", &["/x"] as &[&str]),
        ("9111 4.4", "Location: x | Content-Location: http://a.example/y?z#f", &["/b/c/x", "/y?z"]),
        ("9111 4.4, itself", "Location: /b/c/d?q | Content-Location: ", &[]),
        ("9111 4.4, each once", "Location: /x | Content-Location: /x", &["/x"]),
        (
            "9111 4.4, another origin",
            "Location: http://b.example/x | Content-Location: https://a.example/y",
            &[],
        ),
        ("9111 4.4", "", &[]),
    ] {
        assert_eq!(also_invalid(TARGET, &head(201, text)), expected, "{section}: {text}");
    }
}

#[test]
fn references_are_resolved_within_the_origin() {
    for (section, reference, expected) in [
        ("3986 5.4.1", "g", Some("/b/c/g")),
        ("3986 5.4.1", "./g", Some("/b/c/g")),
        ("3986 5.4.1", "g/", Some("/b/c/g/")),
        ("3986 5.4.1", "/g", Some("/g")),
        ("3986 5.4.1", "?y", Some("/b/c/d?y")),
        ("3986 5.4.1", "g?y", Some("/b/c/g?y")),
        ("3986 5.4.1", "#s", Some("/b/c/d?q")),
        ("3986 5.4.1", "g#s", Some("/b/c/g")),
        ("3986 5.4.1", "", Some("/b/c/d?q")),
        ("3986 5.4.1", ".", Some("/b/c/")),
        ("3986 5.4.1", "./", Some("/b/c/")),
        ("3986 5.4.1", "..", Some("/b/")),
        ("3986 5.4.1", "../g", Some("/b/g")),
        ("3986 5.4.1", "../..", Some("/")),
        ("3986 5.4.2", "../../../g", Some("/g")),
        ("3986 5.4.2", "/./g", Some("/g")),
        ("3986 5.4.2", "/../g", Some("/g")),
        ("3986 5.4.2", "g.", Some("/b/c/g.")),
        ("3986 5.4.2", "..g", Some("/b/c/..g")),
        ("3986 5.4.2", "./g/.", Some("/b/c/g/")),
        ("3986 5.4.2", "g/../h", Some("/b/c/h")),
        ("3986 5.4.2", "g?y/../x", Some("/b/c/g?y/../x")),
        ("3986 5.4.2, the scheme alone", "http:g", None),
        ("3986 5.4.1, another scheme", "mailto:g", None),
        ("3986 4.2", "//a.example/g", Some("/g")),
        ("9110 4.3.1, case and port", "HTTP://A.Example:80/g", Some("/g")),
        ("9110 4.3.1, empty port", "http://a.example:/g", Some("/g")),
        ("9110 4.2.3, empty path", "http://a.example", Some("/")),
        ("9110 4.2.3, empty path", "http://a.example?x", Some("/?x")),
        ("9110 4.3.1, another port", "http://a.example:81/g", None),
        ("9110 4.3.1, another host", "http://b.example/g", None),
        ("9110 4.3.1, another scheme", "https://a.example/g", None),
        ("9110 4.2.4, a user", "http://a.example@b.example/g", None),
        ("9110 4.2.4, a user", "http://u@a.example/g", None),
        ("3986 2, blanks", "/a b", None),
        ("3986 3.3, a colon in the path", "/x:y", Some("/x:y")),
        ("3986 4.2, a colon in the path", "./x:y", Some("/b/c/x:y")),
    ] {
        assert_eq!(resolve(TARGET, reference).as_deref(), expected, "{section}: {reference}");
    }
    let v6 = Target { scheme: "https", authority: "[::1]", path_and_query: "/" };
    assert_eq!(resolve(v6, "https://[::1]:443/g").as_deref(), Some("/g"));
    assert_eq!(resolve(v6, "https://[::2]/g"), None);
}

#[test]
fn groups_are_strings() {
    for (section, text, expected) in [
        ("9875 2", "\"a\", \"b c\"", &["a", "b c"] as &[&str]),
        ("9875 2.1, case", "\"B\", \"b\"", &["B", "b"]),
        ("9875 2, parameters", "\"a\";x=1", &["a"]),
        ("9875 2, once", "\"a\" | Cache-Groups: \"a\"", &["a"]),
        ("9875 2, tokens are none", "\"a\", b", &[]),
        ("9651 4.2, cannot be read", "\"a\",", &[]),
        ("9651 4.2, cannot be read", "\"a", &[]),
        ("9875 2", "", &[]),
    ] {
        let read = groups(&fields(&format!("Cache-Groups: {text}")));
        assert_eq!(
            read.iter().map(|group| &**group).collect::<Vec<_>>(),
            expected,
            "{section}: {text}"
        );
    }
    let list = |count: u32| (0..count).map(|at| format!("\"{at}\"")).collect::<Vec<_>>().join(", ");
    assert_eq!(groups(&fields(&format!("Cache-Groups: {}", list(128)))).len(), 128);
    assert!(groups(&fields(&format!("Cache-Groups: {}", list(129)))).is_empty());
    assert!(groups(&fields("")).is_empty());
}

#[test]
fn only_unsafe_methods_invalidate_groups() {
    let headers = fields("Cache-Group-Invalidation: \"a\", \"b\" | Cache-Groups: \"c\"");
    assert_eq!(
        *invalidated_groups(&Method::POST, &headers),
        ["a".into(), "b".into()],
        "RFC 9875, 3"
    );
    assert!(invalidated_groups(&Method::GET, &headers).is_empty(), "RFC 9875, 3");
}

proptest! {
    #[test]
    fn what_is_resolved_is_a_path_without_dots(reference in "[a-c./?#:@%\\[\\]]{0,30}") {
        if let Some(found) = resolve(TARGET, &reference) {
            let path = found.split('?').next().unwrap();
            prop_assert!(path.starts_with('/'));
            prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
        }
    }
}
