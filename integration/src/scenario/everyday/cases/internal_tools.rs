//! Who may ask for what, and cookies made to fit.

use super::super::case::{Case, Cases};
use super::{odd, upstream};
use crate::message::Reply;

pub(super) fn answers() -> Vec<(String, Reply)> {
    upstream::answers("/app")
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("tools.example.org");
    networks(&mut cases);
    passwords(&mut cases);
    referers(&mut cases);
    for path in ["/read-only/guide.html", "/read-only/none", "/images/logo.svg"] {
        odd::methods(&mut cases, path);
    }
    cases.gets(&["/read-only/", "/read-only", "/read-only/deep"]);
    for (path, _) in upstream::answers("/app") {
        cases.get(&path);
    }
    upstream::requests(&mut cases, "/app/");
    cases.with("/app/x", &[("X-Debug", "1"), ("X-Client", "forged")]);
    cases.done()
}

fn networks(cases: &mut Cases) {
    let clients = [
        "10.0.0.1",
        "10.0.0.5",
        "10.255.255.255",
        "11.0.0.1",
        "192.0.2.1",
        "2001:db8::1",
        "2001:db9::1",
        "10.0.0.1, 192.0.2.1",
        "192.0.2.1, 10.0.0.1",
        "10.0.0.1, 127.0.0.2",
        "10.0.0.1:1234",
        "[2001:db8::1]:1234",
        "garbage",
        "10.0.0.1, garbage",
        "",
        "::ffff:10.0.0.1",
    ];
    for client in clients {
        let headers = [("X-Forwarded-For", client)];
        cases.with("/", &headers);
        cases.with("/about.html", &headers);
        cases.with("/none", &headers);
        cases.with("/reports/guide.html", &headers);
        cases.with("/app/whoami", &headers);
    }
    cases.with("/", &[("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-For", "10.0.0.1")]);
    cases.with("/", &[("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-For", "192.0.2.1")]);
    cases.gets(&["/", "/about.html", "/none"]);
    cases.ask("POST", "/", &[("X-Forwarded-For", "10.0.0.5")]);
}

fn passwords(cases: &mut Cases) {
    let credentials = [
        // ann:secret, ann:wrong, bob:secret, ann, ann:, no Base64.
        "Basic YW5uOnNlY3JldA==",
        "Basic YW5uOndyb25n",
        "Basic Ym9iOnNlY3JldA==",
        "Basic YW5u",
        "Basic YW5uOg==",
        "Basic ???",
        "basic YW5uOnNlY3JldA==",
        "Basic  YW5uOnNlY3JldA==",
        "Bearer YW5uOnNlY3JldA==",
        "",
    ];
    for value in credentials {
        for client in ["192.0.2.1", "10.1.0.1"] {
            let headers = [("X-Forwarded-For", client), ("Authorization", value)];
            cases.with("/reports/guide.html", &headers);
            cases.with("/reports/none.html", &headers);
        }
    }
    cases.ask("HEAD", "/reports/guide.html", &[]);
    cases.with("/reports/guide.html", &[("Range", "bytes=0-9")]);
}

fn referers(cases: &mut Cases) {
    let referers = [
        "http://tools.example.org/",
        "https://tools.example.org/page",
        "https://TOOLS.example.org/page",
        "http://tools.example.org",
        "http://tools.example.org:8080/",
        "http://tools.example.org.evil.example/",
        "http://a.partner.example/x",
        "http://partner.example/",
        "http://notpartner.example/",
        "http://my.friends.example/",
        "http://x.example/?friends.x",
        "http://other.example/",
        "https://other.example/http://tools.example.org/",
        "tools.example.org",
        "-",
        "blocked-by-a-firewall",
        "about:blank",
        "ftp://tools.example.org/",
        "",
    ];
    for referer in referers {
        cases.with("/images/logo.svg", &[("Referer", referer)]);
    }
    cases.get("/images/logo.svg").get("/images/none.svg").get("/images/");
}
