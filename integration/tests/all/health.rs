//! Endpoints that are not well are passed over, and asked again when they are.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use switchback_integration::{
    Answer, Authority, Choice, Config, Deadline, H2Origin, Origin, Proxy, Reply, Step, eventually,
    site,
};

/// Probes that do not keep a test waiting.
const OFTEN: &str = "every = \"20ms\", timeout = \"5s\"";

fn to(endpoints: &[String], lines: &str) -> Config {
    // In turn: how often each is asked must not depend on chance.
    let lines = format!("balance = \"round_robin\"\n{lines}");
    site().top("workers = 1").route("/*", "proxy = \"app\"").endpoints("app", endpoints, lines)
}

fn before(origins: &[&Origin], lines: &str) -> Config {
    let endpoints: Vec<_> = origins.iter().map(|origin| origin.endpoint().to_string()).collect();
    to(&endpoints, lines)
}

fn sample(proxy: &Proxy, name: &str) -> u64 {
    let metrics = proxy.control("GET", "/metrics", None).text();
    let prefix = format!("switchback_{name} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&*prefix));
    value.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
}

fn standing(proxy: &Proxy, state: &str) -> u64 {
    sample(proxy, &format!("upstream_endpoints{{upstream=\"app\",state=\"{state}\"}}"))
}

fn wait_until(proxy: &Proxy, state: &str, count: u64) {
    eventually(&format!("{count} {state}"), Deadline::soon(), || {
        (standing(proxy, state) == count).then_some(())
    });
}

fn ejections(proxy: &Proxy, cause: &str) -> u64 {
    sample(proxy, &format!("endpoint_ejections_total{{cause=\"{cause}\"}}"))
}

/// An address that nobody listens at.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn status(status: u16) -> Reply {
    Reply::ok("x").status(status)
}

#[test]
fn one_that_refuses_connections_costs_five_tries_and_no_request() {
    let origin = Origin::start();
    let endpoints = [nobody().to_string(), origin.endpoint().to_string()];
    let proxy = Proxy::start(&to(&endpoints, ""));
    for _ in 0..30 {
        proxy.get("/").expect_status(200);
    }
    assert_eq!(sample(&proxy, "upstream_connect_failures_total"), 5);
    assert_eq!((ejections(&proxy, "errors"), standing(&proxy, "ejected")), (1, 1));
    proxy.wait_for_stderr("endpoint ejected");
}

#[test]
fn one_that_answers_503_is_ejected_and_returns_when_it_is_well() {
    for bad in [502, 503, 504] {
        let origins = [Origin::start().serve("*", status(bad)), Origin::start()];
        let proxy =
            Proxy::start(&before(&[&origins[0], &origins[1]], "outliers = { base = \"400ms\" }"));
        let failed = eventually("it goes", Deadline::soon(), || {
            proxy.get("/");
            (ejections(&proxy, "errors") == 1).then(|| origins[0].requests("*").len())
        });
        assert_eq!(failed, 5, "{bad}");
        origins[0].now_serve("*", Reply::ok("well"));
        eventually("it is back", Deadline::soon(), || {
            let is_back = proxy.get("/").text() == "well";
            (is_back && standing(&proxy, "ready") == 2).then_some(())
        });
    }
}

/// A listener whose queue is full: who connects hears nothing.
fn full() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
    let filling = std::iter::from_fn(connect).collect();
    (listener, filling)
}

#[test]
fn one_that_does_not_take_connections_costs_five_tries_and_no_request() {
    let (origin, (listener, _filling)) = (Origin::start(), full());
    let endpoints = [listener.local_addr().unwrap().to_string(), origin.endpoint().to_string()];
    let proxy = Proxy::start(&to(&endpoints, "timeouts.connect = \"100ms\""));
    for _ in 0..30 {
        proxy.get("/").expect_status(200);
    }
    assert_eq!(sample(&proxy, "upstream_connect_failures_total"), 5);
    assert_eq!((ejections(&proxy, "errors"), standing(&proxy, "ejected")), (1, 1));
}

