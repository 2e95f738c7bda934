//! The PROXY protocol from proxies in front: whose connection it is, and what is closed.

use std::net::TcpListener;

use switchback_integration::{
    Authority, Client, Config, Deadline, Origin, Peer, Proxy, Trust, config, eventually, get, site,
};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.9 56324 443\r\n";

/// A header of version 2.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, block].concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], value].concat()
}

/// The same as [`LINE`] in version 2, with these values.
fn binary(tlvs: &[Vec<u8>]) -> Vec<u8> {
    let ends = [192, 0, 2, 7, 198, 51, 100, 9, 0xdc, 0x04, 0x01, 0xbb];
    v2(0x21, 0x11, &[ends.to_vec(), tlvs.concat()].concat())
}

const ANSWER: &str = "$remote_addr $remote_port $realip_remote_addr $server_port";

/// A site that says who the client is.
fn told(listener: &str, body: &str) -> Config {
    config().web(listener).site("").route("/*", respond(body))
}

fn respond(body: &str) -> String {
    format!("respond = {{ status = 200, body = '{body}' }}")
}

const FROM_HERE: &str = "proxy_protocol = { from = [\"127.0.0.1\"] }";

/// As [`FROM_HERE`], with time enough for a segment for each byte.
const PATIENT: &str = "proxy_protocol = { from = [\"127.0.0.1\"], timeout = \"1m\" }\n\
                       timeouts = { header = \"1m\", handshake = \"1m\" }";

fn refused(proxy: &Proxy, reason: &str) -> u64 {
    let text = proxy.control("GET", "/metrics", None).expect_status(200).text();
    let name = format!("switchback_refused_proxy_headers_total{{reason=\"{reason}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(name.as_str()));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

fn request() -> Vec<u8> {
    get("/x").to_bytes()
}

#[test]
fn the_source_of_a_header_is_the_client() {
    let proxy = Proxy::start(&told(FROM_HERE, ANSWER));
    let port = proxy.address("web").port();
    for header in [LINE.to_vec(), binary(&[])] {
        // In one segment with the request, and the connection goes on as any other.
        let mut client = proxy.client();
        let answer = client.send([header, request()].concat()).response();
        answer.expect_text(&format!("192.0.2.7 56324 127.0.0.1 {port}"));
        client.ask(&get("/again")).expect_text(&format!("192.0.2.7 56324 127.0.0.1 {port}"));
    }
    let one = [&[0; 15][..], &[1]].concat();
    let inet6 = v2(0x21, 0x21, &[&one[..], &one, &[0, 7, 0, 8]].concat());
    let answer = proxy.client().send([inet6, request()].concat()).response();
    answer.expect_text(&format!("::1 7 127.0.0.1 {port}"));
}

#[test]
fn a_header_may_come_in_any_pieces() {
    let proxy = Proxy::start(&told(PATIENT, ANSWER));
    let tlvs = [tlv(0x01, b"http/1.1"), tlv(0x05, b"id")];
    for header in [LINE.to_vec(), binary(&tlvs)] {
        let bytes = [header.clone(), request()].concat();
        for at in 1..header.len() + 4 {
            let mut client = proxy.client();
            let answer = client.send_cut(&bytes, at).response();
            assert!(answer.text().starts_with("192.0.2.7 56324 "), "cut at {at}");
        }
        let answer = proxy.client().send_bytewise(&bytes).response();
        assert!(answer.text().starts_with("192.0.2.7 56324 "));
    }
}

#[test]
fn a_header_stands_before_tls() {
    let listener = format!("{PATIENT}\ntls = {{ self_signed = [\"localhost\"] }}");
    let proxy = Proxy::start(&told(&listener, "$remote_addr $scheme $ssl_server_name"));
    for header in [LINE.to_vec(), binary(&[tlv(0x02, b"other")])] {
        let address = proxy.address("web");
        let bytewise: Vec<&[u8]> = header.chunks(1).collect();
        for pieces in [&[&header[..]][..], &bytewise] {
            let mut client = Client::tls_behind(address, pieces, "localhost");
            client.ask(&get("/")).expect_text("192.0.2.7 https localhost");
        }
    }
}

#[test]
fn http2_comes_behind_a_header() {
    let back = told(&format!("h2c = true\n{FROM_HERE}"), "$remote_addr $server_protocol");
    let back = Proxy::start(&back);
    let front = site().route("/*", "proxy = \"app\"").endpoints(
        "app",
        &[back.address("web").to_string()],
        "protocol = \"h2\"\nsend_proxy = \"v2\"",
    );
    let front = Proxy::start(&front);
    front.get("/").expect_status(200).expect_text("127.0.0.1 HTTP/2.0");
}

#[test]
fn headers_that_name_nobody_leave_the_connection_as_it_is() {
    let proxy = Proxy::start(&told(FROM_HERE, "$remote_addr [$proxy_protocol_addr]"));
    let health_check = v2(0x20, 0x00, &[]);
    let skipped = v2(0x20, 0x11, &[7; 40]);
    let nothing_known = v2(0x21, 0x00, &[]);
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), health_check, skipped, nothing_known] {
        let answer = proxy.client().send([header, request()].concat()).response();
        answer.expect_text("127.0.0.1 []");
    }
    // Who is on a Unix socket of the proxy's machine has no address.
    let unix = v2(0x21, 0x31, &[b'/'; 216]);
    proxy.client().send([unix, request()].concat()).response().expect_text("unix: []");
}

