//! What a stored response is answered with: conditions, ranges, heads, over HTTP/1 and HTTP/2.

use std::time::{Duration, SystemTime};

use switchback_integration::{
    Config, Deadline, Frame, FrameClient, Gate, H2Client, H2Request, Origin, Proxy, Reply,
    Response, Step, config, encode_fields, get, get_fields, pattern, request, site,
};

const ETAG: &str = "\"33a64df551425fcc\"";
const CHANGED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

/// A site whose route has a cache, with these lines in its table.
fn cached(origin: &Origin, lines: &str) -> Config {
    let route = format!("proxy = \"app\"\ncache = {{ zone = \"main\"{lines} }}");
    let config = config().web("h2c = true").site("");
    let config = config.route("/*", route).upstream("app", &[origin], "");
    config.toml("[zones.main]\nmemory = \"64MiB\"")
}

/// What an ordinary site says of a page.
fn page(body: impl Into<Vec<u8>>) -> Reply {
    Reply::ok(body)
        .header("Content-Type", "text/html; charset=utf-8")
        .header("Cache-Control", "public, max-age=3600")
        .header("Date", &httpdate::fmt_http_date(SystemTime::now()))
        .header("ETag", ETAG)
        .header("Last-Modified", CHANGED)
        .header("Server", "Apache/2.4.62 (Unix)")
        .header("Vary", "Accept-Encoding")
}

/// A proxy that has `/page` in its cache.
fn warm(origin: &Origin) -> Proxy {
    let proxy = Proxy::start(&cached(origin, ""));
    proxy.get("/page").expect_status(200);
    proxy
}

fn conditional(proxy: &Proxy, fields: &[(&str, &str)]) -> Response {
    let asked = fields.iter().fold(get("/page"), |asked, (name, value)| asked.header(name, value));
    proxy.ask(&asked)
}

#[test]
fn a_hit_is_what_was_stored_with_its_age() {
    let origin = Origin::start().serve("/page", page("hello"));
    let proxy = warm(&origin);
    let first = proxy.get("/page?2").headers.get("date").unwrap().to_owned();
    let hit = proxy.get("/page?2");
    hit.expect_status(200).expect_body("hello");
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("content-length", "5"),
        ("server", "Apache/2.4.62 (Unix)"),
        ("date", &first),
        ("connection", "keep-alive"),
    ] {
        hit.expect_header(name, value);
    }
    assert!(hit.headers.get("age").is_some_and(|age| age.parse::<u64>().is_ok()), "{hit:?}");
    assert!(
        hit.headers.get("cache-status").is_some_and(|status| status.contains("hit")),
        "{hit:?}"
    );
    assert_eq!(origin.requests("/page").len(), 2);
}

#[test]
fn conditions_are_judged_by_what_is_stored() {
    let origin = Origin::start().serve("/page", page("hello"));
    let proxy = warm(&origin);
    for (fields, status) in [
        (&[("If-None-Match", ETAG)][..], 304),
        (&[("If-None-Match", "W/\"33a64df551425fcc\"")], 304),
        (&[("If-None-Match", "\"x\", \"33a64df551425fcc\"")], 304),
        (&[("If-None-Match", "*")], 304),
        (&[("If-None-Match", "\"x\"")], 200),
        (&[("If-None-Match", "\"x\""), ("If-Modified-Since", LATER)], 200),
        (&[("If-Modified-Since", CHANGED)], 304),
        (&[("If-Modified-Since", EARLIER)], 200),
        (&[("If-None-Match", ETAG), ("Range", "bytes=0-1")], 304),
        (&[("If-Match", ETAG)], 200),
    ] {
        let answer = conditional(&proxy, fields);
        answer.expect_status(status);
        answer.expect_body(if status == 200 { "hello" } else { "" });
    }
    assert_eq!(origin.requests("/page").len(), 1);
}

#[test]
fn a_304_from_the_cache_is_shorter_than_200_bytes() {
    let origin = Origin::start().serve("/page", page("hello"));
    let proxy = warm(&origin);
    let mut client = proxy.client();
    for asked in [get("/page"), request("HEAD", "/page")] {
        let answer = client.ask(&asked.header("If-None-Match", ETAG));
        answer.expect_status(304).expect_body("");
        answer.expect_header("etag", ETAG).expect_header("vary", "Accept-Encoding");
        answer.expect_header("cache-control", "public, max-age=3600");
        for left_out in ["content-type", "content-length", "server", "last-modified", "connection"]
        {
            answer.expect_no_header(left_out);
        }
        for said in ["age", "date"] {
            assert!(answer.headers.get(said).is_some(), "{answer:?}");
        }
        assert!(answer.raw_head.len() < 200, "{} bytes: {answer:?}", answer.raw_head.len());
    }
    assert_eq!(origin.requests("/page").len(), 1);
}

