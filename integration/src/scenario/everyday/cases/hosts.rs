//! Many hosts.

use super::super::case::{Case, Cases};
use super::odd;

pub(super) fn multi_tenant() -> Vec<Case> {
    let mut cases = Cases::new("sites.example");
    for host in HOSTS {
        cases.at(host);
        cases.gets(&[
            "/",
            "/index.html",
            "/only-acme.html",
            "/theme/style.css",
            "/theme/",
            "/none",
        ]);
        cases.ask("HEAD", "/", &[]);
        cases.ask("POST", "/", &[]);
    }
    for host in ["acme.sites.example", "a.red.shop.example", "mail.example.net"] {
        odd::hosts(&mut cases, "/", host);
        odd::versions(&mut cases, "/", host);
    }
    cases.done()
}

const HOSTS: &[&str] = &[
    "sites.example",
    "www.sites.example",
    "acme.sites.example",
    "ACME.Sites.Example",
    "acme.sites.example:8080",
    "acme.sites.example.",
    "globex.sites.example",
    "nobody.sites.example",
    "a.b.sites.example",
    "-.sites.example",
    "..sites.example",
    "shop.example",
    "blue.shop.example",
    "red.shop.example",
    "a.red.shop.example",
    "a.b.red.shop.example",
    "green7.shop.example",
    "greens.shop.example",
    "admin.shop.example",
    "x.admin.shop.example",
    "shop.example.org",
    "mail.example.org",
    "mail.",
    "mail.sites.example",
    "mail.shop.example",
    "unknown.example",
    "192.0.2.1",
];
