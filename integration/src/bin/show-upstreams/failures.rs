//! One of ten endpoints fails: what that costs here, and with HAProxy and nginx at the same time.

use std::time::Duration;

use switchback_integration::{Balancer, Failure, FailureCost, Show, one_of_ten};

const BALANCERS: [Balancer; 3] = [Balancer::Ours, Balancer::Haproxy, Balancer::Nginx];
const THEIRS: [&str; 2] =
    ["HAProxy, leastconn, check inter 1s rise 2 fall 2", "nginx, max_fails=1 fail_timeout=1s"];

/// Each failure before all balancers.
pub(crate) fn all(show: &mut Show, quick: bool) {
    let rounds = if quick { 1 } else { 4 };
    for failure in [Failure::Slow, Failure::Failing, Failure::Silent, Failure::Unreachable] {
        let what = match failure {
            Failure::Slow => "one of 10 endpoints ten times slower",
            Failure::Failing => "one of 10 endpoints answers 500",
            Failure::Silent => "one of 10 endpoints accepts and says nothing",
            Failure::Unreachable => "one of 10 endpoints black-holed",
        };
        let costs = one_of_ten(failure, &BALANCERS, rounds);
        let Some((Some(ours), theirs)) = costs.split_first() else { continue };
        for (name, theirs) in THEIRS.into_iter().zip(theirs) {
            match theirs {
                Some(theirs) => compare(show, (what, name), ours, theirs),
                None => show.absent(what, name),
            }
        }
    }
}

fn compare(show: &mut Show, (what, name): (&str, &str), ours: &FailureCost, theirs: &FailureCost) {
    let line =
        |figure: fn(&FailureCost) -> String| (figure(ours), format!("{name}: {}", figure(theirs)));
    let (figure, wanted) = line(hit);
    let is_less = ours.hit() < theirs.hit() && ours.errors <= theirs.errors;
    show.line(&format!("{what}: requests hit"), &figure, &wanted, is_less);
    let (figure, wanted) = line(|cost| told(&cost.out));
    let is_sooner = sooner(mean(&ours.out), mean(&theirs.out));
    show.line(&format!("{what}: asked until"), &figure, &wanted, is_sooner);
    let (figure, wanted) = line(|cost| told(&cost.back));
    // Whoever never let go of it cannot be late with having it back.
    let returns = mean(&theirs.out).is_none() || sooner(mean(&ours.back), mean(&theirs.back));
    show.line(&format!("{what}: asked again"), &figure, &wanted, returns);
}

fn sooner(ours: Option<Duration>, theirs: Option<Duration>) -> bool {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => ours < theirs,
        (ours, None) => ours.is_some(),
        (None, Some(_)) => false,
    }
}

/// Of all rounds; `None` where one of them has none.
fn mean(times: &[Option<Duration>]) -> Option<Duration> {
    let count = u32::try_from(times.len()).ok().filter(|count| *count > 0)?;
    let sum: Option<Duration> = times.iter().copied().sum();
    sum.map(|sum| sum / count)
}

fn hit(cost: &FailureCost) -> String {
    let (share, errors, late) = (cost.hit() * 100.0, cost.errors, cost.late);
    format!("{share:.2} % of {}, {errors} errors, {late} late", cost.asked)
}

fn told(times: &[Option<Duration>]) -> String {
    let time = |time: &Option<Duration>| match time {
        Some(time) => format!("{:.2} s", time.as_secs_f64()),
        None => "never".to_owned(),
    };
    let all: Vec<_> = times.iter().map(time).collect();
    let mean = time(&mean(times));
    format!("{mean} ({})", all.join(", "))
}
