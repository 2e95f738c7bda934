//! Reloads under load, each of which has other modules asked: every answer is of one configuration, the one in force when it was asked for or a
//! newer one, and what is not asked any more goes.

mod modules;

use std::ops::Range;
use std::os::linux::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use modules::Modules;

use crate::config::{Config, config};
use crate::load::{Load, Questions};
use crate::message::Response;
use crate::origin::Origin;
use crate::patience::{Deadline, eventually};
use crate::proxy::Proxy;

/// Which modules are swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// A native one, by naming another file, and a Wasm one, by other content of the same file; beside plugins that are built in.
    Both,
    /// The Wasm one alone.
    Wasm,
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct SwapPlan {
    /// Reloads.
    pub reloads: usize,
    /// Requests that are answered meanwhile, at least.
    pub requests: u64,
    /// What each reload swaps.
    pub swapped: Swapped,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Swaps {
    /// Answers that were right: with the marks of one configuration, which was in force when they were asked for, or newer.
    pub answered: u64,
    /// What was wrong with the others.
    pub failures: Vec<String>,
    /// Reloads that were accepted and seen by every connection.
    pub acted: usize,
    /// The most instances of one module that were alive after a reload.
    pub most_alive: u64,
    /// Instances of all modules that are alive at the end, when nobody asks any more: one of each is in force.
    pub alive: u64,
    /// The same as the native module counts itself; `None` without one.
    pub counted: Option<f64>,
    /// Resident memory in KiB before the first module is there, and after each reload.
    pub resident: (u64, Vec<u64>),
}

impl Swaps {
    /// The most resident memory in KiB after these reloads, counted from 0. What grows shows there; what the allocator gives back for a while,
    /// at one time or another, does not.
    #[must_use]
    pub fn highest(&self, reloads: Range<usize>) -> u64 {
        let after = self.resident.1.iter().take(reloads.end).skip(reloads.start);
        after.copied().max().unwrap_or_default()
    }
}

/// Clients that ask without pause.
const CLIENTS: usize = 4;
/// What a reload may take, with all that is compiled for it while others compute.
const LONG: Duration = Duration::from_secs(120);

/// Plays it.
///
/// # Panics
/// When the proxy does not start, refuses a reload or stops answering, or there is no C compiler.
#[must_use]
#[track_caller]
pub fn swaps(plan: &SwapPlan) -> Swaps {
    let (modules, origin) = (Modules::new(), Origin::start());
    let stage = Stage { modules, origin, swapped: plan.swapped };
    let proxy = Proxy::start(&stage.without());
    let mut played =
        Swaps { resident: (proxy.stats().resident_kib, Vec::new()), ..Swaps::default() };
    proxy.reload(&stage.config(1)).expect_accepted();
    let judge = match plan.swapped {
        Swapped::Both => judge_both,
        Swapped::Wasm => judge_wasm,
    };
    let load = Load::asking(proxy.address("web"), CLIENTS, Questions { target, judge });
    load.confirm(1);
    let share = plan.requests.div_ceil(plan.reloads as u64 + 1);
    for number in 2..plan.reloads as u64 + 2 {
        let patience = Deadline::after(LONG);
        load.wait_until("the load goes on", patience, |seen| seen.answered >= share * (number - 1));
        proxy.reload(&stage.config(number)).expect_accepted();
        load.confirm(number);
        load.wait_until("every connection sees the reload", Deadline::after(LONG), |seen| {
            seen.generations.iter().all(|&newest| newest >= number)
        });
        played.acted += 1;
        played.resident.1.push(proxy.stats().resident_kib);
        for plugin in ["native", "wasm"] {
            played.most_alive = played.most_alive.max(alive(&proxy, plugin));
        }
    }
    load.wait_until("the load ends", Deadline::after(LONG), |seen| seen.answered >= plan.requests);
    let seen = load.stop();
    (played.answered, played.failures) = (seen.answered, seen.failures);
    stage.settle(&proxy, &mut played);
    played
}

/// What is swapped, and what stays.
struct Stage {
    modules: Modules,
    origin: Origin,
    swapped: Swapped,
}

impl Stage {
    /// The same without any module.
    fn without(&self) -> Config {
        self.around("", "[\"stamp\", \"request-id\"]", 0)
    }

    /// With the modules of this generation.
    fn config(&self, number: u64) -> Config {
        let mark = mark(number);
        let wasm = self.modules.wasm(mark);
        let mut tables = format!(
            "[plugins.wasm]\nmodule = {wasm:?}\n\
             # More than what is usual: who computes this machine's other tests is not known.\n\
             limits = {{ cpu = \"200ms\" }}\n"
        );
        if self.swapped == Swapped::Wasm {
            return self.around(&tables, "[\"stamp\", \"wasm\", \"request-id\"]", number);
        }
        let native = self.modules.native(mark);
        tables.push_str(&format!("[plugins.native]\nmodule = {native:?}\n"));
        self.around(&tables, "[\"stamp\", \"native\", \"wasm\", \"request-id\"]", number)
    }

    fn around(&self, tables: &str, filters: &str, number: u64) -> Config {
        config()
            .toml("[log]\nlevel = \"warn\"\n")
            .web("limits = { keepalive_requests = 1000000 }")
            .toml(format_args!(
                "[plugins.stamp]\nuse = \"headers\"\n\
                 options = {{ response = [{{ set = {{ x-generation = \"{number}\" }} }}] }}\n{tables}"
            ))
            .site("")
            .route("/*", format_args!("filters = {filters}\nproxy = \"app\""))
            .upstream("app", &[&self.origin], "")
    }

    /// Waits until what is not asked any more has gone, and counts what is left.
    fn settle(&self, proxy: &Proxy, played: &mut Swaps) {
        let plugins: &[&str] = match self.swapped {
            Swapped::Both => &["native", "wasm"],
            Swapped::Wasm => &["wasm"],
        };
        let count = || plugins.iter().map(|plugin| alive(proxy, plugin)).sum::<u64>();
        let deadline = Deadline::soon();
        while count() > plugins.len() as u64 && !deadline.has_passed() {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        played.alive = count();
        played.counted = metric(proxy, "switchback_plugin_mark_alive{plugin=\"native\"}");
    }
}

/// The mark of the modules of this generation: there are two of each.
fn mark(number: u64) -> &'static str {
    if number.is_multiple_of(2) { "0" } else { "1" }
}

/// Instances of a plugin that are alive.
fn alive(proxy: &Proxy, plugin: &str) -> u64 {
    let name = format!("switchback_plugin_instances{{plugin=\"{plugin}\",kind=\"{plugin}\"}}");
    metric(proxy, &name).map_or(0, |count| count as u64)
}

/// A value of the metrics, by its name with all labels.
fn metric(proxy: &Proxy, name: &str) -> Option<f64> {
    let text = proxy.control("GET", "/metrics", None).text();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

fn target(connection: usize, number: u64) -> String {
    format!("/{connection}/{number}")
}

fn judge_both(response: &Response, target: &str) -> Option<u64> {
    let number = judge_wasm(response, target)?;
    (response.headers.all("x-native") == [mark(number)]).then_some(number)
}

/// The generation of an answer, if all of it is of one: what is built in says which, the Wasm module has remembered the request from its
/// beginning and reversed the body, and the origin's answer is to this request.
fn judge_wasm(response: &Response, target: &str) -> Option<u64> {
    let number = response.headers.all("x-generation").first()?.parse().ok()?;
    let hooks = response.headers.all(&format!("x-hook{}", mark(number)));
    let other = response.headers.all(&format!("x-hook{}", mark(number + 1)));
    let body: Vec<u8> = response.body.iter().rev().copied().collect();
    let echoed: serde_json::Value = serde_json::from_slice(&body).ok()?;
    let is_right = response.status == 200
        && hooks == ["request,route,upstream,response"]
        && other.is_empty()
        && response.headers.all("x-request-id").len() == 1
        && echoed["target"] == target;
    is_right.then_some(number)
}

/// What native modules leave behind, which are never unloaded.
#[derive(Clone, Copy, Debug)]
pub struct NativeGrowth {
    /// Different modules that were loaded one after the other.
    pub modules: u64,
    /// Resident memory in KiB that each of them added.
    pub resident_kib: f64,
    /// KiB of the copy that each of them was loaded from, which is kept in memory.
    pub copy_kib: f64,
    /// Instances that are alive at the end.
    pub alive: u64,
}

/// Loads so many different native modules, one after the other, each in place of the one before.
///
/// # Panics
/// As [`swaps`].
#[must_use]
#[track_caller]
pub fn native_growth(modules: u64) -> NativeGrowth {
    let (made, origin) = (Modules::new(), Origin::start());
    let config = |number: u64| {
        let native = made.native(&format!("n{number}"));
        config()
            .web("")
            .toml(format_args!("[plugins.native]\nmodule = {native:?}\n"))
            .site("")
            .route("/*", "filters = [\"native\"]\nproxy = \"app\"")
            .upstream("app", &[&origin], "")
    };
    let proxy = Proxy::start(&config(0));
    let load = |number| {
        proxy.reload(&config(number)).expect_accepted();
        let answer = proxy.get("/");
        answer.expect_status(200).expect_header("x-native", &format!("n{number}"));
    };
    // Whatever is there once is there then.
    (1..5).for_each(load);
    let before = proxy.stats().resident_kib;
    (5..5 + modules).for_each(load);
    let grown = proxy.stats().resident_kib.saturating_sub(before);
    eventually("instances of old configurations go", Deadline::soon(), || {
        (alive(&proxy, "native") == 1).then_some(())
    });
    let copies = copies(&Path::new("/proc").join(proxy.pid().to_string()).join("fd"));
    NativeGrowth {
        modules,
        resident_kib: grown as f64 / modules as f64,
        copy_kib: copies.iter().sum::<u64>() as f64 / 1024.0 / copies.len().max(1) as f64,
        alive: alive(&proxy, "native"),
    }
}

/// Bytes of each copy of a module.
fn copies(descriptors: &Path) -> Vec<u64> {
    let open = std::fs::read_dir(descriptors).into_iter().flatten().flatten();
    let is_copy = |path: &Path| {
        let name = std::fs::read_link(path).unwrap_or_default();
        name.to_string_lossy().starts_with("/memfd:switchback:")
    };
    let copies = open.map(|entry| entry.path()).filter(|path| is_copy(path));
    copies.filter_map(|path| Some(std::fs::metadata(path).ok()?.st_blocks() * 512)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Swaps, mark};

    #[test]
    fn two_generations_in_a_row_have_different_marks() {
        assert!((1..10).all(|number| mark(number) != mark(number + 1)));
    }

    #[test]
    fn the_most_memory_is_that_of_the_reloads_that_are_asked_about() {
        let resident = vec![100, 1, 9, 3, 2];
        let played = Swaps { resident: (1000, resident), ..Swaps::default() };
        assert_eq!(played.highest(0..5), 100);
        assert_eq!(played.highest(1..3), 9);
        assert_eq!(played.highest(3..80), 3);
        assert_eq!(played.highest(80..90), 0);
    }
}
