//! What a listener may be told to tolerate: refused without the word, and with it passed on in its sound form alone.

use switchback_integration::{
    H2Client, H2Request, Origin, Proxy, Received, Response, config, get, site,
};

/// The word, the bytes of a request with that fault, and what its head has to hold when it reaches the origin.
const FAULTS: &[(&str, &str, &[&str])] = &[
    ("bare-lf", "GET /x HTTP/1.1\nHost: a\nX: b\n\n", &["GET /x HTTP/1.1\r\n", "X: b\r\n"]),
    ("bare-cr", "GET /x HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n", &["X: b Y: c\r\n"]),
    ("control-bytes", "GET /x HTTP/1.1\r\nHost: a\r\nX: b\0c\x01d\r\n\r\n", &["X: b c d\r\n"]),
    ("obs-fold", "GET /x HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n", &["X: b c\r\n"]),
    ("space-before-colon", "GET /x HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", &["X: b\r\n"]),
    (
        "odd-length",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: +4, 04\r\nContent-Length: 4\r\n\r\nbody",
        &["Content-Length: 4\r\n"],
    ),
    (
        "odd-coding",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity,, chunked\r\nTransfer-Encoding: \
         chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        &["Transfer-Encoding: chunked\r\n"],
    ),
    ("repeated-host", "GET /x HTTP/1.1\r\nHost: a\r\nHost: A\r\n\r\n", &["Host: a\r\n"]),
    ("other-host", "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", &["GET /x HTTP", "Host: b\r\n"]),
    ("target-bytes", "GET /x?<\u{e9}> HTTP/1.1\r\nHost: a\r\n\r\n", &["GET /x?%3C%C3%A9%3E HTTP"]),
    ("minor-version", "GET /x HTTP/1.2\r\nHost: a\r\n\r\n", &["GET /x HTTP/1.1\r\n"]),
];

/// Faults that look like one that is tolerated, and never are.
const NEVER: &[&str] = &[
    "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
    "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 5\r\n\r\nbody",
    "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\nbody",
    "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 4\r\n\r\nbody",
    "POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\n\r\n",
    "GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET /x HTTP/1.1\r\n Host: a\r\n\r\n",
    "GET  /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET\t/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /x\rHTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /x\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n",
    "GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n",
];

fn tolerating(words: &[&str], origin: &Origin) -> Proxy {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let listener = format!("tolerate = [{}]", words.join(", "));
    Proxy::start(&config().web(listener).site("").proxy_to(origin))
}

/// The answer to these bytes and whether a request right behind them is answered too.
fn ask(proxy: &Proxy, bytes: &str) -> (Response, bool) {
    let mut client = proxy.client();
    let behind = String::from_utf8(get("/behind").to_bytes()).unwrap();
    let _sent = client.try_send(format!("{bytes}{behind}"));
    let answer = client.try_response_to("POST").unwrap();
    (answer, client.try_response_to("GET").is_ok())
}

fn only(origin: &Origin, path: &str) -> Received {
    let mut received = origin.requests(path);
    assert_eq!(received.len(), 1, "{received:?}");
    received.remove(0)
}

/// The request before the one behind it.
fn first(origin: &Origin) -> Received {
    origin.requests("*").into_iter().find(|received| received.target != "/behind").unwrap()
}

fn words() -> Vec<&'static str> {
    FAULTS.iter().map(|(word, ..)| *word).chain(["length-and-chunked", "underscores"]).collect()
}

#[test]
fn a_fault_reaches_the_origin_mended_where_it_is_tolerated_alone() {
    for (word, bytes, wanted) in FAULTS {
        let origin = Origin::start();
        let (answer, goes_on) = ask(&tolerating(&[word], &origin), bytes);
        assert!(answer.status == 200 && goes_on, "{word}: {answer}");
        let received = first(&origin);
        let head = String::from_utf8(received.raw_head).unwrap();
        for part in *wanted {
            let (head, part) = (head.to_lowercase(), part.to_lowercase());
            assert!(head.contains(&part), "{word}: {part:?} is not in {head:?}");
        }
        assert!(received.body.is_empty() || received.body == b"body", "{word}");
        assert_eq!(origin.requests("/behind").len(), 1);
    }
}

