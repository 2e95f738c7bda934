//! Answers that are late: a second copy to another endpoint, beside waiting.

use std::time::Duration;

use switchback_integration::{Hedged, Show, hedge_cost, hedged};

/// What second copies save where one of three endpoints is slow for one of twenty answers, and what they cost.
pub(crate) fn all(show: &mut Show, quick: bool) {
    let lasting = Duration::from_secs(if quick { 8 } else { 30 });
    let waiting = hedged("", lasting);
    let found = hedged("hedge = \"on\"", lasting);
    let what = "one of 3 endpoints takes 500 ms for 1 of 20 answers";
    show.say(&format!("  {what}; without `hedge`: {}", told(&waiting)));
    show.say(&format!("  with `hedge = \"on\"`: {}", told(&found)));
    let ratio = found.p99.as_secs_f64() / waiting.p99.as_secs_f64();
    let figure = format!("{ratio:.2} of {:.0?}", waiting.p99);
    show.line(&format!("{what}: p99 of reads"), &figure, "at most a quarter", ratio <= 0.25);
    // Ten copies are saved up from the beginning.
    let most = 0.10 + 10.0 / found.reads.max(1) as f64;
    let extra = format!("{:.1} %", found.extra * 100.0);
    let holds = found.extra > 0.0 && found.extra <= most;
    show.line("  second copies, of all reads", &extra, "within the budget of 10 %", holds);
    let failed = waiting.failed + found.failed;
    show.line("  requests not answered with 200", &failed.to_string(), "0", failed == 0);
    let astray = waiting.posts_astray + found.posts_astray;
    let posts = format!("{astray} of {}", waiting.posts + found.posts);
    show.line("  POST requests that reached endpoints twice, or none", &posts, "0", astray == 0);
    cost(show, if quick { 1_000 } else { 5_000 });
}

/// What was promised nowhere, and is told all the same.
fn cost(show: &mut Show, requests: usize) {
    let what = "a read that is not late, with `hedge` configured";
    let found = hedge_cost(requests);
    let [without, with] = found.processor.map(|time| time.as_secs_f64() * 1e6);
    let Some(instructions) = found.instructions else {
        return show.absent(what, "valgrind");
    };
    let [plain, hedging] = instructions;
    let excess = (hedging / plain - 1.0) * 100.0;
    show.say(&format!(
        "  {what}: {hedging:.0} instructions in user space, {plain:.0} without: {excess:+.1} %"
    ));
    show.say(&format!("  time of a processor: {with:.0} us, {without:.0} us without"));
}

fn told(found: &Hedged) -> String {
    let Hedged { reads, median, p99, slowest, .. } = found;
    format!("median {median:.0?}, p99 {p99:.0?}, slowest {slowest:.0?} of {reads} reads")
}