#[test]
fn an_address_that_is_not_allowed_is_closed_and_counted() {
    let listener = "proxy_protocol = { from = [\"10.0.0.0/8\"] }";
    let proxy = Proxy::start(&told(listener, ANSWER));
    for bytes in [LINE.to_vec(), request()] {
        let mut client = proxy.client();
        // It may be gone before it is written to.
        let _ = client.try_send(bytes);
        client.expect_close();
    }
    assert_eq!(refused(&proxy, "not_allowed"), 2);
}

#[test]
fn other_addresses_come_without_a_header_where_that_is_said() {
    let listener = "proxy_protocol = { from = [\"10.0.0.0/8\"], others = \"plain\" }";
    let proxy = Proxy::start(&told(listener, "$remote_addr"));
    proxy.get("/").expect_text("127.0.0.1");
    // A header is no request.
    proxy.client().send([LINE, &request()].concat()).response().expect_status(400);
}

#[test]
fn what_is_no_header_is_closed_and_counted() {
    let proxy = Proxy::start(&told(FROM_HERE, ANSWER));
    let malformed = [
        request(),
        b"\x16\x03\x01\0\x01\0".to_vec(),
        b"PROXY TCP4 192.0.2.7 198.51.100.9 56324 443\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 198.51.100.9 56324 65536\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 198.51.100.9 056324 443\r\n".to_vec(),
        b"PROXY TCP4  192.0.2.7 198.51.100.9 56324 443\r\n".to_vec(),
        b"PROXY TCP6 192.0.2.7 198.51.100.9 56324 443\r\n".to_vec(),
        b"PROXY UDP4 192.0.2.7 198.51.100.9 56324 443\r\n".to_vec(),
        v2(0x11, 0x11, &[0; 12]),
        v2(0x22, 0x11, &[0; 12]),
        v2(0x21, 0x13, &[0; 12]),
        v2(0x21, 0x11, &[0; 11]),
        v2(0x21, 0x21, &[0; 35]),
        binary(&[vec![1]]),
        binary(&[tlv(0x05, &[0; 129])]),
        binary(&[tlv(0x20, &[0; 4])]),
    ];
    let count = u64::try_from(malformed.len()).unwrap();
    for bytes in malformed {
        let mut client = proxy.client();
        client.send(&bytes).expect_close();
    }
    assert_eq!(refused(&proxy, "malformed"), count);
    let mut client = proxy.client();
    client.send(binary(&[tlv(0x03, &[0; 4])])).expect_close();
    assert_eq!(refused(&proxy, "checksum"), 1);
    let mut client = proxy.client();
    client.send(&LINE[..20]).finish_sending().expect_close();
    assert_eq!(refused(&proxy, "cut"), 1);
}

#[test]
fn a_header_has_at_most_536_bytes() {
    let proxy = Proxy::start(&told(FROM_HERE, "$remote_addr"));
    let of = |length: usize| binary(&[tlv(0xe0, &vec![0; length - 28 - 3])]);
    let answer = proxy.client().send([of(536), request()].concat()).response();
    answer.expect_text("192.0.2.7");
    proxy.client().send([of(537), request()].concat()).expect_close();
    // It is closed for what it announces.
    proxy.client().send(&of(65_000)[..16]).expect_close();
    proxy.client().send([b"PROXY UNKNOWN ", &[b'x'; 100][..]].concat()).expect_close();
    assert_eq!(refused(&proxy, "too_long"), 3);
}

#[test]
fn a_header_that_is_late_is_closed_and_counted() {
    let listener = "proxy_protocol = { from = [\"127.0.0.1\"], timeout = \"200ms\" }";
    let proxy = Proxy::start(&told(listener, ANSWER));
    proxy.client().expect_close();
    proxy.client().send(&LINE[..10]).expect_close();
    let mut dripping = proxy.client();
    eventually("a header that drips is cut", Deadline::soon(), || {
        let ended = dripping.try_send(b"P").is_err();
        ended.then_some(())
    });
    assert!(refused(&proxy, "late") >= 2);
}

