//! Many clients at once, an origin that is dead, and nginx and Varnish beside us.

use std::process::Command;
use std::time::Duration;

use switchback_integration::{ComparePlan, OutagePlan, Show, compare, herd, outage};

/// So many ask for one object that nobody has yet.
pub(crate) fn thundering_herd(show: &mut Show, quick: bool) {
    let clients = if quick { 1000 } else { 10_000 };
    let found = herd(clients);
    show.line(
        &format!("fetches for {clients} clients who want the same missing object"),
        &found.fetches.to_string(),
        "1",
        found.fetches == 1,
    );
    show.line(
        "  answered whole, and begun before the origin had sent all",
        &format!("{} and {} of {}", found.answered, found.streamed, found.clients),
        "all",
        found.answered == clients && found.streamed == clients,
    );
    show.say(&format!("  the last of them {:?} after the origin", found.tail));
    found.failures.iter().for_each(|failure| show.say(&format!("  {failure}")));
}

/// An hour without an origin.
pub(crate) fn dead_origin(show: &mut Show, quick: bool) {
    let speed = 60;
    let hour = Duration::from_hours(1);
    let plan = OutagePlan { pages: 200, dead: if quick { hour / 10 } else { hour }, speed };
    let Some(found) = outage(&plan) else {
        return show.absent("an origin that is dead", "faketime");
    };
    let minutes = found.lasted.as_secs() / 60;
    show.line(
        &format!("cached pages served while the origin is dead for {minutes} minutes"),
        &format!("{} of {}", found.served, found.asked),
        "all",
        found.served == found.asked && found.asked > 0,
    );
    let bound = found.lasted.as_secs() + 1;
    show.line(
        "  probes of the dead origin",
        &found.probes.to_string(),
        &format!("at most one a second: {bound}, and some"),
        found.probes <= bound && found.probes > 0,
    );
    show.line(
        "  pages asked for again once it is back",
        &format!("{} of {}", found.recovered, plan.pages),
        "all",
        found.recovered >= plan.pages,
    );
    found.failures.iter().for_each(|failure| show.say(&format!("  {failure}")));
}

/// The same requests to all three.
pub(crate) fn side_by_side(show: &mut Show, quick: bool) {
    let less = if quick { 5 } else { 1 };
    let plan = ComparePlan {
        objects: 100_000 / less,
        warm: 300_000 / less,
        rounds: 5,
        requests: 40_000 / less,
    };
    let found = compare(&plan);
    for peer in ["nginx", "varnish"] {
        if !found.iter().any(|one| one.name == peer) {
            show.absent("side by side", peer);
        }
    }
    for one in &found {
        show.say(&format!(
            "{}: hit ratio {:.2} %, {:.1} us of processor time a request, p99 {:?}, {} wrong",
            one.name,
            one.hit_ratio * 100.0,
            one.each.as_secs_f64() * 1e6,
            one.p99,
            one.wrong
        ));
    }
    for one in &found {
        if let (allowed, Some(stored)) = one.stored {
            show.say(&format!("  {} has {stored} bytes stored, of {allowed} allowed", one.name));
        }
    }
    let Some(ours) = found.iter().find(|one| one.name == "switchback") else { return };
    let peers = || found.iter().filter(|one| one.name != "switchback");
    let best = peers().map(|one| one.hit_ratio).fold(0.0, f64::max);
    show.line(
        "hit ratio with memory for a tenth of Zipf 1.0",
        &format!("{:.2} %, {} wrong answers", ours.hit_ratio * 100.0, ours.wrong),
        &format!("at least {:.2} %, none", best * 100.0),
        ours.hit_ratio >= best && ours.wrong == 0,
    );
    let Some(nginx) = peers().find(|one| one.name == "nginx") else { return };
    let ratio = ours.each.as_secs_f64() / nginx.each.as_secs_f64();
    let (figure, wanted) = (format!("{ratio:.2} times nginx's"), "at most 1.35 times");
    show.line("processor time a request", &figure, wanted, ratio <= 1.35);
}

/// What stays in memory, against other policies on the same requests.
pub(crate) fn hit_ratio(show: &mut Show, quick: bool) {
    let mut bench = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    bench
        .args(["bench", "--quiet", "--profile", "demo", "-p", "switchback-cache"])
        .args(["--bench", "hit_ratio"]);
    if quick {
        bench.env("SWITCHBACK_BENCH_TINY", "1");
    }
    let what = "hit ratio within 2 points of the best of five policies, 4 with many bursts";
    let Ok(output) = bench.output() else { return show.absent(what, "cargo") };
    String::from_utf8_lossy(&output.stdout).lines().for_each(|line| show.say(&format!("  {line}")));
    let holds = output.status.success();
    show.line(what, if holds { "yes" } else { "no" }, "yes", holds);
}
