//! Prints what the edge was promised to do beside what was measured: `line: figure (wanted)`.
//!
//! A line that falls short is marked so, and the exit code says whether any does. `--quick` sends a tenth of the requests
//! and opens a tenth of the connections, or fewer; the name of a part plays that part alone. With `--traffic` or `--hold` it is one of
//! its own helpers.

#![expect(clippy::expect_used, reason = "a show that cannot play its part has nothing to show")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use switchback_integration::{
    ChangePlan, Changes, GIVEN_BACK, IdleFound, IdleOne, IdleOnePlan, IdlePlan, Need, NotPlayed,
    Show, Slow, SlowPlan, SlowRun, Successor, changes, h2_conformance, h2_hostile, h2spec, hold,
    idle_connections, idle_in_one_process, median, needs, positions, report, slow_clients,
    smuggling, traffic,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("--traffic") => {
            traffic();
            return ExitCode::SUCCESS;
        }
        Some("--hold") => {
            hold(arguments.get(1..).unwrap_or_default());
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let divisor = if arguments.iter().any(|argument| argument == "--quick") { 10 } else { 1 };
    let mut played = Edge { show: Show::default(), divisor };
    let parts: [Part; 8] = [
        ("changes", Edge::changes),
        ("slow-clients", Edge::slow_clients),
        ("positions", Edge::positions),
        ("h2spec", Edge::h2spec),
        ("smuggling", Edge::smuggling),
        ("h2-hostile", Edge::h2_hostile),
        ("idle", Edge::idle),
        ("c10m", Edge::c10m),
    ];
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let chosen = parts.iter().any(|(name, _)| named(name));
    for (_, play) in parts.into_iter().filter(|(name, _)| !chosen || named(name)) {
        play(&mut played);
    }
    played.show.verdict()
}

