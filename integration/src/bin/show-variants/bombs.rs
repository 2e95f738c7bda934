//! Little that comes to very much.

use std::time::Duration;

use switchback_integration::{
    PACKED, Show, giant_through_proxy, pass_zeros, refuse_giant, unpack_zeros,
};

/// A giant picture and very many zeros, by themselves and through the proxy.
pub(crate) fn all(show: &mut Show, quick: bool) {
    pictures(show);
    let zeros = if quick { 200_000_000 } else { 10_000_000_000 };
    for found in unpack_zeros(zeros) {
        let gigabytes = found.zeros as f64 / 1e9;
        show.line(
            &format!(
                "{gigabytes} GB of zeros, decoded from {} ({} bytes)",
                found.coding, found.packed
            ),
            &format!("{} KiB of memory, {:.1} s", found.kib, found.took.as_secs_f64()),
            "at most 2 MB",
            found.kib <= 2_000_000 / 1024,
        );
    }
    let cached = PACKED.map(|coding| (coding, true, "a cache"));
    let passing = PACKED.map(|coding| (coding, false, "a route without a cache"));
    for (coding, is_cached, how) in cached.into_iter().chain(passing) {
        let found = pass_zeros(zeros, coding, is_cached);
        let (end, name) = (if found.is_whole { "whole" } else { "cut" }, coding.name());
        show.line(
            &format!("  the same from {name} through {how}, for a client who cannot decode it"),
            &format!("{} KiB of memory, {end} after {} MB", found.kib, found.came / 1_000_000),
            "at most 2 MB",
            found.kib <= 2_000_000 / 1024,
        );
    }
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
