//! An instance for each request.

use std::sync::Arc;

use switchback_plugin::testing::{Harness, Scene, Surroundings};
use switchback_plugin::{Cause, Flow, Hook, Module};
use switchback_plugin_wasm::{Isolation, Limits, Wasm};

use crate::wat_text::Wat;
use crate::{limits, said};

/// Says how many requests it remembers, and traps at the response where that is another number.
fn counting() -> Wat {
    let mut wat = Wat::new();
    let count = "(i32.load (i32.const 200))";
    wat.on_request(&format!(
        "(i32.store (i32.const 200) (i32.add {count} (i32.const 1)))
         (memory.fill (i32.const 65536) (i32.const 1) (i32.const 196608))
         (call $say {count})"
    ));
    wat.function(
        "proxy_on_response_headers",
        3,
        true,
        &format!("(if (i32.ne {count} (i32.const 1)) (then (unreachable))) (i32.const 0)"),
    );
    wat
}

fn module(wat: &Wat, isolation: Isolation, instances: usize) -> Arc<dyn Module> {
    let limits = Limits { isolation, instances, ..limits() };
    Wasm::new().load("test", &wat::parse_str(wat.text()).unwrap(), limits).unwrap()
}

fn harness(wat: &Wat, isolation: Isolation, instances: usize) -> Harness {
    let module = module(wat, isolation, instances);
    Harness::of(&*module, Surroundings::default(), "{}").unwrap()
}

fn instances(harness: &Harness) -> u64 {
    let report = harness.instance().report();
    report.into_iter().find(|(name, _)| *name == "instances").unwrap().1
}

#[test]
fn what_a_request_leaves_behind_is_found_by_the_next_one_of_its_worker_and_by_none_with_its_own() {
    for (isolation, found) in
        [(Isolation::Worker, ["1", "2", "3"]), (Isolation::Request, ["1", "1", "1"])]
    {
        let mut harness = harness(&counting(), isolation, 1);
        for found in found {
            let mut scene = Scene::get("/");
            assert!(matches!(harness.call(Hook::Request, &mut scene), Flow::Continue));
            assert_eq!(said(&scene), [found], "{isolation:?}");
        }
    }
}

#[test]
fn hooks_of_one_request_share_its_instance_which_ends_with_it() {
    let mut harness = harness(&counting(), Isolation::Request, 10);
    let mut scenes = [Scene::get("/"), Scene::get("/")];
    for hook in [Hook::Request, Hook::Response] {
        for scene in &mut scenes {
            assert!(matches!(harness.call(hook, scene), Flow::Continue), "{hook:?}");
        }
    }
    assert_eq!(instances(&harness), 2);
    drop(scenes);
    assert_eq!(instances(&harness), 0);
}

#[test]
fn no_more_requests_than_allowed_have_an_instance_at_once() {
    let mut harness = harness(&counting(), Isolation::Request, 2);
    let mut scenes: Vec<_> = (0..3).map(|_| Scene::get("/")).collect();
    let flows: Vec<_> = scenes.iter_mut().map(|scene| harness.call(Hook::Request, scene)).collect();
    let [Flow::Continue, Flow::Continue, Flow::Fail(failure)] = &flows[..] else {
        panic!("{flows:?}")
    };
    assert_eq!(failure.message, "each of 2 requests has an instance of it, and no more may");
    drop(scenes);
    assert!(matches!(harness.call(Hook::Request, &mut Scene::get("/")), Flow::Continue));
}

#[test]
fn memory_is_given_back_after_each_request() {
    let mut harness = harness(&counting(), Isolation::Request, 1);
    let mut requests = |count: u32| {
        for _ in 0..count {
            let flow = harness.call(Hook::Request, &mut Scene::get("/"));
            assert!(matches!(flow, Flow::Continue), "{flow:?}");
        }
        resident()
    };
    let before = requests(200);
    // Each writes 192 KiB: kept, they would be 375 MiB.
    let after = requests(2000);
    assert!(after < before + (16 << 20), "{before} {after}");
}

/// Bytes that this process has in memory.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn traps_of_others_are_nothing_to_a_request_with_its_own() {
    let mut harness = harness(&counting(), Isolation::Request, 1);
    for _ in 0..20 {
        let Flow::Fail(failure) = harness.call(Hook::Response, &mut Scene::get("/")) else {
            panic!("it counts none")
        };
        assert_eq!(failure.cause, Cause::Trap);
        assert!(matches!(harness.call(Hook::Request, &mut Scene::get("/")), Flow::Continue));
    }
}

#[test]
fn ticks_have_an_instance_of_their_own_which_is_made_anew_after_a_trap() {
    let mut wat = counting();
    wat.function(
        "proxy_on_configure",
        2,
        true,
        "(drop (call $proxy_set_tick_period_milliseconds (i32.const 10))) (i32.const 1)",
    );
    let count = "(i32.load (i32.const 204))";
    wat.function(
        "proxy_on_tick",
        1,
        false,
        &format!(
            "(i32.store (i32.const 204) (i32.add {count} (i32.const 1)))
             (if (i32.eq {count} (i32.const 2)) (then (unreachable)))"
        ),
    );
    let mut harness = harness(&wat, Isolation::Request, 1);
    let flows = harness.advance(std::time::Duration::from_millis(100));
    let went: Vec<_> = flows.iter().map(|flow| matches!(flow, Flow::Continue)).collect();
    assert!(went.len() >= 4, "{went:?}");
    let expected: Vec<_> = (0..went.len()).map(|tick| tick % 2 == 0).collect();
    assert_eq!(went, expected, "the second tick of each instance traps");
    let mut scene = Scene::get("/");
    assert!(matches!(harness.call(Hook::Request, &mut scene), Flow::Continue));
    assert_eq!((said(&scene), instances(&harness)), (vec!["1".to_owned()], 2));
}
