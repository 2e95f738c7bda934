//! Endpoints that are found by name, or in a file, while requests go on.

use std::net::Ipv4Addr;

use switchback_integration::{
    Config, Deadline, Gate, NameServer, Origin, Proxy, Reply, Says, Service, Step, eventually, get,
    site,
};

fn to(server: &NameServer, endpoint: &str, lines: &str) -> Config {
    site()
        .top(format!("resolvers = [\"{}\"]", server.address()))
        .route("/*", "proxy = \"app\"")
        // In turn: who is asked must not depend on chance.
        .endpoints("app", &[endpoint], format_args!("balance = \"round_robin\"\n{lines}"))
}

fn ready(proxy: &Proxy) -> usize {
    let metrics = proxy.control("GET", "/metrics", None).text();
    let prefix = "switchback_upstream_endpoints{upstream=\"app\",state=\"ready\"} ";
    let value = metrics.lines().find_map(|line| line.strip_prefix(prefix)).unwrap();
    value.parse().unwrap()
}

fn wait_for_endpoints(proxy: &Proxy, count: usize) {
    eventually(&format!("{count} endpoints"), Deadline::soon(), || {
        (ready(proxy) == count).then_some(())
    });
}

fn wait_for(proxy: &Proxy, body: &str) {
    eventually(body, Deadline::soon(), || (proxy.get("/").text() == body).then_some(()));
}

#[test]
fn each_address_of_a_name_is_an_endpoint_and_a_change_is_seen_when_its_time_is_over() {
    let (port, _origins) = Origin::two_on_one_port(["one", "two"]);
    let server = NameServer::start();
    server.say_addresses("app.example", &["127.0.0.1"]);
    let proxy = Proxy::start(&to(&server, &format!("app.example:{port}"), ""));
    proxy.get("/").expect_body("one");
    server.say_addresses("app.example", &["127.0.0.2"]);
    wait_for(&proxy, "two");
    server.say_addresses("app.example", &["127.0.0.1", "127.0.0.2"]);
    wait_for_endpoints(&proxy, 2);
    let bodies: Vec<String> = (0..20).map(|_| proxy.get("/").text()).collect();
    assert!(bodies.iter().any(|body| body == "one") && bodies.iter().any(|body| body == "two"));
}

#[test]
fn a_failing_an_empty_or_no_answer_keeps_the_last_good_one() {
    let (port, _origins) = Origin::two_on_one_port(["one", "two"]);
    let server = NameServer::start();
    server.say_addresses("app.example", &["127.0.0.1"]);
    let lines = "resolve = { min = \"20ms\", max = \"50ms\" }";
    let proxy = Proxy::start(&to(&server, &format!("app.example:{port}"), lines));
    for says in [Says::Failure, Says::Addresses(Vec::new(), 1)] {
        server.say("app.example", says);
        let asked = server.asked("app.example");
        eventually("it is asked again", Deadline::soon(), || {
            (server.asked("app.example") >= asked + 8).then_some(())
        });
        proxy.get("/").expect_body("one");
    }
    let told = proxy.stderr();
    assert_eq!(told.matches("cannot resolve").count(), 1, "{told}");
    server.say_addresses("app.example", &["127.0.0.2"]);
    wait_for(&proxy, "two");
    proxy.wait_for_stderr("can be resolved again");
    server.say("app.example", Says::Silence);
    proxy.get("/").expect_body("two");
}

#[test]
fn a_name_that_is_known_later_is_used_then() {
    let (port, _origins) = Origin::two_on_one_port(["one", "two"]);
    let server = NameServer::start();
    let lines = "resolve = { min = \"20ms\", max = \"50ms\" }";
    let proxy = Proxy::start(&to(&server, &format!("app.example:{port}"), lines));
    proxy.get("/").expect_status(502);
    server.say("alias.example", Says::Addresses(vec!["127.0.0.1".parse().unwrap()], 1));
    server.say("app.example", Says::Alias("alias.example".to_owned(), 1));
    wait_for(&proxy, "one");
}

