//! QUERY, whose body says what is asked for, and what else a cache passes on.

use parking_lot::Mutex;
use switchback_integration::{
    Answer, Choice, Config, H2Client, H2Request, Origin, Proxy, Received, Reply, Request, Response,
    Step, config, get, pattern, post, request,
};

/// A site that caches QUERY, with these lines in its table, too.
fn cached(origin: &Origin, lines: &str) -> Config {
    let methods = "methods = [\"GET\", \"HEAD\", \"QUERY\"]";
    let route = format!("proxy = \"app\"\ncache = {{ zone = \"main\", {methods}{lines} }}");
    let config = config().web("h2c = true").site("");
    let config = config.route("/*", route).upstream("app", &[origin], "");
    config.toml("[zones.main]\nmemory = \"64MiB\"\npurge = { allow = [\"127.0.0.0/8\"] }")
}

/// Answers with the length of the body it was asked with, and its beginning.
fn echo(fields: &'static str) -> Answer {
    Answer::Chosen(Choice::new(move |asked: &Received| {
        let said = format!("{} {} {}", asked.method, asked.body.len(), beginning(&asked.body));
        let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", said.len());
        vec![Step::send(head + &said), Step::Next]
    }))
}

fn beginning(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned()
}

const FRESH: &str = "Cache-Control: max-age=600\r\n";

fn query(body: impl Into<Vec<u8>>) -> Request {
    request("QUERY", "/q").header("Content-Type", "text/plain").body(body)
}

fn cache_status(answer: &Response) -> &str {
    answer.headers.get("cache-status").unwrap_or("none")
}

#[test]
fn a_query_is_answered_by_its_body() {
    let origin = Origin::start().serve("/q", echo(FRESH));
    let proxy = Proxy::start(&cached(&origin, ""));
    let mut client = proxy.client();
    for _ in 0..2 {
        client.ask(&query("one")).expect_status(200).expect_body("QUERY 3 one");
        client.ask(&query("two")).expect_body("QUERY 3 two");
        client.ask(&query("one").chunked(2)).expect_body("QUERY 3 one");
        client.ask(&request("QUERY", "/q")).expect_body("QUERY 0 ");
        client.ask(&get("/q")).expect_body("GET 0 ");
    }
    let hit = client.ask(&query("one"));
    assert!(cache_status(&hit).starts_with("switchback;hit"), "{hit:?}");
    assert_eq!(origin.requests("/q").len(), 4);
    let asked = &origin.requests("/q")[0];
    assert_eq!(asked.headers.get("content-length"), Some("3"));
    assert_eq!(asked.headers.get("content-type"), Some("text/plain"));
}

#[test]
fn how_its_body_is_to_be_read_belongs_to_a_query() {
    let origin = Origin::start().serve("/q", echo(FRESH));
    let proxy = Proxy::start(&cached(&origin, ""));
    let of = |kind: &str| request("QUERY", "/q").header("Content-Type", kind).body("a");
    for _ in 0..2 {
        proxy.ask(&of("text/plain")).expect_status(200);
        proxy.ask(&of("text/html")).expect_status(200);
        proxy.ask(&of("text/plain").header("Content-Encoding", "x-own")).expect_status(200);
    }
    assert_eq!(origin.requests("/q").len(), 3);
}

#[test]
fn a_query_has_the_same_answer_over_http2() {
    let origin = Origin::start().serve("/q", echo(FRESH));
    let proxy = Proxy::start(&cached(&origin, ""));
    let mut client = H2Client::cleartext(proxy.address("web"));
    let asked = |body: &str| {
        H2Request::new("QUERY", "/q").header("content-type", "text/plain").frame(body.to_owned())
    };
    assert_eq!(client.ask(&asked("one")).body, b"QUERY 3 one");
    assert_eq!(client.ask(&asked("two")).body, b"QUERY 3 two");
    assert_eq!(client.ask(&asked("one")).body, b"QUERY 3 one");
    proxy.ask(&query("two")).expect_body("QUERY 3 two");
    assert_eq!(client.ask(&H2Request::new("QUERY", "/q")).body, b"QUERY 0 ");
    assert_eq!(client.ask(&H2Request::new("QUERY", "/q")).body, b"QUERY 0 ");
    assert_eq!(origin.requests("/q").len(), 3);
}

