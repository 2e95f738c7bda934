//! Parts of what is not stored whole: ranges that are answered from them, and wholes that are put together (RFC 9111, 3.3 and 3.4).

use switchback_integration::{
    Answer, Choice, Config, H2Client, H2Request, Origin, Proxy, Received, Response, Step, config,
    get, pattern, post, request,
};

const LENGTH: usize = 200_000;

fn cached(origin: &Origin, settings: &str) -> Config {
    let route = format!("proxy = \"app\"\ncache = {{ zone = \"main\"{settings} }}");
    let config = config().web("h2c = true").site("");
    let config = config.route("/*", route).upstream("app", &[origin], "");
    config.toml("[zones.main]\nmemory = \"64MiB\"\npurge = { allow = [\"127.0.0.0/8\"] }")
}

/// Ranges that begin beyond 1,000 bytes are fetched by themselves.
const NEAR: &str = ", max_range_offset = \"1000B\"";

/// The first and the last byte that a request asks for.
fn range(asked: &Received) -> Option<(usize, usize)> {
    let (first, last) = asked.headers.get("range")?.strip_prefix("bytes=")?.split_once('-')?;
    match first {
        "" => Some((LENGTH - last.parse::<usize>().ok()?, LENGTH - 1)),
        _ => Some((first.parse().ok()?, last.parse().unwrap_or(LENGTH - 1).min(LENGTH - 1))),
    }
}

/// A file in ranges, with these fields; `If-Range` that names another tag gets the whole.
fn file(fields: &'static str) -> Answer {
    Answer::Chosen(Choice::new(move |asked| {
        let is_same = asked.headers.get("if-range").is_none_or(|tag| fields.contains(tag));
        match range(asked).filter(|_| is_same) {
            Some(range) => part(range, fields),
            None => whole(fields),
        }
    }))
}

fn part((first, last): (usize, usize), fields: &str) -> Vec<Step> {
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\n{fields}\
         Content-Range: bytes {first}-{last}/{LENGTH}\r\nContent-Length: {}\r\n\r\n",
        last + 1 - first
    );
    vec![Step::send(head), Step::send(&pattern(LENGTH)[first..=last]), Step::Next]
}

fn whole(fields: &str) -> Vec<Step> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{fields}Content-Length: {LENGTH}\r\n\r\n"
    );
    vec![Step::send(head), Step::send(pattern(LENGTH)), Step::Next]
}

const TAGGED: &str = "ETag: \"a\"\r\n";

/// What was asked for, in order: ranges and the conditions on them.
fn asked(origin: &Origin) -> Vec<String> {
    let of = |asked: &Received| {
        let field = |name| asked.headers.get(name).unwrap_or("-").to_owned();
        match asked.headers.get("if-range") {
            Some(condition) => format!("{} if {condition}", field("range")),
            None => field("range"),
        }
    };
    origin.requests("/file").iter().map(of).collect()
}

fn ranged(proxy: &Proxy, range: &str) -> Response {
    proxy.ask(&get("/file").header("Range", range))
}

fn expect_part(answer: &Response, first: usize, last: usize) {
    answer.expect_status(206);
    answer.expect_header("content-range", &format!("bytes {first}-{last}/{LENGTH}"));
    answer.expect_header("content-length", &(last + 1 - first).to_string());
    answer.expect_body(&pattern(LENGTH)[first..=last]);
}

