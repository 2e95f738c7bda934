//! What linked plugins add to a request, in instructions of the whole process.

use std::fmt::Write as _;
use std::path::Path;

use crate::client::Client;
use crate::command::switchback_binary;
use crate::config::{Config, config};
use crate::counted::Counted;
use crate::gate::Gate;
use crate::message::{Reply, get};
use crate::origin::{Answer, Choice, Origin, Step};

/// What five plugins cost on one kind of request.
#[derive(Clone, Debug)]
pub struct PluginCost {
    /// Which plugins.
    pub plugins: &'static str,
    /// Whether the answer comes from the cache; from the origin otherwise.
    pub is_hit: bool,
    /// Instructions in user space for a request to a proxy without any plugin.
    pub without: f64,
    /// The same with all five on its route.
    pub with: f64,
}

impl PluginCost {
    /// How much more a request costs with them, in hundredths.
    #[must_use]
    pub fn excess(&self) -> f64 {
        (self.with / self.without - 1.0) * 100.0
    }
}

/// How many requests go before those that are counted: nothing is to be done for the first time then.
const WARM: usize = 60;
/// Rounds, of which the cheapest counts: what is done from time to time comes into some of them. In each, one answer more is half way through:
/// where all that lives fills the last page of some size, the allocator takes a page for the next request and gives it back at its end, at up to
/// 2,000 instructions each time, and one more that lives fills that page no more.
const ROUNDS: usize = 5;
/// Plugins of each kind.
const FIVE: [u8; 5] = [1, 2, 3, 4, 5];

/// Paths that are as long as each other, without and with a cache.
const PROXIED: &str = "/proxied/x";
const STORED: &str = "/storing/x";
/// Whose answer never ends.
const HELD: &str = "/proxied/held";
/// Under the program that counts, the first call of a plugin takes most of a second, and would be told of as one that spins.
const PATIENCE: &str = "timeout = \"1m\"";

/// Counts so many requests of each kind, with plugins that do nothing where there is a program that has such linked in: beside the binary,
/// as `cargo build --example idle_plugins` leaves it. `None` where the counting program is not installed.
///
/// # Panics
/// When the proxy does not start, or an answer is wrong.
#[must_use]
pub fn plugin_cost(requests: usize) -> Option<Vec<PluginCost>> {
    let binary = switchback_binary();
    let origin = origin();
    let play = |program: &Path, plugins: Option<&Five>| -> Option<[f64; 2]> {
        let mut counted = Counted::start_program(program, &stage(&origin, plugins))?;
        Some([PROXIED, STORED].map(|path| lowest(&mut counted, path, requests)))
    };
    let mut found = Vec::new();
    let mut compare = |program: &Path, all: &[Five]| {
        let without = play(program, None)?;
        for five in all {
            let with = play(program, Some(five))?;
            for (is_hit, (without, with)) in
                [false, true].into_iter().zip(without.into_iter().zip(with))
            {
                found.push(PluginCost { plugins: five.told, is_hit, without, with });
            }
        }
        Some(())
    };
    compare(&binary, &[looking(), everyday()])?;
    let idle_program = binary.with_file_name("examples").join("idle_plugins");
    if idle_program.is_file() {
        compare(&idle_program, &[idle()])?;
    }
    Some(found)
}

/// Who has to do with answers from the cache, beside the cache.
#[derive(Clone, Copy, Debug)]
pub enum AtHits<'a> {
    /// Five built-in plugins that look for a header at each side, and answer at once.
    Plugins,
    /// A native one, from this file.
    Native(&'a Path),
    /// The route itself, which sets three headers.
    Rules,
    /// The upstream, which tells the shard of what it is asked for.
    Shards,
}

/// Instructions of an answer from the cache, in a build for tests: by itself, and with these on its route. `None` where the counting program is not
/// installed.
///
/// # Panics
/// When the proxy does not start, or an answer is wrong.
#[must_use]
pub fn hit_cost(requests: usize, at_hits: AtHits<'_>) -> Option<(f64, f64)> {
    let origin = origin();
    let five = looking();
    let mut upstream = "app";
    let (tables, line) = match at_hits {
        AtHits::Plugins => (five.tables, format!("filters = [{}]", five.filters)),
        AtHits::Native(module) => (
            format!("[plugins.native]\n{PATIENCE}\nmodule = \"{}\"\n", module.display()),
            "filters = [\"native\"]".to_owned(),
        ),
        AtHits::Rules => {
            let three = "a = \"1\", b = \"2\", x-frame-options = \"DENY\"";
            (String::new(), format!("response_headers = {{ set = {{ {three} }} }}"))
        }
        AtHits::Shards => {
            upstream = "parts";
            let endpoint = origin.endpoint();
            let shards = format!(
                "[upstreams.parts]\nshard_header = true\nshard_by = \"$uri\"\n\
                [[upstreams.parts.shards]]\nname = \"a\"\nendpoints = [\"{endpoint}\"]\n"
            );
            (shards, String::new())
        }
    };
    let route = format!("{line}\nproxy = \"{upstream}\"\ncache = \"main\"");
    let config = stage(&origin, None).toml(tables).route("/touched/*", route);
    let mut counted = Counted::start(&config)?;
    let [without, with] = [STORED, "/touched/x"].map(|path| lowest(&mut counted, path, requests));
    Some((without, with))
}

