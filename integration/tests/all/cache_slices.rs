//! Huge responses in slices: each fetched and stored by itself, and only together if they are of one state.

use switchback_integration::{
    Answer, Choice, Config, H2Client, H2Request, Origin, Proxy, Received, Response, Step, config,
    get, pattern, request, site,
};

const LENGTH: usize = 1_000_000;
const SLICE: usize = 65_536;

/// A site whose cache fetches in slices of 64 KiB.
fn sliced(origin: &Origin) -> Config {
    let cache = "proxy = \"app\"\ncache = { zone = \"main\", slice = \"64KiB\" }";
    let config = config().web("h2c = true").site("");
    let config = config.route("/*", cache).upstream("app", &[origin], "");
    config.toml("[zones.main]\nmemory = \"64MiB\"")
}

/// A file of [`LENGTH`] bytes that is sent in ranges, and has the tag that `tag` says for the range that begins there.
fn in_ranges(tag: impl Fn(usize) -> &'static str + Send + Sync + 'static) -> Answer {
    Answer::Chosen(Choice::new(move |asked| {
        let Some((first, last)) = range(asked) else { return whole(tag(0)) };
        if first >= LENGTH {
            let head = format!(
                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{LENGTH}\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            return vec![Step::send(head), Step::Next];
        }
        let last = last.min(LENGTH - 1);
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\nETag: {}\r\n\
             Content-Type: video/mp4\r\nContent-Range: bytes {first}-{last}/{LENGTH}\r\n\
             Content-Length: {}\r\n\r\n",
            tag(first),
            last + 1 - first
        );
        vec![Step::send(head), Step::send(&pattern(LENGTH)[first..=last]), Step::Next]
    }))
}

fn whole(tag: &str) -> Vec<Step> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: {tag}\r\nContent-Length: {LENGTH}\r\n\r\n"
    );
    vec![Step::send(head), Step::send(pattern(LENGTH)), Step::Next]
}

/// The bytes that a request asks for.
fn range(asked: &Received) -> Option<(usize, usize)> {
    let value = asked.headers.get("range")?.strip_prefix("bytes=")?;
    let (first, last) = value.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// Where the ranges began that the origin was asked for, in order.
fn slices_asked(origin: &Origin) -> Vec<usize> {
    let asked = origin.requests("/video");
    let mut slices: Vec<_> = asked.iter().map(|asked| range(asked).unwrap().0 / SLICE).collect();
    slices.sort_unstable();
    slices
}

fn part(proxy: &Proxy, range: &str) -> Response {
    proxy.ask(&get("/video").header("Range", range))
}

#[test]
fn a_range_fetches_the_slices_that_it_needs() {
    let origin = Origin::start().serve("/video", in_ranges(|_| "\"a\""));
    let proxy = Proxy::start(&sliced(&origin));
    for _ in 0..2 {
        let answer = part(&proxy, "bytes=400000-500000");
        answer.expect_status(206).expect_header("content-range", "bytes 400000-500000/1000000");
        answer.expect_header("content-length", "100001").expect_header("content-type", "video/mp4");
        answer.expect_body(&pattern(LENGTH)[400_000..=500_000]);
    }
    assert_eq!(slices_asked(&origin), [0, 6, 7], "the first one tells what the whole is");
    part(&proxy, "bytes=-1000").expect_body(&pattern(LENGTH)[LENGTH - 1000..]);
    assert_eq!(slices_asked(&origin), [0, 6, 7, 15]);
}

#[test]
fn the_whole_is_put_together_from_its_slices() {
    let origin = Origin::start().serve("/video", in_ranges(|_| "\"a\""));
    let proxy = Proxy::start(&sliced(&origin));
    for _ in 0..2 {
        let answer = proxy.get("/video");
        answer.expect_status(200).expect_header("content-length", "1000000");
        answer.expect_no_header("content-range").expect_body(pattern(LENGTH));
    }
    assert_eq!(slices_asked(&origin), (0..16).collect::<Vec<_>>());
    let mut client = H2Client::cleartext(proxy.address("web"));
    let answer = client.ask(&H2Request::new("GET", "/video"));
    answer.expect_status(200);
    assert_eq!(answer.body, pattern(LENGTH));
    assert_eq!(origin.requests("/video").len(), 16);
}

#[test]
fn heads_and_conditions_need_the_first_slice_alone() {
    let origin = Origin::start().serve("/video", in_ranges(|_| "\"a\""));
    let proxy = Proxy::start(&sliced(&origin));
    let mut client = proxy.client();
    let head = client.ask(&request("HEAD", "/video"));
    head.expect_status(200).expect_header("content-length", "1000000").expect_body("");
    client.ask(&get("/video").header("If-None-Match", "\"a\"")).expect_status(304);
    let beyond = client.ask(&get("/video").header("Range", "bytes=1000000-"));
    beyond.expect_status(416).expect_header("content-range", "bytes */1000000");
    let stale = client.ask(&get("/video").header("Range", "bytes=0-9").header("If-Range", "\"b\""));
    stale.expect_status(200).expect_body(pattern(LENGTH));
    assert_eq!(slices_asked(&origin), (0..16).collect::<Vec<_>>());
}

#[test]
fn slices_of_two_states_are_never_sent_as_one() {
    let origin = Origin::start()
        .serve("/video", in_ranges(|first| if first < 3 * SLICE { "\"a\"" } else { "\"b\"" }));
    let proxy = Proxy::start(&sliced(&origin));
    let mut client = proxy.client();
    assert!(client.try_ask(&get("/video")).is_err(), "the rest is cut");
    origin.now_serve("/video", in_ranges(|_| "\"b\""));
    let answer = proxy.get("/video");
    answer.expect_status(200).expect_header("etag", "\"b\"").expect_body(pattern(LENGTH));
}

#[test]
fn an_origin_that_knows_no_ranges_is_taken_at_its_word() {
    let origin = Origin::start().serve("/video", Answer::Chosen(Choice::new(|_| whole("\"a\""))));
    let proxy = Proxy::start(&sliced(&origin));
    part(&proxy, "bytes=400000-400009").expect_body(&pattern(LENGTH)[400_000..400_010]);
    proxy.get("/video").expect_status(200).expect_body(pattern(LENGTH));
    assert_eq!(origin.requests("/video").len(), 1);
}

#[test]
fn a_206_that_nobody_asked_for_is_not_taken_for_the_whole() {
    let steps = || {
        let head = "HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\n\
                    Content-Range: bytes 0-4/10\r\nContent-Length: 5\r\n\r\nhello";
        vec![Step::send(head), Step::Next]
    };
    let origin = Origin::start().serve("/video", Answer::Chosen(Choice::new(move |_| steps())));
    let config = site().route("/*", "proxy = \"app\"\ncache = \"main\"");
    let config = config.upstream("app", &[&origin], "").toml("[zones.main]\nmemory = \"64MiB\"");
    let proxy = Proxy::start(&config);
    for _ in 0..2 {
        proxy.get("/video").expect_status(206).expect_body("hello");
    }
    assert_eq!(origin.requests("/video").len(), 2);
}
