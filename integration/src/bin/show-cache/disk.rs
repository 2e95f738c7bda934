//! What is stored on disk, after kills and power cuts, and at a million entries.

use std::time::Duration;

use switchback_integration::{KillsPlan, MillionPlan, PowerCutsPlan, Show, Survived};

/// Kills of a process that writes into a small cache.
pub(super) fn kills(show: &mut Show, is_quick: bool) {
    let kills = if is_quick { 50 } else { 500 };
    let plan = KillsPlan { kills, longest: Duration::from_millis(250), seed: 7 };
    survived(show, "kills (SIGKILL) while it writes", &switchback_integration::kills(&plan));
}

/// Power cuts of the file system that it is on.
pub(super) fn power_cuts(show: &mut Show, is_quick: bool) {
    let cuts = if is_quick { 20 } else { 200 };
    let plan = PowerCutsPlan { cuts, longest: Duration::from_millis(1500), seed: 7 };
    match switchback_integration::power_cuts(&plan) {
        Ok(found) => survived(show, "power cuts while it writes", &found),
        Err(none) => show.line("power cuts while it writes", &none.to_string(), "0 wrong", false),
    }
}

fn survived(show: &mut Show, what: &str, found: &Survived) {
    let Survived { rounds, right, dropped, wrong, undone, slowest_open } = found;
    let figure = format!("{} wrong, {} came back", wrong.len(), undone.len());
    let holds = wrong.is_empty() && undone.is_empty() && *right > 0;
    show.line(&format!("{rounds} {what}"), &figure, "0 wrong, 0 came back", holds);
    let open = slowest_open.as_millis();
    show.say(&format!(
        "  {right} entries were right, {dropped} broken and dropped; opened in {open} ms at most"
    ));
    wrong.iter().chain(undone).take(5).for_each(|fault| show.say(&format!("  {fault}")));
}

/// From the beginning of a process until it serves what a million files hold, none of which is in memory.
pub(super) fn million(show: &mut Show, is_quick: bool) {
    let entries = if is_quick { 50_000 } else { 1_000_000 };
    let what = format!("start with {entries} entries on disk");
    let found = match switchback_integration::million(&MillionPlan { entries }) {
        Ok(found) => found,
        Err(none) => return show.line(&what, &none.to_string(), "under 2 s", false),
    };
    let seconds = |at: Duration| format!("{:.2} s", at.as_secs_f64());
    let holds = found.hundred_hits < Duration::from_secs(2) && found.missing == 0;
    let figure = format!(
        "open in {}, first hit in {}, 101 hits in {}, {} missing",
        seconds(found.open),
        seconds(found.first_hit),
        seconds(found.hundred_hits),
        found.missing,
    );
    show.line(&what, &figure, "under 2 s, 0 missing", holds);
    let (indexed, measured) = (seconds(found.indexed), seconds(found.measured));
    let each = found.bytes_per_entry;
    show.say(&format!(
        "  names known in {indexed}, lengths in {measured}; {each} bytes of memory each"
    ));
}
