//! Keys that are asked for much more often than others.

use std::time::Duration;

use switchback_integration::{Heat, Show, heat};

/// A ring that knows which keys are hot, beside one that does not.
pub(crate) fn all(show: &mut Show, quick: bool) {
    let lasting = Duration::from_secs(if quick { 6 } else { 15 });
    let found = heat(
        "balance = { by = \"hash\", key = \"$uri\", bound = 1.25 }\nhot_keys = \"on\"",
        lasting,
    );
    let ratio = found.max_over_mean;
    let what = "Zipf 1.3 over 20 endpoints: requests of the busiest, over the mean";
    show.line(what, &format!("{ratio:.2}"), "at most 1.30", ratio <= 1.30);
    let copies = found.copies;
    let what = "Zipf 1.3 over 20 endpoints: endpoints that a key was at";
    let figure = format!("{copies:.3}, the hottest at {}", found.most_copies);
    show.line(what, &figure, "at most 1.15", copies <= 1.15);
    counted(show, &found);
    let plain = heat("balance = { by = \"hash\", key = \"$uri\" }", lasting);
    let ratio = plain.max_over_mean;
    show.say(&format!("  on a plain ring: {ratio:.2}, and {:.3} endpoints", plain.copies));
    counted(show, &plain);
}

fn counted(show: &mut Show, found: &Heat) {
    let Heat { requests, keys, in_progress, failed, .. } = found;
    show.say(&format!(
        "  of {requests} requests for {keys} keys; in progress at the busiest, over the mean: {in_progress:.2}"
    ));
    show.line("  not answered", &failed.to_string(), "0", *failed == 0);
}
