//! A plugin that does what a test says, and an observer that remembers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use switchback_plugin::testing::{Scene, Stage, World};
use switchback_plugin::{
    Answer, Called, Cause, Exchange, Flow, Hook, Hooks, Instance, Level, State,
};
use switchback_plugin_host::{
    Breaker, Chain, Configured, Failed, Node, Observer, OnError, Policy, Running, Verdict,
};

/// What a plugin does at a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Pass,
    Answer(u16),
    /// Says so itself.
    Fail,
    Panic,
    /// Panics in the first poll of what it waits for.
    PanicInFirstPoll,
    /// Panics in a later one.
    PanicInLaterPoll,
    /// What it waits for never comes.
    Hang,
    /// Waits once, then passes.
    Wait,
    /// As the glue of a module tells it.
    Trap,
    /// Panics, and so does what it leaves behind.
    PanicTwice,
    /// Does not come back before [`Stand::gate`] is open.
    Spin,
    /// The same in a poll of what it waits for.
    SpinInPoll,
}

/// What happened, in order.
pub(crate) type Trace = Arc<Mutex<Vec<String>>>;

pub(crate) struct Fake {
    name: &'static str,
    hooks: Hooks,
    acts: Vec<(Hook, Act)>,
    trace: Trace,
    /// How many states there are now.
    states: Arc<AtomicUsize>,
    gate: Arc<AtomicBool>,
}

/// Holds its thread up.
fn spin(gate: &AtomicBool) {
    while !gate.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}

struct Remembered {
    states: Arc<AtomicUsize>,
    calls: usize,
}

impl Drop for Remembered {
    fn drop(&mut self) {
        self.states.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("last words");
    }
}

impl Instance for Fake {
    fn hooks(&self) -> Hooks {
        self.hooks
    }

    fn start(&self) -> State {
        self.states.fetch_add(1, Ordering::Relaxed);
        Box::new(Remembered { states: Arc::clone(&self.states), calls: 0 })
    }

    fn call<'a>(
        &'a self,
        hook: Hook,
        state: &'a mut State,
        exchange: &'a mut (dyn Exchange + 'a),
    ) -> Called<'a> {
        let state = state.downcast_mut::<Remembered>().unwrap();
        state.calls += 1;
        self.trace.lock().push(format!("{}.{}:{}", self.name, hook.name(), state.calls));
        let act = self.acts.iter().find(|(at, _)| *at == hook).map_or(Act::Pass, |(_, act)| *act);
        match act {
            Act::Pass => Called::Done(Flow::Continue),
            Act::Answer(status) => Called::Done(Answer::plain(status).into()),
            Act::Fail => Called::Done(Flow::fail("cannot")),
            Act::Trap => Called::Done(Flow::broken(Cause::Trap, "out of bounds")),
            Act::Panic => panic!("{} fell over", self.name),
            Act::PanicTwice => std::panic::panic_any(Bomb),
            Act::Spin => {
                spin(&self.gate);
                Called::Done(Flow::Continue)
            }
            Act::SpinInPoll => Called::Waits(Box::pin(async {
                tokio::task::yield_now().await;
                spin(&self.gate);
                Flow::Continue
            })),
            Act::PanicInFirstPoll => Called::Waits(Box::pin(async { panic!("first") })),
            Act::PanicInLaterPoll => Called::Waits(Box::pin(async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                panic!("later")
            })),
            Act::Hang => Called::Waits(Box::pin(async {
                let _lent = exchange;
                std::future::pending().await
            })),
            Act::Wait => Called::Waits(Box::pin(async {
                let _lent = exchange;
                tokio::time::sleep(Duration::from_millis(1)).await;
                Flow::Continue
            })),
        }
    }
}

/// What an observer was told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) failures: Mutex<Vec<String>>,
    pub(crate) breaker: Mutex<Vec<bool>>,
    pub(crate) took: AtomicUsize,
    /// Lines that were said where no request is at hand.
    pub(crate) lines: Mutex<Vec<String>>,
}

impl Observer for Told {
    fn failed(&self, failed: Failed<'_>) {
        let Failed { plugin, hook, cause, message } = failed;
        self.failures.lock().push(format!("{plugin}.{} {cause}: {message}", hook.name()));
    }

