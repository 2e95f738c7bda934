//! What any file may be asked for: conditions, ranges, encodings.

use super::super::case::Cases;
use super::super::tree::{CHANGED_TEXT, EARLIER, LATER, Tree};

/// The same moment as [`CHANGED_TEXT`] in the two older forms of RFC 9110, 5.6.7.
const CHANGED_RFC850: &str = "Tuesday, 14-Nov-23 22:13:20 GMT";
const CHANGED_ASCTIME: &str = "Tue Nov 14 22:13:20 2023";

/// Conditions of every kind on a file of this size.
pub(super) fn conditions(cases: &mut Cases, path: &str, size: usize) {
    let tag = Tree::etag(size);
    let weak = format!("W/{tag}");
    let listed = format!("\"a\", {tag}, \"b\"");
    let unlisted = "\"a\", W/\"b\", \"c\"";
    let tags = [&*tag, &weak, &listed, unlisted, "\"other\"", "*", "other", "", "\"\"", "W/"];
    let dates =
        [CHANGED_TEXT, EARLIER, LATER, CHANGED_RFC850, CHANGED_ASCTIME, "yesterday", "", "0"];
    for value in tags {
        cases.with(path, &[("If-None-Match", value)]);
        cases.with(path, &[("If-Match", value)]);
    }
    for value in dates {
        cases.with(path, &[("If-Modified-Since", value)]);
        cases.with(path, &[("If-Unmodified-Since", value)]);
    }
    let pairs: &[[(&str, &str); 2]] = &[
        [("If-None-Match", &tag), ("If-Modified-Since", EARLIER)],
        [("If-None-Match", "\"other\""), ("If-Modified-Since", CHANGED_TEXT)],
        [("If-Match", &tag), ("If-Unmodified-Since", EARLIER)],
        [("If-Match", "\"other\""), ("If-Unmodified-Since", CHANGED_TEXT)],
        [("If-Match", &tag), ("If-None-Match", &tag)],
        [("If-Unmodified-Since", EARLIER), ("If-Modified-Since", CHANGED_TEXT)],
        [("If-None-Match", "\"a\""), ("If-None-Match", &tag)],
        [("If-None-Match", &tag), ("Range", "bytes=0-1")],
        [("If-Match", "\"other\""), ("Range", "bytes=0-1")],
    ];
    for pair in pairs {
        cases.with(path, pair);
    }
    for header in ["If-None-Match", "If-Match"] {
        cases.ask("HEAD", path, &[(header, &tag)]);
        cases.ask("HEAD", path, &[(header, "\"other\"")]);
    }
    cases.ask("HEAD", path, &[("If-Modified-Since", CHANGED_TEXT)]);
}

/// Ranges of every kind of a file of this size, which is at least 100.
pub(super) fn ranges(cases: &mut Cases, path: &str, size: usize) {
    let last = size - 1;
    let computed = [
        format!("bytes={last}-"),
        format!("bytes={last}-{last}"),
        format!("bytes={last}-{}", size + 10),
        format!("bytes={size}-"),
        format!("bytes=0-{last}"),
        format!("bytes=0-{}", size * 2),
        format!("bytes=-{size}"),
        format!("bytes=-{}", size * 2),
        format!("bytes=0-9,{}-{}", size + 5, size + 9),
        format!("bytes={}-,{}-", size, size + 1),
        format!("bytes=0-0{}", ",0-0".repeat(50)),
    ];
    for range in RANGES.iter().copied().chain(computed.iter().map(String::as_str)) {
        cases.with(path, &[("Range", range)]);
    }
    cases.ask("HEAD", path, &[("Range", "bytes=0-9")]);
    cases.ask("HEAD", path, &[("Range", "bytes=0-0,5-9")]);
    cases.ask("HEAD", path, &[("Range", &format!("bytes={size}-"))]);
    cases.with(path, &[("Range", "bytes=0-1"), ("Range", "bytes=2-3")]);
    if_range(cases, path, size);
}

const RANGES: &[&str] = &[
    "bytes=0-0",
    "bytes=0-",
    "bytes=0-99",
    "bytes=10-19",
    "bytes=50-",
    "bytes=-1",
    "bytes=-50",
    "bytes=-0",
    "bytes=5-3",
    "bytes=",
    "bytes=-",
    "bytes=abc",
    "bytes=1-abc",
    "bytes=--1",
    "bytes=0-1-2",
    "bytes=0-0,5-9",
    "bytes=0-0,-1",
    "bytes=0-49,40-60",
    "bytes=5-9,0-4",
    "bytes=0-1, 4-5",
    "bytes= 0-1",
    "bytes=0-1,",
    "bytes=,0-1",
    "bytes=0 - 1",
    "bytes = 0-1",
    "bytes=0-1 ",
    "Bytes=0-1",
    "BYTES=0-1",
    "items=0-1",
    "0-1",
    "",
    "bytes=18446744073709551616-",
    "bytes=0-18446744073709551616",
    "bytes=-18446744073709551616",
    "bytes=9223372036854775807-",
];

fn if_range(cases: &mut Cases, path: &str, size: usize) {
    let tag = Tree::etag(size);
    let weak = format!("W/{tag}");
    let values =
        [&*tag, &weak, "\"other\"", "other", CHANGED_TEXT, EARLIER, LATER, "never", "*", ""];
    for value in values {
        cases.with(path, &[("Range", "bytes=0-9"), ("If-Range", value)]);
    }
    cases.with(path, &[("If-Range", &tag)]);
    cases.with(path, &[("Range", "bytes=0-0,2-3"), ("If-Range", "\"other\"")]);
}

/// What a client takes, in words ordinary and odd.
pub(super) fn encodings(cases: &mut Cases, path: &str) {
    let accepted = [
        "gzip",
        "GZIP",
        "br",
        "gzip, br",
        "gzip;q=1.0, identity;q=0.5",
        "gzip;q=0",
        "gzip;q=0.0",
        "gzip; q=0.001",
        "gzip;q=0.5, *;q=0",
        "gzip;q=2",
        "gzip;q=abc",
        "gzip;q=",
        "identity",
        "identity;q=0",
        "*",
        "*;q=0",
        "deflate, gzip",
        "x-gzip",
        "gzipped",
        "br, gzip;q=0.1",
        "",
        "gzip,",
        ",gzip",
        "gzip\t;q=1",
    ];
    for value in accepted {
        cases.with(path, &[("Accept-Encoding", value)]);
    }
    cases.with(path, &[("Accept-Encoding", "br"), ("Accept-Encoding", "gzip")]);
    cases.ask("HEAD", path, &[("Accept-Encoding", "gzip")]);
    cases.with(path, &[("Accept-Encoding", "gzip"), ("Range", "bytes=0-9")]);
}
