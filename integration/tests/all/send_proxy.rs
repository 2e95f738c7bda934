//! PROXY headers towards upstreams: whose connection they tell of, and that no other client's requests go over it.

use std::collections::HashSet;
use std::path::Path;

use switchback_integration::{
    Answer, Client, Config, H2Client, H2Request, H2Response, Origin, Peer, Proxy, Trust, config,
    get, open_websocket, pattern, post, site,
};

/// Every request to an upstream of these endpoints, with these lines beside them.
fn to(endpoint: &str, lines: &str) -> Config {
    site().route("/*", "proxy = \"app\"").endpoints("app", &[endpoint], lines)
}

fn unix(folder: &Path, name: &str) -> String {
    format!("unix:{}", folder.join(name).display())
}

fn respond(body: &str) -> String {
    format!("respond = {{ status = 200, body = '{body}' }}")
}

/// A Switchback that takes headers and says what it heard.
fn back(listener: &str, body: &str) -> Proxy {
    let lines = format!("proxy_protocol = {{ from = [\"127.0.0.1\"] }}\n{listener}");
    Proxy::start(&config().web(lines).site("").route("/*", respond(body)))
}

const HEARD: &str = "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr \
                     $proxy_protocol_server_port";

/// What [`HEARD`] is for this client of this proxy.
fn heard(client: &Client, proxy: &Proxy) -> String {
    let (client, server) = (client.local_address(), proxy.address("web"));
    format!("{} {} {} {}", client.ip(), client.port(), server.ip(), server.port())
}

#[test]
fn nginx_reads_both_versions() {
    let server = "listen unix:proxied.sock proxy_protocol; location / { return 200 \
        '$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port'; }";
    let Some(nginx) = Peer::nginx(server) else { return };
    let endpoint = unix(nginx.folder(), "proxied.sock");
    for version in [
        "\"v1\"",
        "\"v2\"",
        "{ version = \"v2\", tlvs = [\"ssl\", \"unique_id\", \"0xE0=$host\", \"crc32c\"] }",
    ] {
        let proxy = Proxy::start(&to(&endpoint, &format!("send_proxy = {version}")));
        let mut client = proxy.client();
        for target in ["/1", "/2"] {
            let answer = client.ask(&get(target));
            answer.expect_status(200).expect_text(&heard(&client, &proxy));
        }
    }
}

#[test]
fn haproxy_reads_both_versions() {
    let section = "bind unix@proxied.sock accept-proxy\n \
        http-request return status 200 content-type text/plain lf-string \
        \"%[src] %[src_port] %[dst] %[dst_port]\"";
    let Some(haproxy) = Peer::haproxy(section) else { return };
    let endpoint = unix(haproxy.folder(), "proxied.sock");
    for version in ["\"v1\"", "\"v2\"", "{ version = \"v2\", tlvs = [\"ssl\", \"crc32c\"] }"] {
        let proxy = Proxy::start(&to(&endpoint, &format!("send_proxy = {version}")));
        let mut client = proxy.client();
        let answer = client.ask(&get("/"));
        answer.expect_status(200).expect_text(&heard(&client, &proxy));
    }
}

/// Clients that take turns, each with several requests: whose header a connection began with, its requests come from.
#[test]
fn two_clients_never_share_a_connection_and_one_uses_its_own_again() {
    for (listener, lines) in [("", ""), ("h2c = true", "protocol = \"h2\"")] {
        let back = back(listener, "$proxy_protocol_port $connection");
        let endpoint = back.address("web").to_string();
        let proxy = Proxy::start(
            &to(&endpoint, &format!("{lines}\nsend_proxy = \"v2\"")).top("workers = 1"),
        );
        let mut clients: Vec<Client> = (0..4).map(|_| proxy.client()).collect();
        let mut connections = HashSet::new();
        for _ in 0..3 {
            for client in &mut clients {
                let port = client.local_address().port().to_string();
                let text = client.ask(&get("/")).text();
                let (told, connection) = text.split_once(' ').unwrap();
                assert_eq!(told, port, "another client's connection");
                connections.insert(connection.to_owned());
            }
        }
        assert_eq!(connections.len(), clients.len(), "a client's second request began another");
    }
}

