//! Instances that end before their time, and who is in them then.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use switchback_plugin::testing::{Harness, Scene, Surroundings};
use switchback_plugin::{Called, Cause, Flow, Hook, Instance};
use switchback_plugin_wasm::{Limits, Wasm};

use crate::ours::Quiet;
use crate::wat_text::{A, Wat};
use crate::{harness, limits};

fn broken(flow: Flow) -> (Cause, String) {
    match flow {
        Flow::Fail(failure) => (failure.cause, failure.message),
        other => panic!("{other:?}"),
    }
}

fn report(instance: &dyn Instance, name: &str) -> u64 {
    instance.report().into_iter().find(|(known, _)| *known == name).unwrap().1
}

/// Does what the method says: P traps, S spins, M takes all memory, G goes on.
fn failing() -> Wat {
    let mut wat = Wat::new();
    let method = wat.bytes(":method");
    wat.on_request(&format!(
        "(local $kind i32)
         (drop (call $proxy_get_header_map_value (i32.const 0) {method} {A} (i32.const 20)))
         (local.set $kind (i32.load8_u (i32.load {A})))
         (if (i32.eq (local.get $kind) (i32.const 80)) (then (unreachable)))
         (if (i32.eq (local.get $kind) (i32.const 83)) (then (loop $more (br $more))))
         (if (i32.eq (local.get $kind) (i32.const 77)) (then
           (loop $more
             (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
           (unreachable)))"
    ));
    wat
}

#[test]
fn a_trap_a_spin_and_a_runaway_end_the_instance_and_the_next_request_gets_a_new_one() {
    let cases = [
        ("PANIC", Cause::Trap, "unreachable"),
        ("SPIN", Cause::Spin, "it computed for longer than 200ms"),
        ("MEMORY", Cause::Memory, "it wanted more than 33554432 bytes of memory"),
    ];
    for (restarts, (method, cause, why)) in cases.into_iter().enumerate() {
        let mut harness = harness(&failing());
        let begun = Instant::now();
        let (caused, message) = broken(harness.call(Hook::Request, &mut Scene::new(method, "/")));
        assert_eq!(caused, cause);
        assert!(message.contains(why), "{message}");
        assert!(begun.elapsed() < Duration::from_secs(10));
        let instance = Arc::clone(harness.instance());
        assert!(matches!(harness.call(Hook::Request, &mut Scene::get("/")), Flow::Continue));
        assert_eq!(
            (report(&*instance, "instances"), report(&*instance, "restarts")),
            (1, 1),
            "{restarts}"
        );
        assert_eq!(report(&*instance, "memory_bytes"), 4 << 16);
    }
}

#[test]
fn a_spin_is_ended_close_to_its_deadline() {
    let limits = Limits { cpu: Duration::from_millis(20), ..limits() };
    let code = wat::parse_str(failing().text()).unwrap();
    let module = Wasm::new().load("test", &code, limits).unwrap();
    let mut harness = Harness::of(&*module, Surroundings::default(), "{}").unwrap();
    let shortest = (0..3)
        .map(|_| {
            let begun = Instant::now();
            let _ = broken(harness.call(Hook::Request, &mut Scene::new("SPIN", "/")));
            begun.elapsed()
        })
        .min()
        .unwrap();
    assert!(shortest >= Duration::from_millis(20), "{shortest:?}");
    // Of its own time 22 ms at most; how long a busy machine takes for that is not ours to say.
    assert!(shortest < Duration::from_secs(2), "{shortest:?}");
}

#[test]
fn requests_that_wait_in_an_instance_fail_with_it_and_no_others() {
    let mut wat = Wat::new();
    let up = wat.bytes("up");
    let headers = wat.pairs(&[(":method", "GET"), (":path", "/"), (":authority", "a")]);
    let none = "(i32.const 0) (i32.const 0)";
    wat.function(
        "proxy_on_request_headers",
        3,
        true,
        &format!(
            "(drop (call $proxy_http_call {up} {headers} {none} {none} (i32.const 0) {A}))
             (i32.const 1)"
        ),
    );
    wat.function("proxy_on_response_headers", 3, true, "(unreachable)");
    let code = wat::parse_str(wat.text()).unwrap();
    let limits = Limits { instances: 2, ..limits() };
    let module = Wasm::new().load("test", &code, limits).unwrap();
    let harness = Harness::of(&*module, Surroundings::default(), "{}").unwrap();
    let instance = Arc::clone(harness.instance());
    let mut polling = Context::from_waker(Waker::noop());

    // Two wait in the instance of this thread; one in that of another, whichever that is.
    let mut states = [instance.start(), instance.start(), instance.start()];
    let [one, two, trapping] = &mut states;
    let mut exchanges = [Quiet, Quiet, Quiet];
    let [first, second, third] = &mut exchanges;
    let Called::Waits(mut one) = instance.call(Hook::Request, one, first) else { panic!() };
    let Called::Waits(mut two) = instance.call(Hook::Request, two, second) else { panic!() };
    assert!(one.as_mut().poll(&mut polling).is_pending());
    assert!(two.as_mut().poll(&mut polling).is_pending());
    let Called::Done(flow) = instance.call(Hook::Response, trapping, third) else { panic!() };
    assert_eq!(broken(flow).0, Cause::Trap);
    for waiting in [&mut one, &mut two] {
        let Poll::Ready(flow) = waiting.as_mut().poll(&mut polling) else { panic!("it waits on") };
        assert_eq!(broken(flow).0, Cause::Lost);
    }
    let mut next = instance.start();
    let mut exchange = Quiet;
    let Called::Waits(mut next) = instance.call(Hook::Request, &mut next, &mut exchange) else {
        panic!("there is no new one")
    };
    assert!(next.as_mut().poll(&mut polling).is_pending());
}

#[test]
fn whoever_waits_is_woken_when_its_instance_ends() {
    struct Woken(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let mut wat = Wat::new();
    wat.function(
        "proxy_on_configure",
        2,
        true,
        "(drop (call $proxy_set_tick_period_milliseconds (i32.const 10))) (i32.const 1)",
    );
    wat.function("proxy_on_tick", 1, false, "");
    wat.function("proxy_on_request_headers", 3, true, "(i32.const 1)");
    wat.function("proxy_on_response_headers", 3, true, "(unreachable)");
    let harness = harness(&wat);
    let instance = harness.instance();
    let woken = Arc::new(Woken(false.into()));
    let waker = Waker::from(Arc::clone(&woken));
    let (mut waits, mut traps) = (instance.start(), instance.start());
    let (mut first, mut second) = (Quiet, Quiet);
    let Called::Waits(mut waiting) = instance.call(Hook::Request, &mut waits, &mut first) else {
        panic!("it waits")
    };
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let _ = instance.call(Hook::Response, &mut traps, &mut second);
    assert!(woken.0.load(std::sync::atomic::Ordering::SeqCst));
}

#[test]
fn who_traps_again_and_again_is_not_started_again_at_once() {
    let mut harness = harness(&failing());
    let mut whys = Vec::new();
    for _ in 0..6 {
        let (_, why) = broken(harness.call(Hook::Request, &mut Scene::new("PANIC", "/")));
        whys.push(why.contains("again and again"));
    }
    assert_eq!(whys, [false, false, false, false, true, true]);
    assert_eq!(report(&**harness.instance(), "restarts"), 3);
}

#[test]
fn an_old_instance_ends_with_its_last_request() {
    let harness = harness(&failing());
    let instance = Arc::clone(harness.instance());
    let mut old = instance.start();
    let mut exchange = Quiet;
    let _ = instance.call(Hook::Request, &mut old, &mut exchange);
    let mut trapping = Scene::new("PANIC", "/");
    let mut harness = harness;
    let _ = harness.call(Hook::Request, &mut trapping);
    let _ = harness.call(Hook::Request, &mut Scene::get("/"));
    assert_eq!(report(&*instance, "instances"), 2, "the old one is still in use");
    drop((old, trapping));
    assert_eq!(report(&*instance, "instances"), 1);
}

#[test]
fn each_thread_has_an_instance_for_itself() {
    let limits = Limits { instances: 2, ..limits() };
    let code = wat::parse_str(failing().text()).unwrap();
    let module = Wasm::new().load("test", &code, limits).unwrap();
    let harness = Harness::of(&*module, Surroundings::default(), "{}").unwrap();
    let instance = harness.instance();
    assert_eq!(report(&**instance, "instances"), 1, "others are made when they are needed");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut state = instance.start();
                let Called::Done(Flow::Continue) =
                    instance.call(Hook::Request, &mut state, &mut Quiet)
                else {
                    panic!("it goes on")
                };
            });
        }
    });
    assert_eq!(report(&**instance, "instances"), 2);
}
