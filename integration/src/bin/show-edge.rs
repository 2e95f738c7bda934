//! Prints what the edge was promised to do beside what was measured: `line: figure (wanted)`.
//!
//! A line that falls short is marked so, and the exit code says whether any does. `--quick` sends a tenth of the requests
//! and opens a tenth of the connections. With `--traffic` it is one of its own helpers.

use std::process::ExitCode;

use switchback_integration::{ChangePlan, Changes, Show, Successor, changes, traffic};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let first = arguments.first().map(String::as_str);
    if first == Some("--traffic") {
        traffic();
        return ExitCode::SUCCESS;
    }
    let mut played = Edge { show: Show::default(), divisor: 1 };
    if first == Some("--quick") {
        played.divisor = 10;
    }
    played.changes();
    played.show.verdict()
}

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
