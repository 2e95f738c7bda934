//! Answers of both shards that a key has while it moves, beside the way.

use serde_json::{Value, json};
use switchback_integration::{
    Answer, Config, Deadline, Gate, Origin, Proxy, Reply, Step, eventually, get, post, site,
};
use switchback_upstream::shard::{Mapping, Shard, ShardMap};

use crate::cache_disk::metric;

fn config(origins: &[&Origin]) -> Config {
    let written = origins.iter().enumerate().map(|(index, origin)| {
        let endpoint = origin.endpoint();
        format!("[[upstreams.app.shards]]\nname = \"s{index}\"\nendpoints = [\"{endpoint}\"]\n")
    });
    site()
        .route("/users/{id}", "proxy = \"app\"")
        .route("/buffered/{id}", "proxy = { upstream = \"app\", buffer_request = true }")
        .toml(format_args!(
            "[upstreams.app]\nshard_by = \"{{id}}\"\n{}",
            written.collect::<String>()
        ))
}

/// One shard, and a second that is to have some of its keys; of them, this part of the reads is compared.
fn moving(old: &Origin, new: &Origin, compare: &Value) -> Proxy {
    let proxy = Proxy::start(&config(&[old]));
    proxy.write(&config(&[old, new]));
    let asked = json!({ "upstream": "app", "action": "start", "compare": compare });
    proxy.control("POST", "/reshard", Some(&asked)).expect_status(200);
    proxy
}

/// Keys that go from the first shard to the second.
fn moved() -> impl Iterator<Item = usize> {
    let shards = [0, 1].map(|number| Shard::new(&format!("s{number}"), 1));
    let map = ShardMap::build(&Mapping::Anchor, &shards).unwrap();
    (0..).filter(move |id: &usize| map.shard(id.to_string().as_bytes()) == Some(1))
}

fn user(id: usize) -> String {
    format!("/users/{id}")
}

fn step(proxy: &Proxy, action: &str) -> Value {
    let asked = json!({ "upstream": "app", "action": action });
    proxy.control("POST", "/reshard", Some(&asked)).expect_status(200).json()
}

/// Alike, different, without an answer of the old shard, and what told nothing.
fn compared(proxy: &Proxy) -> [u64; 4] {
    let told = step(proxy, "status");
    ["equal", "different", "failed", "skipped"].map(|what| {
        told["compared"][what].as_u64().unwrap_or_else(|| panic!("no `{what}` in {told}"))
    })
}

fn wait_for(proxy: &Proxy, expected: [u64; 4]) {
    let all = expected.iter().sum::<u64>();
    let found = eventually("all are compared", Deadline::soon(), || {
        Some(compared(proxy)).filter(|found| found.iter().sum::<u64>() >= all)
    });
    assert_eq!(found, expected);
}

#[test]
fn answers_of_both_shards_are_compared_by_status_and_body() {
    let [old, new] = [(); 2].map(|()| Origin::start().serve("*", Reply::ok("value")));
    let proxy = moving(&old, &new, &json!(1.0));
    let ids: Vec<usize> = moved().take(6).collect();
    for id in &ids {
        proxy.get(&user(*id)).expect_status(200).expect_body("value");
        proxy.get(&format!("/buffered/{id}")).expect_status(200).expect_body("value");
    }
    wait_for(&proxy, [12, 0, 0, 0]);
    // The client has what the next shard says.
    new.now_serve(&user(ids[0]), Reply::ok("other"));
    proxy.get(&user(ids[0])).expect_body("other");
    wait_for(&proxy, [12, 1, 0, 0]);
    old.now_serve(&user(ids[1]), Reply::ok("value").status(203));
    proxy.get(&user(ids[1])).expect_status(200);
    wait_for(&proxy, [12, 2, 0, 0]);
    // What the next shard does not have is no difference: it is known already.
    new.now_serve(&user(ids[2]), Reply::ok("none").status(404));
    proxy.get(&user(ids[2])).expect_status(200).expect_body("value");
    // Nothing that is written is said twice, and what was written is read where it was.
    proxy.ask(&post(&user(ids[3]), "x")).expect_status(200);
    proxy.get(&user(ids[3])).expect_status(200);
    // What is asked for comparison is a request like others in the figures of its shard.
    let told = step(&proxy, "status");
    for (index, origin) in [&old, &new].into_iter().enumerate() {
        assert_eq!(told["shards"][index]["requests"], json!(origin.heads()), "{told}");
    }
    old.now_serve(&user(ids[4]), Answer::from([Step::ReadBody, Step::Reset]));
    proxy.get(&user(ids[4])).expect_status(200).expect_body("value");
    wait_for(&proxy, [12, 2, 1, 0]);
    for (outcome, count) in [("equal", 12), ("different", 2), ("failed", 1), ("skipped", 0)] {
        let name = format!("shard_compared_total{{upstream=\"app\",outcome=\"{outcome}\"}}");
        assert_eq!(metric(&proxy, &name), count, "{outcome}");
    }
    let methods: Vec<String> =
        old.requests(&user(ids[3])).iter().map(|asked| asked.method.to_string()).collect();
    assert_eq!(methods, ["GET", "POST", "GET"]);
    let done = step(&proxy, "cutover");
    assert_eq!(done["compared"], Value::Null);
}