#[test]
fn records_are_believed_as_long_as_they_say_unless_the_bounds_are_narrower() {
    let (port, _origins) = Origin::two_on_one_port(["one", "two"]);
    let server = NameServer::start();
    server.say("app.example", Says::Addresses(vec!["127.0.0.1".parse().unwrap()], 3600));
    let endpoint = format!("app.example:{port}");
    let proxy = Proxy::start(&to(&server, &endpoint, ""));
    let asked = server.asked("app.example");
    server.say("app.example", Says::Addresses(vec!["127.0.0.2".parse().unwrap()], 3600));
    proxy.get("/").expect_body("one");
    proxy.reload(&to(&server, &endpoint, "resolve_every = \"20ms\"")).expect_accepted();
    wait_for(&proxy, "two");
    assert!(server.asked("app.example") > asked);
}

#[test]
fn services_tell_ports_and_shares() {
    let (one, two, spare) = (
        Origin::start().serve("*", Reply::ok("one")),
        Origin::start().serve("*", Reply::ok("two")),
        Origin::start().serve("*", Reply::ok("spare")),
    );
    let server = NameServer::start();
    server.say_addresses("host.example", &["127.0.0.1"]);
    let service = |priority, weight, origin: &Origin| Service {
        priority,
        weight,
        port: origin.port(),
        host: "host.example".to_owned(),
    };
    let services = vec![service(1, 30, &one), service(1, 10, &two), service(2, 90, &spare)];
    server.say("_http._tcp.app.example", Says::Services(services, 1));
    let proxy = Proxy::start(&to(&server, "srv:_http._tcp.app.example", ""));
    for _ in 0..120 {
        proxy.get("/").expect_status(200);
    }
    let [first, second, third] = [&one, &two, &spare].map(|origin| origin.requests("*").len());
    assert!(first > second && second > 0, "{first} and {second}");
    assert_eq!(third, 0);
}

#[test]
fn services_of_a_later_priority_stand_in_for_those_of_the_first() {
    let spare = Origin::start().serve("*", Reply::ok("spare"));
    let (_kept, nobody) = crate::shards::nobody();
    let nobody: std::net::SocketAddr = nobody.parse().unwrap();
    let server = NameServer::start();
    server.say_addresses("spare.example", &["127.0.0.1"]);
    server.say_addresses("dead.example", &["127.0.0.2"]);
    let service = |priority, port, host: &str| {
        let host = host.to_owned();
        Service { priority, weight: 1, port, host }
    };
    let services = vec![
        service(10, nobody.port(), "dead.example"),
        service(20, spare.port(), "spare.example"),
    ];
    server.say("_http._tcp.app.example", Says::Services(services, 1));
    let proxy = Proxy::start(&to(&server, "srv:_http._tcp.app.example", "tries = 2"));
    for _ in 0..5 {
        proxy.get("/").expect_status(200).expect_body("spare");
    }
}

#[test]
fn an_answer_that_does_not_fit_into_a_packet_is_fetched_over_tcp() {
    let server = NameServer::start();
    let many = (0..200).map(|last| Ipv4Addr::new(127, 0, 1, last).into()).collect();
    server.say("app.example", Says::Addresses(many, 1));
    let proxy = Proxy::start(&to(&server, "app.example:9", ""));
    wait_for_endpoints(&proxy, 200);
}

#[test]
fn the_file_of_hosts_comes_before_name_servers() {
    let origin = Origin::start();
    let server = NameServer::start();
    server.say_addresses("localhost", &["127.0.0.9"]);
    let proxy = Proxy::start(&to(&server, &format!("localhost:{}", origin.port()), ""));
    proxy.get("/").expect_status(200);
    assert_eq!(server.asked("localhost"), 0);
}

fn listed(lines: &str) -> Config {
    site()
        .route("/*", "proxy = \"app\"")
        .toml("[upstreams.app]\nendpoints_file = \"app.endpoints\"\n")
        .file("app.endpoints", lines)
}

