use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use switchback_plugin::testing::{Harness, Scene};

use super::{IpFilter, net, nets};
use crate::testing::{File, plugin, refused};

fn status(filter: &mut Harness<IpFilter>, address: &str) -> u16 {
    filter.request(&mut Scene::get("/").with_client(address)).status
}

#[test]
fn lists_decide_and_what_is_in_none_is_the_opposite_of_allowed() {
    let mut filter = plugin::<IpFilter>(json!({
        "allow": ["10.0.0.0/8", "2001:db8::/32"],
        "deny": ["10.1.0.0/16", "10.2.3.4"],
    }));
    for (address, expected) in [
        ("10.0.0.1", 200),
        ("10.1.0.1", 403),
        ("10.2.3.4", 403),
        ("10.2.3.5", 200),
        ("::ffff:10.0.0.1", 200),
        ("::ffff:10.1.0.1", 403),
        ("2001:db8::1", 200),
        ("2001:db9::1", 403),
        ("192.0.2.1", 403),
        ("", 403),
    ] {
        assert_eq!(status(&mut filter, address), expected, "{address}");
    }
    let mut filter = plugin::<IpFilter>(json!({ "deny": ["192.0.2.0/24"], "status": 404 }));
    assert_eq!(status(&mut filter, "192.0.2.9"), 404);
    assert_eq!(status(&mut filter, "192.0.3.9"), 200);
    let options = json!({ "deny": ["192.0.2.0/24"], "allow": ["192.0.2.1"], "otherwise": "allow" });
    let mut filter = plugin::<IpFilter>(options);
    assert_eq!(status(&mut filter, "192.0.2.1"), 200);
    assert_eq!(status(&mut filter, "192.0.2.2"), 403);
    assert_eq!(status(&mut filter, "198.51.100.1"), 200);
}

#[test]
fn of_the_same_network_in_two_lists_deny_holds() {
    let file = File::new("10.0.0.0/8\n");
    let options = json!({ "deny": ["10.0.0.0/8"], "allow_files": [file.path()] });
    assert_eq!(status(&mut plugin(options), "10.0.0.1"), 403);
}

#[test]
fn a_file_counts_anew_when_it_changes_and_half_of_one_does_not() {
    let file = File::new("# ours\n192.0.2.1 # office\n");
    let mut filter = plugin::<IpFilter>(json!({ "allow_files": [file.path()] }));
    filter.advance(Duration::ZERO);
    assert_eq!(status(&mut filter, "192.0.2.1"), 200);
    assert_eq!(status(&mut filter, "192.0.2.2"), 403);

    file.write("192.0.2.2\n");
    filter.advance(Duration::from_secs(5));
    assert_eq!(status(&mut filter, "192.0.2.1"), 403);
    assert_eq!(status(&mut filter, "192.0.2.2"), 200);

    file.write("192.0.2.3\n192.0.2.");
    filter.advance(Duration::from_secs(5));
    assert_eq!(status(&mut filter, "192.0.2.2"), 200, "what was read before stays");
    assert_eq!(status(&mut filter, "192.0.2.3"), 403);
    let said = filter.lines().last().unwrap().message.clone();
    assert!(said.contains("line 2") && said.contains("stays"), "{said}");
    let count = filter.lines().len();
    filter.advance(Duration::from_secs(10));
    assert_eq!(filter.lines().len(), count, "the same mistake is told once");

    std::fs::remove_file(file.path()).unwrap();
    filter.advance(Duration::from_secs(5));
    assert_eq!(status(&mut filter, "192.0.2.2"), 200);
    assert_eq!(filter.lines().len(), count + 1);
}

#[test]
fn bad_options_are_refused_where_they_are() {
    let wrong = File::new("192.0.2.1\nnonsense\n");
    refused::<IpFilter>([
        (json!({}), ""),
        (json!({ "allow": ["10.0.0.0/8", "10.0.0.1/8"] }), "allow[1]"),
        (json!({ "deny": ["300.0.0.1"] }), "deny[0]"),
        (json!({ "deny": ["10.0.0.0/33"] }), "deny[0]"),
        (json!({ "deny": ["example.com"] }), "deny[0]"),
        (json!({ "deny": ["10.0.0.0/8"], "status": 200 }), "status"),
        (json!({ "deny": ["10.0.0.0/8"], "otherwise": "maybe" }), "otherwise"),
        (json!({ "deny_files": ["/nowhere/at/all"] }), "deny_files[0]"),
        (json!({ "allow_files": [wrong.path()] }), "allow_files[0]"),
        (json!({ "allow_files": [wrong.folder()] }), "allow_files[0]"),
        (json!({ "deny": ["10.0.0.0/8"], "refresh": "soon" }), "refresh"),
        (json!({ "allowed": ["10.0.0.0/8"] }), "allowed"),
    ]);
    let file = File::new("");
    refused::<IpFilter>([(json!({ "deny_files": [file.path()], "refresh": "5ms" }), "refresh")]);
}

#[test]
fn a_network_with_bits_behind_its_prefix_is_told_what_is_meant() {
    assert!(net("10.1.2.3/8").unwrap_err().contains("10.0.0.0/8"));
}

proptest! {
    #[test]
    fn no_file_is_too_strange(text in "([0-9a-f:./# ]{0,20}\n?|\\PC{0,8}\n?){0,5}") {
        let _ = nets(&text);
    }
}
