//! The site of files: everything that files can be asked for.

use super::super::case::{Case, Cases};
use super::super::tree::{MUCH_LATER, size_of};
use super::{files, odd};

const HOST: &str = "www.example.org";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Cases::new(HOST);
    cases.gets(ORDINARY).gets(ODD);
    for path in ["/", "/docs/", "/docs", "/missing", "/empty.txt", "/feed.xml", "/.hidden"] {
        cases.ask("HEAD", path, &[]);
    }
    long_paths(&mut cases);
    let size = size_of("www/about.html");
    files::conditions(&mut cases, "/about.html", size);
    files::ranges(&mut cases, "/about.html", size);
    files::ranges(&mut cases, "/large.bin", 300_000);
    files::encodings(&mut cases, "/style.css");
    let index = size_of("www/index.html");
    cases.with("/", &[("Range", "bytes=0-9")]);
    files::conditions(&mut cases, "/", index);
    // Conditions and ranges where there is nothing to meet them.
    for path in ["/missing", "/docs", "/empty.txt", "/one-byte.txt"] {
        for range in ["bytes=0-0", "bytes=0-", "bytes=-1", "bytes=1-", "bytes=0-0,0-0", "bytes=x"] {
            cases.with(path, &[("Range", range)]);
        }
        cases.with(path, &[("If-None-Match", "*")]);
        cases.with(path, &[("If-Match", "*")]);
        cases.with(path, &[("If-Modified-Since", MUCH_LATER)]);
    }
    for path in ["/about.html", "/missing", "/docs", "/docs/", "/404.html"] {
        odd::methods(&mut cases, path);
    }
    odd::versions(&mut cases, "/about.html", HOST);
    odd::versions(&mut cases, "/docs", HOST);
    odd::hosts(&mut cases, "/about.html", HOST);
    odd::hosts(&mut cases, "/docs", HOST);
    cases.done()
}

const ORDINARY: &[&str] = &[
    "/",
    "/index.html",
    "/about.html",
    "/style.css",
    "/feed.xml",
    "/robots.txt",
    "/data.json",
    "/image.svg",
    "/image.png",
    "/page.shtml",
    "/note.md",
    "/module.mjs",
    "/code.wasm",
    "/table.csv",
    "/web.webmanifest",
    "/noext",
    "/UPPER.HTML",
    "/upper.html",
    "/strange.xyz",
    "/archive.tar.gz",
    "/large.bin",
    "/empty.txt",
    "/one-byte.txt",
    "/link.html",
    "/assets/app.3f2a.js",
    "/assets/site.css",
    "/assets/missing.css",
    "/assets/",
    "/assets",
    "/docs",
    "/docs/",
    "/docs/guide.html",
    "/docs/deep/er/page.html",
    "/docs/deep/",
    "/docs/deep/er",
    "/empty",
    "/empty/",
    "/missing",
    "/missing/",
    "/missing.html",
    "/404.html",
    "/about.html?x=1&y=%20",
    "/docs?x=1",
    "/docs?x=1&y=/../z",
    "/?a=b",
    "/missing?x",
];

const ODD: &[&str] = &[
    "//",
    "///about.html",
    "//docs//guide.html",
    "/./about.html",
    "/docs/./guide.html",
    "/docs/../about.html",
    "/docs/..",
    "/docs/.",
    "/docs/deep/../..",
    "/..",
    "/../about.html",
    "/../../etc/passwd",
    "/docs/../../etc/passwd",
    "/%2e%2e/etc/passwd",
    "/docs/%2e%2e/about.html",
    "/docs/%2E./about.html",
    "/docs%2fguide.html",
    "/docs%2Fguide.html",
    "/docs/..%2fabout.html",
    "/%2fabout.html",
    "/%61bout.html",
    "/about%2ehtml",
    "/about.html%00",
    "/about.html%00.txt",
    "/about%0a.html",
    "/about.html%20",
    "/about.html%3fx=1",
    "/about.html?",
    "/about.html??",
    "/about.html#part",
    "/about.html%23part",
    "/%",
    "/%zz",
    "/%4",
    "/a%",
    "/space%20name.txt",
    "/space+name.txt",
    "/plus+plus.txt",
    "/plus%2Bplus.txt",
    "/%C3%BCnicode.txt",
    "/\u{fc}nicode.txt",
    "/%FCnicode.txt",
    "/u%CC%88nicode.txt",
    "/100%25.txt",
    "/100%2525.txt",
    "/semi;colon.txt",
    "/semi%3bcolon.txt",
    "/quote%27%22.txt",
    "/quote'\".txt",
    "/question%3F.txt",
    "/question?.txt",
    "/docs\\guide.html",
    "/docs%5cguide.html",
    "/about.html/",
    "/about.html/x",
    "/about.html/../style.css",
    "/dot.",
    "/dot",
    "/about.html.",
    "/.hidden",
    "/%2ehidden",
    "/.git/config",
    "/.git",
    "/.git/",
    "/docs/.secret",
    "/docs/.missing",
    "/.well-known/security.txt",
    "/.well-known/",
    "/.well-known",
    "/.well-known/acme-challenge/token",
    "/.",
    "/...",
    "/.../about.html",
    "/with%20space",
    "/with%20space/",
    "/with%20space/page.html",
    "/~user",
    "/docs;x=1/",
    "/docs%20",
    "/$uri",
    "/{id}",
    "/<b>",
    "/a|b",
    "/a^b",
    "/a`b",
    "/[x]",
];

fn long_paths(cases: &mut Cases) {
    cases.get(&format!("/{}", "a".repeat(255)));
    cases.get(&format!("/{}", "a".repeat(256)));
    cases.get(&format!("/{}", "a".repeat(5000)));
    cases.get(&format!("/{}", "a/".repeat(1000)));
    cases.get(&format!("/{}about.html", "docs/../".repeat(200)));
    cases.get(&format!("{}about.html", "/".repeat(500)));
    cases.get(&format!("/about.html?{}", "x".repeat(5000)));
    cases.get(&format!("/{}", "%61".repeat(1000)));
}