#[test]
fn one_that_never_answers_or_breaks_within_the_head_costs_five_tries_and_no_get() {
    for failure in [
        vec![Step::ReadBody, Step::Stall],
        vec![Step::ReadBody, Step::send("HTTP/1.1 200 OK\r\nX-Ha"), Step::Stall],
        vec![Step::ReadBody, Step::send("HTTP/1.1 200 OK\r\nX-Ha"), Step::Reset],
        vec![Step::ReadBody, Step::Fin],
    ] {
        let bad = Origin::start().serve("*", Answer::Script(failure.clone()));
        let good = Origin::start();
        let lines = "timeouts.read = \"200ms\"\nretry = { budget = \"100%\" }";
        let proxy = Proxy::start(&before(&[&bad, &good], lines));
        for _ in 0..20 {
            proxy.get("/").expect_status(200);
        }
        assert_eq!(bad.heads(), 5, "{failure:?}");
        assert_eq!((ejections(&proxy, "errors"), standing(&proxy, "ejected")), (1, 1));
    }
}

#[test]
fn one_that_answers_500_is_ejected_for_its_success_rate() {
    let origins = [500, 200, 200, 200, 200].map(|code| Origin::start().serve("*", status(code)));
    let origins: Vec<_> = origins.iter().collect();
    let lines = "outliers = { requests = 10, window = \"1h\" }";
    let proxy = Proxy::start(&before(&origins, lines));
    eventually("it goes", Deadline::soon(), || {
        proxy.get("/");
        (ejections(&proxy, "success_rate") == 1).then_some(())
    });
    for _ in 0..10 {
        proxy.get("/").expect_status(200);
    }
    assert_eq!(ejections(&proxy, "errors"), 0);
}

#[test]
fn one_that_fails_when_it_returns_is_away_for_twice_as_long() {
    let origins = [Origin::start().serve("*", status(503)), Origin::start()];
    let proxy =
        Proxy::start(&before(&[&origins[0], &origins[1]], "outliers = { base = \"900ms\" }"));
    eventually("it goes twice", Deadline::soon(), || {
        proxy.get("/");
        (ejections(&proxy, "errors") == 2).then_some(())
    });
    proxy.wait_for_stderr("endpoint ejected");
    let lengths = eventually("both are told of", Deadline::soon(), || {
        let told = proxy.stderr();
        let told = told.lines().filter(|line| line.contains("endpoint ejected"));
        let lengths: Vec<f64> = told.filter_map(seconds_in).collect();
        (lengths.len() == 2).then_some(lengths)
    });
    assert!((0.8..1.0).contains(&lengths[0]) && (1.6..2.0).contains(&lengths[1]), "{lengths:?}");
    // Five at first, one when it returned.
    assert_eq!(origins[0].requests("*").len(), 6);
}

/// What a line of the log says of the length.
fn seconds_in(line: &str) -> Option<f64> {
    let (_, rest) = line.split_once("seconds")?;
    let number = rest.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    let end = number.find(|letter: char| letter != '.' && !letter.is_ascii_digit());
    number[..end.unwrap_or(number.len())].parse().ok()
}

