//! Applications: in one page, behind a proxy, behind files.

use super::super::case::{Case, Cases};
use super::super::tree::size_of;
use super::{files, odd, upstream};
use crate::message::{post, request};

pub(super) fn single_page() -> Vec<Case> {
    let mut cases = Cases::new("app.example.org");
    cases.gets(&[
        "/",
        "/index.html",
        "/?utm=x",
        "/settings",
        "/settings/",
        "/settings/profile?tab=2",
        "/deep",
        "/deep/",
        "/deep/page.html",
        "/deep/none.html",
        "/assets",
        "/assets/",
        "/assets/main.81c4.js",
        "/assets/main.0000.js",
        "/assets/logo.svg",
        "/logo.svg",
        "/LOGO.SVG",
        "/none.svg",
        "/users/7/photo.png",
        "/favicon.ico",
        "/service-worker.js",
        "/robots.txt",
        "/a%20route",
        "/%2e%2e/x",
        "/x/../assets/main.81c4.js",
        "//assets//main.81c4.js",
        "/.env",
    ]);
    for path in ["/", "/settings", "/assets/main.81c4.js", "/none.svg"] {
        odd::methods(&mut cases, path);
    }
    let shell = size_of("app/index.html");
    files::conditions(&mut cases, "/settings/profile", shell);
    files::conditions(&mut cases, "/assets/main.81c4.js", size_of("app/assets/main.81c4.js"));
    cases.with("/settings", &[("Range", "bytes=0-9")]);
    odd::versions(&mut cases, "/settings", "app.example.org");
    cases.done()
}

pub(super) fn reverse_proxy() -> Vec<Case> {
    let mut cases = Cases::new("app.example.org");
    upstream::all_answers(&mut cases, "");
    upstream::requests(&mut cases, "/");
    cases.gets(&["/healthz", "/healthz?x=1", "/healthz/", "/socket", "/socket/plain"]);
    cases.ask("HEAD", "/healthz", &[]);
    odd::hosts(&mut cases, "/page", "app.example.org");
    odd::versions(&mut cases, "/page", "app.example.org");
    // The limit of the body is 64 KiB.
    for length in [65_535, 65_536, 65_537, 200_000] {
        cases.send("POST", post("/submit", "x".repeat(length)));
        cases.send("POST", post("/submit", "x".repeat(length)).chunked(10_000));
    }
    let handshake = |path: &str| {
        request("GET", path)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    cases.send("GET", handshake("/socket/open"));
    cases.send("GET", handshake("/socket/open").header("Origin", "https://app.example.org"));
    cases.send("GET", handshake("/answers/forbidden"));
    cases.send("GET", handshake("/socket/refused"));
    cases.done()
}

pub(super) fn behind_files() -> Vec<Case> {
    let mut cases = Cases::new("shop.example.org");
    cases.gets(&[
        "/robots.txt",
        "/robots.txt?v=1",
        "/favicon.ico",
        "/deep/page.html",
        "/deep",
        "/assets/main.81c4.js",
        "/assets/none.js",
        "/assets/",
        "/assets",
        "/uploads/one.txt",
        "/uploads/folder/two.txt",
        "/uploads/folder",
        "/uploads/none.txt",
        "/uploads/",
        "/uploads",
        "/uploads../app/index.html",
        "/uploads/../robots.txt",
    ]);
    for path in ["/robots.txt", "/assets/none.js", "/uploads/one.txt"] {
        odd::methods(&mut cases, path);
    }
    upstream::all_answers(&mut cases, "");
    upstream::requests(&mut cases, "/app/");
    files::conditions(&mut cases, "/robots.txt", size_of("app/robots.txt"));
    files::ranges(&mut cases, "/uploads/one.txt", size_of("uploads/one.txt"));
    cases.done()
}
