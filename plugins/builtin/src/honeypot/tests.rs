use std::time::Duration;

use switchback_plugin::testing::{Harness, Scene};

use super::*;
use crate::trial::{assert_refused, plugin};

fn honeypot(more: &str) -> Harness<Honeypot> {
    plugin(&format!(r#"{{"traps": ["/wp-login.php", "/.git/*"]{more}}}"#))
}

fn ask(harness: &mut Harness<Honeypot>, path: &str, client: &str) -> u16 {
    harness.request(&mut Scene::get(path).with_client(client)).status
}

#[test]
fn whoever_asks_for_a_trap_is_refused_for_a_time() {
    let mut harness = honeypot(r#", "remember": "1h""#);
    assert_eq!(ask(&mut harness, "/", "192.0.2.7"), 200);
    assert_eq!(ask(&mut harness, "/.git/config", "192.0.2.7"), 404);
    assert_eq!(ask(&mut harness, "/", "192.0.2.7"), 403);
    assert_eq!(ask(&mut harness, "/", "::ffff:192.0.2.7"), 403);
    assert_eq!(ask(&mut harness, "/", "192.0.2.8"), 200);
    harness.advance(Duration::from_secs(3_601));
    assert_eq!(ask(&mut harness, "/", "192.0.2.7"), 200);
    assert_eq!(harness.metric("honeypot_trapped_total", &[]), Some(1.0));
    assert_eq!(harness.metric("honeypot_refused_total", &[]), Some(2.0));
}

#[test]
fn all_addresses_of_a_network_of_ipv6_are_one_client() {
    let mut harness = honeypot("");
    assert_eq!(ask(&mut harness, "/wp-login.php", "2001:db8:0:1::5"), 404);
    assert_eq!(ask(&mut harness, "/", "2001:db8:0:1:ffff::9"), 403);
    assert_eq!(ask(&mut harness, "/", "2001:db8:0:2::5"), 200);
}

#[test]
fn those_that_are_spared_are_never_noted() {
    let mut harness = honeypot(r#", "spare": ["192.0.2.0/24"]"#);
    assert_eq!(ask(&mut harness, "/wp-login.php", "192.0.2.7"), 404);
    assert_eq!(ask(&mut harness, "/", "192.0.2.7"), 200);
}

#[test]
fn nobody_is_noted_where_nothing_is_remembered() {
    let mut harness = honeypot(r#", "remember": "0", "trap_status": 410"#);
    assert_eq!(ask(&mut harness, "/wp-login.php", "192.0.2.7"), 410);
    assert_eq!(ask(&mut harness, "/", "192.0.2.7"), 200);
}

#[test]
fn a_tarpit_answers_when_its_time_has_passed() {
    let mut harness = honeypot(r#", "tarpit": "30s", "status": 429"#);
    let before = harness.now();
    assert_eq!(ask(&mut harness, "/wp-login.php", "192.0.2.7"), 404);
    assert_eq!(harness.now() - before, 30_000_000_000);
    assert_eq!(ask(&mut harness, "/", "192.0.2.7"), 429);
}

#[test]
fn a_turn_in_the_tarpit_is_given_back() {
    let mut harness = honeypot(r#", "tarpit": "30s", "tarpits": 1"#);
    let before = harness.now();
    ask(&mut harness, "/wp-login.php", "192.0.2.7");
    ask(&mut harness, "/wp-login.php", "192.0.2.8");
    assert_eq!(harness.now() - before, 60_000_000_000);
}

#[test]
fn mistakes_are_told_with_their_place() {
    assert_refused::<Honeypot>(&[
        ("{}", "traps", "no trap"),
        (r#"{"traps": ["/a", "b"]}"#, "traps[1]", "does not begin"),
        (r#"{"traps": ["/a"], "status": 99}"#, "status", "99 is no status"),
        (r#"{"traps": ["/a"], "trap_status": 600}"#, "trap_status", "600 is no status"),
        (r#"{"traps": ["/a"], "tarpit": "10m"}"#, "tarpit", "at most 5m"),
        (r#"{"traps": ["/a"], "tarpit": "1s", "tarpits": 0}"#, "tarpits", "no trap waits"),
        (r#"{"traps": ["/a"], "spare": ["x"]}"#, "spare[0]", "no network"),
        (r#"{"traps": ["/a"], "store": ""}"#, "store", "has a name"),
        (r#"{"traps": ["/a"], "remember": "soon"}"#, "remember", "not a time"),
        (r#"{"traps": ["/a"], "trap": "/b"}"#, "trap", "unknown"),
    ]);
}