#[test]
fn a_range_within_a_stored_part_is_answered_from_it() {
    let origin = Origin::start().serve("/file", file(TAGGED));
    let proxy = Proxy::start(&cached(&origin, ""));
    expect_part(&ranged(&proxy, "bytes=-50000"), 150_000, 199_999);
    for (range, first, last) in [
        ("bytes=-50000", 150_000, 199_999),
        ("bytes=-1", 199_999, 199_999),
        ("bytes=160000-", 160_000, 199_999),
        ("bytes=160000-160009", 160_000, 160_009),
    ] {
        let answer = ranged(&proxy, range);
        expect_part(&answer, first, last);
        assert!(answer.headers.get("cache-status").unwrap().contains("hit"), "{answer:?}");
    }
    let several = ranged(&proxy, "bytes=160000-160001,150000-150000");
    several.expect_status(206);
    assert!(several.headers.get("content-type").unwrap().starts_with("multipart/byteranges"));
    let mut client = H2Client::cleartext(proxy.address("web"));
    let get = H2Request::new("GET", "/file").authority("localhost");
    let answer = client.ask(&get.header("range", "bytes=150000-150009"));
    answer.expect_status(206);
    assert_eq!(answer.body, pattern(LENGTH)[150_000..150_010]);
    assert_eq!(asked(&origin), ["bytes=-50000"]);
}

#[test]
fn parts_are_put_together_and_only_the_rest_is_fetched() {
    let origin = Origin::start().serve("/file", file(TAGGED));
    let proxy = Proxy::start(&cached(&origin, NEAR));
    expect_part(&ranged(&proxy, "bytes=150000-"), 150_000, 199_999);
    expect_part(&ranged(&proxy, "bytes=100000-149999"), 100_000, 149_999);
    expect_part(&ranged(&proxy, "bytes=120000-180000"), 120_000, 180_000);
    assert_eq!(asked(&origin).len(), 2, "what touches is one");
    for _ in 0..2 {
        let answer = proxy.get("/file");
        answer.expect_status(200).expect_header("content-length", "200000");
        answer.expect_no_header("content-range").expect_body(pattern(LENGTH));
    }
    expect_part(&ranged(&proxy, "bytes=5-9"), 5, 9);
    assert_eq!(asked(&origin), ["bytes=150000-", "bytes=100000-149999", "bytes=0-99999 if \"a\""]);
}

#[test]
fn gaps_are_filled_by_one_request() {
    let origin = Origin::start().serve("/file", file(TAGGED));
    let proxy = Proxy::start(&cached(&origin, ", max_range_offset = \"1B\""));
    expect_part(&ranged(&proxy, "bytes=-10"), 199_990, 199_999);
    expect_part(&ranged(&proxy, "bytes=2-9"), 2, 9);
    expect_part(&ranged(&proxy, "bytes=20-29"), 20, 29);
    let answer = proxy.get("/file");
    answer.expect_status(200).expect_body(pattern(LENGTH));
    assert_eq!(asked(&origin).last().unwrap(), "bytes=0-199989 if \"a\"", "one request for all");
    proxy.get("/file").expect_body(pattern(LENGTH));
    assert_eq!(asked(&origin).len(), 4);
}

#[test]
fn parts_that_come_one_after_the_other_become_the_whole() {
    let origin = Origin::start().serve("/file", file(TAGGED));
    let proxy = Proxy::start(&cached(&origin, ", max_range_offset = \"1B\""));
    expect_part(&ranged(&proxy, "bytes=2-"), 2, 199_999);
    expect_part(&ranged(&proxy, "bytes=-200000"), 0, 199_999);
    proxy.get("/file").expect_status(200).expect_body(pattern(LENGTH));
    assert_eq!(asked(&origin).len(), 2);
}

#[test]
fn parts_of_two_states_are_never_sent_as_one() {
    let origin = Origin::start().serve("/file", file(TAGGED));
    let proxy = Proxy::start(&cached(&origin, NEAR));
    ranged(&proxy, "bytes=-50000").expect_status(206);
    // One that looks at `If-Range`, and one that does not.
    origin.now_serve("/file", file("ETag: \"b\"\r\n"));
    let answer = proxy.get("/file");
    answer.expect_status(200).expect_header("etag", "\"b\"").expect_body(pattern(LENGTH));
    assert_eq!(asked(&origin), ["bytes=-50000", "bytes=0-149999 if \"a\""]);
    proxy.ask(&request("PURGE", "/file")).expect_status(200);
    ranged(&proxy, "bytes=-50000").expect_status(206);
    origin.now_serve(
        "/file",
        Answer::Chosen(Choice::new(|asked| match range(asked) {
            Some(range) => part(range, "ETag: \"c\"\r\n"),
            None => whole("ETag: \"c\"\r\n"),
        })),
    );
    let answer = proxy.get("/file");
    answer.expect_status(200).expect_header("etag", "\"c\"").expect_body(pattern(LENGTH));
    assert_eq!(asked(&origin)[3..], ["bytes=0-149999 if \"b\"", "-"]);
}