fn lowest(counted: &mut Counted, path: &str, requests: usize) -> f64 {
    let mut client = counted.proxy.client();
    let asked =
        get(path).header("Accept", "*/*").header("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)");
    let mut ask = || {
        client.ask(&asked).expect_status(200);
    };
    (0..WARM).for_each(|_| ask());
    let mut waiting: Vec<Client> = Vec::new();
    let rounds = (0..ROUNDS).map(|_| {
        let mut next = counted.proxy.client();
        next.send(get(HELD).to_bytes()).response_head().expect_status(200);
        waiting.push(next);
        counted.each(requests, &mut ask)
    });
    rounds.fold(f64::INFINITY, f64::min)
}

fn origin() -> Origin {
    let never = Choice::new(|request| {
        let mut half = page().to_bytes(&request.method);
        half.truncate(half.len() - 1000);
        vec![Step::Send(half), Step::Wait(Gate::new())]
    });
    Origin::start().serve("*", page()).serve(HELD, Answer::Chosen(never))
}

fn page() -> Reply {
    Reply::ok("x".repeat(2000))
        .header("Content-Type", "text/html; charset=utf-8")
        .header("Cache-Control", "max-age=86400")
        .header("ETag", "\"v1\"")
}

/// Five plugins.
struct Five {
    told: &'static str,
    tables: String,
    filters: String,
}

/// Two routes, from the origin and from the cache, with these plugins on both.
fn stage(origin: &Origin, plugins: Option<&Five>) -> Config {
    let (tables, filters) = match plugins {
        Some(five) => (five.tables.as_str(), format!("filters = [{}]\n", five.filters)),
        None => ("", String::new()),
    };
    config()
        .top("workers = 1")
        .web("limits = { keepalive_requests = 1000000 }")
        .toml(format_args!("[zones.main]\nmemory = \"64MiB\"\n{tables}"))
        .site("")
        .route("/proxied/*", format_args!("{filters}proxy = \"app\""))
        .route("/storing/*", format_args!("{filters}proxy = \"app\"\ncache = \"main\""))
        .upstream("app", &[origin], "")
}

/// The same plugin five times, each with options of its own.
fn five_of(told: &'static str, table: impl Fn(u8) -> String) -> Five {
    let mut tables = String::new();
    for number in FIVE {
        // Writing to a String cannot fail.
        let _ = writeln!(tables, "[plugins.p{number}]\n{PATIENCE}\n{}", table(number));
    }
    let filters = FIVE.map(|number| format!("\"p{number}\"")).join(", ");
    Five { told, tables, filters }
}

/// They are asked about each request and each response, and do nothing.
fn idle() -> Five {
    five_of("that do nothing", |_| "use = \"idle\"\n".to_owned())
}

/// The least that a plugin of those built in does at both hooks: it looks for one header, which is not there.
fn looking() -> Five {
    five_of("built in, that look for a header of the request and one of the response", |number| {
        let change = |side: &str| {
            format!("{{ remove = [\"x-gone\"], when = {{ present = [\"x-{side}-{number}\"] }} }}")
        };
        let (request, response) = (change("request"), change("response"));
        format!(
            "use = \"headers\"\noptions = {{ request = [{request}], response = [{response}] }}\n"
        )
    })
}

/// As an ordinary site has them: each does its work, and lets the request pass.
fn everyday() -> Five {
    let tables = format!(
        "[plugins.ids]\n{PATIENCE}\nuse = \"request-id\"\n\
        [plugins.networks]\n{PATIENCE}\nuse = \"ip-filter\"\noptions = {{ deny = [\"192.0.2.0/24\", \"2001:db8::/32\"] }}\n\
        [plugins.agents]\n{PATIENCE}\nuse = \"user-agent\"\noptions = {{ rules = [{{ contains = [\"badbot\", \"scrapy\"], action = \"deny\" }}] }}\n\
        [plugins.moved]\n{PATIENCE}\nuse = \"redirect\"\noptions = {{ paths = {{ \"/old/*\" = \"/new/*\", \"/about.html\" = \"/about\" }} }}\n\
        [plugins.safe]\n{PATIENCE}\nuse = \"headers\"\noptions = {{ response = [{{ set = {{ x-frame-options = \"DENY\", \
        x-content-type-options = \"nosniff\" }}, remove = [\"x-powered-by\"] }}] }}\n"
    );
    Five {
        told: "request-id, ip-filter, user-agent, redirect (that does not match) and headers",
        tables,
        filters: "\"ids\", \"networks\", \"agents\", \"moved\", \"safe\"".to_owned(),
    }
}
