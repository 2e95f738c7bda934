//! From four shards to five while clients read and write: once given up, once carried through.

mod clients;
mod shards;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::config::{Config, config};
use crate::patience::{Deadline, eventually};
use crate::proxy::Proxy;
use clients::{CLIENTS, Load, Moment, Phase};
use shards::{Counted, KEYS, NEW, SHARDS, Shards, name};

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Resharded {
    /// Until it was given up, and since.
    pub abort: Faults,
    /// Everything else.
    pub cutover: Faults,
    /// Requests of all clients.
    pub requests: usize,
    /// Those of them that wrote something, each with an id of its own.
    pub posts: usize,
    /// Ids that shards have had more than once.
    pub twice: usize,
    /// Writes that were answered and are at no shard.
    pub lost: usize,
    /// Requests at shards that have the key neither before nor afterwards.
    pub strays: usize,
    /// The part of all keys that another shard answers for afterwards.
    pub moved: f64,
    /// The part that must be.
    pub ideal: f64,
    /// The part of all keys that moved between shards that were there before.
    pub needless: f64,
    /// What `reshard status` said otherwise than it was.
    pub misstated: Vec<String>,
    /// What `reshard status` printed while keys moved.
    pub told: String,
}

/// What clients got that they should not have got.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// How many requests were not answered well.
    pub failed: usize,
    /// How many were answered by a shard that does not have the key, or not with what was written last.
    pub wrong: usize,
    /// The first of either.
    pub first: Option<String>,
}

/// Plays it: each of six steps for this many requests.
///
/// # Panics
/// When something cannot be started, or comes to a halt.
#[must_use]
pub fn resharded(each: usize) -> Resharded {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let shards = Arc::new(Shards::new());
    let addresses = runtime.block_on(shards.serve());
    let proxy = Proxy::start(&of(&addresses[..NEW]));
    let load = Arc::new(Load::new(Arc::clone(&shards), proxy.address("web")));
    let clients: Vec<_> =
        (0..CLIENTS).map(|client| runtime.spawn(Arc::clone(&load).ask(client))).collect();
    let mut played = Played { proxy, load, each, found: Resharded::default() };
    played.wait();
    played.proxy.write(&of(&addresses));
    played.give_up();
    played.carry_through();
    played.proxy.reload_as_written().expect_accepted();
    played.wait();
    played.load.stops.store(true, Ordering::Relaxed);
    for client in clients {
        runtime.block_on(client).expect("a client that does not panic");
    }
    played.told(&runtime)
}

fn of(addresses: &[String]) -> Config {
    let shard = |(number, address): (usize, &String)| {
        let name = name(number);
        format!("[[upstreams.app.shards]]\nname = \"{name}\"\nendpoints = [\"{address}\"]\n")
    };
    let shards: String = addresses.iter().enumerate().map(shard).collect();
    config()
        .web("")
        .site("")
        .route("/users/{id}", "proxy = \"app\"")
        .toml(format_args!("[upstreams.app]\nshard_header = true\nshard_by = \"{{id}}\"\n{shards}"))
}

struct Played {
    proxy: Proxy,
    load: Arc<Load>,
    each: usize,
    found: Resharded,
}

impl Played {
    /// Until clients have asked for some time.
    fn wait(&self) {
        let answered = || self.load.answered.load(Ordering::Relaxed);
        let enough = answered() + self.each;
        eventually("requests", Deadline::soon(), || (answered() >= enough).then_some(()));
    }

    fn step(&self, action: &str) -> Value {
        let asked = json!({ "upstream": "app", "action": action });
        self.proxy.control("POST", "/reshard", Some(&asked)).expect_status(200).json()
    }

    /// Keys move, and come back.
    fn give_up(&mut self) {
        self.load.is_in(Phase::First);
        self.step("start");
        self.wait();
        self.load.shards.copy();
        self.wait();
        self.step("abort");
        self.load.is_in(Phase::Aborted);
        self.wait();
        self.load.shards.forget();
    }

    /// Keys move, and stay: the copies are older than what is written meanwhile until shortly before the end.
    fn carry_through(&mut self) {
        self.load.is_in(Phase::Second);
        let start = self.at(|played| played.step("start")).1;
        self.wait();
        self.load.shards.copy();
        self.wait();
        let (told, status) = self.at(|played| played.step("status"));
        self.compare_moved(&told, start[0], status);
        self.compare_seen(&told, start, status);
        self.found.told = self.proxy.run(&["reshard", "status", "app"]).stdout.clone();
        self.load.shards.mirror();
        self.load.is_in(Phase::Cutting);
        self.step("cutover");
        self.load.is_in(Phase::After);
        self.wait();
    }

