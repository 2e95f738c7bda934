//! Little that comes to very much.

use std::time::Duration;

use switchback_integration::{
    Bomb, Show, bombs, giant_through_proxy, pass_zeros, refuse_giant, unpack,
};

/// A giant picture and very many zeros, by themselves and through the proxy.
pub(crate) fn all(show: &mut Show, quick: bool) {
    pictures(show);
    for bomb in bombs(if quick { 200_000_000 } else { 10_000_000_000 }) {
        zeros(show, &bomb);
    }
}

fn zeros(show: &mut Show, bomb: &Bomb) {
    let Bomb { coding, by, window, zeros, packed } = bomb;
    let (name, gigabytes, length) = (coding.name(), *zeros as f64 / 1e9, packed.len());
    let (most, wanted) = wanted(*window);
    let found = unpack(bomb);
    show.line(
        &format!("{gigabytes} GB of zeros, decoded from {name} ({length} bytes by {by}, a window of {window} KiB)"),
        &format!("{} KiB of memory, {:.1} s", found.kib, found.took.as_secs_f64()),
        &wanted,
        found.kib <= most,
    );
    for (is_cached, way) in [(true, "a cache"), (false, "a route without a cache")] {
        let found = pass_zeros(bomb, is_cached);
        let end = if found.is_whole { "whole" } else { "cut" };
        show.line(
            &format!("  the same through {way}, for a client who cannot decode it"),
            &format!("{} KiB of memory, {end} after {} MB", found.kib, found.came / 1_000_000),
            &format!("{wanted}, whole"),
            found.kib <= most && found.is_whole,
        );
    }
}

/// What may be taken, in KiB. A window that is larger than what was promised is the origin's choice, and comes on top.
fn wanted(window: u64) -> (u64, String) {
    const MOST: u64 = 2_000_000 / 1024;
    if window < MOST {
        return (MOST, "at most 2 MB".to_owned());
    }
    (window + MOST, "at most 2 MB beside the window".to_owned())
}

fn pictures(show: &mut Show) {
    const MOST: Duration = Duration::from_millis(5);
    let (took, told) = refuse_giant();
    let holds = took < MOST && told.starts_with("original");
    let figure = format!("{} us, {told}", took.as_micros());
    show.line("a PNG of 50,000 by 50,000 pixels, refused", &figure, "under 5 ms", holds);
    let found = giant_through_proxy();
    let told = found.told.as_deref().unwrap_or("nothing told");
    let [with, without] = [found.with, found.without].map(|it| it.as_micros());
    show.line(
        "  the same through the proxy, sent as it is",
        &format!("{with} us, {without} us where nothing is made smaller; {told}"),
        "under 5 ms, and told",
        found.is_original && found.with < MOST && found.told.is_some(),
    );
}
