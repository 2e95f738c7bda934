//! What is stored on disk, after kills and power cuts: little of what the show plays.

use std::time::Duration;

use switchback_integration::{
    KillsPlan, MillionPlan, NoMount, PowerCutsPlan, Survived, kills, million, power_cuts,
};

#[test]
fn a_killed_process_leaves_no_wrong_byte() {
    let plan = KillsPlan { kills: 10, longest: Duration::from_millis(200), seed: 1 };
    assert_sound(&kills(&plan), 10);
}

#[test]
fn a_power_cut_leaves_no_wrong_byte_and_brings_nothing_back() {
    let plan = PowerCutsPlan { cuts: 8, longest: Duration::from_millis(1500), seed: 1 };
    match power_cuts(&plan) {
        Ok(survived) => assert_sound(&survived, 8),
        Err(none) => skipped("power cuts", &none),
    }
}

#[test]
fn a_start_on_many_entries_serves_before_it_knows_them_all() {
    match million(&MillionPlan { entries: 3000 }) {
        Ok(found) => {
            assert_eq!(found.missing, 0, "{found:?}");
            assert!(found.open <= found.first_hit && found.hundred_hits <= found.measured);
        }
        Err(none) => skipped("a start on many entries", &none),
    }
}

fn assert_sound(survived: &Survived, rounds: usize) {
    assert_eq!(survived.rounds, rounds);
    assert!(survived.wrong.is_empty() && survived.undone.is_empty(), "{survived:?}");
    assert!(survived.right > 0, "{survived:?}");
}

fn skipped(what: &str, why: &NoMount) {
    eprintln!("SKIPPED: {what}: {why}");
}