#[test]
fn a_query_with_a_large_body_is_passed_on() {
    let origin = Origin::start().serve("/q", echo(FRESH));
    let proxy = Proxy::start(&cached(&origin, ""));
    let (most, large) = (vec![b'x'; 65_536], vec![b'x'; 65_537]);
    for _ in 0..2 {
        proxy.ask(&query(most.clone())).expect_body("QUERY 65536 xxxxxxxxxxxxxxxxxxxx");
        let passed = proxy.ask(&query(large.clone()));
        passed.expect_body("QUERY 65537 xxxxxxxxxxxxxxxxxxxx");
        assert_eq!(cache_status(&passed), "switchback;fwd=bypass");
        // Nobody knows its length before its end.
        let passed = proxy.ask(&query(large.clone()).chunked(10_000));
        passed.expect_body("QUERY 65537 xxxxxxxxxxxxxxxxxxxx");
        assert_eq!(cache_status(&passed), "switchback;fwd=bypass");
    }
    assert_eq!(origin.requests("/q").len(), 5);
}

#[test]
fn a_query_whose_answer_may_not_be_stored_is_asked_each_time_with_its_body() {
    let origin = Origin::start().serve("/q", echo("Cache-Control: no-store\r\n"));
    let proxy = Proxy::start(&cached(&origin, ""));
    let mut client = proxy.client();
    for _ in 0..3 {
        client.ask(&query("one")).expect_status(200).expect_body("QUERY 3 one");
    }
    client.ask(&query("one").header("Cache-Control", "no-store")).expect_body("QUERY 3 one");
    assert_eq!(origin.requests("/q").len(), 4);
}

#[test]
fn a_stale_query_is_validated_with_its_body() {
    let origin = Origin::start().serve(
        "/q",
        Answer::Chosen(Choice::new(|asked: &Received| {
            let is_held = asked.headers.get("if-none-match") == Some("\"a\"");
            let text = if is_held && asked.body == b"one" {
                "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nCache-Control: max-age=0\r\n\r\n"
            } else {
                "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nCache-Control: max-age=0\r\nContent-Length: 3\r\n\r\nall"
            };
            vec![Step::send(text), Step::Next]
        })),
    );
    let proxy = Proxy::start(&cached(&origin, ""));
    for _ in 0..2 {
        proxy.ask(&query("one")).expect_status(200).expect_body("all");
    }
    let asked = origin.requests("/q");
    assert_eq!(asked[1].headers.get("if-none-match"), Some("\"a\""));
    assert!(asked.iter().all(|asked| asked.body == b"one"), "{asked:?}");
}

#[test]
fn an_unsafe_method_and_a_purge_reach_queries_too() {
    let origin = Origin::start().serve("/q", echo(FRESH));
    let proxy = Proxy::start(&cached(&origin, ""));
    for change in [post("/q", "new"), request("PURGE", "/q")] {
        proxy.ask(&query("one")).expect_status(200);
        proxy.ask(&query("one")).expect_status(200);
        proxy.ask(&change).expect_status(200);
    }
    proxy.ask(&query("one")).expect_status(200);
    let queries = origin.requests("/q").iter().filter(|asked| asked.method == "QUERY").count();
    assert_eq!(queries, 3);
}

#[test]
fn a_query_that_waits_to_be_asked_for_its_body_is_asked() {
    let origin = Origin::start().serve("/q", echo(FRESH));
    let proxy = Proxy::start(&cached(&origin, ""));
    let asked = query("one").header("Expect", "100-continue");
    for _ in 0..2 {
        let mut client = proxy.client();
        client.send(asked.head_bytes()).response().expect_status(100);
        client.send("one").response().expect_body("QUERY 3 one");
    }
    assert_eq!(origin.requests("/q").len(), 1);
}

#[test]
fn without_query_among_the_methods_it_is_passed_on() {
    let origin = Origin::start().serve("/q", echo(FRESH));
    let route = "proxy = \"app\"\ncache = \"main\"";
    let config = config().web("").site("").route("/*", route).upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config.toml("[zones.main]\nmemory = \"1MiB\""));
    for _ in 0..2 {
        let passed = proxy.ask(&query("one"));
        passed.expect_body("QUERY 3 one");
        assert_eq!(cache_status(&passed), "switchback;fwd=method");
    }
    assert_eq!(origin.requests("/q").len(), 2);
}

