//! Endpoints of shards: found by name, and passed over while they are not well, while keys stay, move or are listed anew.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};
use switchback_integration::{
    Client, Config, Deadline, NameServer, Origin, Proxy, Reply, eventually, get, site,
};

fn named(origin: Origin, name: &str) -> Origin {
    origin.serve("*", Reply::ok(name))
}

/// Each address of a shard, by the name of that.
type Shards<'a> = [(&'a str, Vec<String>)];

/// The user 1 belongs to the shard `a`, and 2 to `b`, unless these lines say otherwise.
fn divided(lines: &str, shards: &Shards<'_>) -> Config {
    let shard = |(name, endpoints): &(&str, Vec<String>)| {
        format!("[[upstreams.app.shards]]\nname = \"{name}\"\nendpoints = {endpoints:?}\n")
    };
    let shards: String = shards.iter().map(shard).collect();
    site().route("/users/{id}", "proxy = \"app\"").toml(format_args!(
        "[upstreams.app]\nbalance = \"round_robin\"\nshard_header = true\nshard_by = \"{{id}}\"\n{lines}\n{shards}"
    ))
}

const PINS: &str = "pins = { 1 = \"a\", 2 = \"b\" }";

/// The shard `a` is a name, `b` an address, and so are others.
fn by_name(server: &NameServer, lines: &str, shards: &Shards<'_>) -> Config {
    divided(lines, shards).top(format!("resolvers = [\"{}\"]", server.address()))
}

fn at(origin: &Origin) -> Vec<String> {
    vec![origin.endpoint().to_string()]
}

fn wait_for(proxy: &Proxy, path: &str, body: &str) {
    let what = format!("{path} from {body}");
    eventually(&what, Deadline::soon(), || (proxy.get(path).text() == body).then_some(()));
}

fn step(proxy: &Proxy, action: &str) -> Value {
    let asked = json!({ "upstream": "app", "action": action });
    proxy.control("POST", "/reshard", Some(&asked)).expect_status(200).json()
}

fn standing(proxy: &Proxy, state: &str) -> usize {
    let metrics = proxy.control("GET", "/metrics", None).text();
    let of_app = "switchback_upstream_endpoints{upstream=\"app\",shard=\"";
    let state = format!("\",state=\"{state}\"}} ");
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(of_app)?.split_once(&*state));
    let counts: Vec<usize> = lines.map(|(_shard, count)| count.parse().unwrap()).collect();
    assert!(!counts.is_empty(), "no {state} in {metrics}");
    counts.into_iter().sum()
}

fn wait_until(proxy: &Proxy, state: &str, count: usize) {
    eventually(&format!("{count} {state}"), Deadline::soon(), || {
        (standing(proxy, state) == count).then_some(())
    });
}

/// Asks for these until `then` is done; how many requests that were, and how many of them were not answered well.
fn asking(proxy: &Proxy, paths: &[&str], then: impl FnOnce()) -> (usize, usize) {
    let address = proxy.address("web");
    let (stop, asked, wrong) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            let (stop, asked, wrong) = (&stop, &asked, &wrong);
            let mut client = Client::tcp(address);
            scope.spawn(move || {
                for path in paths.iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let answer = client.ask(&get(path));
                    if answer.headers.all("connection").contains(&"close") {
                        client = Client::tcp(address);
                    }
                    asked.fetch_add(1, Ordering::Relaxed);
                    wrong.fetch_add(usize::from(answer.status != 200), Ordering::Relaxed);
                }
            });
        }
        // Ends the others if it panics, too.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(then));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
    (asked.into_inner(), wrong.into_inner())
}