    fn took(&self, _: &str, _: Hook, _: u64) {
        self.took.fetch_add(1, Ordering::Relaxed);
    }

    fn breaker(&self, _: &str, open: bool) {
        self.breaker.lock().push(open);
    }

    fn log(&self, plugin: &str, _: Level, message: &str) {
        self.lines.lock().push(format!("{plugin} {message}"));
    }
}

/// What the plugins of a test share.
#[derive(Clone, Default)]
pub(crate) struct Stand {
    pub(crate) trace: Trace,
    pub(crate) told: Arc<Told>,
    pub(crate) states: Arc<AtomicUsize>,
    /// Whether those that spin come back.
    pub(crate) gate: Arc<AtomicBool>,
}

/// Keeps quiet about panics of plugins; all others are a test's.
pub(crate) fn quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.location().is_none_or(|place| place.file() != file!()) {
                loud(panic);
            }
        }));
    });
}

impl Stand {
    /// A plugin with these acts; closed if nothing else is said.
    pub(crate) fn plugin(
        &self,
        name: &'static str,
        acts: &[(Hook, Act)],
        policy: Policy,
    ) -> Arc<Configured> {
        quiet();
        let hooks: Vec<Hook> = acts.iter().map(|(hook, _)| *hook).collect();
        let fake = Fake {
            name,
            hooks: Hooks::of(&hooks),
            acts: acts.to_vec(),
            trace: Arc::clone(&self.trace),
            states: Arc::clone(&self.states),
            gate: Arc::clone(&self.gate),
        };
        Configured::new(name, Arc::new(fake), policy, Arc::clone(&self.told) as Arc<dyn Observer>)
    }

    pub(crate) fn node(&self, name: &'static str, acts: &[(Hook, Act)]) -> Node {
        Node::One(self.plugin(name, acts, closed()))
    }

    /// Who was called, in order.
    pub(crate) fn traced(&self) -> Vec<String> {
        std::mem::take(&mut *self.trace.lock())
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.failures.lock())
    }

    /// Waits for a line of the log with this in it that no request has said.
    pub(crate) fn hears(&self, part: &str) {
        while !self.told.lines.lock().iter().any(|line| line.contains(part)) {
            std::thread::yield_now();
        }
    }

    pub(crate) fn states(&self) -> usize {
        self.states.load(Ordering::Relaxed)
    }
}

pub(crate) fn closed() -> Policy {
    Policy { breaker: Breaker { failures: 0, ..Breaker::default() }, ..Policy::default() }
}

pub(crate) fn open() -> Policy {
    Policy { on_error: OnError::Open, ..closed() }
}

/// One request on its way through a chain.
pub(crate) struct Passing<'c> {
    pub(crate) chain: &'c Chain,
    pub(crate) running: Running,
    pub(crate) scene: Scene,
    pub(crate) world: World,
}

impl<'c> Passing<'c> {
    pub(crate) fn through(chain: &'c Chain) -> Self {
        Self {
            chain,
            running: chain.start(),
            scene: Scene::get("/").with_response(200),
            world: World::default(),
        }
    }

    /// What follows from a hook: `continue`, a status, or `refuse`.
    pub(crate) async fn at(&mut self, hook: Hook) -> String {
        let mut stage = Stage::new(hook, &mut self.scene, &mut self.world);
        told(self.chain.run(hook, &mut self.running, &mut stage).await)
    }

    /// The same where nobody can wait.
    pub(crate) fn at_now(&mut self, hook: Hook) -> String {
        let mut stage = Stage::new(hook, &mut self.scene, &mut self.world);
        told(self.chain.run_now(hook, &mut self.running, &mut stage))
    }

    /// Lines of the log with this level.
    pub(crate) fn lines(&self, level: Level) -> Vec<String> {
        let lines = self.scene.lines().into_iter().filter(|line| line.level == level);
        lines.map(|line| line.message).collect()
    }
}

fn told(verdict: Verdict) -> String {
    match verdict {
        Verdict::Continue => "continue".to_owned(),
        Verdict::Answer(answer) => answer.status.as_u16().to_string(),
        Verdict::Refuse => "refuse".to_owned(),
    }
}
