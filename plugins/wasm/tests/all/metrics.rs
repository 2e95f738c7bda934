//! What modules count.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use switchback_plugin::testing::Scene;
use switchback_plugin::{
    Called, Flow, Hook, Level, Meter, Metering, MetricKind, Refused, Services,
};

use crate::functions::{FAR, FAR_OUT};
use crate::ours::Quiet;
use crate::wat_text::{A, Wat};
use crate::{harness, said, try_load};

#[test]
fn metrics_are_defined_at_the_beginning_and_counted_later() {
    let mut wat = Wat::new();
    let names = [wat.bytes("my.counter"), wat.bytes("gauge"), wat.bytes("sizes")];
    let define = |kind: usize, place: usize| {
        let name = &names[kind];
        format!("(drop (call $proxy_define_metric (i32.const {kind}) {name} (i32.const {place})))")
    };
    let defines: String = (0..3).map(|kind| define(kind, 128 + kind * 4)).collect();
    wat.function("proxy_on_configure", 2, true, &format!("{defines} (i32.const 1)"));
    let late = wat.bytes("late");
    let id = |kind: usize| format!("(i32.load (i32.const {}))", 128 + kind * 4);
    let calls = [
        format!("proxy_increment_metric {} (i64.const 2)", id(0)),
        format!("proxy_increment_metric {} (i64.const -1)", id(0)),
        format!("proxy_record_metric {} (i64.const 7)", id(1)),
        format!("proxy_increment_metric {} (i64.const -3)", id(1)),
        format!("proxy_record_metric {} (i64.const 5)", id(2)),
        format!("proxy_increment_metric {} (i64.const 5)", id(2)),
        format!("proxy_get_metric {} {A}", id(1)),
        "proxy_increment_metric (i32.const 0) (i64.const 1)".to_owned(),
        "proxy_record_metric (i32.const 99) (i64.const 1)".to_owned(),
        format!("proxy_get_metric (i32.const 99) {A}"),
        format!("proxy_get_metric {} {FAR_OUT}", id(1)),
        format!("proxy_define_metric (i32.const 0) {} {A}", names[0]),
        format!("proxy_define_metric (i32.const 0) {late} {A}"),
        format!("proxy_define_metric (i32.const 3) {late} {A}"),
        format!("proxy_define_metric (i32.const 0) {FAR} {A}"),
    ];
    wat.on_request(&Wat::say(&calls));
    let mut harness = harness(&wat);
    let mut scene = Scene::get("/");
    let _ = harness.call(Hook::Request, &mut scene);
    assert_eq!(
        said(&scene),
        ["0", "2", "0", "0", "0", "2", "0", "1", "1", "1", "6", "0", "10", "2", "6"]
    );
    assert_eq!(harness.metric("my_counter", &[]), Some(2.0));
    assert_eq!(harness.metric("gauge", &[]), Some(4.0));
    assert_eq!(harness.metric("sizes", &[]), Some(5.0));
}

/// Sums by name, which can be defined at any time.
#[derive(Clone, Default)]
struct Sums(Arc<Mutex<BTreeMap<String, Arc<Sum>>>>);

#[derive(Default)]
struct Sum(AtomicU64);

impl Meter for Sum {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers")]
    fn add(&self, value: f64) {
        self.0.fetch_add(value as u64, Ordering::Relaxed);
    }
    fn set(&self, _: f64) {}
}

impl Metering for Sums {
    fn define(
        &self,
        _: MetricKind,
        name: &str,
        _: &str,
        _: &[(&str, &str)],
    ) -> Result<Arc<dyn Meter>, Refused> {
        Ok(Arc::clone(self.0.lock().entry(name.to_owned()).or_default()) as Arc<dyn Meter>)
    }
}

impl Services for Sums {
    fn define(
        &mut self,
        kind: MetricKind,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Arc<dyn Meter>, Refused> {
        Metering::define(self, kind, name, help, labels)
    }
    fn metering(&self) -> Option<Arc<dyn Metering>> {
        Some(Arc::new(self.clone()))
    }
    fn every(&mut self, _: Duration) {}
    fn timeout(&mut self, _: Duration) {}
    fn has_upstream(&self, _: &str) -> bool {
        false
    }
    fn has_variable(&self, _: &str) -> bool {
        false
    }
    fn folder(&self) -> Option<&Path> {
        None
    }
    fn instance_name(&self) -> &str {
        "test"
    }
    fn log(&self, _: Level, _: &str) {}
}

/// Runs `count` requests of a module that does `body` at each.
fn sums(wat: &Wat, count: usize) -> BTreeMap<String, u64> {
    let mut sums = Sums::default();
    let instance = try_load(&wat.text()).unwrap().build("{}", &mut sums).unwrap();
    for _ in 0..count {
        let (mut state, mut exchange) = (instance.start(), Quiet);
        let called = instance.call(Hook::Request, &mut state, &mut exchange);
        assert!(matches!(called, Called::Done(Flow::Continue)));
    }
    let sums = sums.0.lock();
    sums.iter().map(|(name, sum)| (name.clone(), sum.0.load(Ordering::Relaxed))).collect()
}

#[test]
fn a_metric_that_is_defined_at_a_request_counts_from_then_on() {
    let mut wat = Wat::new();
    let name = wat.bytes("envoy.wasm-late");
    wat.on_request(&format!(
        "(drop (call $proxy_define_metric (i32.const 0) {name} {A}))
         (if (call $proxy_increment_metric (i32.load {A}) (i64.const 2)) (then (unreachable)))"
    ));
    assert_eq!(sums(&wat, 3), BTreeMap::from([("envoy_wasm_late".to_owned(), 6)]));
}

#[test]
fn names_that_requests_make_up_have_an_end() {
    let mut wat = Wat::new();
    // A name of two letters for each request, by its number.
    wat.on_request(&format!(
        "(i32.store (i32.const 200) (i32.add (i32.load (i32.const 200)) (i32.const 1)))
         (i32.store8 (i32.const 204) (i32.add (i32.const 97)
           (i32.rem_u (i32.load (i32.const 200)) (i32.const 26))))
         (i32.store8 (i32.const 205) (i32.add (i32.const 97)
           (i32.rem_u (i32.div_u (i32.load (i32.const 200)) (i32.const 26)) (i32.const 26))))
         (drop (call $proxy_define_metric
           (i32.const 0) (i32.const 204) (i32.const 2) {A}))"
    ));
    assert_eq!(sums(&wat, 600).len(), 256);
}