#[test]
fn what_has_no_strong_validator_is_not_put_together() {
    for fields in ["", "ETag: W/\"a\"\r\n"] {
        let origin = Origin::start().serve("/file", file(fields));
        let proxy = Proxy::start(&cached(&origin, NEAR));
        ranged(&proxy, "bytes=-50000").expect_status(206);
        expect_part(&ranged(&proxy, "bytes=-10"), 199_990, 199_999);
        ranged(&proxy, "bytes=100000-149999").expect_status(206);
        expect_part(&ranged(&proxy, "bytes=100000-149999"), 100_000, 149_999);
        proxy.get("/file").expect_status(200).expect_body(pattern(LENGTH));
        let asked = asked(&origin);
        assert_eq!(asked.last().unwrap(), "-", "{asked:?}");
    }
}

#[test]
fn a_rest_that_ends_early_is_cut() {
    let origin = Origin::start().serve("/file", file(TAGGED));
    let proxy = Proxy::start(&cached(&origin, NEAR));
    ranged(&proxy, "bytes=-50000").expect_status(206);
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\n{TAGGED}\
         Content-Range: bytes 0-149999/{LENGTH}\r\n"
    );
    for framing in [
        "Content-Length: 150000\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        origin.now_serve("/file", [Step::send(format!("{head}{framing}"))]);
        let mut client = proxy.client();
        assert!(client.try_ask(&get("/file")).is_err(), "{framing}");
    }
    origin.now_serve("/file", file(TAGGED));
    proxy.get("/file").expect_status(200).expect_body(pattern(LENGTH));
}

#[test]
fn what_was_purged_is_in_no_whole() {
    let origin = Origin::start().serve("/file", file(TAGGED));
    let proxy = Proxy::start(&cached(&origin, NEAR));
    ranged(&proxy, "bytes=-50000").expect_status(206);
    proxy.ask(&request("PURGE", "/file")).expect_status(200);
    ranged(&proxy, "bytes=-10").expect_status(206);
    proxy.ask(&post("/file", "")).expect_status(200);
    proxy.get("/file").expect_status(200).expect_body(pattern(LENGTH));
    assert_eq!(asked(&origin), ["bytes=-50000", "bytes=-10", "-", "-"]);
}

#[test]
fn an_origin_that_knows_no_ranges_is_stored_whole() {
    let origin = Origin::start().serve("/file", Answer::Chosen(Choice::new(|_| whole(TAGGED))));
    let proxy = Proxy::start(&cached(&origin, ""));
    expect_part(&ranged(&proxy, "bytes=-10"), 199_990, 199_999);
    expect_part(&ranged(&proxy, "bytes=-20"), 199_980, 199_999);
    proxy.get("/file").expect_status(200).expect_body(pattern(LENGTH));
    assert_eq!(asked(&origin), ["bytes=-10"]);
}

#[test]
fn what_is_not_to_be_stored_is_stored_in_no_part() {
    for fields in ["Set-Cookie: a=b\r\n", "Vary: *\r\n", "CDN-Cache-Control: no-store\r\n"] {
        let origin = Origin::start().serve("/file", file(fields));
        let proxy = Proxy::start(&cached(&origin, ""));
        for _ in 0..2 {
            expect_part(&ranged(&proxy, "bytes=-10"), 199_990, 199_999);
        }
        assert_eq!(asked(&origin), ["bytes=-10", "bytes=-10"], "{fields}");
    }
}
