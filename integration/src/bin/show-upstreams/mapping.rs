//! Which shard has a key.

use std::time::Duration;

use switchback_integration::{
    Agreement, Figures, Show, beside_nginx, ip_hash_beside_nginx, mapping_figures,
};
use switchback_upstream::shard::{Mapping, Of};

/// What is wanted of a mapping; what is not promised is measured and said.
#[derive(Default)]
struct Wanted {
    max_over_mean: Option<f64>,
    /// In hundredths of all keys, when one of the shards goes or comes.
    moved: Option<f64>,
    rebuild: Option<Duration>,
    lookup: Option<f64>,
}

const SHARDS: usize = 100;
/// Nanoseconds that rendezvous may take for each shard.
const EACH: f64 = 6.0;

/// Balance, movement and cost of each mapping, and nginx's answers beside ours.
pub(crate) fn all(show: &mut Show, quick: bool) {
    let keys = if quick { 200_000 } else { 1_000_000 };
    for (name, mapping, wanted) in mappings() {
        one(show, name, &mapping_figures(&mapping, &[1], SHARDS, keys), &wanted);
    }
    let wanted = Wanted {
        max_over_mean: Some(1.05),
        lookup: Some(EACH * SHARDS as f64),
        ..Wanted::default()
    };
    let found = mapping_figures(&Mapping::Rendezvous, &[1, 2, 3], SHARDS, keys);
    one(show, "rendezvous with weights", &found, &wanted);
    show.say("  that no lookup asks the heap is a test: proxy/upstream/tests/allocations.rs");
    nginx(show, if quick { 20_000 } else { 100_000 });
    let addresses = if quick { 2_000 } else { 10_000 };
    match ip_hash_beside_nginx(addresses) {
        Some(found) => agreement(show, &found, addresses),
        None => show.absent("clients beside nginx's ip_hash", "nginx"),
    }
}

fn mappings() -> [(&'static str, Mapping, Wanted); 6] {
    let maglev = Mapping::Maglev { size: Mapping::MAGLEV_SIZE };
    let millisecond = Duration::from_millis(1);
    let even = |rebuild, lookup, moved| Wanted {
        max_over_mean: Some(1.05),
        moved: Some(moved),
        rebuild: Some(rebuild),
        lookup: Some(lookup),
    };
    [
        ("anchor", Mapping::Anchor, even(millisecond / 10, 100.0, 1.05)),
        ("rendezvous", Mapping::Rendezvous, even(millisecond / 10, EACH * SHARDS as f64, 1.05)),
        ("maglev", maglev, even(20 * millisecond, 20.0, 1.6)),
        ("modulo", Mapping::Modulo, Wanted::default()),
        ("ketama", Mapping::Ketama, Wanted::default()),
        ("ranges of hashes", Mapping::Ranges(Of::Hash), Wanted::default()),
    ]
}

fn one(show: &mut Show, name: &str, found: &Figures, wanted: &Wanted) {
    let mut figure = |what: &str, figure: String, is: f64, most: Option<f64>, unit: &str| {
        let what = format!("{name}, {SHARDS} shards: {what}");
        match most {
            Some(most) => show.line(&what, &figure, &format!("at most {most}{unit}"), is <= most),
            None => show.say(&format!("{what}: {figure}")),
        }
    };
    let most = found.max_over_mean;
    figure(
        "keys of the fullest, over the mean",
        format!("{most:.3}"),
        most,
        wanted.max_over_mean,
        "",
    );
    for (what, moved) in [("one goes", found.removed), ("one comes", found.added)] {
        let text = format!(
            "{:.2} % of keys, {:.2} % more than its own {:.2} %",
            moved.all, moved.needless, moved.ideal
        );
        figure(&format!("{what}, moved"), text, moved.all, wanted.moved, " %");
    }
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    let rebuild = micros(found.rebuild);
    figure("rebuilt in", format!("{rebuild:.0} us"), rebuild, wanted.rebuild.map(micros), " us");
    figure("look-up", format!("{:.0} ns", found.lookup), found.lookup, wanted.lookup, " ns");
}

fn nginx(show: &mut Show, keys: usize) {
    let Some(found) = beside_nginx(keys) else {
        return show.absent("keys beside nginx's own hash", "nginx");
    };
    found.iter().for_each(|kind| agreement(show, kind, keys));
}

fn agreement(show: &mut Show, kind: &Agreement, keys: usize) {
    show.line(
        &format!("keys that nginx's `{}` sends where we do", kind.directive),
        &format!("{} of {}", kind.alike, kind.keys),
        &format!("all of {keys}"),
        kind.alike == kind.keys && kind.keys == keys,
    );
    show.line(
        "  and elsewhere alike when that endpoint is dead",
        &format!("{} of {}", kind.second_alike, kind.second_keys),
        "all",
        kind.second_alike == kind.second_keys && kind.second_keys > 0,
    );
    if kind.in_turn > 0 {
        show.say(&format!("  and {} that both give to whoever is next in turn", kind.in_turn));
    }
    kind.differences.iter().for_each(|difference| show.say(&format!("  {difference}")));
}
