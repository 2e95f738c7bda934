use std::sync::atomic::{AtomicU64, Ordering};

use switchback_plugin::{Called, Exchange, Flow, Hooks, Instance, Level, State};

use super::*;
use crate::breaker::Breaker;
use crate::configured::Policy;
use crate::observer::{Failed, Observer};

struct Idle {
    is_bounded: bool,
}

impl Instance for Idle {
    fn hooks(&self) -> Hooks {
        Hooks::of(&[Hook::Request])
    }

    fn is_bounded(&self) -> bool {
        self.is_bounded
    }

    fn start(&self) -> State {
        Box::new(())
    }

    fn call<'a>(&'a self, _: Hook, _: &'a mut State, _: &'a mut (dyn Exchange + 'a)) -> Called<'a> {
        Called::Done(Flow::Continue)
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn failed(&self, failed: Failed<'_>) {
        let Failed { plugin, hook, cause, .. } = failed;
        self.0.lock().push(format!("{plugin}.{} {cause}", hook.name()));
    }

    fn breaker(&self, _: &str, open: bool) {
        self.0.lock().push(format!("open: {open}"));
    }

    fn log(&self, _: &str, level: Level, message: &str) {
        // How long it took is another matter each time.
        let digits = |letter: char| letter.is_ascii_digit();
        self.0.lock().push(format!("{level:?} {}", message.replace(digits, "")));
    }
}

impl Heard {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// A plugin, a thread that calls it, and who watches.
struct Scene {
    plugin: Arc<Configured>,
    heard: Arc<Heard>,
    post: Post,
    watch: Watch,
    /// Nanoseconds that the thread had of a processor; none are told if it is `None`.
    worked: Option<AtomicU64>,
}

impl Scene {
    fn new(policy: Policy) -> Self {
        let heard = Arc::new(Heard::default());
        let instance = Arc::new(Idle { is_bounded: false });
        let observer = Arc::clone(&heard) as Arc<dyn Observer>;
        Self {
            plugin: Configured::new("a", instance, policy, observer),
            heard,
            post: Post::new(0, Holder { thread: 0, name: "worker".into() }),
            watch: Watch::default(),
            worked: None,
        }
    }

    fn enter(&self) -> u64 {
        self.post.enter(self.post.turn(), self.plugin.mark(Hook::Request))
    }

    fn look(&mut self, passed: Duration) -> Vec<String> {
        let spent = |_: &Holder| {
            let worked = self.worked.as_ref()?.load(Ordering::Relaxed);
            spent::parse(&worked.to_string(), "1 (worker) R 1")
        };
        self.watch.look(&[&self.post], passed, spent);
        self.heard.take()
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_call_that_does_not_come_back_is_told_of_once_and_opens_the_breaker_until_it_did() {
    let mut scene = Scene::new(Policy::default());
    let at = scene.enter();
    for _ in 0..3 {
        assert_eq!(scene.look(LOOK), NOTHING);
    }
    assert!(!scene.plugin.is_left_alone());
    let told = "Error on_request: spin: has held up worker (thread ) for  ms and goes on; nobody else asks it until it does, requests are refused";
    assert_eq!(scene.look(LOOK), ["a.on_request spin", "open: true", told]);
    for _ in 0..10 {
        assert_eq!(scene.look(LOOK), NOTHING);
    }
    assert!(!scene.plugin.breaker.admits(u64::MAX - 1));
    assert!(scene.post.leave(at), "it is a failure for the request, too");
    assert_eq!(
        scene.look(LOOK),
        ["Warn on_request: came back to worker (thread ) after  ms; not asked for s"]
    );
    assert!(!scene.plugin.breaker.admits(u64::MAX - 1));
    scene.look(Duration::from_secs(10));
    assert!(scene.plugin.is_left_alone());
    assert!(scene.plugin.breaker.admits(1_000));
}

#[test]
fn calls_that_come_back_are_nobodys_business_however_many_there_are() {
    let mut scene = Scene::new(Policy::default());
    for _ in 0..20 {
        let at = scene.enter();
        assert_eq!(scene.look(LOOK), NOTHING);
        assert_eq!(scene.look(LOOK), NOTHING);
        assert!(!scene.post.leave(at));
    }
    for _ in 0..20 {
        assert_eq!(scene.look(LOOK), NOTHING, "it is idle");
    }
}

#[test]
fn who_waits_for_a_processor_does_not_spin() {
    let mut scene = Scene::new(Policy::default());
    scene.worked = Some(AtomicU64::new(0));
    scene.enter();
    for _ in 0..100 {
        assert_eq!(scene.look(LOOK), NOTHING);
    }
    let mut looks = 0;
    while scene.look(LOOK).is_empty() {
        scene.worked.as_ref().unwrap().fetch_add(5_000_000, Ordering::Relaxed);
        looks += 1;
    }
    assert_eq!(looks, 10, "50 ms, 5 of them at each look");
}

#[test]
fn a_watchdog_that_stood_still_does_not_hold_it_against_others() {
    let timeout = Duration::from_millis(110);
    let mut scene = Scene::new(Policy { timeout, ..Policy::default() });
    scene.enter();
    for _ in 0..4 {
        assert_eq!(scene.look(Duration::from_secs(60)), NOTHING);
    }
    assert_ne!(scene.look(Duration::from_secs(60)), NOTHING);
}

#[test]
fn a_plugin_may_take_its_time_and_50_ms_in_any_case() {
    for (timeout, wanted) in [(1, 4), (50, 4), (100, 6), (1000, 42)] {
        let timeout = Duration::from_millis(timeout);
        let mut scene = Scene::new(Policy { timeout, ..Policy::default() });
        scene.enter();
        let looks = (1..).find(|_| !scene.look(LOOK).is_empty());
        assert_eq!(looks, Some(wanted));
    }
}

#[test]
fn without_a_breaker_it_is_told_of_all_the_same() {
    let breaker = Breaker { failures: 0, ..Breaker::default() };
    let mut scene = Scene::new(Policy { breaker, ..Policy::default() });
    let at = scene.enter();
    let told: Vec<String> = (0..4).flat_map(|_| scene.look(LOOK)).collect();
    assert_eq!(told.first().unwrap(), "a.on_request spin");
    assert!(told.last().unwrap().ends_with("others are asked on"), "{told:?}");
    assert!(!scene.plugin.is_left_alone());
    assert!(scene.post.leave(at));
    scene.look(LOOK);
    scene.look(Duration::from_secs(10));
    assert!(!scene.plugin.is_left_alone());
}

#[test]
fn one_that_ends_its_calls_by_itself_is_not_watched() {
    let instance = Arc::new(Idle { is_bounded: true });
    let plugin =
        Configured::new("a", instance, Policy::default(), Arc::new(crate::observer::Silent));
    assert!(marked(plugin.mark(Hook::Request)).is_none());
    let scene = Scene::new(Policy::default());
    let (found, hook) = marked(scene.plugin.mark(Hook::Log)).unwrap();
    assert!(Arc::ptr_eq(&found, &scene.plugin) && hook == Hook::Log);
}