#[test]
fn comparing_delays_nobody_and_there_is_little_of_it_at_once() {
    let gate = Gate::new();
    let slow = [
        Step::ReadBody,
        Step::Wait(gate.clone()),
        Step::send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nvalue"),
    ];
    let old = Origin::start().serve("*", slow);
    let new = Origin::start().serve("*", Reply::ok("value"));
    let proxy = moving(&old, &new, &json!(1.0));
    let mut client = proxy.client();
    for id in moved().take(70) {
        client.ask(&get(&user(id))).expect_status(200).expect_body("value");
    }
    // 64 of them are being asked for.
    old.wait_for_heads(64);
    assert_eq!(compared(&proxy), [0, 0, 0, 6]);
    (0..64).for_each(|_| gate.pass());
    wait_for(&proxy, [64, 0, 0, 6]);
    assert_eq!(old.heads(), 64);
}

#[test]
fn a_key_that_is_written_while_it_is_compared_tells_nothing() {
    let gate = Gate::new();
    let id = moved().next().unwrap();
    let slow = [
        Step::ReadBody,
        Step::Wait(gate.clone()),
        Step::send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nolder"),
    ];
    let old = Origin::start().serve(&user(id), slow);
    let new = Origin::start().serve("*", Reply::ok("value"));
    let proxy = moving(&old, &new, &json!(1.0));
    proxy.get(&user(id)).expect_body("value");
    old.wait_for_heads(1);
    let mut client = proxy.client();
    client.send(post(&user(id), "x").to_bytes());
    old.wait_for_heads(2);
    (0..2).for_each(|_| gate.pass());
    client.response().expect_status(200).expect_body("older");
    wait_for(&proxy, [0, 0, 0, 1]);
}

#[test]
fn nothing_is_compared_unless_it_is_asked_for() {
    let [old, new] = [(); 2].map(|()| Origin::start().serve("*", Reply::ok("value")));
    let proxy = moving(&old, &new, &Value::Null);
    for id in moved().take(20) {
        proxy.get(&user(id)).expect_status(200);
    }
    assert_eq!((old.heads(), new.heads()), (0, 20));
    assert_eq!(step(&proxy, "status").get("compared"), None);
    step(&proxy, "abort");
    let refused = |arguments: &[&str], because: &str| {
        proxy.run(&[&["reshard"], arguments].concat()).expect_text(because).expect_code(2);
    };
    refused(&["start", "app", "--compare", "150%"], "not from 0% to 100%");
    for (action, share, because) in [("start", 2.0, "from 0 to 1"), ("abort", 0.5, "begin to move")]
    {
        let asked = json!({ "upstream": "app", "action": action, "compare": share });
        proxy.control("POST", "/reshard", Some(&asked)).expect_status(422).expect_text(because);
    }
    proxy
        .run(&["reshard", "start", "app", "--compare", "12.5%"])
        .expect_code(0)
        .expect_text("compared 12.5 % of reads: equal 0, different 0, failed 0, skipped 0");
}