#[test]
fn a_file_of_endpoints_is_read_again_and_a_bad_one_changes_nothing() {
    let origins = ["one", "two"].map(|name| Origin::start().serve("*", Reply::ok(name)));
    let [one, two] = origins.each_ref().map(|origin| origin.endpoint().to_string());
    let proxy = Proxy::start(&listed(&format!("# ours\n{one}\n")));
    proxy.get("/").expect_body("one");
    let write = |text: &str| std::fs::write(proxy.folder().join("app.endpoints"), text).unwrap();
    write(&format!("{two} weight=2\n"));
    wait_for(&proxy, "two");
    for (bad, reason) in [
        (format!("{one}\n127.0.0."), "half written"),
        (format!("{one} heavy\n"), "line 1"),
        ("nonsense\n".to_owned(), "not an address"),
        (String::new(), "lists no endpoint"),
    ] {
        write(&bad);
        proxy.wait_for_stderr(reason);
        proxy.get("/").expect_body("two");
    }
    std::fs::remove_file(proxy.folder().join("app.endpoints")).unwrap();
    proxy.wait_for_stderr("No such file");
    proxy.get("/").expect_body("two");
    write(&format!("{one}\n{two}\n"));
    wait_for(&proxy, "one");
}

#[test]
fn a_request_in_flight_ends_where_it_began() {
    let gate = Gate::new();
    let slow = [
        Step::send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        Step::Wait(gate.clone()),
        Step::send("whole"),
    ];
    let (old, new) = (
        Origin::start().serve("*", Reply::ok("old")).serve("/slow", slow),
        Origin::start().serve("*", Reply::ok("new")),
    );
    let proxy = Proxy::start(&listed(&format!("{}\n", old.endpoint())));
    let mut client = proxy.client();
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(move || client.ask(&get("/slow")));
        old.wait_for_heads(1);
        std::fs::write(proxy.folder().join("app.endpoints"), format!("{}\n", new.endpoint()))
            .unwrap();
        wait_for(&proxy, "new");
        gate.pass();
        waiting.join().unwrap()
    });
    waiting.expect_status(200).expect_body("whole");
}

#[test]
fn a_visitor_stays_with_one_of_the_addresses_of_a_name() {
    let (port, _origins) = Origin::two_on_one_port(["one", "two"]);
    let server = NameServer::start();
    server.say_addresses("app.example", &["127.0.0.1", "127.0.0.2"]);
    let lines = "sticky = { cookie = \"stay\" }";
    let proxy = Proxy::start(&to(&server, &format!("app.example:{port}"), lines));
    let of = |name: &str| {
        let visit = || {
            let answer = proxy.get("/");
            let line = answer.headers.all("set-cookie")[0].to_owned();
            (answer.text() == name).then(|| line.split(';').next().unwrap().to_owned())
        };
        (0..100).find_map(|_| visit()).unwrap_or_else(|| panic!("nobody is sent to {name}"))
    };
    for name in ["one", "two"] {
        let cookie = of(name);
        for _ in 0..10 {
            proxy.ask(&get("/").header("Cookie", &cookie)).expect_body(name);
        }
    }
}

#[test]
fn a_hash_takes_whatever_weights_a_file_lists() {
    let origins: Vec<Origin> =
        (0..12).map(|name| Origin::start().serve("*", Reply::ok(format!("{name}")))).collect();
    let line = |origin: &Origin| format!("{} weight=1000\n", origin.endpoint());
    let lines: String = origins.iter().map(line).collect();
    let hash = "balance = { by = \"hash\", key = \"$arg_k\", consistent = true }";
    let proxy = Proxy::start(&listed(&lines).toml(hash));
    for key in 0..5 {
        let bodies: Vec<String> = (0..8).map(|_| proxy.get(&format!("/?k={key}")).text()).collect();
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    }
}