#[test]
fn an_old_client_is_told_that_its_connection_stays_open() {
    let origin = Origin::start().serve("/page", page("hello"));
    let proxy = warm(&origin);
    let mut client = proxy.client();
    let head = "GET /page HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n";
    for _ in 0..2 {
        client.send(format!("{head}If-None-Match: {ETAG}\r\n\r\n"));
        client.response().expect_status(304).expect_header("connection", "keep-alive");
    }
    client.send(format!("{head}\r\n"));
    client.response().expect_status(200).expect_header("connection", "keep-alive");
}

#[test]
fn a_304_over_a_warm_http2_connection_is_shorter_than_100_bytes() {
    let origin = Origin::start().serve("/page", page("hello"));
    let proxy = warm(&origin);
    let mut client = FrameClient::greet(proxy.address("web"), &[]);
    let mut sizes = Vec::new();
    for stream in [1, 3, 5] {
        let fields = [get_fields("/page"), vec![("if-none-match", ETAG)]].concat();
        let flags = Frame::END_STREAM | Frame::END_HEADERS;
        let ask = Frame::new(Frame::HEADERS, flags, stream, encode_fields(&fields));
        assert!(client.send_frame(&ask));
        let deadline = Deadline::after(Duration::from_secs(10));
        let answer = client.find(deadline, |frame| frame.kind == Frame::HEADERS);
        let answer = answer.unwrap().unwrap();
        assert_eq!(answer.stream, stream);
        assert_eq!(answer.flags & Frame::END_STREAM, Frame::END_STREAM, "{answer:?}");
        sizes.push(answer.to_bytes().len());
    }
    assert!(sizes[1] < 100 && sizes[2] < 100, "{sizes:?}");
    assert_eq!(origin.requests("/page").len(), 1);
}

#[test]
fn ranges_are_cut_from_what_is_stored() {
    let body = pattern(3_000_000);
    let origin = Origin::start().serve("/page", page(body.clone()));
    let proxy = warm(&origin);
    for (range, bytes) in [
        ("bytes=0-0", 0..1),
        ("bytes=1000000-2000009", 1_000_000..2_000_010),
        ("bytes=2999990-", 2_999_990..3_000_000),
        ("bytes=-10", 2_999_990..3_000_000),
        ("bytes=5-9999999", 5..3_000_000),
    ] {
        let part = conditional(&proxy, &[("Range", range)]);
        let place = format!("bytes {}-{}/3000000", bytes.start, bytes.end - 1);
        part.expect_status(206).expect_header("content-range", &place);
        part.expect_header("content-length", &bytes.len().to_string());
        part.expect_header("etag", ETAG).expect_header("content-type", "text/html; charset=utf-8");
        part.expect_body(&body[bytes]);
    }
    let none = conditional(&proxy, &[("Range", "bytes=3000000-")]);
    none.expect_status(416).expect_header("content-range", "bytes */3000000");
    for whole in [
        conditional(&proxy, &[("Range", "lines=1-2")]),
        conditional(&proxy, &[("Range", "bytes=0-1"), ("If-Range", "\"x\"")]),
        conditional(&proxy, &[("Range", "bytes=0-1"), ("If-Range", LATER)]),
    ] {
        whole.expect_status(200).expect_body(&body);
    }
    for part in [ETAG, CHANGED] {
        let part = conditional(&proxy, &[("Range", "bytes=0-1"), ("If-Range", part)]);
        part.expect_status(206).expect_body(&body[..2]);
    }
    assert_eq!(origin.requests("/page").len(), 1);
}

#[test]
fn several_ranges_share_a_body() {
    let body = pattern(100_000);
    let origin = Origin::start().serve("/page", page(body.clone()));
    let proxy = warm(&origin);
    let parts = conditional(&proxy, &[("Range", "bytes=90000-90009, 0-4,-1")]);
    parts.expect_status(206).expect_no_header("content-range");
    let content_type = parts.headers.get("content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let mut expected = Vec::new();
    for range in [90_000..90_010, 0..5, 99_999..100_000] {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: text/html; charset=utf-8\r\n\
             Content-Range: bytes {}-{}/100000\r\n\r\n",
            range.start,
            range.end - 1
        );
        expected.extend(head.into_bytes());
        expected.extend(&body[range]);
    }
    expected.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    parts.expect_body(expected);
}

#[test]
fn head_is_answered_from_the_stored_get() {
    let origin = Origin::start().serve("/page", page("hello"));
    let proxy = warm(&origin);
    let mut client = proxy.client();
    for _ in 0..2 {
        let head = client.ask(&request("HEAD", "/page").header("Range", "bytes=0-1"));
        head.expect_status(200).expect_header("content-length", "5").expect_body("");
    }
    client.ask(&get("/page")).expect_body("hello");
    assert_eq!(origin.requests("/page").len(), 1);
}