#[test]
fn upstreams_and_rules_are_told_of_the_client_behind_the_proxy() {
    let origin = Origin::start();
    let config = config()
        .web(FROM_HERE)
        .site("")
        .route("/private", format!("{}\naccess = {{ clients = [\"deny 192.0.2.7\"] }}", respond("")))
        .route("/*", "proxy = \"app\"")
        .upstream("app", &[&origin], "")
        .toml("[[log.access]]\nfile = \"access.log\"\nformat = \"$remote_addr $proxy_add_x_forwarded_for\"");
    let proxy = Proxy::start(&config);
    let tls = tlv(0x20, &[&[1, 0, 0, 0, 0][..], &tlv(0x21, b"TLSv1.3")].concat());
    let mut client = proxy.client();
    let asked = get("/x").header("X-Forwarded-For", "203.0.113.1").to_bytes();
    client.send([binary(&[tls]), asked].concat()).response().expect_status(200);
    client.ask(&get("/private")).expect_status(403);
    let headers = &origin.requests("/x")[0].headers;
    // The proxy is not trusted to speak of clients before it, and its own address is of no interest.
    assert_eq!(headers.get("x-forwarded-for"), Some("192.0.2.7"));
    assert_eq!(headers.get("x-forwarded-proto"), Some("https"));
    assert_eq!(headers.get("x-forwarded-port"), Some("443"));
    let log = eventually("a line is written", Deadline::soon(), || {
        let log = std::fs::read_to_string(proxy.folder().join("access.log")).ok()?;
        log.ends_with('\n').then_some(log)
    });
    assert!(log.starts_with("192.0.2.7 192.0.2.7\n"), "{log}");
}

#[test]
fn forwarded_headers_are_believed_of_the_source_of_the_header_alone() {
    let trusting = |network: &str| {
        let config = told(FROM_HERE, "$remote_addr $realip_remote_addr")
            .top(format!("trusted_proxies = [\"{network}\"]"));
        let proxy = Proxy::start(&config);
        let asked = get("/x").header("X-Forwarded-For", "203.0.113.1").to_bytes();
        proxy.client().send([LINE, &asked].concat()).response().text()
    };
    assert_eq!(trusting("127.0.0.1"), "192.0.2.7 127.0.0.1");
    assert_eq!(trusting("192.0.2.0/24"), "203.0.113.1 127.0.0.1");
}

#[test]
fn what_a_header_says_is_at_hand_as_variables() {
    let body = "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr \
                $proxy_protocol_server_port $proxy_protocol_tlv_alpn $proxy_protocol_tlv_authority \
                $proxy_protocol_tlv_unique_id $proxy_protocol_tlv_netns $proxy_protocol_tlv_ssl_version \
                $proxy_protocol_tlv_ssl_cn $proxy_protocol_tlv_ssl_cipher $proxy_protocol_tlv_ssl_sig_alg \
                $proxy_protocol_tlv_ssl_key_alg $proxy_protocol_tlv_ssl_verify $proxy_protocol_tlv_0xEA \
                $scheme [$https]";
    let proxy = Proxy::start(&told(FROM_HERE, body));
    let parts = [(0x21, "v"), (0x22, "cn"), (0x23, "ci"), (0x24, "s"), (0x25, "k")];
    let parts = parts.map(|(kind, text)| tlv(kind, text.as_bytes())).concat();
    let tls = tlv(0x20, &[&[7, 0, 0, 0, 18][..], &parts].concat());
    let tlvs =
        [tlv(1, b"h2"), tlv(2, b"a.b"), tlv(5, b"id"), tlv(0x30, b"ns"), tls, tlv(0xea, b"own")];
    let mut client = proxy.client();
    let answer = client.send([binary(&tlvs), request()].concat()).response();
    answer.expect_text("192.0.2.7 56324 198.51.100.9 443 h2 a.b id ns v cn ci s k 18 own http []");
    // Of a connection without them, nothing.
    let answer = proxy.client().send([LINE, &request()].concat()).response();
    assert_eq!(answer.text().trim_end(), "192.0.2.7 56324 198.51.100.9 443            http []");
}