#[test]
fn a_fault_is_refused_where_only_the_others_are_tolerated() {
    let origin = Origin::start();
    for (word, bytes, _) in FAULTS {
        let others: Vec<&str> = words().into_iter().filter(|other| other != word).collect();
        let (answer, goes_on) = ask(&tolerating(&others, &origin), bytes);
        assert!(matches!(answer.status, 400 | 505) && !goes_on, "{word}: {answer}");
    }
    assert!(origin.requests("*").is_empty(), "{:?}", origin.requests("*"));
}

#[test]
fn what_disagrees_is_refused_whatever_is_tolerated() {
    let origin = Origin::start();
    let proxy = tolerating(&words(), &origin);
    for bytes in NEVER {
        let (answer, goes_on) = ask(&proxy, bytes);
        assert!(answer.status == 400 && !goes_on, "{bytes:?}: {answer}");
    }
    assert!(origin.requests("*").is_empty(), "{:?}", origin.requests("*"));
}

#[test]
fn chunks_win_over_a_length_and_the_connection_ends() {
    let origin = Origin::start();
    let proxy = tolerating(&["length-and-chunked"], &origin);
    for kept in ["", "Connection: keep-alive\r\n"] {
        let (answer, goes_on) = ask(
            &proxy,
            &format!(
                "POST /x HTTP/1.1\r\nHost: a\r\n{kept}Content-Length: 3\r\nTransfer-Encoding: \
                 chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
            ),
        );
        assert!(answer.status == 200 && !goes_on, "{answer}");
        answer.expect_header("connection", "close");
    }
    let received = origin.requests("*").pop().unwrap();
    assert_eq!((&*received.body, received.headers.get("content-length")), (&b"body"[..], None));
    assert_eq!(origin.requests("/behind").len(), 0);
}

#[test]
fn headers_with_underscores_are_dropped_unless_they_are_tolerated() {
    let bytes =
        "GET /x HTTP/1.1\r\nHost: a\r\nX_Under: 1\r\nX_Forwarded_For: 1.1.1.1\r\nX-Dash: 2\r\n\r\n";
    let origin = Origin::start();
    ask(&Proxy::start(&site().proxy_to(&origin)), bytes).0.expect_status(200);
    let received = only(&origin, "/x");
    assert_eq!(
        (received.headers.get("x_under"), received.headers.get("x-dash")),
        (None, Some("2"))
    );
    let origin = Origin::start();
    ask(&tolerating(&["underscores"], &origin), bytes).0.expect_status(200);
    let received = only(&origin, "/x");
    assert_eq!(received.headers.get("x_under"), Some("1"));
    assert_eq!(received.headers.get("x_forwarded_for"), None);
}

#[test]
fn headers_with_underscores_are_dropped_over_http2_too() {
    for (listener, wanted) in
        [("h2c = true", None), ("h2c = true\ntolerate = [\"underscores\"]", Some("1"))]
    {
        let origin = Origin::start();
        let proxy = Proxy::start(&config().web(listener).site("").proxy_to(&origin));
        let mut client = H2Client::cleartext(proxy.address("web"));
        client.ask(&H2Request::new("GET", "/x").header("x_under", "1")).expect_status(200);
        assert_eq!(only(&origin, "/x").headers.get("x_under"), wanted);
    }
}

#[test]
fn a_tolerated_request_is_told_as_received() {
    let config = config()
        .web("tolerate = [\"bare-lf\"]\ntimeouts = { header = \"5m\" }")
        .site("")
        .route("/*", "respond = { status = 200, body = \"$request|$request_uri\" }");
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    client.send("GET /a HTTP/1.1\nHost: a\n\nGET /b HTTP/1.1\nHost: a\n\n");
    client.response().expect_body("GET /a HTTP/1.1|/a");
    client.response().expect_body("GET /b HTTP/1.1|/b");
    client.send_bytewise(b"GET /c HTTP/1.1\nHost: a\n\n");
    client.response().expect_body("GET /c HTTP/1.1|/c");
}
