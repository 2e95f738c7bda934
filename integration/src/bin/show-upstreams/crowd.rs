//! More requests than can be answered, and origins that all fail.

use std::time::Duration;

use switchback_integration::{Show, overload, storm};

/// Five times as many requests as can be answered, and no limit that anybody has set.
pub(crate) fn overloaded(show: &mut Show, quick: bool) {
    let found = overload(Duration::from_secs(if quick { 6 } else { 20 }));
    let goodput = format!("{:.1} %", found.goodput * 100.0);
    let what = "overload at five times the capacity: answered, of what can be";
    show.line(what, &goodput, "at least 95 %", found.goodput >= 0.95);
    let ratio = found.crowded.as_secs_f64() / found.calm.as_secs_f64();
    let p99 = format!("{ratio:.2} times ({:.0?} after {:.0?})", found.crowded, found.calm);
    show.line("overload: p99 of those answered, against calm", &p99, "at most 2", ratio <= 2.0);
    show.line("overload: sent away with 503", &found.shed.to_string(), "the rest", found.shed > 0);
    twice(show, "overload", found.twice);
}

/// All origins fail for ten seconds.
pub(crate) fn stormed(show: &mut Show, quick: bool) {
    let found = storm(Duration::from_secs(if quick { 4 } else { 10 }));
    let load = format!("{:.2} times", found.load);
    let what = "all origins failing: their load, against what comes";
    show.line(what, &load, "at most 1.2", found.load < 1.205);
    let recovery = found.recovery.map_or("never".to_owned(), |time| format!("{time:.1?}"));
    let is_quick = found.recovery.is_some_and(|time| time < Duration::from_secs(2));
    show.line("all origins failing: recovery", &recovery, "under 2 s", is_quick);
    let worst = format!("{:.1} % at worst", found.worst_after * 100.0);
    let holds = found.worst_after >= 0.95;
    show.line("all origins failing: answered from then on", &worst, "at least 95 %", holds);
    twice(show, "all origins failing", found.twice);
}

fn twice(show: &mut Show, part: &str, twice: usize) {
    let what = format!("{part}: POST requests that reached origins twice");
    show.line(&what, &twice.to_string(), "0", twice == 0);
}