#[test]
fn http2_is_answered_from_the_same_store() {
    let body = pattern(300_000);
    let origin = Origin::start().serve("/page", page(body.clone()));
    let proxy = warm(&origin);
    let mut client = H2Client::cleartext(proxy.address("web"));
    let whole = client.ask(&H2Request::new("GET", "/page"));
    whole.expect_status(200);
    assert_eq!(whole.body, body);
    let stored = proxy.get("/page").headers.get("date").unwrap().to_owned();
    assert_eq!(whole.headers.get("date"), Some(&*stored));
    assert!(whole.headers.get("age").is_some());
    let part = client.ask(&H2Request::new("GET", "/page").header("range", "bytes=100000-200000"));
    part.expect_status(206);
    assert_eq!(part.body, &body[100_000..200_001]);
    let head = client.ask(&H2Request::new("HEAD", "/page"));
    head.expect_status(200);
    assert_eq!((head.headers.get("content-length"), head.body.len()), (Some("300000"), 0));
    let held = client.ask(&H2Request::new("GET", "/page").header("if-none-match", ETAG));
    held.expect_status(304);
    assert_eq!(origin.requests("/page").len(), 1);
}

#[test]
fn a_range_of_what_is_not_stored_fetches_the_whole() {
    let body = pattern(100_000);
    let origin = Origin::start().serve("/page", page(body.clone()));
    let proxy = Proxy::start(&cached(&origin, ""));
    let part = conditional(&proxy, &[("Range", "bytes=500-599"), ("If-None-Match", "\"x\"")]);
    part.expect_status(206).expect_body(&body[500..600]);
    proxy.get("/page").expect_status(200).expect_body(&body);
    let asked = origin.requests("/page");
    assert_eq!(asked.len(), 1);
    for left_out in ["range", "if-none-match"] {
        assert_eq!(asked[0].headers.get(left_out), None);
    }
}

#[test]
fn a_range_is_answered_as_soon_as_its_bytes_have_arrived() {
    let body = pattern(200_000);
    let gate = Gate::new();
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 200000\r\n\r\n";
    let steps = [
        Step::ReadBody,
        Step::send(head),
        Step::send(&body[..100_000]),
        Step::Wait(gate.clone()),
        Step::send(&body[100_000..]),
        Step::Next,
    ];
    let origin = Origin::start().serve("/page", steps);
    let proxy = Proxy::start(&cached(&origin, ""));
    let mut whole = proxy.client();
    whole.send(get("/page").to_bytes());
    whole.response_head().expect_status(200);
    let early = conditional(&proxy, &[("Range", "bytes=10-99999")]);
    early.expect_status(206).expect_body(&body[10..100_000]);
    let mut late = proxy.client();
    late.send(get("/page").header("Range", "bytes=50-59,150000-150009").to_bytes());
    late.response_head().expect_status(206);
    gate.pass();
    let end = conditional(&proxy, &[("Range", "bytes=-10")]);
    end.expect_status(206).expect_body(&body[199_990..]);
    assert_eq!(whole.read_exactly(200_000), body);
    assert_eq!(origin.requests("/page").len(), 1);
}

#[test]
fn header_rules_of_the_route_change_each_answer() {
    let origin = Origin::start().serve("/page", page("hello"));
    let config = site()
        .route(
            "/*",
            "proxy = \"app\"\ncache = \"main\"\n\
             response_headers = { set = { X-Asked = \"$arg_a\" }, remove = [\"server\"] }",
        )
        .upstream("app", &[&origin], "")
        .toml("[zones.main]\nmemory = \"64MiB\"");
    let proxy = Proxy::start(&config);
    for value in ["1", "1", "2"] {
        let page = proxy.get(&format!("/page?a={value}"));
        page.expect_status(200).expect_body("hello").expect_header("x-asked", value);
        page.expect_no_header("server");
    }
    assert_eq!(origin.requests("/page").len(), 2);
}

#[test]
fn links_of_a_stale_page_are_told_while_it_is_fetched_anew() {
    const LINK: &str = "</a.css>; rel=preload; as=style";
    let stale = || {
        let page = Reply::ok("hello").header("Cache-Control", "max-age=0").header("ETag", ETAG);
        page.header("Link", LINK).header("Link", "</b>; rel=next")
    };
    let origin = Origin::start().serve("/page", stale());
    let proxy = Proxy::start(&cached(&origin, ", early_hints = true"));
    let mut client = proxy.client();
    let navigation = get("/page").header("Sec-Fetch-Mode", "navigate");
    client.ask(&navigation).expect_status(200).expect_body("hello");
    client.send(navigation.to_bytes());
    let hints = client.response_head();
    hints.expect_status(103).expect_header("link", LINK);
    assert_eq!(hints.headers.all("link").len(), 1);
    client.response().expect_status(200).expect_body("hello");
    client.ask(&get("/page")).expect_status(200).expect_body("hello");
}