/// What may be played alone, by its name.
type Part = (&'static str, fn(&mut Edge));

struct Edge {
    show: Show,
    /// By how much numbers are smaller than what was promised.
    divisor: u64,
}

impl Edge {
    fn changes(&mut self) {
        let plan = ChangePlan { requests: 3_000_000 / self.divisor, reloads: 100, upgrades: 30 };
        let found = changes(&plan);
        let asked = found.tally.answered + found.tally.failed;
        let holds = found.tally.failed == 0 && asked >= plan.requests;
        self.show.line(
            "requests failed during reloads and upgrades",
            &format!("{} of {asked} in {} s", found.tally.failed, found.lasted.as_secs()),
            &format!("0 of {}", plan.requests),
            holds,
        );
        found
            .tally
            .failures
            .iter()
            .take(5)
            .for_each(|failure| self.show.say(&format!("  {failure}")));
        for (kind, count) in &found.tally.kinds {
            self.show.say(&format!("  {count} {kind}"));
        }
        self.acted(&found, &plan);
    }

    fn slow_clients(&mut self) {
        for slow in Slow::ALL {
            let seconds = if slow == Slow::Header { 10 } else { 20 };
            let plan = SlowPlan {
                slow,
                connections: 5000 / self.divisor as usize,
                deadline: Duration::from_secs(seconds),
                runs: 3,
                grace: Duration::from_secs(2),
            };
            match slow_clients(&plan) {
                Ok(runs) => self.slow_runs(&plan, &runs),
                Err(NotPlayed::NoTool) => self.show.absent(&format!("{slow:?}"), "slowhttptest"),
                Err(NotPlayed::Refused(why)) => {
                    let why = why.lines().next().unwrap_or_default();
                    let what = format!("slow clients, {slow:?}");
                    self.show.line(&what, &format!("not shown: {why}"), "it is", false);
                }
            }
        }
    }

    fn slow_runs(&mut self, plan: &SlowPlan, runs: &[SlowRun]) {
        let SlowPlan { slow, connections, deadline, .. } = plan;
        let opened: Vec<u64> = runs.iter().map(|run| run.opened).collect();
        let late: u64 = runs.iter().map(|run| run.late).sum();
        let all = opened.iter().all(|opened| *opened >= *connections as u64);
        self.show.line(
            &format!("slow clients, {slow:?}, open after {} s", deadline.as_secs()),
            &format!("{late} of {opened:?}"),
            &format!("0 of {connections} in each run"),
            late == 0 && all,
        );
        let idle = median(runs.iter().map(|run| run.idle).collect());
        let attacked = median(runs.iter().map(|run| run.attacked).collect());
        let bound = (idle * 2).max(Duration::from_millis(5));
        self.show.line(
            "  99 of 100 answers of another site meanwhile",
            &format!("{attacked:?}, before it {idle:?}"),
            &format!("within {bound:?}"),
            attacked <= bound,
        );
    }

    fn acted(&mut self, found: &Changes, plan: &ChangePlan) {
        let (acted, reloads) = (found.acted.len(), plan.reloads);
        self.show.line(
            "reloads seen to act",
            &acted.to_string(),
            &reloads.to_string(),
            acted == reloads,
        );
        let good = found.upgrades.iter().filter(|kind| **kind == Successor::Good).count();
        let refused = found.upgrades.len() - good;
        let wanted = (plan.upgrades - plan.upgrades / 3, plan.upgrades / 3);
        self.show.line(
            "upgrades taken over, and refused as they must be",
            &format!("{good} and {refused}"),
            &format!("{} and {}", wanted.0, wanted.1),
            (good, refused) == wanted,
        );
        found.faults.iter().take(10).for_each(|fault| self.show.say(&format!("  {fault}")));
        for (feature, probe) in &found.missing {
            self.show.line(
                &format!("the binary has {feature:?}"),
                &format!("no: {probe}"),
                "yes",
                false,
            );
        }
    }

    fn positions(&mut self) {
        let stride = if self.divisor == 1 { 1 } else { 7 };
        let found = positions(stride, 2);
        let lengths: Vec<String> =
            found.lengths.iter().map(|(name, length)| format!("{name} {length}")).collect();
        self.show.line(
            "connections stopped at a byte, by RST, FIN or stall, that were not ended",
            &format!("{} of {}", found.unended, found.connections),
            &format!("0, at every byte{}", if stride == 1 { "" } else { " but for --quick" }),
            found.unended == 0 && found.connections > 0,
        );
        self.show.say(&format!("  bytes of each: {}", lengths.join(", ")));
        let (first, last) = found.resident;
        self.show.line(
            "  descriptors, threads, requests and memory that leaked",
            &format!(
                "{} kinds, {first} KiB after one round, {last} KiB after all",
                found.leaks.len()
            ),
            "0 kinds",
            found.leaks.is_empty(),
        );
        found.leaks.iter().take(10).for_each(|leak| self.show.say(&format!("  {leak}")));
    }

    fn h2spec(&mut self) {
        let own = h2_conformance();
        self.show.line(
            "cases of ours that restate the HTTP/2 conformance list and fail",
            &format!("{} of {}", own.failures.len(), own.cases),
            "0",
            own.failures.is_empty() && own.cases > 0,
        );
        own.failures.iter().for_each(|failure| self.show.say(&format!("  {failure}")));
        let what = "cases of the list itself that fail";
        let Some(found) = h2spec() else {
            let figure = "not shown: H2SPEC names no tool";
            return self.show.line(what, figure, "0, where it is there", true);
        };
        let figure = format!(
            "{} of {}, {} passed, {} skipped",
            found.failed, found.cases, found.passed, found.skipped
        );
        self.show.line(what, &figure, "0", found.failed == 0 && found.passed > 0);
        found.failures.iter().for_each(|failure| self.show.say(&format!("  {failure}")));
    }

    fn smuggling(&mut self) {
        let count = if self.divisor == 1 { 10_000_000 } else { 200_000 };
        let found = smuggling(count, seed(), 32);
        let seconds = found.elapsed.as_secs_f64();
        self.show.line(
            "differences between what an origin parsed and what was logged",
            &format!(
                "{} in {} byte streams, {} requests on {} connections, {seconds:.0} s",
                found.differences.len(),
                found.streams,
                found.requests,
                found.connections
            ),
            &format!("0 in {count}"),
            found.differences.is_empty() && found.streams >= count && found.requests > 0,
        );
        self.show.line(
            "  connections that were not ended",
            &found.stuck.to_string(),
            "0",
            found.stuck == 0,
        );
        found.differences.iter().take(10).for_each(|what| self.show.say(&format!("  {what}")));
    }

    fn h2_hostile(&mut self) {
        let count = 4000 / self.divisor as usize;
        let found = h2_hostile(count, seed());
        self.show.line(
            "hostile HTTP/2 connections that were cut",
            &format!("{} of {}", found.cut, found.connections),
            "all",
            found.cut == found.connections && found.connections >= count,
        );
        self.show.line(
            "  after the first byte of a flood, the slowest",
            &format!("{:?}, {}", found.slowest, found.slowest_in),
            "within 1 s",
            found.slowest <= Duration::from_secs(1),
        );
        self.show.line(
            "  worst memory of one",
            &format!("{} KiB, {}", found.worst_kib, found.worst_kib_in),
            "at most 1024",
            found.worst_kib <= 1024,
        );
        self.show.line(
            "  worst time of one on a processor",
            &format!("{:?}, {}", found.worst_time, found.worst_time_in),
            "at most 10 ms",
            found.worst_time <= Duration::from_millis(10),
        );
        self.show.line(
            "  memory of one that asks on every stream and takes nothing",
            &format!("{} KiB", found.stalled_kib),
            "at most 1024",
            found.stalled_kib <= 1024,
        );
    }

    fn idle(&mut self) {
        for tls in [false, true] {
            let plan = IdleOnePlan {
                connections: 18_000 / self.divisor as usize,
                tls,
                idle: Duration::from_secs(if self.divisor == 1 { 60 } else { 5 }),
            };
            self.idle_one(&plan, &idle_in_one_process(&plan));
        }
    }

    fn idle_one(&mut self, plan: &IdleOnePlan, found: &IdleOne) {
        let (kind, most) = if plan.tls { ("TLS 1.3", 6144.0) } else { ("plain", 1024.0) };
        let wanted = plan.connections;
        self.show.line(
            &format!("idle connections of one process, {kind}, answered after {:?}", plan.idle),
            &format!("{} of {}", found.answered, found.opened),
            &format!("{wanted} of {wanted}"),
            (found.answered, found.opened) == (wanted, wanted),
        );
        self.show.line(
            "  memory of the process for each",
            &format!("{:.0} bytes", found.each),
            &format!("at most {most}"),
            found.each <= most,
        );
        let figure = found.back.map_or_else(
            || format!("{} of {} KiB are still there", found.kept / 1024, found.all / 1024),
            |back| {
                format!("{} of {} KiB left after {back:.1?}", found.kept / 1024, found.all / 1024)
            },
        );
        self.show.line(
            "  given back when they are closed",
            &figure,
            &format!("within {} s", GIVEN_BACK.as_secs()),
            found.back.is_some(),
        );
    }

    fn c10m(&mut self) {
        let played = [false, true].map(|tls| {
            let steps = [1000, 5000, 10_000, 18_000].map(|each| each / self.divisor as usize);
            let found = idle_connections(&IdlePlan { processes: 6, steps: steps.to_vec(), tls });
            self.idle_over_six(&found);
            found
        });
        let page = report(&played, &run());
        let path = match self.divisor {
            1 => repository().join("integration/bench/c10m.md"),
            _ => std::env::temp_dir().join("c10m.md"),
        };
        match std::fs::write(&path, page) {
            Ok(()) => self.show.say(&format!("  written: {}", path.display())),
            Err(error) => self.show.line("the page is written", &error.to_string(), "yes", false),
        }
    }

    fn idle_over_six(&mut self, found: &IdleFound) {
        let (kind, most) = if found.plan.tls { ("TLS", 6144.0) } else { ("plain", 1024.0) };
        let connections = found.steps.last().map_or(0, |step| step.connections);
        let wanted = 100_000 / self.divisor as usize;
        self.show.line(
            &format!("idle connections, {kind}, over six processes on one address"),
            &format!(
                "{connections}, {} answered again, one address: {}",
                found.answered, found.shared
            ),
            &format!("at least {wanted}, all, true"),
            connections >= wanted
                && found.failed == 0
                && found.answered == connections
                && found.shared,
        );
        let fit = found.fit();
        let (slope, r2) = fit.map_or((f64::NAN, f64::NAN), |fit| (fit.slope, fit.r2));
        self.show.line(
            "  memory of the processes for each of them",
            &format!("{slope:.0} bytes, R2 {r2:.4}"),
            &format!("at most {most}"),
            slope <= most,
        );
        let needs = needs(found);
        let met = !needs.is_empty() && needs.iter().all(Need::is_met);
        let figure = if met { "enough" } else { "not enough" };
        self.show.line("  four machines for ten million of them", figure, "enough", met);
        for need in needs {
            let share = need.share.map_or(String::new(), |(has, _)| format!(" of {has}"));
            self.show
                .say(&format!("    {}: {}{share} = {}", need.what, need.comes_to, need.arithmetic));
        }
    }
}

/// Another one each day, and the same the whole day: what was found can be found again.
fn seed() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    since.as_secs() / 86_400
}

/// The date and the commit, for a page that outlives the run.
fn run() -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(repository()).output();
        let printed = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        printed.map_or_else(|_| "unknown".to_owned(), |printed| printed.trim().to_owned())
    };
    let date = said("date", &["-u", "+%F"]);
    format!("{date}, commit {}", said("git", &["rev-parse", "--short", "HEAD"]))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a package lies in the repository")
        .to_owned()
}