/// Clients on a Unix socket are all alike in the header; they share nothing for that.
#[test]
fn clients_without_addresses_do_not_share_connections_either() {
    let back = back("", "[$proxy_protocol_addr] $connection");
    let config = config()
        .top("workers = 1")
        .listener("name = \"web\"\naddress = \"unix:web.sock\"")
        .site("")
        .route("/*", "proxy = \"app\"")
        .endpoints("app", &[back.address("web").to_string()], "send_proxy = \"v1\"");
    let proxy = Proxy::start(&config);
    let path = proxy.folder().join("web.sock");
    let (mut one, mut other) = (Client::unix(&path), Client::unix(&path));
    let (first, second) = (one.ask(&get("/")).text(), other.ask(&get("/")).text());
    assert!(first.starts_with("[] ") && first != second, "{first} {second}");
    assert_eq!(one.ask(&get("/")).text(), first);
}

#[test]
fn a_header_stands_before_tls_to_the_upstream() {
    let back = back(
        "tls = { self_signed = [\"localhost\"] }",
        &format!("$scheme $server_protocol {HEARD}"),
    );
    for protocol in ["http1", "h2"] {
        let lines =
            format!("protocol = \"{protocol}\"\ntls = {{ verify = false }}\nsend_proxy = \"v1\"");
        let proxy = Proxy::start(&to(&back.address("web").to_string(), &lines));
        let mut client = proxy.client();
        let spoken = if protocol == "h2" { "HTTP/2.0" } else { "HTTP/1.1" };
        let expected = format!("https {spoken} {}", heard(&client, &proxy));
        client.ask(&get("/")).expect_status(200).expect_text(&expected);
    }
}

#[test]
fn a_websocket_begins_with_a_header_too() {
    let origin = Origin::start().serve("*", Answer::Tunnel);
    let back =
        config().web("proxy_protocol = { from = [\"127.0.0.1\"] }").site("").proxy_to(&origin);
    let back = Proxy::start(&back);
    let front = Proxy::start(&to(&back.address("web").to_string(), "send_proxy = \"v2\""));
    let mut socket = open_websocket(&front, "/ws");
    let bytes = pattern(5000);
    assert_eq!(socket.send(&bytes).read_exactly(5000), bytes);
    assert_eq!(origin.requests("/ws")[0].headers.get("upgrade"), Some("websocket"));
}

const VALUES: &str = "$proxy_protocol_tlv_alpn|$proxy_protocol_tlv_authority|$proxy_protocol_tlv_unique_id|\
    $proxy_protocol_tlv_ssl_version|$proxy_protocol_tlv_ssl_verify|$proxy_protocol_tlv_0xe0|$connection";

const ALL: &str = "send_proxy = { version = \"v2\", tlvs = [\"alpn\", \"authority\", \"unique_id\", \"ssl\", \
                   \"0xE0=$host\", \"crc32c\"] }";

#[test]
fn values_tell_of_the_clients_own_connection() {
    let back = back("", VALUES);
    let endpoint = back.address("web").to_string();
    let tls = config().web("tls = { self_signed = [\"localhost\"] }").site("");
    let tls = tls.route("/*", "proxy = \"app\"").endpoints("app", &[&endpoint], ALL);
    let proxy = Proxy::start(&tls);
    let told = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
    let mut client = proxy.tls_client("localhost", &Trust::Anyone);
    let values = told(&client.ask(&get("/").host("shop.example")).text());
    assert_eq!(values[..2], ["http/1.1", "localhost"]);
    assert_eq!(
        (values[2].len(), &values[3..6]),
        (32, &["TLSv1.3", "1", "shop.example"].map(str::to_owned)[..])
    );
    let mut client = H2Client::tls(proxy.address("web"), "localhost", &Trust::Anyone);
    let values = told(&client.ask(&H2Request::new("GET", "/").authority("a.example")).text());
    assert_eq!((&*values[0], &*values[5]), ("h2", "a.example"));
    let plain = Proxy::start(&to(&endpoint, ALL));
    let values = told(&plain.get("/").text());
    assert_eq!(
        (&values[..2], &values[3..5]),
        (&["", ""].map(str::to_owned)[..], &["", "1"].map(str::to_owned)[..])
    );
}

