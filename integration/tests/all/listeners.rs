//! Addresses bound and let go while the process runs.

use std::net::TcpStream;

use switchback_integration::{
    Authority, Config, Deadline, Gate, Identity, Origin, Proxy, Step, Trust, config, eventually,
    get, site,
};

/// Listeners on loopback addresses of their own.
fn listening(names: &[&str]) -> Config {
    let listen = |config: Config, (index, name): (usize, &&str)| {
        config.listener(format_args!("name = \"{name}\"\naddress = \"127.0.0.{}:0\"", index + 1))
    };
    names.iter().enumerate().fold(config(), listen)
}

/// The same, all with the same answer.
fn with(names: &[&str]) -> Config {
    listening(names).site("").respond("/*", "x")
}

#[test]
fn a_listener_is_added_and_removed() {
    let proxy = Proxy::start(&with(&["web"]));
    proxy.reload(&with(&["web", "more"])).expect_accepted();
    let more = proxy.address("more");
    switchback_integration::Client::tcp(more).ask(&get("/")).expect_body("x");
    proxy.reload(&with(&["web"])).expect_accepted();
    eventually("the removed listener refuses", Deadline::soon(), || {
        TcpStream::connect(more).is_err().then_some(())
    });
    proxy.get("/").expect_body("x");
}

#[test]
fn a_connection_of_a_removed_listener_reaches_no_site_of_another() {
    let named = |names: &[&str], sites: &str| {
        listening(names).site(format_args!("listeners = [{sites}]")).respond("/*", "x")
    };
    let proxy = Proxy::start(&named(&["web", "more"], "\"web\", \"more\""));
    let mut client = switchback_integration::Client::tcp(proxy.address("more"));
    client.ask(&get("/")).expect_body("x");
    proxy.reload(&named(&["web"], "\"web\"")).expect_accepted();
    client.ask(&get("/")).expect_status(404).expect_header("connection", "close");
    client.expect_close();
}

#[test]
fn the_last_request_on_a_removed_listener_is_answered_by_sites_that_are_everywhere() {
    let origin = Origin::start();
    let two = |config: Config| config.site("").respond("/", "x").proxy_to(&origin);
    let proxy = Proxy::start(&two(listening(&["web", "more"])));
    let open = || switchback_integration::Client::tcp(proxy.address("more"));
    let (mut here, mut proxied) = (open(), open());
    here.ask(&get("/")).expect_body("x");
    proxied.ask(&get("/app")).expect_status(200);
    proxy.reload(&two(listening(&["web"]))).expect_accepted();
    here.ask(&get("/")).expect_body("x").expect_header("connection", "close");
    here.expect_close();
    proxied.ask(&get("/app")).expect_status(200).expect_header("connection", "close");
    proxied.expect_close();
}

#[test]
fn a_listener_that_stays_keeps_its_port_and_its_connections() {
    let proxy = Proxy::start(&with(&["web"]));
    let before = proxy.address("web");
    let mut client = proxy.client();
    client.ask(&get("/")).expect_status(200);
    proxy.reload(&with(&["web", "more"])).expect_accepted();
    assert_eq!(proxy.address("web"), before);
    client.ask(&get("/")).expect_status(200);
}

#[test]
fn a_request_on_a_removed_listener_is_finished() {
    let gate = Gate::new();
    let steps = [
        Step::ReadBody,
        Step::Wait(gate.clone()),
        Step::send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow"),
    ];
    let origin = Origin::start().serve("*", steps);
    let proxy = Proxy::start(&site().proxy_to(&origin));
    let mut client = proxy.client();
    client.send(get("/slow").to_bytes());
    origin.wait_for_requests("*", 1);
    let other = config()
        .listener("name = \"other\"\naddress = \"127.0.0.2:0\"")
        .site("")
        .respond("/*", "x");
    proxy.reload(&other).expect_accepted();
    gate.pass();
    client.response().expect_status(200).expect_body("slow");
}

#[test]
fn an_address_in_use_refuses_the_start_and_the_reload() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let on = |address: &str| {
        config().listener(format_args!("address = \"{address}\"")).site("").respond("/*", "x")
    };
    let address = taken.local_addr().unwrap().to_string();
    let refusal = Proxy::try_start(&on(&address)).err().expect("the address is taken");
    assert_eq!(refusal.code, Some(1));
    assert!(refusal.stderr.contains(&address), "{}", refusal.stderr);
    let proxy = Proxy::start(&with(&["web"]));
    let verdict = proxy.reload(&with(&["web"]).listener(format_args!("address = \"{address}\"")));
    assert!(!verdict.accepted);
    proxy.get("/").expect_body("x");
}