#[test]
fn errors_that_are_not_in_a_row_are_no_reason() {
    let turns = Choice::new(|request| {
        let head = if request.target.ends_with('1') { "503 Off" } else { "200 On" };
        vec![Step::send(format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n")), Step::Next]
    });
    let origins = [(); 2].map(|()| Origin::start().serve("*", Answer::Chosen(turns.clone())));
    let proxy = Proxy::start(&before(&[&origins[0], &origins[1]], ""));
    for round in 0..8 {
        for _ in 0..8 {
            proxy.get(&format!("/{}", round % 2));
        }
    }
    assert_eq!(ejections(&proxy, "errors"), 0);
}

#[test]
fn the_only_one_is_asked_whatever_it_answers_and_so_are_all_where_outliers_are_off() {
    let origins = [(); 3].map(|()| Origin::start().serve("*", status(503)));
    let alone = Proxy::start(&before(&[&origins[0]], ""));
    let off = Proxy::start(&before(&[&origins[1], &origins[2]], "outliers = \"off\""));
    for proxy in [&alone, &off] {
        for _ in 0..20 {
            proxy.get("/").expect_status(503);
        }
        assert_eq!(standing(proxy, "ejected"), 0);
    }
    assert_eq!(origins.each_ref().map(|origin| origin.requests("*").len()), [20, 10, 10]);
}

#[test]
fn one_far_slower_than_the_others_is_ejected() {
    let slow = Choice::new(|_| {
        std::thread::park_timeout(Duration::from_millis(80));
        vec![Step::send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Step::Next]
    });
    let origins =
        [Origin::start().serve("*", Answer::Chosen(slow)), Origin::start(), Origin::start()];
    let lines = "outliers = { latency = 2.5, window = \"1h\" }";
    let proxy = Proxy::start(&before(&[&origins[0], &origins[1], &origins[2]], lines));
    let mut client = proxy.client();
    eventually("it goes", Deadline::soon(), || {
        client.ask(&switchback_integration::get("/")).expect_status(200);
        (ejections(&proxy, "latency") == 1).then_some(())
    });
    let asked = origins[0].requests("*").len();
    for _ in 0..10 {
        proxy.get("/").expect_status(200);
    }
    assert_eq!(origins[0].requests("*").len(), asked);
}

#[test]
fn what_is_known_of_an_endpoint_outlives_a_reload() {
    let origins = [Origin::start().serve("*", status(503)), Origin::start()];
    let config = before(&[&origins[0], &origins[1]], "");
    let proxy = Proxy::start(&config);
    eventually("it goes", Deadline::soon(), || {
        proxy.get("/");
        (ejections(&proxy, "errors") == 1).then_some(())
    });
    proxy.reload(&config).expect_accepted();
    for _ in 0..10 {
        proxy.get("/").expect_status(200);
    }
    assert_eq!((standing(&proxy, "ejected"), origins[0].requests("*").len()), (1, 5));
}

#[test]
fn one_whose_probes_fail_is_not_asked_until_they_pass() {
    let origins = [Origin::start().serve("/healthz", status(500)), Origin::start()];
    let lines = format!("health = {{ path = \"/healthz\", {OFTEN} }}");
    let proxy = Proxy::start(&before(&[&origins[0], &origins[1]], &lines));
    wait_until(&proxy, "down", 1);
    for _ in 0..10 {
        proxy.get("/x").expect_status(200);
    }
    assert!(origins[0].requests("/x").is_empty());
    let known = proxy.stderr();
    assert_eq!(known.matches("endpoint is down").count(), 1, "{known}");
    assert!(known.contains("status 500"), "{known}");

    origins[0].now_serve("/healthz", Reply::ok(""));
    wait_until(&proxy, "ready", 2);
    proxy.wait_for_stderr("endpoint is up");
    for _ in 0..4 {
        proxy.get("/x").expect_status(200);
    }
    assert!(!origins[0].requests("/x").is_empty());
    assert!(sample(&proxy, "health_probes_total") > sample(&proxy, "health_probe_failures_total"));
}

#[test]
fn a_probe_asks_as_it_is_told_and_looks_at_status_and_body() {
    let long = format!("{}all is well", "x".repeat(9000));
    let origin = Origin::start().serve("/h", status(304)).serve("/i", Reply::ok(long));
    let asks = format!(
        "health = {{ path = \"/h?deep=1\", method = \"HEAD\", host = \"app.example\", status = \"200, 304\", {OFTEN} }}"
    );
    let proxy = Proxy::start(&before(&[&origin], &asks));
    let asked = &origin.wait_for_requests("/h", 3)[0];
    assert_eq!((&*asked.method, &*asked.target), ("HEAD", "/h?deep=1"));
    assert_eq!(asked.headers.get("host"), Some("app.example"));
    assert_eq!(standing(&proxy, "ready"), 1);

    let holds = |text: &str| {
        before(&[&origin], &format!("health = {{ path = \"/i\", body = \"{text}\", {OFTEN} }}"))
    };
    proxy.reload(&holds("all is lost")).expect_accepted();
    wait_until(&proxy, "down", 1);
    proxy.wait_for_stderr("the body does not hold");
    proxy.reload(&holds("all is well")).expect_accepted();
    wait_until(&proxy, "ready", 1);
}

#[test]
fn one_that_never_answers_a_probe_is_down() {
    let origins = [Origin::start().serve("/healthz", [Step::Stall]), Origin::start()];
    let lines = "health = { path = \"/healthz\", every = \"20ms\", timeout = \"300ms\" }";
    let proxy = Proxy::start(&before(&[&origins[0], &origins[1]], lines));
    wait_until(&proxy, "down", 1);
    proxy.wait_for_stderr("no answer in 300 ms");
}

#[test]
fn a_connection_is_enough_for_a_probe_of_tcp() {
    let (there, address) = (Origin::start(), nobody());
    let endpoints = [there.endpoint().to_string(), address.to_string()];
    let proxy = Proxy::start(&to(&endpoints, &format!("health = {{ kind = \"tcp\", {OFTEN} }}")));
    wait_until(&proxy, "down", 1);
    let _listener = TcpListener::bind(address).unwrap();
    wait_until(&proxy, "ready", 2);
    assert_eq!(there.heads(), 0);
}

#[test]
fn a_probe_of_tls_verifies_as_requests_are() {
    let authority = Authority::new();
    let origin = Origin::start_tls(&authority.identity(&["app.example"]));
    let named = |name: &str| {
        let tls = format!("tls = {{ server_name = \"{name}\", ca = \"ca.pem\" }}");
        let lines = format!("{tls}\nhealth = {{ kind = \"tls\", {OFTEN} }}");
        before(&[&origin], &lines).file("ca.pem", authority.pem())
    };
    let proxy = Proxy::start(&named("other.example"));
    wait_until(&proxy, "down", 1);
    proxy.wait_for_stderr("endpoint is down");
    proxy.reload(&named("app.example")).expect_accepted();
    wait_until(&proxy, "ready", 1);
    assert_eq!(origin.heads(), 0);
}

#[test]
fn grpc_is_asked_by_its_own_protocol_with_and_without_tls() {
    let authority = Authority::new();
    let plain = H2Origin::start();
    let secured = H2Origin::start_tls(&authority.identity(&["app.example"]));
    let config = |origin: &H2Origin, service: &str, tls: &str| {
        let lines =
            format!("{tls}\nhealth = {{ kind = \"grpc\", service = \"{service}\", {OFTEN} }}");
        to(&[origin.address().to_string()], &lines).file("ca.pem", authority.pem())
    };
    let tls = "tls = { server_name = \"app.example\", ca = \"ca.pem\" }";
    let proxy = Proxy::start(&config(&plain, "paused", ""));
    wait_until(&proxy, "down", 1);
    proxy.wait_for_stderr("not serving");
    for (origin, tls) in [(&plain, ""), (&secured, tls)] {
        proxy.reload(&config(origin, "unknown", tls)).expect_accepted();
        wait_until(&proxy, "down", 1);
        proxy.reload(&config(origin, "app", tls)).expect_accepted();
        wait_until(&proxy, "ready", 1);
    }
    proxy.wait_for_stderr("grpc-status 5");
    let asked = &plain.requests()[0];
    assert_eq!((asked.method.as_str(), &*asked.path), ("POST", "/grpc.health.v1.Health/Check"));
}

#[test]
fn an_upstream_of_http2_is_probed_over_http2() {
    let origin = H2Origin::start();
    let lines = format!("protocol = \"h2\"\nhealth = {{ path = \"/healthz\", {OFTEN} }}");
    let proxy = Proxy::start(&to(&[origin.address().to_string()], &lines));
    eventually("probes come", Deadline::soon(), || (origin.requests().len() > 3).then_some(()));
    assert_eq!(origin.requests()[0].path, "/healthz");
    assert_eq!((standing(&proxy, "ready"), sample(&proxy, "health_probe_failures_total")), (1, 0));
}

#[test]
fn probes_go_to_the_port_that_is_said_and_begin_with_the_header_that_is_wanted() {
    for (version, header) in
        [("v1", &b"PROXY UNKNOWN\r\n"[..]), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")]
    {
        let (origin, side) = (Origin::start(), TcpListener::bind("127.0.0.1:0").unwrap());
        let port = side.local_addr().unwrap().port();
        let lines = format!(
            "send_proxy = \"{version}\"\nhealth = {{ path = \"/healthz\", port = {port}, {OFTEN} }}"
        );
        let proxy = Proxy::start(&before(&[&origin], &lines));
        let (mut stream, _) = side.accept().unwrap();
        let expected = [header, b"GET /healthz HTTP/1.1\r\n"].concat();
        let mut received = vec![0; expected.len()];
        stream.read_exact(&mut received).unwrap();
        assert_eq!(received, expected);
        stream.write_all(b"HTTP/1.1 204 Well\r\n\r\n").unwrap();
        eventually("it counts", Deadline::soon(), || {
            (sample(&proxy, "health_probes_total") == 1).then_some(())
        });
        assert_eq!(standing(&proxy, "ready"), 1);
    }
}

#[test]
fn when_too_few_are_well_all_are_asked_unless_that_is_said_never_to_be() {
    let origins = [(); 2].map(|()| Origin::start().serve("/healthz", status(500)));
    let lines = format!("health = {{ path = \"/healthz\", {OFTEN} }}");
    let both = [&origins[0], &origins[1]];
    let proxy = Proxy::start(&before(&both, &lines));
    wait_until(&proxy, "down", 2);
    proxy.get("/x").expect_status(200);
    proxy.reload(&before(&both, &format!("{lines}\npanic = \"0%\""))).expect_accepted();
    proxy.get("/x").expect_status(502);
    proxy.wait_for_stderr("none is well");
}

#[test]
fn probes_follow_reloads_and_end_with_their_endpoint() {
    let origins = [Origin::start(), Origin::start().serve("/healthz", status(500))];
    let lines = format!("health = {{ path = \"/healthz\", {OFTEN} }}");
    let proxy = Proxy::start(&before(&[&origins[0], &origins[1]], &lines));
    wait_until(&proxy, "down", 1);
    proxy.reload(&before(&[&origins[0]], &lines)).expect_accepted();
    let more = |count| {
        origins[0].wait_for_requests("/healthz", origins[0].requests("/healthz").len() + count)
    };
    more(2);
    let left = origins[1].requests("/healthz").len();
    more(5);
    assert!(origins[1].requests("/healthz").len() <= left);

    // Without probes nobody would ever say that it is well again: it counts as well.
    proxy.reload(&before(&[&origins[0], &origins[1]], &lines)).expect_accepted();
    wait_until(&proxy, "down", 1);
    proxy.reload(&before(&[&origins[0], &origins[1]], "")).expect_accepted();
    wait_until(&proxy, "ready", 2);
}

#[test]
fn an_ejected_endpoint_whose_probes_pass_returns_before_its_time() {
    let origins = [Origin::start().serve("/x", status(503)), Origin::start()];
    let lines = format!(
        "health = {{ path = \"/healthz\", {OFTEN} }}\noutliers = {{ base = \"1h\", longest = \"1h\" }}"
    );
    let proxy = Proxy::start(&before(&[&origins[0], &origins[1]], &lines));
    eventually("it goes", Deadline::soon(), || {
        proxy.get("/x");
        (ejections(&proxy, "errors") == 1).then_some(())
    });
    wait_until(&proxy, "returning", 1);
    proxy.wait_for_stderr("endpoint returns sooner");
}

#[test]
fn one_whose_probes_pass_again_comes_to_its_share_slowly() {
    let origins = [Origin::start().serve("/healthz", status(500)), Origin::start()];
    let lines = format!("slow_start = \"1h\"\nhealth = {{ path = \"/healthz\", {OFTEN} }}");
    let proxy = Proxy::start(&before(&[&origins[0], &origins[1]], &lines));
    wait_until(&proxy, "down", 1);
    origins[0].now_serve("/healthz", Reply::ok(""));
    wait_until(&proxy, "ready", 2);
    proxy.wait_for_stderr("endpoint is up");
    for _ in 0..200 {
        proxy.get("/x").expect_status(200);
    }
    let asked = origins[0].requests("/x").len();
    assert!((1..60).contains(&asked), "{asked} of 200");
}
