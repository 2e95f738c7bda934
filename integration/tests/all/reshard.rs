//! Keys that are given to other shards while requests are served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;
use serde_json::{Value, json};
use switchback_integration::{
    Answer, Choice, Client, Config, Deadline, Gate, Origin, Proxy, Reply, Step, eventually, get,
    request, resharded, site,
};

use crate::cache_disk::metric;
use crate::shards::nobody;

/// What shards have stored, by path: each is a store of its own.
type Store = Arc<Mutex<BTreeMap<String, String>>>;

struct Shard {
    origin: Origin,
    store: Store,
}

/// Answers what it has, or 404; takes in what is put and deleted.
fn shard() -> Shard {
    let store = Store::default();
    let own = Arc::clone(&store);
    let answer = move |status: &str, body: &str| {
        let length = body.len();
        vec![
            Step::send(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")),
            Step::Next,
        ]
    };
    let origin = Origin::start().serve(
        "*",
        Answer::Chosen(Choice::new(move |asked| {
            let mut stored = own.lock();
            match asked.method.as_str() {
                "PUT" => {
                    let body = String::from_utf8_lossy(&asked.body).into_owned();
                    stored.insert(asked.target.clone(), body);
                    answer("200 OK", "put")
                }
                "DELETE" => {
                    stored.remove(&asked.target);
                    answer("200 OK", "deleted")
                }
                _ => match stored.get(&asked.target) {
                    Some(value) => answer("200 OK", value),
                    None => answer("404 Not Found", "none"),
                },
            }
        })),
    );
    Shard { origin, store }
}

fn config(shards: &[Shard]) -> Config {
    let written = shards.iter().enumerate().map(|(index, shard)| {
        let endpoint = shard.origin.endpoint();
        format!("[[upstreams.app.shards]]\nname = \"s{index}\"\nendpoints = [\"{endpoint}\"]\n")
    });
    site().route("/users/{id}", "proxy = \"app\"").toml(format_args!(
        "[upstreams.app]\nshard_header = true\nshard_by = \"{{id}}\"\n{}",
        written.collect::<String>()
    ))
}

fn user(id: usize) -> String {
    format!("/users/{id}")
}

fn put(proxy: &Proxy, id: usize, value: &str) {
    proxy.ask(&request("PUT", &user(id)).body(value)).expect_status(200).expect_body("put");
}

fn step(proxy: &Proxy, action: &str) -> Value {
    let asked = json!({ "upstream": "app", "action": action });
    proxy.control("POST", "/reshard", Some(&asked)).expect_status(200).json()
}

/// Copies all that is stored to the last shard, as a program of the operator's would copy what moves.
fn copy(shards: &[Shard]) {
    let Some((last, others)) = shards.split_last() else { return };
    for shard in others {
        let stored = shard.store.lock().clone();
        let mut copied = last.store.lock();
        for (key, value) in stored {
            copied.entry(key).or_insert(value);
        }
    }
}

/// Reads keys until it is told to stop, and counts answers that are not the one there is.
fn reading<T>(proxy: &Proxy, keys: usize, then: impl FnOnce() -> T) -> (T, usize, usize) {
    let (stop, read, wrong) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let address = proxy.address("web");
    let result = thread::scope(|scope| {
        for reader in 0..3 {
            let (stop, read, wrong) = (&stop, &read, &wrong);
            scope.spawn(move || {
                let mut client = Client::tcp(address);
                for id in (0..keys).cycle().skip(reader * 7) {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let answer = client.ask(&get(&user(id)));
                    read.fetch_add(1, Ordering::Relaxed);
                    if answer.headers.all("connection").contains(&"close") {
                        client = Client::tcp(address);
                    }
                    if answer.status != 200 || answer.text() != format!("value {id}") {
                        wrong.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let result = then();
        stop.store(true, Ordering::Relaxed);
        result
    });
    (result, read.into_inner(), wrong.into_inner())
}

fn wait_for_reads(read_by: impl Fn() -> u64, more: u64) {
    let before = read_by();
    eventually("reads", Deadline::soon(), || (read_by() >= before + more).then_some(()));
}

fn requests(proxy: &Proxy) -> u64 {
    let told = step(proxy, "status");
    let shards = told["shards"].as_array().unwrap();
    shards.iter().map(|shard| shard["requests"].as_u64().unwrap()).sum()
}

const KEYS: usize = 200;

#[test]
fn a_fifth_shard_takes_its_part_of_the_keys_under_load() {
    let mut shards: Vec<Shard> = (0..4).map(|_| shard()).collect();
    let proxy = Proxy::start(&config(&shards));
    (0..KEYS).for_each(|id| put(&proxy, id, &format!("value {id}")));
    shards.push(shard());
    proxy.write(&config(&shards));
    let plan = step(&proxy, "plan");
    let (moved, ideal) = (plan["moved"].as_f64().unwrap(), plan["ideal"].as_f64().unwrap());
    assert!((moved - 0.2).abs() < 0.01 && (moved / ideal - 1.0).abs() < 0.05, "{plan}");
    assert_eq!(step(&proxy, "status")["next_epoch"], Value::Null, "a plan begins nothing");

    let ((), read, wrong) = reading(&proxy, KEYS, || {
        wait_for_reads(|| requests(&proxy), 200);
        let begun = step(&proxy, "start");
        assert_eq!((&begun["epoch"], &begun["next_epoch"]), (&json!(1), &json!(2)));
        // Whatever the new shard does not have comes from the old ones.
        wait_for_reads(|| requests(&proxy), 600);
        let missing = step(&proxy, "status");
        assert!(missing["misses"].as_u64().unwrap() > 0, "{missing}");
        copy(&shards);
        wait_for_reads(|| requests(&proxy), 600);
        let copied = step(&proxy, "status");
        assert!(copied["bytes"].as_u64().unwrap() > 0, "{copied}");
        let seen = copied["keys_seen"].as_f64().unwrap();
        assert!((seen / KEYS as f64 - 1.0).abs() < 0.05, "{copied}");
        // Of each shard, too: nobody has the keys of the new one yet, and it takes them from all others.
        let of = |what: &str| -> Vec<f64> {
            let all = copied["shards"].as_array().unwrap().iter();
            all.map(|shard| shard[what].as_f64().unwrap()).collect()
        };
        let (had, to_have) = (of("keys_seen"), of("next_keys_seen"));
        for seen in [&had, &to_have] {
            assert!((seen.iter().sum::<f64>() / KEYS as f64 - 1.0).abs() < 0.05, "{copied}");
        }
        assert!(had[4] == 0.0 && to_have[4] > 20.0, "{copied}");
        assert!((0..4).all(|shard| to_have[shard] < had[shard]), "{copied}");
        // An unchanged configuration, and the next one, leave it as it is.
        proxy.reload_as_written().expect_accepted();
        assert_eq!(step(&proxy, "status")["next_epoch"], json!(2));
        wait_for_reads(|| requests(&proxy), 200);
        let done = step(&proxy, "cutover");
        assert_eq!((&done["epoch"], &done["next_epoch"]), (&json!(2), &Value::Null));
        assert_eq!(done["shards"][0]["keys_seen"], Value::Null);
        wait_for_reads(|| requests(&proxy), 400);
    });
    assert_eq!(wrong, 0, "of {read}");
    proxy.reload_as_written().expect_accepted();
    let told = step(&proxy, "status");
    assert_eq!((&told["epoch"], &told["is_ahead_of_configuration"]), (&json!(2), &json!(false)));
    let of: BTreeSet<String> =
        (0..KEYS).map(|id| proxy.get(&user(id)).headers.all("x-shard")[0].to_owned()).collect();
    assert_eq!(of.len(), 5, "{of:?}");
    assert!(of.contains("s4 2"), "{of:?}");
    for shard in told["shards"].as_array().unwrap() {
        assert_eq!(shard["failures"], json!(0), "{told}");
    }
}

#[test]
fn what_is_written_while_keys_move_is_read_and_survives_an_abort() {
    let mut shards: Vec<Shard> = (0..4).map(|_| shard()).collect();
    let before = config(&shards);
    let proxy = Proxy::start(&before);
    (0..KEYS).for_each(|id| put(&proxy, id, &format!("old {id}")));
    shards.push(shard());
    proxy.write(&config(&shards));
    step(&proxy, "start");
    copy(&shards);
    // The copies are older than these.
    (0..KEYS).for_each(|id| put(&proxy, id, &format!("value {id}")));
    for id in 0..KEYS {
        proxy.get(&user(id)).expect_body(format!("value {id}"));
    }
    proxy.ask(&request("DELETE", &user(0))).expect_status(200);
    proxy.get(&user(0)).expect_status(404);
    put(&proxy, 0, "value 0");
    let ((), read, wrong) = reading(&proxy, KEYS, || {
        wait_for_reads(|| requests(&proxy), 300);
        let told = step(&proxy, "abort");
        assert_eq!((&told["epoch"], &told["next_epoch"]), (&json!(1), &Value::Null));
        wait_for_reads(|| requests(&proxy), 300);
    });
    assert_eq!(wrong, 0, "of {read}");
    proxy.reload(&before).expect_accepted();
    assert_eq!(step(&proxy, "status")["epoch"], json!(1));
}

#[test]
fn nothing_is_lost_or_doubled_or_misstated_while_keys_move() {
    let found = resharded(500);
    for faults in [&found.cutover, &found.abort] {
        assert_eq!((faults.failed, faults.wrong), (0, 0), "{faults:?}");
    }
    assert_eq!((found.twice, found.lost, found.strays), (0, 0, 0), "{found:?}");
    assert!((found.moved / found.ideal - 1.0).abs() < 0.05 && found.needless == 0.0, "{found:?}");
    assert_eq!(found.misstated, [""; 0], "{}", found.told);
}

/// Nobody who reads a log or `X-Shard` takes one mapping for another.
#[test]
fn the_number_of_a_mapping_is_never_that_of_another() {
    let mut shards: Vec<Shard> = (0..2).map(|_| shard()).collect();
    let two = config(&shards);
    let proxy = Proxy::start(&two);
    let stands = |proxy: &Proxy| {
        let told = step(proxy, "status");
        (told["epoch"].as_u64().unwrap(), told["next_epoch"].as_u64())
    };
    shards.push(shard());
    let three = config(&shards);
    proxy.write(&three);
    assert_eq!(step(&proxy, "plan")["next_epoch"], json!(2));
    step(&proxy, "start");
    assert_eq!(stands(&proxy), (1, Some(2)));
    step(&proxy, "abort");
    assert_eq!(stands(&proxy), (1, None));
    // Another mapping than the one that was given up.
    shards.push(shard());
    proxy.write(&config(&shards));
    assert_eq!(step(&proxy, "plan")["next_epoch"], json!(3));
    step(&proxy, "start");
    step(&proxy, "abort");
    // Also one that comes without a resharding, and one that was in force before.
    proxy.reload(&three).expect_accepted();
    assert_eq!(stands(&proxy), (4, None));
    proxy.reload(&two).expect_accepted();
    assert_eq!(stands(&proxy), (5, None));
    proxy.write(&three);
    step(&proxy, "start");
    proxy.reload_as_written().expect_accepted();
    step(&proxy, "cutover");
    assert_eq!(stands(&proxy), (6, None));
    proxy.reload_as_written().expect_accepted();
    assert_eq!(stands(&proxy), (6, None));
}

#[test]
fn a_new_shard_that_is_down_costs_no_read() {
    let mut shards: Vec<Shard> = (0..2).map(|_| shard()).collect();
    let proxy = Proxy::start(&config(&shards));
    (0..40).for_each(|id| put(&proxy, id, &format!("value {id}")));
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = dead.local_addr().unwrap().port();
    shards.push(shard());
    let live = shards[2].origin.endpoint().to_string();
    let text = config(&shards).to_toml().replace(&live, &format!("127.0.0.2:{port}"));
    std::fs::write(proxy.folder().join("next.toml"), text).unwrap();
    proxy
        .run(&["reshard", "plan", "app", "--to", "next.toml"])
        .expect_code(0)
        .expect_text("moves 33");
    let begun = proxy.run(&["reshard", "start", "app", "--to", "next.toml"]);
    begun.expect_code(0).expect_text("epoch 1, next 2");
    for id in 0..40 {
        proxy.get(&user(id)).expect_status(200).expect_body(format!("value {id}"));
    }
    proxy.run(&["reshard", "abort", "app"]).expect_code(0).expect_text("app: epoch 1\n");
}

#[test]
fn a_read_that_turns_to_the_old_shard_has_a_place_in_the_limit_of_that_one() {
    let gate = Gate::new();
    let held = |_: usize| {
        let ok = Step::send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let steps = [Step::Wait(gate.clone()), ok, Step::Next];
        Shard { origin: Origin::start().serve("*", steps), store: Store::default() }
    };
    let mut shards: Vec<Shard> = (0..2).map(held).collect();
    let limited = "[upstreams.app]\nconcurrency = 10";
    let text = |shards: &[Shard]| config(shards).to_toml().replace("[upstreams.app]", limited);
    let proxy = Proxy::start(&config(&shards));
    shards.push(held(2));
    let live = shards[2].origin.endpoint().to_string();
    let (_kept, nobody) = nobody();
    let next = text(&shards).replace(&live, &nobody);
    std::fs::write(proxy.folder().join("next.toml"), next).unwrap();
    proxy.run(&["reshard", "start", "app", "--to", "next.toml"]).expect_code(0);
    // About every third of them is to move.
    for id in 0..12 {
        let mut client = proxy.client();
        client.send(get(&user(id)).to_bytes());
        eventually("it is at an old shard", Deadline::soon(), || {
            let heads: usize = shards.iter().map(|shard| shard.origin.heads()).sum();
            (heads == id + 1).then_some(())
        });
        let at = |shard| {
            let name = format!("upstream_in_flight{{upstream=\"app\",shard=\"{shard}\"}}");
            metric(&proxy, &name)
        };
        assert_eq!(at("s0") + at("s1"), 1, "{id}");
        gate.pass();
        client.response().expect_status(200);
        eventually("it is over", Deadline::soon(), || (at("s0") + at("s1") == 0).then_some(()));
    }
}

#[test]
fn a_new_shard_that_answers_errors_is_known_to_fail_although_no_client_sees_it() {
    let mut shards: Vec<Shard> = (0..2).map(|_| shard()).collect();
    let breaking = "[upstreams.app]\nbreaker = { least = 3, open = \"1h\", longest = \"1h\" }";
    let text = |shards: &[Shard]| config(shards).to_toml().replace("[upstreams.app]", breaking);
    let proxy = Proxy::start(&config(&shards));
    (0..40).for_each(|id| put(&proxy, id, &format!("value {id}")));
    let failing = Origin::start().serve("*", Reply::ok("off").status(503));
    shards.push(Shard { origin: failing, store: Store::default() });
    std::fs::write(proxy.folder().join("next.toml"), text(&shards)).unwrap();
    proxy.run(&["reshard", "start", "app", "--to", "next.toml"]).expect_code(0);
    for id in 0..40 {
        proxy.get(&user(id)).expect_status(200).expect_body(format!("value {id}"));
    }
    proxy.wait_for_stderr("fails too often");
    assert_eq!(shards[2].origin.heads(), 3);
}

#[test]
fn steps_out_of_order_are_refused() {
    let mut shards: Vec<Shard> = (0..2).map(|_| shard()).collect();
    let first = config(&shards);
    let proxy = Proxy::start(&first);
    let refused = |action: &str, status: u16, because: &str| {
        let asked = json!({ "upstream": "app", "action": action });
        proxy.control("POST", "/reshard", Some(&asked)).expect_status(status).expect_text(because);
    };
    refused("cutover", 409, "nothing was started");
    refused("abort", 409, "nothing was started");
    refused("start", 409, "is the one in force");
    let asked = json!({ "upstream": "other", "action": "status" });
    proxy.control("POST", "/reshard", Some(&asked)).expect_status(404);
    proxy.write(
        &Config::default().toml(
            "[upstreams.app]\nshards = [{ name = \"a\", endpoints = [] }]\nshard_by = \"{id}\"",
        ),
    );
    refused("start", 422, "at least one endpoint");
    shards.push(shard());
    proxy.write(&config(&shards));
    step(&proxy, "start");
    refused("start", 409, "move already");
    // A third mapping while keys move would leave nobody knowing where they are.
    shards.push(shard());
    proxy.reload(&config(&shards)).expect_refused("neither the old nor the next");
    proxy.reload(&first).expect_accepted();
    assert_eq!(step(&proxy, "cutover")["is_ahead_of_configuration"], json!(true));
    proxy.reload(&first).expect_accepted();
    assert_eq!(step(&proxy, "status")["epoch"], json!(2));
}