#[test]
fn two_processes_share_an_address_if_both_say_so() {
    let on = |address: &str, socket: &str, body: &str| {
        let listener = format!("name = \"web\"\naddress = \"{address}\"\nsocket = {{ {socket} }}");
        config().top("workers = 1").listener(listener).site("").respond("/*", body)
    };
    let first = Proxy::start(&on("127.0.0.1:0", "share = true", "first"));
    let address = first.address("web").to_string();
    let refusal = Proxy::try_start(&on(&address, "", "second")).err();
    assert_eq!(refusal.expect("it does not say so").code, Some(1));
    let second = Proxy::start(&on(&address, "share = true", "second"));
    for proxy in ["first", "second"] {
        eventually(&format!("the {proxy} gets a connection"), Deadline::soon(), || {
            (first.get("/").text() == proxy).then_some(())
        });
    }
    second.stop();
    first.get("/").expect_body("first");
}

#[test]
fn sites_answer_on_their_own_listeners_only() {
    let two = config()
        .listener("name = \"web\"\naddress = \"127.0.0.1:0\"")
        .listener("name = \"inner\"\naddress = \"127.0.0.2:0\"")
        .site("listeners = [\"web\"]")
        .respond("/*", "public")
        .site("listeners = [\"inner\"]")
        .respond("/*", "private");
    let proxy = Proxy::start(&two);
    proxy.get("/").expect_body("public");
    switchback_integration::Client::tcp(proxy.address("inner"))
        .ask(&get("/"))
        .expect_body("private");
}

#[test]
fn a_renewed_certificate_is_served_after_a_reload() {
    let authority = Authority::new();
    let with = |identity: &Identity| {
        config()
            .file("edge.pem", identity.certificate_pem())
            .file("edge.key", identity.key_pem())
            .web("tls = { certificate = \"edge.pem\", key = \"edge.key\" }")
            .site("")
            .respond("/*", "x")
    };
    let proxy = Proxy::start(&with(&Identity::self_signed(&["edge.example"])));
    let trust = Trust::Authority(&authority);
    assert!(
        switchback_integration::Client::try_tls(proxy.address("web"), "edge.example", &trust)
            .is_err()
    );
    proxy.reload(&with(&authority.identity(&["edge.example"]))).expect_accepted();
    proxy.tls_client("edge.example", &trust).ask(&get("/")).expect_body("x");
}

#[test]
fn a_self_signed_listener_serves_its_names() {
    let config = config()
        .web("tls = { self_signed = [\"localhost\", \"127.0.0.1\"] }")
        .site("")
        .respond("/*", "$scheme");
    let proxy = Proxy::start(&config);
    proxy.tls_client("localhost", &Trust::Anyone).ask(&get("/")).expect_status(200);
}

#[test]
fn an_ipv6_wildcard_takes_both_families() {
    let config = config().listener("name = \"web\"\naddress = \":0\"").site("").respond("/*", "x");
    let proxy = Proxy::start(&config);
    let port = proxy.address("web").port();
    for address in ["127.0.0.1", "::1"] {
        let address = (address.parse::<std::net::IpAddr>().unwrap(), port).into();
        switchback_integration::Client::tcp(address).ask(&get("/")).expect_body("x");
    }
}

/// Bytes that the kernel holds for the clients of the proxy that have not acknowledged them.
fn unacknowledged(proxy: &Proxy) -> u64 {
    let address = format!("0100007F:{:04X}", proxy.address("web").port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let held = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let queued = fields.get(4)?.split_once(':')?.0;
        (fields[1] == address && fields[3] == "01").then(|| u64::from_str_radix(queued, 16).ok())?
    };
    table.lines().filter_map(held).sum()
}

#[test]
fn a_client_that_reads_nothing_holds_little_of_the_kernels_memory() {
    let held = |socket: &str| {
        let listener = format!("socket = {{ {socket} }}");
        let config = config().top("workers = 1").web(listener).site("");
        let config =
            config.route("/big", "files = \"files\"").file("files/big", "x".repeat(8 << 20));
        let config = config.respond("/other", "x");
        let proxy = Proxy::start(&config);
        let mut stalled = proxy.client();
        stalled.send(get("/big").to_bytes());
        eventually("something is sent", Deadline::soon(), || {
            (unacknowledged(&proxy) > 0).then_some(())
        });
        // The only worker has done what it could for the first when it answers another.
        proxy.client().ask(&get("/other")).expect_body("x");
        let held = unacknowledged(&proxy);
        assert_eq!(stalled.response().expect_status(200).body.len(), 8 << 20);
        held
    };
    assert!(held("") < 512 << 10, "{}", held(""));
    assert!(held("notsent_lowat = \"16MiB\"") > 1 << 20);
}
