//! Prints what the edge was promised to do beside what was measured: `line: figure (wanted)`.
//!
//! A line that falls short is marked so, and the exit code says whether any does. `--quick` sends a tenth of the requests
//! and opens a tenth of the connections; the name of a part plays that part alone. With `--traffic` it is one of its own
//! helpers.

use std::process::ExitCode;
use std::time::Duration;

use switchback_integration::{
    ChangePlan, Changes, NotPlayed, Show, Slow, SlowPlan, SlowRun, Successor, changes, median,
    slow_clients, traffic,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "--traffic") {
        traffic();
        return ExitCode::SUCCESS;
    }
    let divisor = if arguments.iter().any(|argument| argument == "--quick") { 10 } else { 1 };
    let mut played = Edge { show: Show::default(), divisor };
    let parts: [Part; 2] = [("slow-clients", Edge::slow_clients), ("changes", Edge::changes)];
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
}
