//! Requests that are no requests: 400 and a close, and nothing of it reaches an origin.

use switchback_integration::{Origin, Proxy, Response, WireError, get, site};

/// What is wrong, and the bytes.
const REFUSED: &[(&str, &str)] = &[
    (
        "length and chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked and length",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ),
    (
        "the same length twice",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    ),
    ("a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na"),
    ("a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na"),
    ("a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na"),
    ("a hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na"),
    ("a length with a zero in front", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 01\r\n\r\na"),
    ("an empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n"),
    (
        "a length over 64 bits",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\na",
    ),
    (
        "an unknown coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked not last",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    ),
    (
        "gzip before chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked with a parameter",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;x=1\r\n\r\n0\r\n\r\n",
    ),
    (
        "a leading comma",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a vertical tab before chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked in HTTP/1.0",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("an identity coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
    ("a bare line feed after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
    ("bare line feeds", "GET / HTTP/1.1\nHost: a\n\n"),
    ("a bare line feed after a field", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
    ("a bare carriage return in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n"),
    ("a NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n"),
    ("a NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a control byte in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: b\x01c\r\n\r\n"),
    ("a folded field", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"),
    ("a fold before the first field", "GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n"),
    ("a space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    (
        "a space before the colon of a coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ),
    ("an empty field name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
    ("a field without a colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
    ("a field name with a space", "GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n"),
    ("a field name with a slash", "GET / HTTP/1.1\r\nHost: a\r\nX/Y: b\r\n\r\n"),
    ("no host", "GET / HTTP/1.1\r\nX: b\r\n\r\n"),
    (
        "a Connection that takes the length away",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close, Content-Length\r\nContent-Length: 1\r\n\r\nx",
    ),
    (
        "a Connection that takes the host away",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n",
    ),
    ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("the same host twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    ("a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("a host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ("a host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ("a host with a comma", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"),
    ("a host with an empty label", "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n"),
    ("a host that is a dot", "GET / HTTP/1.1\r\nHost: .\r\n\r\n"),
    ("an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    ("an absolute target and no host", "GET http://a/ HTTP/1.1\r\n\r\n"),
    ("an absolute target and two hosts", "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    ("a target with a backslash in its host", "GET http://a\\b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target with a scheme of another kind", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target with a user", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("an absolute target and another host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("an absolute target and another port", "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (
        "an absolute target and another host in HTTP/1.0",
        "GET http://b/ HTTP/1.0\r\nHost: a\r\n\r\n",
    ),
    ("a target with an angle bracket", "GET /<b> HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a query with a brace", "GET /?{} HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target with a backslash", "GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target beyond ASCII", "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target with a delete byte", "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target with a tab", "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target with a fragment", "GET /#f HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target without a slash", "GET x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a tab", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a space after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    ("a leading space", " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a lower-case protocol", "GET / http/1.1\r\nHost: a\r\n\r\n"),
    ("no protocol", "GET /\r\nHost: a\r\n\r\n"),
    ("another protocol", "GET / HTTPS/1.1\r\nHost: a\r\n\r\n"),
    ("a method that is no token", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("an empty line of garbage", "\0\0\0\0\r\n\r\n"),
    ("a TLS hello on a plain port", "\x16\x03\x01\x02\0\x01\0\x01\u{7c}\x03\x03\r\n\r\n"),
];

/// Chunks that are none; the head before them is sound.
const BAD_CHUNKS: &[(&str, &str)] = &[
    ("a size that is no number", "g\r\n"),
    ("a prefixed size", "0x1\r\na\r\n0\r\n\r\n"),
    ("a signed size", "+1\r\na\r\n0\r\n\r\n"),
    ("an empty size", "\r\na\r\n0\r\n\r\n"),
    ("a size over 64 bits", "10000000000000000\r\na\r\n0\r\n\r\n"),
    ("no line end after the chunk", "1\r\nab\r\n0\r\n\r\n"),
    ("a bare line feed after the size", "1\na\r\n0\r\n\r\n"),
    ("a space before the size", " 1\r\na\r\n0\r\n\r\n"),
    ("a space after the size", "1 \r\na\r\n0\r\n\r\n"),
    ("more digits than a length has", "00000000000000001\r\na\r\n0\r\n\r\n"),
    ("a bare line feed in an extension", "1;x\na\r\n0\r\n\r\n"),
    ("a bare carriage return in an extension", "1;x\ry\r\na\r\n0\r\n\r\n"),
    ("a control byte in an extension", "1;x\x01\r\na\r\n0\r\n\r\n"),
    ("an extension beyond ASCII", "1;\u{e9}\r\na\r\n0\r\n\r\n"),
    ("a bare line feed after the chunk", "1\r\na\n0\r\n\r\n"),
    ("a bare line feed after the last size", "1\r\na\r\n0\n\r\n"),
    ("a bare line feed at the end", "1\r\na\r\n0\r\n\n"),
    ("junk after the last chunk", "1\r\na\r\n0\r\nX\r\n\r\n"),
    ("a trailer without a name", "1\r\na\r\n0\r\n: x\r\n\r\n"),
    ("a trailer with a space before its colon", "1\r\na\r\n0\r\nA : x\r\n\r\n"),
    ("a folded trailer", "1\r\na\r\n0\r\nA: x\r\n y\r\n\r\n"),
    ("a trailer with a NUL", "1\r\na\r\n0\r\nA: \0\r\n\r\n"),
    ("a trailer with a bare line feed", "1\r\na\r\n0\r\nA: x\n\r\n"),
];

/// The answer to these bytes and to a sound request right behind them.
fn ask(proxy: &Proxy, bytes: &str) -> Result<(Response, bool), WireError> {
    let mut client = proxy.client();
    let behind = String::from_utf8(get("/behind").to_bytes()).unwrap();
    // The proxy may have closed already.
    let _sent = client.try_send(format!("{bytes}{behind}"));
    let answer = client.try_response_to("POST")?;
    let closed = !matches!(client.try_response_to("GET"), Ok(_) | Err(WireError::TimedOut));
    Ok((answer, closed))
}

#[test]
fn malformed_heads_are_refused_and_the_connection_ends() {
    let origin = Origin::start();
    let proxy = Proxy::start(&site().proxy_to(&origin));
    let mut wrong = Vec::new();
    for (what, bytes) in REFUSED {
        match ask(&proxy, bytes) {
            Ok((answer, true)) if answer.status == 400 => {}
            Ok((answer, closed)) => {
                wrong.push(format!("{what}: {} and closed: {closed}", answer.status))
            }
            Err(error) => wrong.push(format!("{what}: {error:?}")),
        }
    }
    for received in origin.requests("*") {
        wrong
            .push(format!("an origin was asked {:?}", String::from_utf8_lossy(&received.raw_head)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_unknown_version_is_refused() {
    let origin = Origin::start();
    let proxy = Proxy::start(&site().proxy_to(&origin));
    for version in
        ["HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/0.9", "HTTP/11", "HTTP/1.10", "HTTP/3.0"]
    {
        let (answer, closed) = ask(&proxy, &format!("GET / {version}\r\nHost: a\r\n\r\n")).unwrap();
        assert!(matches!(answer.status, 400 | 505) && closed, "{version}: {answer}");
    }
    assert_eq!(origin.heads(), 0);
}

#[test]
fn malformed_chunks_end_the_connection_and_the_request_never_arrives_whole() {
    let origin = Origin::start();
    let proxy = Proxy::start(&site().proxy_to(&origin));
    for (what, chunks) in BAD_CHUNKS {
        let head = "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        match ask(&proxy, &format!("{head}{chunks}")) {
            Ok((answer, closed)) => assert!(answer.status == 400 && closed, "{what}: {answer}"),
            Err(error) => panic!("{what}: {error:?}"),
        }
    }
    assert!(origin.requests("*").is_empty(), "{:?}", origin.requests("*"));
}

#[test]
fn connect_is_not_a_way_out() {
    let origin = Origin::start();
    let proxy = Proxy::start(&site().proxy_to(&origin));
    let (answer, _) = ask(&proxy, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n").unwrap();
    assert!(matches!(answer.status, 400 | 405), "{answer}");
    assert_eq!(origin.requests("/").len(), 0);
}

#[test]
fn an_old_client_is_served_and_left() {
    let origin = Origin::start();
    let proxy = Proxy::start(&site().proxy_to(&origin));
    let mut client = proxy.client();
    client.send("GET /old HTTP/1.0\r\nHost: a\r\n\r\n").response().expect_status(200);
    client.expect_close();
    assert_eq!(origin.requests("/old").len(), 1);
}

#[test]
fn a_body_nobody_reads_does_not_become_a_request() {
    let proxy = Proxy::start(&site().respond("/fixed", "fixed"));
    let mut client = proxy.client();
    let hidden = String::from_utf8(get("/hidden").to_bytes()).unwrap();
    client.ask(&switchback_integration::post("/fixed", hidden.clone())).expect_body("fixed");
    match client.try_ask(&get("/fixed")) {
        Ok(answer) => drop(answer.expect_status(200).expect_body("fixed")),
        Err(WireError::Closed | WireError::Io(_)) => {}
        Err(other) => panic!("{other:?}"),
    }
    let mut client = proxy.client();
    client.ask(&switchback_integration::request("GET", "/fixed").body(hidden)).expect_body("fixed");
}

#[test]
fn connection_takes_no_header_away_that_the_proxy_stands_for() {
    for name in ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Host", "Content-Length"] {
        let origin = Origin::start();
        let proxy = Proxy::start(&site().proxy_to(&origin));
        let head = format!(
            "POST /x HTTP/1.1\r\nHost: a\r\nConnection: {name}\r\nContent-Length: 4\r\n\r\nbody"
        );
        let (answer, _) = ask(&proxy, &head).unwrap();
        let received = origin.requests("/x");
        let Some(received) = received.first() else {
            assert_eq!(answer.status, 400, "{name}: {answer}");
            continue;
        };
        let has = |name| received.headers.get(name).is_some();
        assert!(has("host") && has("x-forwarded-for"), "{name}: {received:?}");
        assert_eq!((answer.status, &*received.body), (200, &b"body"[..]), "{name}");
    }
}
