//! Requests that go to another service because theirs has no room, or is not there.

use switchback_integration::{
    Answer, Client, Config, Deadline, Gate, Origin, Proxy, Reply, Step, eventually, get, post, site,
};

use crate::cache_disk::metric;
use crate::shards::nobody;

/// An origin that says its name, and answers `/slow` when the gate lets it.
fn origin(name: &str, gate: &Gate) -> Origin {
    let slow = [
        Step::ReadBody,
        Step::Wait(gate.clone()),
        Step::send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"),
    ];
    Origin::start().serve("*", Reply::ok(name)).serve("/slow", slow)
}

/// Every path is for the upstream `base`; the log says who had it.
fn config(upstreams: &str) -> Config {
    site()
        .top("workers = 1")
        .route("/*", "proxy = \"base\"")
        .toml("[[log.access]]\nfile = \"access.log\"\nformat = \"$uri $status $upstream $upstream_addr\"")
        .toml(upstreams)
}

fn endpoints(origins: &[&Origin], said: &str) -> String {
    let endpoint = |origin: &&Origin| format!("{{ address = \"{}\"{said} }}", origin.endpoint());
    format!("endpoints = [{}]", origins.iter().map(endpoint).collect::<Vec<_>>().join(", "))
}

/// A request that an origin has, and that is not answered yet.
fn hold(proxy: &Proxy, origin: &Origin, heads: usize) -> Client {
    let mut client = proxy.client();
    client.send(get("/slow").to_bytes());
    origin.wait_for_heads(heads);
    client
}

