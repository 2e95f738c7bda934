//! One of ten endpoints fails: what that costs here, and with HAProxy and nginx before the same endpoints.

use std::time::Duration;

use switchback_integration::{Balancer, Failure, FailureCost, Show, one_of_ten};

/// Each failure before each balancer.
pub(crate) fn all(show: &mut Show, quick: bool) {
    let lasting = Duration::from_secs(if quick { 6 } else { 10 });
    for failure in [Failure::Slow, Failure::Failing, Failure::Stopped] {
        let Some(ours) = one_of_ten(failure, Balancer::Ours, lasting) else { continue };
        let what = match failure {
            Failure::Slow => "one of 10 endpoints ten times slower",
            Failure::Failing => "one of 10 endpoints answers 503",
            Failure::Stopped => "one of 10 endpoints accepts and says nothing",
        };
        show.say(&format!("{what}: {}", told(&ours)));
        for (name, balancer) in [
            ("HAProxy, leastconn and checks", Balancer::Haproxy),
            ("nginx, max_fails=1 fail_timeout=10s", Balancer::Nginx),
        ] {
            match one_of_ten(failure, balancer, lasting) {
                Some(theirs) => compare(show, (what, name), &ours, &theirs),
                None => show.absent(what, name),
            }
        }
    }
}

fn compare(show: &mut Show, (what, name): (&str, &str), ours: &FailureCost, theirs: &FailureCost) {
    // A moment's difference is the machine's.
    let sooner = |ours: Option<Duration>, theirs: Option<Duration>| match (ours, theirs) {
        (Some(ours), Some(theirs)) => ours <= theirs + Duration::from_millis(100),
        (Some(_), None) => true,
        (None, _) => false,
    };
    let is_better = ours.hit < theirs.hit && sooner(ours.eject, theirs.eject);
    // Whoever never let go of it has it back at once.
    let returns = theirs.eject.is_none() || sooner(ours.back, theirs.back);
    let wanted = format!("{name}: {}", told(theirs));
    show.line(what, &told(ours), &wanted, is_better && returns);
}

fn told(cost: &FailureCost) -> String {
    let time = |time: Option<Duration>| match time {
        Some(time) => format!("{:.2} s", time.as_secs_f64()),
        None => "never".to_owned(),
    };
    format!(
        "{:.2} % of requests hit, out after {}, back after {}",
        cost.hit * 100.0,
        time(cost.eject),
        time(cost.back)
    )
}
