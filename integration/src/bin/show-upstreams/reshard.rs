//! From four shards to five.

use switchback_integration::{Faults, Show, resharded};

/// Under load: given up once, then carried through.
pub(crate) fn all(show: &mut Show, quick: bool) {
    let found = resharded(if quick { 1_500 } else { 6_000 });
    faults(show, "from 4 to 5 shards under load", &found.cutover);
    faults(show, "given up under load", &found.abort);
    show.say(&format!("  of {} requests, {} of them POST", found.requests, found.posts));
    let off = found.moved / found.ideal - 1.0;
    let moved = format!(
        "{:.2} % of keys, {:+.1} % of the ideal {:.0} %",
        found.moved * 100.0,
        off * 100.0,
        found.ideal * 100.0
    );
    let what = "from 4 to 5 shards: moved";
    show.line(what, &moved, "within 5 % of the ideal", off.abs() <= 0.05);
    let needless = format!("{:.2} %", found.needless * 100.0);
    show.line("  between shards that were there before", &needless, "0", found.needless == 0.0);
    for (what, count) in [
        ("POST requests that reached shards twice", found.twice),
        ("POST requests that were answered and are at no shard, or two", found.lost),
        ("requests at a shard that has the key neither before nor afterwards", found.strays),
        (
            "figures of `reshard status` that are not as counted at the shards",
            found.misstated.len(),
        ),
    ] {
        show.line(&format!("from 4 to 5 shards: {what}"), &count.to_string(), "0", count == 0);
    }
    found.misstated.iter().for_each(|wrong| show.say(&format!("  {wrong}")));
    show.say("  `reshard status` while keys moved:");
    found.told.lines().for_each(|line| show.say(&format!("    {line}")));
}

fn faults(show: &mut Show, what: &str, faults: &Faults) {
    let Faults { failed, wrong, first } = faults;
    show.line(&format!("{what}: errors"), &failed.to_string(), "0", *failed == 0);
    let wrongly = format!("{what}: answers of a wrong shard, or older than what was written");
    show.line(&wrongly, &wrong.to_string(), "0", *wrong == 0);
    first.iter().for_each(|first| show.say(&format!("  {first}")));
}
