//! What an application answers, and what it is asked through a proxy.

use super::super::case::Cases;
use crate::message::{Reply, post, request};

/// Answers of every kind, under `PREFIX/answers/`.
pub(super) fn answers(prefix: &str) -> Vec<(String, Reply)> {
    let text = |body: &str| Reply::ok(body).header("Content-Type", "text/plain");
    let all = [
        ("chunked", text("in chunks of seven").chunked(7)),
        ("until-close", text("until the end").until_close()),
        ("empty", text("")),
        ("none", Reply::ok("").status(204)),
        ("created", text("made").status(201).header("Location", "/answers/made")),
        ("moved", text("").status(301).header("Location", "/elsewhere?a=b")),
        ("moved-away", text("").status(302).header("Location", "https://other.example/x")),
        ("see-other", text("").status(303).header("Location", "relative")),
        ("unchanged", Reply::ok("").status(304).header("ETag", "\"v1\"")),
        ("bad", text("no").status(400)),
        ("login", text("who?").status(401).header("WWW-Authenticate", "Basic realm=\"app\"")),
        ("forbidden", text("no").status(403)),
        ("missing", text("not here").status(404)),
        ("method", text("no").status(405).header("Allow", "GET, HEAD")),
        ("teapot", text("short and stout").status(418)),
        ("broken", text("oh").status(500)),
        ("unavailable", text("later").status(503).header("Retry-After", "7")),
        ("odd-status", text("odd").status(599)),
        ("partial", part()),
        ("cookies", cookies()),
        ("headers", headers()),
        ("cached", cached()),
        ("packed", text("not really gzip").header("Content-Encoding", "gzip")),
        ("typeless", Reply::ok("no type")),
        ("large", Reply::ok(crate::message::pattern(200_000))),
    ];
    all.map(|(name, reply)| (format!("{prefix}/answers/{name}"), reply)).into()
}

fn part() -> Reply {
    Reply::ok("part")
        .status(206)
        .header("Content-Range", "bytes 0-3/10")
        .header("Content-Type", "text/plain")
}

fn cookies() -> Reply {
    Reply::ok("cookies")
        .header("Content-Type", "text/plain")
        .header("Set-Cookie", "session=1; Domain=app.internal; Path=/app/; HttpOnly")
        .header("Set-Cookie", "theme=dark; Path=/app/theme")
        .header("Set-Cookie", "plain=1")
        .header("Set-Cookie", "other=1; domain=other.internal; path=/elsewhere; Secure")
}

fn headers() -> Reply {
    Reply::ok("headers")
        .header("Content-Type", "text/html; charset=latin1")
        .header("X-Powered-By", "a language")
        .header("X-Runtime", "0.1")
        .header("X-Multi", "one")
        .header("X-Multi", "two")
        .header("x-lower", "case")
        .header("Vary", "Accept")
        .header("Link", "</style.css>; rel=preload")
        .header("X-Empty", "")
        .header("Keep-Alive", "timeout=5")
        .header("X-Hop", "dropped")
        .header("Connection", "X-Hop")
}

fn cached() -> Reply {
    Reply::ok("cached")
        .header("Content-Type", "text/plain")
        .header("ETag", "\"v1\"")
        .header("Last-Modified", super::super::tree::CHANGED_TEXT)
        .header("Cache-Control", "private, max-age=0")
        .header("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")
        .header("Accept-Ranges", "bytes")
}

/// Every answer, asked for by GET and HEAD.
pub(super) fn all_answers(cases: &mut Cases, prefix: &str) {
    for (path, _) in answers(prefix) {
        cases.get(&path).ask("HEAD", &path, &[]);
    }
}

