//! Reloads that swap modules under load, and what becomes of the old ones.

use std::ops::Range;

use switchback_integration::{Show, SwapPlan, Swapped, Swaps, native_growth, swaps};

/// How much higher resident memory may come in the second half of the reloads than in the first, in KiB: 160 for each of 50, a twelfth of what
/// one such module takes as code alone. Below that, what the allocator keeps for later cannot be told from what is lost: it holds 16 MiB more
/// or less, for dozens of reloads at a time, from the first one on.
const MOST_KEPT: u64 = 8 << 10;
/// Instances of a module that may be there under load: far from one for each reload.
const MOST_ALIVE: u64 = 8;

/// Both kinds of modules together, Wasm alone, and many native ones.
pub(crate) fn all(show: &mut Show) {
    let quick = crate::is_quick();
    let (reloads, requests) = if quick { (40, 10_000) } else { (100, 100_000) };
    let found = swaps(&SwapPlan { reloads, requests, swapped: Swapped::Both });
    let what = format!("{reloads} reloads that swap a native and a Wasm module under load");
    outcome(show, &what, &found, requests);
    let counted = found.counted.map_or("not told".to_owned(), |count| count.to_string());
    let what = "  native instances that its module says are alive at the end";
    show.line(what, &counted, "1", found.counted == Some(1.0));
    show.say(&format!("  resident memory: {}", memory(&found, reloads)));
    let found = swaps(&SwapPlan { reloads, requests: requests / 5, swapped: Swapped::Wasm });
    let what = format!("{reloads} reloads that swap a Wasm module under load");
    outcome(show, &what, &found, requests / 5);
    let [first, second] = halves(reloads).map(|half| found.highest(half));
    let wanted = format!("at most {} MiB more", MOST_KEPT >> 10);
    let holds = first > 0 && second <= first + MOST_KEPT;
    show.line("  resident memory", &memory(&found, reloads), &wanted, holds);
    native(show, if quick { 10 } else { 40 });
}

fn outcome(show: &mut Show, what: &str, found: &Swaps, requests: u64) {
    let failed = found.failures.len();
    let figure = format!("{failed} failed of {}", found.answered + failed as u64);
    let holds = failed == 0 && found.answered >= requests;
    show.line(what, &figure, &format!("0 of {requests}"), holds);
    found.failures.iter().take(5).for_each(|failure| show.say(&format!("    {failure}")));
    let most = format!("{} of a module", found.most_alive);
    // What requests were in is let go half a second later, or with the next reload: a few of these come first.
    let what = "  instances alive after a reload, at most";
    show.line(what, &most, &format!("at most {MOST_ALIVE}"), found.most_alive <= MOST_ALIVE);
    let wanted = if found.counted.is_some() { 2 } else { 1 };
    let alive = found.alive.to_string();
    show.line("  alive when nobody asks", &alive, &wanted.to_string(), found.alive == wanted);
}

fn halves(reloads: usize) -> [Range<usize>; 2] {
    let middle = reloads / 2;
    [0..middle, middle..reloads]
}

fn memory(found: &Swaps, reloads: usize) -> String {
    let mib = |kib: u64| kib as f64 / 1024.0;
    let [first, second] = halves(reloads).map(|half| {
        format!(
            "{:.1} MiB at most in reloads {} to {}",
            mib(found.highest(half.clone())),
            half.start + 1,
            half.end
        )
    });
    format!("{first}, {second}; {:.1} before the first module", mib(found.resident.0))
}

/// Native modules stay in memory, by contract: code that has run cannot be taken away.
fn native(show: &mut Show, modules: u64) {
    let found = native_growth(modules);
    show.say(&format!(
        "  {} different native modules, one after the other: {:.0} KiB resident and a copy of {:.0} KiB stay of each",
        found.modules, found.resident_kib, found.copy_kib
    ));
    let alive = found.alive.to_string();
    show.line("  instances of them alive at the end", &alive, "1", found.alive == 1);
}