#[test]
fn a_name_in_a_shard_is_resolved_anew_while_requests_run() {
    let ((port, origins), other) =
        (Origin::two_on_one_port(["one", "two"]), named(Origin::start(), "other"));
    let server = NameServer::start();
    server.say_addresses("a.example", &["127.0.0.1"]);
    let shards = [("a", vec![format!("a.example:{port}")]), ("b", at(&other))];
    let proxy = Proxy::start(&by_name(&server, PINS, &shards));
    proxy.get("/users/1").expect_body("one").expect_header("x-shard", "a 1");
    let (asked, wrong) = asking(&proxy, &["/users/1", "/users/2"], || {
        for (address, body) in [("127.0.0.2", "two"), ("127.0.0.1", "one"), ("127.0.0.2", "two")] {
            server.say_addresses("a.example", &[address]);
            wait_for(&proxy, "/users/1", body);
            proxy.get("/users/2").expect_body("other").expect_header("x-shard", "b 1");
        }
        server.say_addresses("a.example", &["127.0.0.1", "127.0.0.2"]);
        wait_until(&proxy, "ready", 3);
        let before = origins.each_ref().map(|origin| origin.requests("*").len());
        eventually("both have keys of the shard", Deadline::soon(), || {
            let now = origins.each_ref().map(|origin| origin.requests("*").len());
            (now[0] > before[0] && now[1] > before[1]).then_some(())
        });
    });
    assert_eq!(wrong, 0, "of {asked}");
}

#[test]
fn names_and_keys_change_at_the_same_time_and_neither_undoes_the_other() {
    let ((port, _origins), other) =
        (Origin::two_on_one_port(["one", "two"]), named(Origin::start(), "other"));
    let (new_port, _new) = Origin::two_on_one_port(["one", "two"]);
    let server = NameServer::start();
    let says = |name: &str, address: &str| server.say_addresses(name, &[address]);
    says("a.example", "127.0.0.1");
    says("c.example", "127.0.0.1");
    let mut shards = vec![("a", vec![format!("a.example:{port}")]), ("b", at(&other))];
    let proxy = Proxy::start(&by_name(&server, PINS, &shards));
    proxy.get("/users/1").expect_body("one");
    shards.push(("c", vec![format!("c.example:{new_port}")]));
    let pins = "pins = { 1 = \"a\", 2 = \"b\", 3 = \"c\" }";
    let next = by_name(&server, pins, &shards);
    let (asked, wrong) = asking(&proxy, &["/users/1", "/users/2"], || {
        proxy.write(&next);
        assert_eq!(step(&proxy, "start")["next_epoch"], json!(2));
        // A read of a key that moves goes to the next shard, by a name that only that has.
        wait_for(&proxy, "/users/3", "one");
        let reads = step(&proxy, "status")["reads"].as_u64().unwrap();
        says("a.example", "127.0.0.2");
        says("c.example", "127.0.0.2");
        wait_for(&proxy, "/users/1", "two");
        wait_for(&proxy, "/users/3", "two");
        let told = step(&proxy, "status");
        assert_eq!((&told["epoch"], &told["next_epoch"]), (&json!(1), &json!(2)));
        assert!(told["reads"].as_u64().unwrap() > reads, "{told}");
        // Nor does a reload undo either of them.
        proxy.reload_as_written().expect_accepted();
        assert_eq!(step(&proxy, "status")["next_epoch"], json!(2));
        proxy.get("/users/1").expect_body("two").expect_header("x-shard", "a 1");
        step(&proxy, "cutover");
        proxy.get("/users/1").expect_body("two").expect_header("x-shard", "a 2");
        proxy.get("/users/3").expect_body("two").expect_header("x-shard", "c 2");
        says("a.example", "127.0.0.1");
        says("c.example", "127.0.0.1");
        wait_for(&proxy, "/users/1", "one");
        wait_for(&proxy, "/users/3", "one");
        proxy.get("/users/3").expect_header("x-shard", "c 2");
    });
    assert_eq!(wrong, 0, "of {asked}");
}

