//! Targets and hosts that are unusual: what is meant is answered, and what two servers could read differently is refused.

use switchback_integration::{
    Config, Deadline, H2Client, H2Request, Origin, Proxy, Response, config, eventually, site,
};

/// The answer to these bytes on a connection of their own.
fn ask(proxy: &Proxy, bytes: &str) -> Response {
    let method = bytes.split(' ').next().unwrap();
    proxy.client().send(bytes).response_to(method)
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

/// Heads that have an unfit host, and their first line.
const UNFIT: [&str; 10] = [
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
