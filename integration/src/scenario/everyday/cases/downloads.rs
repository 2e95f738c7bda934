//! The server of downloads: listings, ranges, compressed siblings.

use super::super::case::{Case, Cases};
use super::super::tree::size_of;
use super::{files, odd};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("dl.example.org");
    cases.gets(&[
        "/",
        "/readme.txt",
        "/big.iso",
        "/files",
        "/files/",
        "/files/?C=M",
        "/files/sub/",
        "/files/nothing/",
        "/files/a.txt",
        "/files/b%20&%20c.txt",
        "/files/d%3Ce%3E.txt",
        "/files/none",
        "/packed/",
        "/packed/script.js",
        "/packed/script.js.gz",
        "/packed/plain.css",
        "/packed/alone.js",
        "/packed/none.js",
        "/api/",
        "/api/sub/",
        "/api/one.txt",
        "/api",
        "/attached/page.html",
        "/attached/none.html",
        "/attached/",
        "/text/server.log",
        "/text/page.html",
        "/text/",
    ]);
    for path in ["/files/", "/api/", "/files", "/packed/", "/packed/script.js"] {
        cases.ask("HEAD", path, &[]);
    }
    for path in ["/packed/script.js", "/packed/plain.css", "/packed/alone.js", "/files/a.txt"] {
        files::encodings(&mut cases, path);
    }
    files::ranges(&mut cases, "/big.iso", 2_000_000);
    files::ranges(&mut cases, "/readme.txt", size_of("downloads/readme.txt"));
    files::conditions(&mut cases, "/big.iso", 2_000_000);
    files::conditions(&mut cases, "/packed/script.js", size_of("downloads/packed/script.js"));
    for path in ["/files/", "/readme.txt", "/packed/script.js"] {
        odd::methods(&mut cases, path);
    }
    for tag in ["\"6553f100-14d\"", "W/\"6553f100-14d\"", "*"] {
        cases.with("/packed/script.js", &[("Accept-Encoding", "gzip"), ("If-None-Match", tag)]);
    }
    cases.done()
}
