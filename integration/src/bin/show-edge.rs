//! Prints what the edge was promised to do beside what was measured: `line: figure (wanted)`.
//!
//! A line that falls short is marked so, and the exit code says whether any does. `--quick` sends a tenth of the requests
//! and opens a tenth of the connections; the name of a part plays that part alone. With `--traffic` or `--hold` it is one of
//! its own helpers.

#![expect(clippy::expect_used, reason = "a show that cannot play its part has nothing to show")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use switchback_integration::{
    ChangePlan, Changes, IdleFound, IdlePlan, Need, NotPlayed, Show, Slow, SlowPlan, SlowRun,
    Successor, changes, h2spec, hold, idle_connections, median, needs, report, restated_h2_cases,
    slow_clients, traffic,
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
    let parts: [Part; 4] = [
        ("slow-clients", Edge::slow_clients),
        ("changes", Edge::changes),
        ("h2spec", Edge::h2spec),
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

    fn h2spec(&mut self) {
        let what = "cases of the HTTP/2 conformance list that fail";
        let tests = repository().join("integration/tests/all/h2_conformance.rs");
        let restated = restated_h2_cases(&std::fs::read_to_string(tests).unwrap_or_default());
        let Some(found) = h2spec() else {
            let figure = "not shown: H2SPEC names no tool";
            self.show.line(what, figure, "0, where it is there", true);
            self.show.say(&format!("  {restated} cases of our own restate what matters of it"));
            return;
        };
        let figure = format!(
            "{} of {}, {} passed, {} skipped",
            found.failed, found.cases, found.passed, found.skipped
        );
        self.show.line(what, &figure, "0", found.failed == 0 && found.passed > 0);
        found.failures.iter().for_each(|failure| self.show.say(&format!("  {failure}")));
    }

    fn c10m(&mut self) {
        let played = [false, true].map(|tls| {
            let steps = [1000, 5000, 10_000, 18_000].map(|each| each / self.divisor as usize);
            let found = idle_connections(&IdlePlan { processes: 6, steps: steps.to_vec(), tls });
            self.idle(&found);
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

    fn idle(&mut self, found: &IdleFound) {
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