#[test]
fn what_a_table_says_and_what_a_name_stands_for_are_kept_apart() {
    let ((port, _origins), other) =
        (Origin::two_on_one_port(["one", "two"]), named(Origin::start(), "other"));
    let server = NameServer::start();
    server.say_addresses("a.example", &["127.0.0.1"]);
    let shards = [("a", vec![format!("a.example:{port}")]), ("b", at(&other))];
    let lines = "mapping = { by = \"table\", file = \"users.map\" }";
    let config = by_name(&server, lines, &shards).file("users.map", "1 a\n2 b\n");
    let proxy = Proxy::start(&config);
    proxy.get("/users/1").expect_body("one");
    server.say_addresses("a.example", &["127.0.0.2"]);
    wait_for(&proxy, "/users/1", "two");
    std::fs::write(proxy.folder().join("users.map"), "1 b\n2 a\n").unwrap();
    wait_for(&proxy, "/users/1", "other");
    proxy.get("/users/2").expect_body("two").expect_header("x-shard", "a 2");
    server.say_addresses("a.example", &["127.0.0.1"]);
    wait_for(&proxy, "/users/2", "one");
    proxy.get("/users/1").expect_body("other").expect_header("x-shard", "b 2");
}

#[test]
fn a_dead_shard_is_out_of_service_for_its_keys_alone() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let origin = named(Origin::start(), "b");
    let shards = [("a", vec![dead.to_string()]), ("b", at(&origin))];
    let health = "health = { kind = \"tcp\", every = \"20ms\" }";
    for lines in ["", health, &format!("{health}\npanic = \"0%\"")] {
        let proxy = Proxy::start(&divided(&format!("{PINS}\n{lines}"), &shards));
        if !lines.is_empty() {
            wait_until(&proxy, "down", 1);
        }
        for _ in 0..10 {
            proxy.get("/users/1").expect_status(503);
            proxy.get("/users/2").expect_status(200).expect_body("b");
        }
        assert_eq!(standing(&proxy, "ejected"), 0, "{lines}");
    }
}

#[test]
fn an_endpoint_of_a_shard_leaves_and_returns_as_its_probes_say() {
    let origins = ["a1", "a2", "b"].map(|name| named(Origin::start(), name));
    let [one, two, other] = &origins;
    let shards = [("a", [at(one), at(two)].concat()), ("b", at(other))];
    let lines = format!("{PINS}\nhealth = {{ path = \"/healthz\", every = \"20ms\" }}");
    let proxy = Proxy::start(&divided(&lines, &shards));
    let asked = |origin: &Origin| origin.requests("/users/1").len();
    let ask = |times: usize| {
        for _ in 0..times {
            proxy.get("/users/1").expect_status(200).expect_header("x-shard", "a 1");
            proxy.get("/users/2").expect_body("b");
        }
    };
    wait_until(&proxy, "ready", 3);
    one.now_serve("/healthz", Reply::ok("x").status(500));
    wait_until(&proxy, "down", 1);
    let before = asked(one);
    ask(20);
    assert_eq!(asked(one), before);
    one.now_serve("/healthz", Reply::ok(""));
    wait_until(&proxy, "ready", 3);
    ask(20);
    assert!(asked(one) > before);
}

#[test]
fn endpoints_of_shards_that_keys_move_to_are_probed_and_counted_once() {
    let origins = ["a", "b", "c"].map(|name| named(Origin::start(), name));
    let shard = |index: usize| (["a", "b", "c"][index], at(&origins[index]));
    let lines = format!("{PINS}\nhealth = {{ path = \"/healthz\", every = \"20ms\" }}");
    let proxy = Proxy::start(&divided(&lines, &[shard(0), shard(1)]));
    wait_until(&proxy, "ready", 2);
    origins[2].now_serve("/healthz", Reply::ok("x").status(500));
    proxy.write(&divided(&lines, &[shard(0), shard(1), shard(2)]));
    step(&proxy, "start");
    wait_until(&proxy, "down", 1);
    assert_eq!(standing(&proxy, "ready"), 2);
    // One of both mappings is probed all the same, by one probe.
    let before = origins[0].requests("/healthz").len();
    origins[0].wait_for_requests("/healthz", before + 3);
    origins[0].now_serve("/healthz", Reply::ok("x").status(500));
    wait_until(&proxy, "down", 2);
    step(&proxy, "abort");
    wait_until(&proxy, "down", 1);
    assert_eq!(standing(&proxy, "ready"), 1);
    let left = origins[2].requests("/healthz").len();
    let before = origins[1].requests("/healthz").len();
    origins[1].wait_for_requests("/healthz", before + 10);
    assert!(origins[2].requests("/healthz").len() <= left + 1);
}
