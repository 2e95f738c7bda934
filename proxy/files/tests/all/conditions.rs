//! Conditions and ranges, up to the bytes that are sent.

use http::Method;
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};

use crate::folder::{Folder, ask};

const ETAG: &str = "\"2ebc98a1-14\"";

fn folder() -> Folder {
    Folder::new().with("a.txt", "0123456789abcdefghij").with("empty.txt", "")
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let settings = folder();
    let settings = (settings.settings(), settings);
    for (name, value) in [
        (IF_NONE_MATCH, ETAG),
        (IF_NONE_MATCH, "*"),
        (IF_MODIFIED_SINCE, "Sunday, 06-Nov-94 08:49:37 GMT"),
    ] {
        let reply = ask(&settings.0).header(name, value).get("/a.txt").reply();
        assert_eq!((reply.status, reply.body.as_str(), reply.headers.len()), (304, "", 2));
        assert_eq!(reply.header("etag"), ETAG);
        assert_eq!(reply.header("last-modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}

#[test]
fn a_condition_that_fails_sends_nothing() {
    let folder = folder();
    let reply = ask(&folder.settings()).header(IF_MATCH, "\"x\"").get("/a.txt").reply();
    assert_eq!((reply.status, reply.header("content-length"), reply.body.as_str()), (412, "0", ""));
}

#[test]
fn tags_can_be_left_out() {
    let folder = folder();
    let mut settings = folder.settings();
    settings.etag = false;
    let reply = ask(&settings).header(IF_NONE_MATCH, ETAG).get("/a.txt").reply();
    assert_eq!((reply.status, reply.header("etag")), (200, ""));
}

#[test]
fn one_range_is_a_piece_of_the_file() {
    let folder = folder();
    for method in [Method::GET, Method::HEAD] {
        let settings = folder.settings();
        let asked = ask(&settings).method(method.clone()).header(RANGE, "bytes=5-6");
        let reply = asked.get("/a.txt").reply();
        assert_eq!(reply.body, if method == Method::HEAD { "" } else { "56" });
        assert_eq!((reply.status, reply.header("content-length")), (206, "2"));
        assert_eq!(reply.header("content-range"), "bytes 5-6/20");
        assert_eq!((reply.header("content-type"), reply.header("etag")), ("text/plain", ETAG));
        assert_eq!(reply.header("accept-ranges"), "");
    }
}

#[test]
fn several_ranges_are_parts_of_one_body() {
    let folder = folder();
    let settings = folder.settings();
    let asked = || ask(&settings).header(RANGE, "bytes=0-1,5-6");
    let reply = asked().get("/a.txt").reply();
    assert_eq!((reply.status, reply.header("content-length")), (206, "198"));
    assert_eq!(reply.header("content-range"), "");
    let (kind, boundary) = reply.header("content-type").split_once("; boundary=").unwrap();
    assert_eq!(kind, "multipart/byteranges");
    assert!(boundary.len() == 20 && boundary.bytes().all(|byte| byte.is_ascii_digit()));
    let part = |range: &str, bytes: &str| {
        format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}/20\r\n\r\n{bytes}"
        )
    };
    let expected = [part("0-1", "01"), part("5-6", "56"), format!("\r\n--{boundary}--\r\n")];
    assert_eq!(reply.body, expected.concat());

    let head = asked().method(Method::HEAD).get("/a.txt").reply();
    assert_eq!((head.status, head.header("content-length"), head.body.as_str()), (206, "198", ""));
    let other = asked().get("/a.txt").reply();
    assert_ne!(other.header("content-type"), reply.header("content-type"), "foreseen");
}

#[test]
fn a_range_beyond_the_end_is_refused_with_the_size() {
    let folder = folder();
    for (path, line, expected) in
        [("/a.txt", "bytes=20-", "bytes */20"), ("/empty.txt", "bytes=5-", "bytes */0")]
    {
        let reply = ask(&folder.settings()).header(RANGE, line).get(path).reply();
        assert_eq!((reply.status, reply.header("content-range")), (416, expected));
        assert_eq!((reply.header("content-length"), reply.body.as_str()), ("0", ""));
    }
}

#[test]
fn too_many_ranges_get_the_whole_file() {
    let folder = folder();
    let line = format!("bytes={}", "0-,".repeat(1000));
    let reply = ask(&folder.settings()).header(RANGE, &line).get("/a.txt").reply();
    assert_eq!((reply.status, reply.body.len()), (200, 20));
}

#[test]
fn a_range_of_another_state_gets_the_whole_file() {
    let folder = folder();
    for (state, status) in [(ETAG, 206), ("\"x\"", 200), ("W/\"2ebc98a1-14\"", 200)] {
        let settings = folder.settings();
        let asked = ask(&settings).header(RANGE, "bytes=0-1").header(IF_RANGE, state);
        assert_eq!(asked.get("/a.txt").reply().status, status, "{state}");
    }
}

#[test]
fn conditions_come_before_ranges() {
    let folder = folder();
    let settings = folder.settings();
    let asked = ask(&settings).header(RANGE, "bytes=99-").header(IF_NONE_MATCH, ETAG);
    assert_eq!(asked.get("/a.txt").reply().status, 304);
}
