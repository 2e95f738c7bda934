//! What answers cost that are encoded: those from the cache, and beside nginx.

use switchback_integration::{self as play, GzipPlan, Gzipped, Show};

/// A stored form costs what any hit costs.
pub(crate) fn hit_path(show: &mut Show, quick: bool) {
    let Some(found) = play::hit_path(if quick { 400 } else { 2000 }) else {
        return show.absent("a hit on a stored form", "valgrind");
    };
    for hit in found {
        let what = format!("a stored {} form for `{}`", hit.coding, hit.accepts);
        let excess = hit.excess();
        let (form, plain) = (hit.form, hit.plain);
        let figure = format!(
            "{form:.0} instructions in user space, {plain:.0} for a plain hit: {excess:+.1} %"
        );
        show.line(&what, &figure, "at most +5 %", excess <= 5.0);
    }
}

/// The processor time of an answer, beside that of nginx with gzip.
pub(crate) fn beside_nginx(show: &mut Show, quick: bool) {
    let plan = match quick {
        true => GzipPlan { rounds: 5, first: 200, later: 4000 },
        false => GzipPlan { rounds: 7, first: 400, later: 20_000 },
    };
    let found = play::gzip(&plan);
    let micros = |time: std::time::Duration| time.as_nanos() as f64 / 1000.0;
    for Gzipped { name, first, later, bytes } in &found {
        let (first, later) = (micros(*first), micros(*later));
        show.say(&format!(
            "{name}, us of processor for a page of 50 KB in gzip: first {first:.0}, later {later:.0}, {bytes} bytes"
        ));
    }
    let [ours, nginx] = &*found else { return show.absent("beside nginx", "nginx") };
    let share = micros(ours.later) / micros(nginx.later);
    let figure = format!("{share:.2} of what nginx takes");
    show.line("an answer in gzip, from the second on", &figure, "at most half", share <= 0.5);
}