#[test]
fn streams_of_one_client_and_buffered_requests_tell_of_it_too() {
    let back = back("", "$proxy_protocol_port");
    let config = config()
        .web("h2c = true")
        .site("")
        .route("/buffered", "proxy = { upstream = \"app\", buffer_request = true }")
        .route("/*", "proxy = \"app\"")
        .endpoints("app", &[back.address("web").to_string()], "send_proxy = \"v2\"");
    let proxy = Proxy::start(&config);
    let mut client = H2Client::cleartext(proxy.address("web"));
    let requests: Vec<_> = (0..8).map(|_| H2Request::new("GET", "/").authority("h")).collect();
    let ports: HashSet<_> = client.ask_all(&requests).iter().map(H2Response::text).collect();
    assert_eq!(ports.len(), 1, "{ports:?}");
    let mut client = proxy.client();
    let port = client.local_address().port().to_string();
    client.ask(&post("/buffered", "body")).expect_status(200).expect_text(&port);
}

/// The header of a connection would tell of another request.
#[test]
fn a_connection_is_left_when_its_header_would_be_another() {
    let back = back("", VALUES);
    let lines = "send_proxy = { version = \"v2\", tlvs = [\"0xE0=$host\"] }";
    let proxy = Proxy::start(&to(&back.address("web").to_string(), lines).top("workers = 1"));
    let mut client = proxy.client();
    let mut ask = |host: &str| client.ask(&get("/").host(host)).text();
    let (first, other, again) = (ask("a"), ask("b"), ask("a"));
    assert_eq!(first, again);
    assert!(other.contains("|b|") && first.contains("|a|"), "{first} {other}");
}

/// What a proxy in front said is passed on: the client, what it connected to, and its TLS.
#[test]
fn what_a_proxy_in_front_said_is_passed_on() {
    let back = back("", &format!("{HEARD} {VALUES}"));
    let config = config()
        .web("proxy_protocol = { from = [\"127.0.0.1\"] }")
        .site("")
        .route("/*", "proxy = \"app\"")
        .endpoints("app", &[back.address("web").to_string()], ALL);
    let proxy = Proxy::start(&config);
    let tlvs = b"\x01\0\x02h2\x02\0\x03a.b\x05\0\x02id\x20\0\x0c\x01\0\0\0\0\x21\0\x04TLSx";
    let ends = [192, 0, 2, 7, 198, 51, 100, 9, 0xdc, 0x04, 0x01, 0xbb];
    let length = u8::try_from(ends.len() + tlvs.len()).unwrap();
    let header = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"[..], &[length], &ends, tlvs].concat();
    let mut client = proxy.client();
    let answer = client.send([header, get("/").host("h").to_bytes()].concat()).response();
    let text = answer.text();
    let expected = "192.0.2.7 56324 198.51.100.9 443 h2|a.b|id|TLSx|0|h|";
    assert!(text.starts_with(expected), "{text}");
}

/// The client that a trusted proxy names is the source; its port is not known.
#[test]
fn the_source_is_the_client_as_trusted_proxies_name_it() {
    let back = back("", HEARD);
    let config = to(&back.address("web").to_string(), "send_proxy = \"v2\"")
        .top("trusted_proxies = [\"127.0.0.1\"]");
    let proxy = Proxy::start(&config);
    let port = proxy.address("web").port();
    let ask = |client: &str| proxy.ask(&get("/").header("X-Forwarded-For", client)).text();
    assert_eq!(ask("203.0.113.1"), format!("203.0.113.1 0 127.0.0.1 {port}"));
    assert_eq!(ask("2001:db8::1"), format!("2001:db8::1 0 127.0.0.1 {port}"));
}

#[test]
fn an_upstream_that_takes_no_header_is_left_for_the_next() {
    let back = back("", HEARD);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = site().route("/*", "proxy = \"app\"").endpoints(
        "app",
        &[closed.to_string(), back.address("web").to_string()],
        "send_proxy = \"v2\"",
    );
    let proxy = Proxy::start(&config);
    for _ in 0..2 {
        let mut client = proxy.client();
        let expected = heard(&client, &proxy);
        client.ask(&get("/")).expect_status(200).expect_text(&expected);
    }
}
