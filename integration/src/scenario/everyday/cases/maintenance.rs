//! Error pages from files and named routes, and a closed part of a site.

use super::super::case::{Case, Cases};
use super::super::tree::MUCH_LATER;
use super::{odd, upstream};
use crate::message::{Reply, post};

pub(super) fn answers() -> Vec<(String, Reply)> {
    ["/shop", "/api", "/raw"].iter().flat_map(|prefix| upstream::answers(prefix)).collect()
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("www.example.org");
    cases.gets(&[
        "/",
        "/about.html",
        "/missing",
        "/missing?x=1",
        "/missing/",
        "/docs",
        "/empty/",
        "/errors/404.html",
        "/errors/none.html",
        "/errors",
        "/secret/plan.html",
        "/secret/none.html",
        "/secret/",
        "/secret",
        "/shop",
        "/shop/",
        "/shop/cart?id=7",
        "/shop/../about.html",
        "/shopping",
        "/gone/",
        "/gone/x?y",
        "/api/none",
        "/raw/x",
    ]);
    for cookie in ["preview=letmein", "preview=wrong", "preview=", "x=1; preview=letmein"] {
        cases.with("/shop/cart", &[("Cookie", cookie)]);
        cases.with("/shop/answers/missing", &[("Cookie", cookie)]);
    }
    for (path, _) in upstream::answers("/shop") {
        cases.with(&path, &[("Cookie", "preview=letmein")]);
        cases.ask("HEAD", &path, &[("Cookie", "preview=letmein")]);
    }
    upstream::all_answers(&mut cases, "/api");
    upstream::all_answers(&mut cases, "/raw");
    for path in ["/missing", "/secret/plan.html", "/shop/", "/gone/", "/api/answers/missing"] {
        odd::methods(&mut cases, path);
        cases.with(path, &[("Range", "bytes=0-9")]);
        cases.with(path, &[("If-None-Match", "*")]);
        cases.with(path, &[("If-Modified-Since", MUCH_LATER)]);
        cases.with(path, &[("If-Match", "\"other\"")]);
    }
    cases.send("POST", post("/raw/submit", "x".repeat(1_048_577)));
    cases.send("POST", post("/missing", "x".repeat(1_048_577)));
    odd::versions(&mut cases, "/missing", "www.example.org");
    odd::versions(&mut cases, "/shop/", "www.example.org");
    cases.done()
}