#[test]
fn an_answer_that_the_cache_had_no_part_in_says_why() {
    let page = Reply::ok("x").header("Cache-Control", "max-age=600");
    let origin = Origin::start().serve("/page", page.header("Cache-Status", "inner;hit"));
    let proxy = Proxy::start(&cached(&origin, ""));
    let told = |asked: &Request| {
        let answer = proxy.ask(asked);
        answer.headers.all("cache-status").join(", ")
    };
    assert_eq!(told(&post("/page", "x")), "inner;hit, switchback;fwd=method");
    assert_eq!(told(&get("/page").body("x")), "inner;hit, switchback;fwd=bypass");
    proxy.get("/page").expect_status(200);
    let elsewhere = get("/page").header("If-Match", "\"other\"");
    assert_eq!(told(&elsewhere), "inner;hit, switchback;fwd=request");

    let quiet = Proxy::start(&cached(&origin, ", status_header = false"));
    quiet.ask(&post("/page", "x")).expect_header("cache-status", "inner;hit");
}

#[test]
fn it_says_why_where_the_request_had_to_be_taken_in_first() {
    let origin = Origin::start().serve("/page", Reply::ok("x"));
    let route = "proxy = { upstream = \"app\", buffer_request = true }\ncache = \"main\"";
    let config = config().web("").site("").route("/*", route).upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config.toml("[zones.main]\nmemory = \"1MiB\""));
    proxy.ask(&post("/page", "x")).expect_header("cache-status", "switchback;fwd=method");
}

#[test]
fn a_range_far_into_what_is_not_stored_is_fetched_by_itself() {
    let origin = Origin::start().serve(
        "/video",
        Answer::Chosen(Choice::new(|asked: &Received| {
            let head = "Cache-Control: max-age=60\r\nETag: \"a\"\r\nContent-Length:";
            let head = match asked.headers.get("range") {
                Some("bytes=60000-60009") => {
                    let range = "206 Partial Content\r\nContent-Range: bytes 60000-60009/100000";
                    format!("HTTP/1.1 {range}\r\n{head} 10\r\n\r\n")
                }
                _ => format!("HTTP/1.1 200 OK\r\n{head} 100000\r\n\r\n"),
            };
            let is_part = head.contains("206");
            let body = if is_part { &pattern(100_000)[60_000..60_010] } else { &pattern(100_000) };
            vec![Step::send(head), Step::send(body), Step::Next]
        })),
    );
    let proxy = Proxy::start(&cached(&origin, ", max_range_offset = \"50000B\""));
    let part = |range: &str| proxy.ask(&get("/video").header("Range", range));
    for expected in ["switchback;fwd=uri-miss;stored;ttl=60", "switchback;hit"] {
        let far = part("bytes=60000-60009");
        far.expect_status(206).expect_body(&pattern(100_000)[60_000..60_010]);
        assert!(cache_status(&far).starts_with(expected), "{far:?}");
    }
    part("bytes=50000-50009").expect_status(206).expect_body(&pattern(100_000)[50_000..50_010]);
    let hit = part("bytes=60000-60009");
    hit.expect_status(206).expect_body(&pattern(100_000)[60_000..60_010]);
    assert!(cache_status(&hit).starts_with("switchback;hit"), "{hit:?}");
    let ranges: Vec<_> = origin
        .requests("/video")
        .iter()
        .map(|asked| asked.headers.get("range").is_some())
        .collect();
    assert_eq!(ranges, [true, false]);
}

/// A pooled connection on which the origin hangs up is no answer: the request is sent again, body and all.
#[test]
fn a_query_that_breaks_on_a_pooled_connection_is_sent_again_with_its_body() {
    let used = Mutex::new(Vec::new());
    let origin = Origin::start().serve(
        "/q",
        Answer::Chosen(Choice::new(move |asked: &Received| {
            let mut used = used.lock();
            if used.contains(&asked.connection) {
                return vec![Step::Fin];
            }
            used.push(asked.connection);
            let said = beginning(&asked.body);
            let head = format!("HTTP/1.1 200 OK\r\n{FRESH}Content-Length: {}\r\n\r\n", said.len());
            vec![Step::send(head + &said), Step::Next]
        })),
    );
    let proxy = Proxy::start(&cached(&origin, "").top("workers = 1"));
    for body in ["one", "two", "three"] {
        proxy.ask(&query(body)).expect_status(200).expect_body(body);
    }
}
