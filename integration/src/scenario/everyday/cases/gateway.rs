//! The gateway: prefixes, rewriting, calls from other sites, limits of bodies.

use super::super::case::{Case, Cases};
use super::{odd, upstream};
use crate::message::post;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("api.example.org");
    cases.gets(&[
        "/",
        "/users",
        "/users/",
        "/users/7",
        "/users/7?fields=name&x=%20",
        "/users/7/posts/",
        "/users//7",
        "/users/../orders/7",
        "/users/a%20b",
        "/users/a%2fb",
        "/users/%C3%BC",
        "/users/?a=b",
        "/users/?",
        "/orders",
        "/orders/",
        "/orders/7",
        "/orders/7?x=1",
        "/orders/7/items",
        "/orders/7/items?page=2",
        "/orders/x/items",
        "/orders/a%20b",
        "/orders/import",
        "/orders/import?dry=1",
        "/version",
        "/versions",
        "/unknown/service?x=1",
    ]);
    let origins = [
        "https://app.example.org",
        "https://APP.example.org",
        "https://pr-7.preview.example.org",
        "https://preview.example.org",
        "https://pr-7.preview.example.org.evil.example",
        "http://app.example.org",
        "null",
        "",
    ];
    for origin in origins {
        let headers = [("Origin", origin), ("Access-Control-Request-Method", "PUT")];
        for path in ["/users/7", "/orders/7", "/version", "/"] {
            cases.with(path, &headers).ask("OPTIONS", path, &headers);
        }
    }
    upstream::all_answers(&mut cases, "");
    for (path, _) in upstream::answers("/users") {
        cases.with(&path, &[("Origin", "https://app.example.org")]);
    }
    upstream::requests(&mut cases, "/users/");
    // The limit is 16 KiB, and 256 KiB for imports.
    for length in [16_383, 16_384, 16_385, 100_000, 262_144, 262_145] {
        for path in ["/users/", "/orders/import", "/version"] {
            cases.send("POST", post(path, "x".repeat(length)));
            cases.send("POST", post(path, "x".repeat(length)).chunked(8192));
        }
    }
    for path in ["/version", "/", "/users/7"] {
        odd::methods(&mut cases, path);
    }
    cases.done()
}