#[test]
fn a_tunnel_that_went_elsewhere_has_the_time_outs_of_where_it_is() {
    let silent = Origin::start().serve("*", [Step::Wait(Gate::new())]);
    let (_kept, nobody) = nobody();
    let proxy = Proxy::start(&config(&format!(
        "[upstreams.base]\nendpoints = [\"{nobody}\"]\nspill = {{ to = \"burst\", unavailable = true }}\n\
         [upstreams.burst]\n{}\ntimeouts = {{ read = \"100ms\" }}",
        endpoints(&[&silent], "")
    )));
    let upgrade = get("/ws")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let began = std::time::Instant::now();
    proxy.ask(&upgrade).expect_status(504);
    // The first one's would be a minute.
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

const SPILT: &str = "upstream_spilt_total{upstream=\"base\",to=\"burst\"}";

#[test]
fn what_is_too_much_goes_elsewhere_and_is_told_in_log_and_metrics() {
    let gate = Gate::new();
    let (base, burst) = (origin("base", &gate), origin("burst", &gate));
    let proxy = Proxy::start(&config(&format!(
        "[upstreams.base]\n{}\nspill = \"burst\"\n[upstreams.burst]\n{}",
        endpoints(&[&base], ", max_connections = 1"),
        endpoints(&[&burst], "")
    )));
    for _ in 0..3 {
        proxy.get("/").expect_body("base");
    }
    let mut held = hold(&proxy, &base, 4);
    proxy.get("/a").expect_status(200).expect_body("burst");
    proxy.ask(&post("/b", "text")).expect_status(200).expect_body("burst");
    assert_eq!(burst.requests("/b")[0].body, b"text");
    assert_eq!(metric(&proxy, SPILT), 2);
    gate.pass();
    held.response().expect_status(200);
    eventually("there is room again", Deadline::soon(), || {
        (proxy.get("/").text() == "base").then_some(())
    });
    let line = format!("/a 200 burst {}", burst.endpoint());
    eventually("the log names it", Deadline::soon(), || {
        let text = std::fs::read_to_string(proxy.folder().join("access.log")).ok()?;
        text.lines().any(|logged| logged == line).then_some(())
    });
}

#[test]
fn whoever_would_wait_goes_elsewhere() {
    let gate = Gate::new();
    let (base, burst) = (origin("base", &gate), origin("burst", &gate));
    let proxy = Proxy::start(&config(&format!(
        "[upstreams.base]\n{}\nconcurrency = 1\nqueue = {{ wait = \"60s\" }}\nspill = \"burst\"\n\
         [upstreams.burst]\n{}\nconcurrency = 1\nqueue = {{ most = 0 }}",
        endpoints(&[&base], ""),
        endpoints(&[&burst], "")
    )));
    let mut held = hold(&proxy, &base, 1);
    for _ in 0..3 {
        proxy.get("/").expect_body("burst");
    }
    // Where there is no room either, its own rules hold, and nobody is counted twice.
    let mut second = hold(&proxy, &burst, 4);
    proxy.get("/").expect_status(503);
    let name = |what: &str, upstream: &str| format!("upstream_{what}{{upstream=\"{upstream}\"}}");
    let in_flight = ["base", "burst"].map(|upstream| metric(&proxy, &name("in_flight", upstream)));
    assert_eq!(in_flight, [1, 1]);
    assert_eq!(metric(&proxy, &name("waited_total", "base")), 0);
    gate.pass();
    gate.pass();
    held.response().expect_status(200);
    second.response().expect_status(200);
}

#[test]
fn the_base_has_as_many_as_is_said_and_further_ones_go_down_the_row() {
    let gate = Gate::new();
    let origins = ["one", "two", "burst", "last"].map(|name| origin(name, &gate));
    let [one, two, burst, last] = &origins;
    let proxy = Proxy::start(&config(&format!(
        "[upstreams.base]\n{}\nbalance = \"round_robin\"\nspill = {{ to = \"burst\", at = 3 }}\n\
         [upstreams.burst]\n{}\nspill = {{ to = \"last\", at = 1 }}\n[upstreams.last]\n{}",
        endpoints(&[one, two], ""),
        endpoints(&[burst], ""),
        endpoints(&[last], "")
    )));
    let mut held = vec![hold(&proxy, one, 1), hold(&proxy, two, 1), hold(&proxy, one, 2)];
    held.push(hold(&proxy, burst, 1));
    proxy.get("/").expect_status(200).expect_body("last");
    held.iter().for_each(|_| gate.pass());
    for client in &mut held {
        client.response().expect_status(200);
    }
}

#[test]
fn whoever_nobody_is_there_for_goes_elsewhere_where_that_is_asked_for() {
    let burst = Origin::start().serve("*", Reply::ok("burst"));
    let nobody = [(); 2].map(|()| nobody());
    let dead = nobody.each_ref().map(|(_, address)| format!("\"{address}\"")).join(", ");
    let of = |lines: &str| {
        let burst = endpoints(&[&burst], "");
        config(&format!(
            "[upstreams.base]\nendpoints = [{dead}]\n{lines}\n[upstreams.burst]\n{burst}"
        ))
    };
    let proxy = Proxy::start(&of("spill = { to = \"burst\", at = 100 }"));
    proxy.get("/").expect_status(502);
    assert_eq!(burst.heads(), 0);
    proxy.reload(&of("spill = { to = \"burst\", unavailable = true }")).expect_accepted();
    proxy.get("/").expect_status(200).expect_body("burst");
    proxy.ask(&post("/", "text")).expect_status(200).expect_body("burst");
    assert_eq!(burst.heads(), 2, "each once");
    assert_eq!(metric(&proxy, SPILT), 2);
    proxy
        .reload(&of("spill = { to = \"burst\", unavailable = true }\nretry.on = []"))
        .expect_accepted();
    proxy.get("/").expect_status(502);
}

#[test]
fn those_whose_breakers_are_open_are_not_there() {
    let base = Origin::start().serve("*", Reply::ok("broken").status(503));
    let burst = Origin::start().serve("*", Reply::ok("burst"));
    let proxy = Proxy::start(&config(&format!(
        "[upstreams.base]\n{}\nbreaker = {{ least = 2, open = \"60s\", longest = \"60s\" }}\n\
         spill = {{ to = \"burst\", unavailable = true }}\n[upstreams.burst]\n{}",
        endpoints(&[&base], ""),
        endpoints(&[&burst], "")
    )));
    eventually("the breaker opens", Deadline::soon(), || {
        (proxy.get("/").status == 200).then_some(())
    });
    proxy.get("/").expect_body("burst");
}

#[test]
fn those_that_probes_find_unwell_are_not_there_and_not_asked_all_the_same() {
    let base = Origin::start().serve("*", Reply::ok("base"));
    let burst = Origin::start().serve("*", Reply::ok("burst"));
    let of = |more: &str| {
        config(&format!(
            "[upstreams.base]\n{}\nhealth = {{ path = \"/well\", every = \"100ms\" }}\n\
             spill = {{ to = \"burst\", at = 100{more} }}\n[upstreams.burst]\n{}",
            endpoints(&[&base], ""),
            endpoints(&[&burst], "")
        ))
    };
    let proxy = Proxy::start(&of(", unavailable = true"));
    let has = |name: &str| {
        eventually(name, Deadline::soon(), || (proxy.get("/").text() == name).then_some(()));
    };
    has("base");
    base.now_serve("/well", Reply::ok("no").status(500));
    has("burst");
    proxy.reload(&of("")).expect_accepted();
    has("base");
    proxy.reload(&of(", unavailable = true")).expect_accepted();
    has("burst");
    base.now_serve("/well", Reply::ok("yes"));
    has("base");
}

#[test]
fn a_request_of_which_something_was_sent_stays_where_it_is() {
    for broken in [[Step::ReadBody, Step::Reset], [Step::ReadBody, Step::Fin]] {
        let base = Origin::start().serve("*", Answer::from(broken));
        let burst = Origin::start();
        let proxy = Proxy::start(&config(&format!(
            "[upstreams.base]\n{}\nretry.on = [\"connect\", \"reset\"]\n\
             spill = {{ to = \"burst\", unavailable = true }}\n[upstreams.burst]\n{}",
            endpoints(&[&base], ""),
            endpoints(&[&burst], "")
        )));
        proxy.ask(&post("/", "text")).expect_status(502);
        proxy.get("/").expect_status(502);
        assert_eq!((base.heads(), burst.heads()), (2, 0));
    }
}

#[test]
fn each_shard_spills_by_itself() {
    let gate = Gate::new();
    let (_kept, nobody) = nobody();
    let [a, b, burst] = ["a", "b", "burst"].map(|name| origin(name, &gate));
    let proxy = Proxy::start(&config(&format!(
        "[upstreams.base]\nshard_by = \"$arg_u\"\npins = {{ 1 = \"a\", 2 = \"b\", 3 = \"dead\" }}\n\
         spill = {{ to = \"burst\", at = 1, unavailable = true }}\n[upstreams.burst]\n{}\n\
         [[upstreams.base.shards]]\nname = \"a\"\n{}\n[[upstreams.base.shards]]\nname = \"b\"\n{}\n\
         [[upstreams.base.shards]]\nname = \"dead\"\nendpoints = [\"{}\"]",
        endpoints(&[&burst], ""),
        endpoints(&[&a], ""),
        endpoints(&[&b], ""),
        nobody
    )));
    let mut client = proxy.client();
    client.send(get("/slow?u=1").to_bytes());
    a.wait_for_heads(1);
    for (path, answer) in [("/?u=1", "burst"), ("/?u=2", "b"), ("/?u=3", "burst")] {
        proxy.get(path).expect_status(200).expect_body(answer).expect_no_header("x-shard");
    }
    gate.pass();
    client.response().expect_status(200);
}

#[test]
fn a_tunnel_spills_too() {
    let base = Origin::start().serve("*", Answer::Tunnel);
    let burst = Origin::start().serve("*", Answer::Tunnel);
    let proxy = Proxy::start(&config(&format!(
        "[upstreams.base]\n{}\nspill = \"burst\"\n[upstreams.burst]\n{}",
        endpoints(&[&base], ", max_connections = 1"),
        endpoints(&[&burst], "")
    )));
    let upgrade = get("/")
        .header("Connection", "upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let mut tunnels = [(); 2].map(|()| proxy.client());
    for client in &mut tunnels {
        client.send(upgrade.to_bytes());
        client.response_head().expect_status(101);
    }
    assert_eq!((base.heads(), burst.heads()), (1, 1));
}
