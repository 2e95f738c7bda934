//! Redirects: to HTTPS, to another name, from old paths.

use super::super::case::{Case, Cases, Door};
use super::odd;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("example.org");
    let targets = [
        "/",
        "/about.html",
        "/docs/?a=b&c=%20d",
        "/a%20b",
        "/a//b/../c",
        "/?",
        "/x?y#z",
        "/%C3%BC",
        "/.well-known/acme-challenge/token",
        "/.well-known/acme-challenge/none",
        "/.well-known/other",
    ];
    for host in ["example.org", "www.example.org", "other.example"] {
        cases.at(host).gets(&targets);
    }
    cases.at("example.org");
    odd::methods(&mut cases, "/form");
    odd::versions(&mut cases, "/page", "example.org");
    odd::hosts(&mut cases, "/page", "example.org");
    cases.through(Door::Tls).at("www.example.org").gets(&targets);
    cases.at("example.org").gets(APEX);
    for path in ["/form", "/api/v1", "/download", "/contact.php"] {
        for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
            cases.ask(method, path, &[]);
        }
    }
    cases.done()
}

/// Asked of the bare name over TLS.
const APEX: &[&str] = &[
    "/",
    "/about.html",
    "/about.html?x=1",
    "/contact.php",
    "/contact.php?to=me",
    "/Contact.php",
    "/shop/",
    "/shop/x",
    "/news/2019/a-good-year.html",
    "/news/2019/A-good-year.html",
    "/news/19/a.html",
    "/index.asp",
    "/deep/INDEX.ASPX",
    "/index.aspx?x=1",
    "/download",
    "/download?v=3",
    "/download/more",
    "/form",
    "/form?a=b",
    "/api/",
    "/api/v1/users?id=7",
    "/old/product/77",
    "/old/product/77?ref=x",
    "/old/product/x",
    "/old/guide.html",
    "/old/guide.html?x=1",
    "/old/none.html",
    "/old/",
    "/old",
    "/docs",
    "/docs/",
    "/docs/guide.html",
    "/style.css",
    "/missing",
    "/%61bout.html",
    "/a/../about.html",
];
