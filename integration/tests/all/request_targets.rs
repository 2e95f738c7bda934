//! Targets and hosts that are unusual: what is meant is answered where it is tolerated, and what two servers could read
//! differently is refused.

use switchback_integration::{
    Answer, Config, Deadline, H2Client, H2Request, Origin, Proxy, Received, Response, config,
    eventually, site,
};

/// The answer to these bytes on a connection of their own.
fn ask(proxy: &Proxy, bytes: &str) -> Response {
    let method = bytes.split(' ').next().unwrap();
    proxy.client().send(bytes).response_to(method)
}

/// A site whose listener takes what is unusual.
fn tolerant() -> Config {
    // On a busy machine many single bytes take longer than a head usually may.
    let patient = "timeouts = { header = \"5m\" }";
    let words = "tolerate = [\"other-host\", \"target-bytes\", \"minor-version\"]";
    config().web(format!("{words}\n{patient}")).site("")
}

fn asked(origin: &Origin) -> Received {
    origin.requests("*").pop().expect("a request")
}

fn logged(config: Config) -> Config {
    config.toml(
        "[[log.access]]\nfile = \"access.log\"\nformat = \"$remote_addr $request_id $status $request\"",
    )
}

/// The one line of the log, without the id of the request.
fn line(proxy: &Proxy) -> String {
    let text = eventually("a line in the access log", Deadline::soon(), || {
        let text = std::fs::read_to_string(proxy.folder().join("access.log")).ok()?;
        text.ends_with('\n').then_some(text)
    });
    let [address, id, rest] = text.trim_end().splitn(3, ' ').collect::<Vec<_>>()[..] else {
        panic!("{text}")
    };
    assert_eq!(id.len(), 32, "{text}");
    format!("{address} {rest}")
}

