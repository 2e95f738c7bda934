//! What upstreams are told about the client, and who is believed.

use switchback_integration::{Config, Origin, Proxy, Received, config, get};

fn through(origin: &Origin, top: &str, tables: &str) -> Proxy {
    let config: Config = config().top(top).toml(tables).web("").site("").proxy_to(origin);
    Proxy::start(&config)
}

fn asked_with(proxy: &Proxy, origin: &Origin, headers: &[(&str, &str)]) -> Received {
    let request =
        headers.iter().fold(get("/"), |request, (name, value)| request.header(name, value));
    proxy.ask(&request.host("h.example:8080")).expect_status(200);
    origin.requests("*").pop().unwrap()
}

/// What a client might forge.
const FORGED: [(&str, &str); 14] = [
    ("X-Forwarded-For", "1.2.3.4"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "forged.example"),
    ("X-Forwarded-Port", "443"),
    ("X-Forwarded-Server", "forged"),
    ("X-Forwarded-Prefix", "/forged"),
    ("X-Forwarded", "forged"),
    ("X-Real-IP", "1.2.3.4"),
    ("Forwarded", "for=1.2.3.4"),
    ("X-Request-ID", "forged"),
    ("X_Forwarded_For", "1.2.3.4"),
    ("X_Forwarded-Proto", "https"),
    ("X-Forwarded_Host", "forged.example"),
    ("X_Real_IP", "1.2.3.4"),
];

#[test]
fn a_stranger_is_not_believed() {
    let origin = Origin::start();
    let proxy = through(&origin, "", "");
    let received = asked_with(&proxy, &origin, &FORGED).headers;
    assert_eq!(received.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(received.get("x-forwarded-proto"), Some("http"));
    assert_eq!(received.get("x-forwarded-host"), Some("h.example:8080"));
    for (name, value) in &received.0 {
        // A port or a request id of our own may hold "443" by chance, so short words are compared whole.
        let forged = value.contains("1.2.3.4") || value.contains("forged");
        assert!(!forged && value != "https" && value != "443", "{name}: {value} was passed on");
        assert!(!name.contains('_'), "{name} was passed on");
    }
}

#[test]
fn a_trusted_proxy_is_believed_and_added_to() {
    let origin = Origin::start();
    let proxy = through(&origin, "trusted_proxies = [\"127.0.0.0/8\"]", "");
    let said = [
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Request-ID", "abc-1"),
    ];
    let received = asked_with(&proxy, &origin, &said).headers;
    assert_eq!(received.get("x-forwarded-for"), Some("203.0.113.7, 127.0.0.1"));
    assert_eq!(received.get("x-forwarded-proto"), Some("https"));
    assert_eq!(received.get("x-request-id"), Some("abc-1"));
}

#[test]
fn underscore_names_are_dropped_even_from_a_trusted_proxy() {
    let origin = Origin::start();
    let proxy = through(&origin, "trusted_proxies = [\"127.0.0.0/8\"]", "");
    let received =
        asked_with(&proxy, &origin, &[("X_Forwarded_For", "1.2.3.4"), ("X_Request_ID", "x")])
            .headers;
    assert!(received.0.iter().all(|(name, _)| !name.contains('_')), "{received:?}");
}

#[test]
fn the_client_address_is_the_nearest_that_is_not_trusted() {
    let config = config()
        .top("trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]")
        .web("")
        .site("")
        .route("/*", "respond = { status = 200, body = \"$remote_addr\" }");
    let proxy = Proxy::start(&config);
    let address = |chain: &str| proxy.ask(&get("/").header("X-Forwarded-For", chain)).text();
    assert_eq!(address("1.2.3.4"), "1.2.3.4");
    assert_eq!(address("6.6.6.6, 1.2.3.4, 10.1.1.1"), "1.2.3.4");
    assert_eq!(address("6.6.6.6, garbage, 10.1.1.1"), "10.1.1.1");
    assert_eq!(proxy.get("/").text(), "127.0.0.1");
}

#[test]
fn a_request_id_is_made_where_none_is_believed() {
    let origin = Origin::start();
    let proxy = through(&origin, "", "");
    let id = |received: Received| received.headers.get("x-request-id").unwrap().to_owned();
    let first = id(asked_with(&proxy, &origin, &[("X-Request-ID", "forged")]));
    let second = id(asked_with(&proxy, &origin, &[]));
    assert!(first != "forged" && first != second && first.len() >= 16, "{first} {second}");
}

#[test]
fn forwarded_and_via_are_written_as_configured() {
    let origin = Origin::start();
    let tables =
        "[forwarding]\nx_forwarded = false\nforwarded = true\nrequest_id = false\nvia = \"edge\"\n";
    let received = asked_with(&through(&origin, "", tables), &origin, &FORGED).headers;
    let forwarded = received.get("forwarded").unwrap().to_ascii_lowercase();
    assert!(forwarded.contains("for=127.0.0.1") && forwarded.contains("proto=http"), "{forwarded}");
    assert!(received.get("via").is_some_and(|via| via.ends_with("1.1 edge")), "{received:?}");
    for absent in ["x-forwarded-for", "x-forwarded-proto", "x-request-id"] {
        assert!(received.all(absent).is_empty(), "{absent}");
    }
}

#[test]
fn via_is_added_to_what_a_trusted_proxy_said() {
    let origin = Origin::start();
    let via = |trusted: &str| {
        let proxy = through(&origin, trusted, "");
        asked_with(&proxy, &origin, &[("Via", "1.0 fred")]).headers.all("via").join(", ")
    };
    assert_eq!(via("trusted_proxies = [\"127.0.0.0/8\"]"), "1.0 fred, 1.1 switchback");
    assert_eq!(via(""), "1.1 switchback");
}

#[test]
fn via_that_is_off_is_passed_on_as_it_came() {
    let origin = Origin::start();
    for trusted in ["", "trusted_proxies = [\"127.0.0.0/8\"]"] {
        let proxy = through(&origin, trusted, "[forwarding]\nvia = \"off\"\n");
        let received = asked_with(&proxy, &origin, &[("Via", "1.0 fred"), ("Via", "1.1 p")]);
        assert_eq!(received.headers.all("via"), ["1.0 fred", "1.1 p"]);
        assert!(asked_with(&proxy, &origin, &[]).headers.all("via").is_empty());
    }
}