/// Requests of every kind, below `prefix`, which ends with a slash.
pub(super) fn requests(cases: &mut Cases, prefix: &str) {
    for target in TARGETS {
        cases.get(&format!("{prefix}{target}"));
    }
    let path = format!("{prefix}submit");
    for method in ["HEAD", "OPTIONS", "DELETE", "PROPFIND", "FOO", "REPORT"] {
        cases.ask(method, &path, &[]);
    }
    for method in ["PUT", "PATCH", "POST"] {
        cases.send(method, request(method, &path).body("some text"));
        cases.send(method, request(method, &path).body("some text").chunked(4));
    }
    cases.send("POST", post(&path, ""));
    cases.send("POST", post(&path, "x".repeat(10_000)).header("Content-Type", "text/plain"));
    cases.send("POST", post(&path, "ab").header("Expect", "100-continue"));
    cases.send("DELETE", request("DELETE", &path).body("a body"));
    for headers in HEADERS {
        cases.with(&path, headers);
    }
    cases.with(&path, &[("X-Long", &"x".repeat(4000))]);
}

const TARGETS: &[&str] = &[
    "",
    "page",
    "page?",
    "page?a=b&c=d",
    "page?a=%20+%2B&a=2",
    "page?a=b?c",
    "page?/../x",
    "a%20b",
    "a+b",
    "a%2Bb",
    "a%2fb",
    "a%25b",
    "%61bc",
    "%C3%BC",
    "\u{fc}",
    "a//b",
    "a/./b",
    "a/../b",
    "a/%2e%2e/b",
    "a;v=1/b",
    "a'b\"c",
    "a,b:c@d",
    "~user/!$&()*=",
    "a%3Fb",
    "a%23b",
    "<b>",
    "a|b",
    ".hidden",
    "..",
    "../../..",
    "%",
    "%zz",
    "a%00b",
];

const HEADERS: &[&[(&str, &str)]] = &[
    &[("Cookie", "a=1; b=2")],
    &[("Cookie", "a=1"), ("Cookie", "b=2")],
    &[("X-Forwarded-For", "192.0.2.1")],
    &[("X-Forwarded-For", "192.0.2.1, 192.0.2.2"), ("X-Forwarded-Proto", "https")],
    &[("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Port", "1")],
    &[("Range", "bytes=0-1")],
    &[("If-None-Match", "\"v1\""), ("If-Modified-Since", "Tue, 14 Nov 2023 22:13:20 GMT")],
    &[("If-Range", "\"v1\""), ("Range", "bytes=0-1")],
    &[("Accept-Encoding", "gzip, br")],
    &[("Connection", "close")],
    &[("Connection", "keep-alive")],
    &[("Connection", "X-Hop, close"), ("X-Hop", "1")],
    &[("Keep-Alive", "timeout=5")],
    &[("TE", "trailers")],
    &[("TE", "gzip")],
    &[("Proxy-Connection", "keep-alive")],
    &[("Proxy-Authorization", "Basic eDp5")],
    &[("Authorization", "Basic YW5uOnNlY3JldA==")],
    &[("Upgrade", "h2c"), ("Connection", "Upgrade")],
    &[("Upgrade", "websocket")],
    &[("X-Multi", "one"), ("X-Multi", "two")],
    &[("X-Empty", "")],
    &[("x-lower", "case"), ("X-UPPER", "CASE")],
    &[("X-Latin", "caf\u{e9}")],
    &[("X_Under_Score", "1")],
    &[("X.Dot", "1")],
    &[("Accept", "text/html, */*;q=0.1"), ("Accept-Language", "de"), ("User-Agent", "test/1")],
    &[("Referer", "http://elsewhere.example/")],
    &[("Origin", "https://elsewhere.example")],
    &[("Via", "1.1 somebody")],
    &[("Forwarded", "for=192.0.2.1")],
    &[("X-Request-ID", "mine")],
    &[("Max-Forwards", "0")],
    &[("Pragma", "no-cache"), ("Cache-Control", "no-cache")],
    &[("Proxy", "evil.example")],
    &[("Date", "Tue, 14 Nov 2023 22:13:20 GMT")],
];
