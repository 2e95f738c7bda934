//! Stored codings.

use http::header::{ACCEPT_ENCODING, IF_NONE_MATCH, RANGE};
use switchback_files::{Candidate, Coding, Kind, Settings};

use crate::folder::{Folder, Got, ask};

fn settings(folder: &Folder) -> Settings {
    let precompressed = [Coding::Br, Coding::Zstd, Coding::Gzip].into();
    Settings { precompressed, ..folder.settings() }
}

#[test]
fn the_sibling_that_the_client_takes_is_sent_in_the_place_of_the_file() {
    let folder = Folder::new()
        .with("app.js", "plain text")
        .with("app.js.br", "brotli")
        .with("app.js.gz", "gzipped");
    let settings = settings(&folder);
    for (accepted, coding, body) in [
        ("gzip, br", "br", "brotli"),
        ("gzip", "gzip", "gzipped"),
        ("br;q=0.5, gzip", "gzip", "gzipped"),
        ("zstd", "", "plain text"),
        ("zstd, gzip;q=0.1", "gzip", "gzipped"),
        ("br;q=0, *", "gzip", "gzipped"),
        ("identity, gzip;q=0.5", "", "plain text"),
        ("identity;q=0", "", "plain text"),
        ("", "", "plain text"),
    ] {
        let reply = ask(&settings).header(ACCEPT_ENCODING, accepted).get("/app.js").reply();
        assert_eq!((reply.header("content-encoding"), reply.body.as_str()), (coding, body));
        assert_eq!(reply.header("content-type"), "application/javascript");
        assert_eq!(reply.header("vary"), "Accept-Encoding");
        assert_eq!(reply.header("etag"), format!("\"2ebc98a1-{:x}\"", body.len()));
    }
    let reply = ask(&settings).get("/app.js").reply();
    assert_eq!((reply.header("vary"), reply.body.as_str()), ("Accept-Encoding", "plain text"));
}

#[test]
fn several_lines_are_read_as_one() {
    let folder = Folder::new().with("a.css", "plain").with("a.css.gz", "gzipped");
    let settings = settings(&folder);
    let asked = ask(&settings).header(ACCEPT_ENCODING, "br").header(ACCEPT_ENCODING, "gzip");
    assert_eq!(asked.get("/a.css").body(), "gzipped");
}

#[test]
fn a_sibling_needs_no_original_but_a_client_that_takes_it() {
    let folder = Folder::new().with("only.txt.gz", "gzipped");
    let settings = settings(&folder);
    let asked = || ask(&settings).header(ACCEPT_ENCODING, "gzip");
    let reply = asked().get("/only.txt").reply();
    assert_eq!((reply.body.as_str(), reply.header("content-type")), ("gzipped", "text/plain"));
    let entry = Candidate::new(b"only.txt".as_slice(), Kind::File);
    assert_eq!(asked().try_each(b"/only.txt", [entry]).body(), "gzipped");
    assert_eq!(ask(&settings).get("/only.txt"), Got::Missing);
    let lesser = ask(&settings).header(ACCEPT_ENCODING, "identity, gzip;q=0.1");
    assert_eq!(lesser.get("/only.txt").body(), "gzipped");
}

#[test]
fn an_index_has_siblings_too() {
    let folder = Folder::new().with("index.html", "plain").with("index.html.br", "brotli");
    let reply = ask(&settings(&folder)).header(ACCEPT_ENCODING, "br").get("/").reply();
    assert_eq!((reply.body.as_str(), reply.header("content-type")), ("brotli", "text/html"));
}

#[test]
fn ranges_and_conditions_are_those_of_the_form_that_is_sent() {
    let folder = Folder::new().with("a.txt", "0123456789").with("a.txt.gz", "gzipped");
    let settings = settings(&folder);
    let asked = || ask(&settings).header(ACCEPT_ENCODING, "gzip");
    let reply = asked().header(RANGE, "bytes=-3").get("/a.txt").reply();
    assert_eq!((reply.status, reply.body.as_str()), (206, "ped"));
    assert_eq!(reply.header("content-range"), "bytes 4-6/7");
    assert_eq!(reply.header("content-encoding"), "gzip");

    let plain = asked().header(IF_NONE_MATCH, "\"2ebc98a1-a\"").get("/a.txt").reply();
    assert_eq!(plain.status, 200);
    let coded = asked().header(IF_NONE_MATCH, "\"2ebc98a1-7\"").get("/a.txt").reply();
    assert_eq!((coded.status, coded.header("vary")), (304, "Accept-Encoding"));
}

#[test]
fn nothing_is_coded_where_no_coding_is_configured() {
    let folder = Folder::new().with("a.txt", "plain").with("a.txt.gz", "gzipped");
    let reply = ask(&folder.settings()).header(ACCEPT_ENCODING, "gzip").get("/a.txt").reply();
    assert_eq!((reply.body.as_str(), reply.header("vary")), ("plain", ""));
}

#[test]
fn a_sibling_that_leads_outside_is_none() {
    let folder = Folder::new().with("a.txt", "plain");
    crate::folder::write(&folder.outside().join("secret"), "outside");
    std::os::unix::fs::symlink("../secret", folder.root().join("a.txt.br")).unwrap();
    let reply = ask(&settings(&folder)).header(ACCEPT_ENCODING, "br").get("/a.txt").reply();
    assert_eq!((reply.body.as_str(), reply.header("content-encoding")), ("plain", ""));
}