    /// Does something, and tells how it stood before and afterwards.
    fn at<T>(&self, what: impl FnOnce(&Self) -> T) -> (T, [Moment; 2]) {
        let before = self.load.moment();
        let done = what(self);
        (done, [before, self.load.moment()])
    }

    /// What new shards were asked for, and what became of it.
    fn compare_moved(&mut self, told: &Value, start: Moment, [before, after]: [Moment; 2]) {
        for (what, of, each) in [
            ("reads", (|counted| counted.requests) as fn(Counted) -> u64, 1),
            ("misses", |counted| counted.missed, 1),
            ("bytes", |counted| counted.bytes, 100),
        ] {
            let since = |moment: Moment| of(moment.new) - of(start.new);
            self.compare(what, &told[what], [since(before), since(after)], each);
        }
    }

    /// Keys that were seen, beside those that were asked for.
    fn compare_seen(&mut self, told: &Value, start: [Moment; 2], status: [Moment; 2]) {
        let load = Arc::clone(&self.load);
        let [least, most] = [1, 0].map(|at| start[at].asked_for..status[1 - at].asked_for);
        let keys = |is_meant: &dyn Fn(u32) -> bool| {
            // They are told within some per cent.
            let [least, most] = [&least, &most].map(|time| load.keys(time.clone(), is_meant));
            [least * 95 / 100, most * 105 / 100]
        };
        self.compare("keys seen", &told["keys_seen"], keys(&|_| true), 1);
        for number in 0..SHARDS {
            for (what, of_five) in [("keys_seen", false), ("next_keys_seen", true)] {
                let is_meant = |key| load.shards.owner(key, of_five) == number;
                let what_of = format!("{what} of {}", name(number));
                self.compare(&what_of, &told["shards"][number][what], keys(&is_meant), 1);
            }
        }
    }

    /// Whether a figure is between what was counted before and after it was told. Of requests that are on their way, each is `each` more or
    /// less.
    fn compare(&mut self, what: &str, told: &Value, [least, most]: [u64; 2], each: u64) {
        let on_their_way = u64::from(CLIENTS) * each;
        let range = least.saturating_sub(on_their_way)..=most + on_their_way;
        if !told.as_u64().is_some_and(|told| range.contains(&told)) {
            self.found.misstated.push(format!("{what}: {told}, and it was {least} to {most}"));
        }
    }

    /// Asks for every key, and sums up.
    fn told(mut self, runtime: &Runtime) -> Resharded {
        let load = Arc::clone(&self.load);
        let owners = runtime.block_on(load.read_all());
        let moved = owners.iter().filter(|(key, is)| load.shards.owner(*key, false) != *is);
        let needless = moved.clone().filter(|(_, is)| *is != NEW).count();
        let moved = moved.count();
        self.compare_counts();
        let part = |count: usize| count as f64 / f64::from(KEYS);
        let seen = self.load.found.lock();
        let faults = |of_abort: bool| {
            let is_of =
                |one: &&(Phase, String)| matches!(one.0, Phase::First | Phase::Aborted) == of_abort;
            let [failed, wrong] =
                [&seen.failed, &seen.wrong].map(|all| all.iter().filter(is_of).count());
            let first = seen.failed.iter().chain(&seen.wrong).find(is_of);
            Faults { failed, wrong, first: first.map(|(phase, what)| format!("{phase:?}: {what}")) }
        };
        Resharded {
            abort: faults(true),
            cutover: faults(false),
            requests: self.load.answered.load(Ordering::Relaxed),
            posts: seen.posts,
            lost: seen.lost,
            twice: self.load.shards.twice(),
            strays: self.load.shards.strays(),
            moved: part(moved),
            ideal: 1.0 / SHARDS as f64,
            needless: part(needless),
            ..self.found
        }
    }

    /// Requests and bytes of each shard: the proxy's figures are the shards' own once all is over.
    fn compare_counts(&mut self) {
        let counts = self.load.shards.counts();
        let differences = || -> Vec<String> {
            let told = self.step("status");
            let each = counts.iter().enumerate().map(|(number, counted)| {
                let shard = &told["shards"][number];
                let is = ["requests", "bytes", "failures"].map(|what| shard[what].as_u64());
                let was = [counted.requests, counted.bytes, 0].map(Some);
                (is != was).then(|| format!("{}: {is:?}, and it was {was:?}", name(number)))
            });
            each.flatten().collect()
        };
        let last = Deadline::after(std::time::Duration::from_secs(2));
        let found = eventually("figures", Deadline::soon(), || {
            let found = differences();
            (found.is_empty() || last.has_passed()).then_some(found)
        });
        self.found.misstated.extend(found);
    }
}