#[test]
fn a_unix_socket_takes_headers_too() {
    let listener =
        "name = \"web\"\naddress = \"unix:web.sock\"\nproxy_protocol = { from = [\"unix\"] }";
    let config = config()
        .listener(listener)
        .site("")
        .route("/*", respond("$remote_addr $realip_remote_addr"));
    let proxy = Proxy::start(&config);
    let path = proxy.folder().join("web.sock");
    for header in [LINE.to_vec(), binary(&[])] {
        let answer = Client::unix(&path).send([header, request()].concat()).response();
        answer.expect_text("192.0.2.7 unix:");
    }
    Client::unix(&path).send(request()).expect_close();
    assert_eq!(refused(&proxy, "malformed"), 1);
}

/// A port that was free a moment ago, for HAProxy.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn headers_of_haproxy_are_understood() {
    let proxy = Proxy::start(&told(FROM_HERE, "$remote_addr:$remote_port"));
    let address = proxy.address("web");
    for option in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"]
    {
        let section = format!("unique-id-format x%pid\n server one {address} {option}");
        let Some(haproxy) = Peer::haproxy(&section) else { return };
        let mut client = haproxy.client();
        let own = client.local_address().to_string();
        client.ask(&get("/x")).expect_status(200).expect_text(&own);
        assert_eq!(refused(&proxy, "checksum"), 0);
    }
}

#[test]
fn haproxy_says_that_its_client_came_over_tls() {
    let body =
        "$remote_addr $proxy_protocol_tlv_ssl_version $proxy_protocol_tlv_ssl_verify $scheme";
    let origin = Origin::start();
    let config =
        told(FROM_HERE, body).route("/origin", "proxy = \"app\"").upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config);
    let (authority, port) = (Authority::new(), free_port());
    let identity = authority.identity(&["localhost"]);
    let folder = proxy.folder().join("haproxy.pem");
    std::fs::write(&folder, [identity.certificate_pem(), &identity.key_pem()].concat()).unwrap();
    let section = format!(
        "bind 127.0.0.1:{port} ssl crt {}\n server one {} send-proxy-v2-ssl-cn",
        folder.display(),
        proxy.address("web")
    );
    let Some(_haproxy) = Peer::haproxy(&section) else { return };
    let mut client =
        Client::tls(([127, 0, 0, 1], port).into(), "localhost", &Trust::Authority(&authority));
    client.ask(&get("/x")).expect_text("127.0.0.1 TLSv1.3 0 http");
    client.ask(&get("/origin")).expect_status(200);
    assert_eq!(origin.requests("/origin")[0].headers.get("x-forwarded-proto"), Some("https"));
}

/// A client that a proxy in front passes on and that asks once, if it is taken.
fn passed_on(proxy: &Proxy, client: &str) -> Option<Client> {
    let mut connection = Client::try_tcp(proxy.address("web")).ok()?;
    let header = format!("PROXY TCP4 {client} 198.51.100.9 56324 443\r\n").into_bytes();
    connection.try_send([header, request()].concat()).ok()?;
    let answer = connection.try_response_to("GET").ok()?;
    answer.expect_status(200);
    Some(connection)
}

#[test]
fn limits_per_client_are_held_against_whoever_the_header_names() {
    for (top, listener) in
        [("", "connections = { per_client = 2 }"), ("connections = { per_client = 2 }", "")]
    {
        let listener = format!("{FROM_HERE}\n{listener}");
        let config = config().top(top).web(listener).site("").respond("/*", "x");
        let proxy = Proxy::start(&config);
        let open = |client: &str| passed_on(&proxy, client);
        let held = [open("192.0.2.7"), open("192.0.2.8"), open("192.0.2.7"), open("192.0.2.9")];
        assert!(held.iter().all(Option::is_some));
        assert!(open("192.0.2.7").is_none());
        assert!(open("192.0.2.8").is_some());
        drop(held);
        eventually("there is room again", Deadline::soon(), || open("192.0.2.7"));
        let text = proxy.control("GET", "/metrics", None).text();
        assert!(!text.contains("refused_connections_total{reason=\"client\"} 0"), "{text}");
    }
}

#[test]
fn who_comes_without_a_header_counts_as_who_it_is() {
    let listener = "proxy_protocol = { from = [\"192.0.2.1\"], others = \"plain\" }\n\
                    connections = { per_client = 1 }";
    let proxy = Proxy::start(&told(listener, "x"));
    let mut held = proxy.client();
    held.ask(&get("/")).expect_status(200);
    // The reset of the second may overtake anything.
    let answered = |mut second: Client| {
        second.try_send(request()).is_ok() && second.try_response_to("GET").is_ok()
    };
    assert!(!Client::try_tcp(proxy.address("web")).is_ok_and(answered));
    held.ask(&get("/")).expect_status(200);
}