#[test]
fn an_origin_gets_a_path_and_the_host_of_an_absolute_target() {
    let origin = Origin::start();
    let proxy = Proxy::start(&tolerant().proxy_to(&origin));
    for (target, path) in
        [("http://b:81/page?a=b", "/page?a=b"), ("http://b:81?a=b", "/?a=b"), ("HTTP://b:81", "/")]
    {
        for method in ["GET", "POST"] {
            let body = if method == "POST" { "Content-Length: 4\r\n\r\nbody" } else { "\r\n" };
            ask(&proxy, &format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{body}"))
                .expect_status(200);
            let received = asked(&origin);
            assert_eq!((&*received.target, received.headers.get("host")), (path, Some("b:81")));
            assert_eq!(received.headers.get("x-forwarded-host"), Some("b:81"));
        }
    }
    ask(&proxy, "OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
    assert_eq!(asked(&origin).target, "*");
    ask(&proxy, "GET http://b/old HTTP/1.0\r\n\r\n").expect_status(200);
    assert_eq!(asked(&origin).headers.get("host"), Some("b"));
}

#[test]
fn the_authority_of_the_target_chooses_the_site() {
    let config = tolerant()
        .respond("/*", "default")
        .site("hosts = [\"b.example\"]")
        .route("/*", "respond = { status = 200, body = \"$host|$request_uri|$request\" }");
    let proxy = Proxy::start(&config);
    let answer = ask(
        &proxy,
        "GET http://B.example:80?a=b HTTP/1.1\r\nHost: a.example\r\n\r\nGET / HTTP/1.1",
    );
    answer.expect_body("b.example|/?a=b|GET http://B.example:80?a=b HTTP/1.1");
    ask(&proxy, "GET http://a/ HTTP/1.1\r\nHost: b.example\r\n\r\n").expect_body("default");
}

#[test]
fn a_redirect_from_an_absolute_target_is_of_its_path() {
    let config = tolerant().route("/*", "redirect = \"https://new.example$request_uri\"");
    let answer =
        ask(&Proxy::start(&config), "GET http://b/a%20b?c=<d> HTTP/1.1\r\nHost: b\r\n\r\n");
    answer.expect_header("location", "https://new.example/a%20b?c=%3Cd%3E");
}

#[test]
fn bytes_that_no_uri_may_have_reach_an_origin_encoded_and_the_log_as_they_came() {
    let origin = Origin::start();
    let proxy = Proxy::start(&logged(tolerant().proxy_to(&origin)));
    let sent = "GET /<b>a`b{c}|d^e?q=<%3C>|\\ HTTP/1.1";
    ask(&proxy, &format!("{sent}\r\nHost: a\r\n\r\n")).expect_status(200);
    assert_eq!(line(&proxy), format!("127.0.0.1 200 {sent}").replace('\\', "\\x5C"));
    assert_eq!(asked(&origin).target, "/%3Cb%3Ea%60b%7Bc%7D%7Cd%5Ee?q=%3C%3C%3E%7C%5C");
}

#[test]
fn a_target_is_told_as_received_in_every_lane() {
    let origin = Origin::start();
    let told = "request_headers = { set = { X-Told = \"$request_uri $uri\" } }";
    let config = tolerant()
        .route("/local/*", "respond = { status = 200, body = \"$request_uri $uri\" }")
        .route(
            "/buffered/*",
            format!("proxy = {{ upstream = \"app\", buffer_request = true }}\n{told}"),
        )
        .route("/*", format!("proxy = \"app\"\n{told}"))
        .upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config);
    ask(&proxy, "GET /local/<b>?` HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect_body("/local/<b>?` /local/<b>");
    for path in ["/buffered/<b>", "/<b>"] {
        let head = format!("POST http://b{path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
        ask(&proxy, &head).expect_status(200);
        let received = asked(&origin);
        assert_eq!(received.headers.get("x-told"), Some(&*format!("{path} {path}")));
        assert_eq!(received.headers.get("host"), Some("b"));
    }
}

#[test]
fn a_websocket_is_opened_by_an_absolute_target() {
    let origin = Origin::start().serve("*", Answer::Tunnel);
    let proxy = Proxy::start(&tolerant().proxy_to(&origin));
    let head = "GET http://b/<ws> HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    proxy.client().send(head).response_head().expect_status(101);
    let received = asked(&origin);
    assert_eq!((&*received.target, received.headers.get("host")), ("/%3Cws%3E", Some("b")));
}

#[test]
fn what_follows_an_unusual_head_is_the_next_request() {
    let proxy = Proxy::start(
        &tolerant().route("/*", "respond = { status = 200, body = \"$request_uri\" }"),
    );
    let mut client = proxy.client();
    client.send("GET http://b/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /<2> HTTP/1.7\r\nHost: a\r\n\r\n");
    client.response().expect_body("/1");
    client.response().expect_body("/<2>");
    client.send_bytewise(b"GET http://b/<3> HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response().expect_body("/<3>");
}

#[test]
fn a_minor_version_to_come_is_answered_and_a_major_one_is_not() {
    let origin = Origin::start();
    let proxy = Proxy::start(&tolerant().proxy_to(&origin));
    for version in ["HTTP/1.2", "HTTP/1.9"] {
        ask(&proxy, &format!("GET / {version}\r\nHost: a\r\n\r\n")).expect_status(200);
        let head = String::from_utf8(asked(&origin).raw_head).unwrap();
        assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{head}");
    }
    for version in ["HTTP/3.0", "HTTP/2.0", "HTTP/0.9"] {
        let proxy = Proxy::start(&logged(tolerant().respond("/*", "x")));
        let answer = ask(&proxy, &format!("GET /x {version}\r\nHost: a\r\n\r\n"));
        assert!(answer.status == 505 && answer.text().contains("request "), "{answer}");
        assert_eq!(line(&proxy), format!("127.0.0.1 505 GET /x {version}"));
    }
}

/// Heads that have an unfit host, and their first line.
const UNFIT: [&str; 14] = [
    "GET /x HTTP/1.1\r\nHost: h:abc",
    "GET /x HTTP/1.1\r\nHost: a b",
    "GET /x HTTP/1.1\r\nHost: user@h",
    "GET /x HTTP/1.1\r\nHost: h/x",
    "GET /x HTTP/1.1\r\nHost: a..b",
    "GET /x HTTP/1.1\r\nHost: ..x",
    "GET /x HTTP/1.1\r\nHost: .",
    "GET /x HTTP/1.1\r\nHost:",
    "GET /x HTTP/1.1\r\nHost: :80",
    "GET /x HTTP/1.0\r\nHost: user@h",
    "GET http://u@h/x HTTP/1.1\r\nHost: h",
    "GET http://h..x/x HTTP/1.1\r\nHost: h",
    "GET http://h/x HTTP/1.1\r\nHost: u@h",
    "GET http:///x HTTP/1.1\r\nHost: h",
];

#[test]
fn an_unfit_host_is_refused_with_a_page_an_id_and_a_line_that_names_the_client() {
    let origin = Origin::start();
    let ways = [
        "\r\n\r\n",
        "\r\nContent-Length: 1\r\n\r\nx",
        "\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ];
    for (index, unfit) in UNFIT.iter().enumerate() {
        let config =
            if index % 2 == 0 { site().proxy_to(&origin) } else { site().respond("/*", "x") };
        for way in ways {
            let proxy = Proxy::start(&logged(config.clone()));
            let answer = ask(&proxy, &format!("{unfit}{way}"));
            assert!(answer.status == 400 && answer.text().contains("request "), "{answer}");
            let first = unfit.lines().next().unwrap();
            assert_eq!(line(&proxy), format!("127.0.0.1 400 {first}"), "{unfit}");
        }
    }
    assert_eq!(origin.heads(), 0);
}

#[test]
fn a_host_may_end_with_a_dot_and_an_old_client_may_name_none() {
    let config = site().route("/*", "respond = { status = 200, body = \"$host\" }");
    let proxy = Proxy::start(&config.site("hosts = [\"a.example\"]").respond("/*", "a"));
    ask(&proxy, "GET / HTTP/1.1\r\nHost: A.example.:80\r\n\r\n").expect_body("a");
    ask(&proxy, "GET / HTTP/1.0\r\n\r\n").expect_status(200);
}

#[test]
fn an_unfit_host_over_http2_is_refused_with_an_id_and_the_client() {
    let config = config().web("h2c = true").site("").respond("/*", "x");
    let proxy = Proxy::start(&logged(config));
    let mut client = H2Client::cleartext(proxy.address("web"));
    let answer = client.ask(&H2Request::new("GET", "/x").authority("a..b"));
    answer.expect_status(400);
    assert_eq!(line(&proxy), "127.0.0.1 400 GET /x HTTP/2.0");
}
