//! Both sides of the interface in one program, without a library: what the SDK exports is read as a module's table is. Miri can run these
//! (`cargo +nightly miri test -p switchback-plugin-host native::tests`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use switchback_plugin::export::Table;
use switchback_plugin::testing::{Harness, Scene, Surroundings};
use switchback_plugin::{
    self as plugin, BuildError, Called, Cause, Exchange, Flow, Hook, Hooks, HttpRequest,
    HttpResponse, Instance, Kind, Module, Operating, Operation, OperationError, Plugin, Request,
    Services, Setup, hooks,
};

use super::module::NativeModule;

/// A plugin, as if it had come from a library.
fn module<P: Plugin>(table: &'static Table) -> Arc<dyn Module> {
    let plugin = table.plugin::<P>();
    // SAFETY: what an entry would give.
    Arc::new(unsafe { NativeModule::read(plugin) }.unwrap())
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Options {}

/// Tells when it is dropped, and holds something on the heap that a future borrows.
#[derive(Default)]
struct State {
    text: String,
    alive: Alive,
}

struct Alive;

static ALIVE: AtomicUsize = AtomicUsize::new(0);

impl Default for Alive {
    fn default() -> Self {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Borrower;

#[hooks]
impl Plugin for Borrower {
    const NAME: &'static str = "borrower";
    type Options = Options;
    type State = State;

    fn build(_: Options, _: &mut Setup<'_>) -> Result<Self, BuildError> {
        Ok(Self)
    }

    async fn on_request(&self, state: &mut State, request: &mut Request<'_>) -> Flow {
        let _ = &state.alive;
        let path = request.path().into_owned();
        let piece = &mut state.text;
        for letter in ["a", "b", "c"] {
            piece.push_str(letter);
            if request.sleep(Duration::from_millis(5)).await.is_err() {
                return Flow::fail("cannot sleep");
            }
            piece.push_str(&path);
        }
        match request.set_header("x-text", &state.text) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(refused.to_string()),
        }
    }

    async fn on_route(&self, state: &mut State, route: &mut switchback_plugin::Route<'_>) -> Flow {
        state.text.push('!');
        let _ = route.request_mut().set_header("x-text", &state.text);
        Flow::Continue
    }
}

static BORROWER: Table = Table::new();

fn borrower() -> Harness {
    Harness::of(&*module::<Borrower>(&BORROWER), Surroundings::default(), "{}").unwrap()
}

/// One test for all that is counted in [`ALIVE`].
#[test]
fn what_a_waiting_hook_borrows_lives_as_long_as_it_and_no_longer() {
    let mut harness = borrower();
    let mut done = Scene::get("/");
    assert!(matches!(harness.call(Hook::Request, &mut done), Flow::Continue));
    assert_eq!(done.header("x-text"), Some("a/b/c/"));

    // Given up while it waits.
    harness.set_timeout(Duration::from_millis(7));
    let mut slow = Scene::get("/");
    let Flow::Fail(failure) = harness.call(Hook::Request, &mut slow) else { unreachable!() };
    assert_eq!(failure.cause, Cause::Timeout);
    assert_eq!(harness.given_up(), 1);
    assert_eq!(ALIVE.load(Ordering::SeqCst), 1, "the one that is done");
    drop(done);
    assert_eq!(ALIVE.load(Ordering::SeqCst), 0);
    after_a_hook_was_given_up_others_go_on_with_what_is_remembered();
    assert_eq!(ALIVE.load(Ordering::SeqCst), 0);
}

fn after_a_hook_was_given_up_others_go_on_with_what_is_remembered() {
    let inner = Arc::clone(borrower().instance());
    let around = Surroundings::default();
    let mut harness = Harness::of(&Impatient(inner), around, "{}").unwrap();
    let mut scene = Scene::get("/");
    for calls in 1..4 {
        drop(harness.call(Hook::Request, &mut scene));
        assert_eq!(harness.given_up(), calls);
        drop(harness.call(Hook::Route, &mut scene));
    }
    assert_eq!(scene.header("x-text"), Some("a!a!a!"));
}

/// Has a hook wait once, and gives it up: the request goes on.
struct Impatient(Arc<dyn Instance>);

impl Module for Impatient {
    fn name(&self) -> &str {
        "impatient"
    }

    fn version(&self) -> &str {
        ""
    }

    fn kind(&self) -> Kind {
        Kind::Native
    }

    fn schema(&self) -> Option<String> {
        None
    }

    fn hooks(&self) -> Hooks {
        self.0.hooks()
    }

    fn build(&self, _: &str, _: &mut dyn Services) -> Result<Arc<dyn Instance>, BuildError> {
        Ok(Arc::new(Self(Arc::clone(&self.0))))
    }
}

impl Instance for Impatient {
    fn hooks(&self) -> Hooks {
        self.0.hooks()
    }

    fn start(&self) -> plugin::State {
        self.0.start()
    }

    fn call<'a>(
        &'a self,
        hook: Hook,
        state: &'a mut plugin::State,
        exchange: &'a mut (dyn Exchange + 'a),
    ) -> Called<'a> {
        match self.0.call(hook, state, exchange) {
            Called::Waits(mut future) => {
                let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(polled.is_pending());
                Called::Done(Flow::Continue)
            }
            done @ Called::Done(_) => done,
        }
    }
}

/// Polls an operation only when its own waker was woken, as libraries that join futures do.
struct Joiner;

struct Flag(AtomicUsize);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[hooks]
impl Plugin for Joiner {
    const NAME: &'static str = "joiner";
    type Options = Options;
    type State = ();

    fn build(_: Options, _: &mut Setup<'_>) -> Result<Self, BuildError> {
        Ok(Self)
    }

    async fn on_request(&self, _: &mut (), request: &mut Request<'_>) -> Flow {
        let flag = Arc::new(Flag(AtomicUsize::new(1)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut sleeping = Box::pin(request.sleep(Duration::from_millis(3)));
        let slept = std::future::poll_fn(|_| {
            if flag.0.swap(0, Ordering::SeqCst) == 0 {
                return Poll::Pending;
            }
            sleeping.as_mut().poll(&mut Context::from_waker(&waker))
        });
        if slept.await.is_ok() { Flow::status(204) } else { Flow::fail("cannot sleep") }
    }
}

#[test]
fn wakers_of_the_plugins_own_are_woken() {
    static TABLE: Table = Table::new();
    let module = module::<Joiner>(&TABLE);
    let mut harness = Harness::of(&*module, Surroundings::default(), "{}").unwrap();
    assert_eq!(harness.request(&mut Scene::get("/")).status, 204);
}

/// Drops an operation that it waits for when its own value is dropped, wherever that is.
struct Asker;

#[hooks]
impl Plugin for Asker {
    const NAME: &'static str = "asker";
    type Options = Options;
    type State = Option<Box<u8>>;

    fn build(_: Options, _: &mut Setup<'_>) -> Result<Self, BuildError> {
        Ok(Self)
    }

    async fn on_request(&self, state: &mut Option<Box<u8>>, request: &mut Request<'_>) -> Flow {
        *state = Some(Box::new(1));
        let question = HttpRequest::get("app", "/").with_header("x-a", "1");
        let begun = request.begin(Operation::Sleep(Duration::from_millis(1)));
        let Ok(begun) = begun else { return Flow::fail("cannot sleep") };
        let answer = request.http(question).await;
        let slept = request.finish(begun).await;
        match (answer, slept) {
            (Ok(answer), Ok(_)) => Flow::status(answer.status.as_u16()),
            (Err(OperationError::Failed), _) => std::panic::panic_any("no answer"),
            _ => Flow::Continue,
        }
    }
}

#[test]
fn a_panic_after_waiting_is_told_and_nothing_is_left() {
    static TABLE: Table = Table::new();
    let module = module::<Asker>(&TABLE);
    let mut harness = Harness::of(&*module, Surroundings::default(), "{}").unwrap();
    let mut scene = Scene::get("/");
    let Flow::Fail(failure) = harness.call(Hook::Request, &mut scene) else { unreachable!() };
    assert_eq!((failure.cause, &*failure.message), (Cause::Panic, "no answer"));
    harness.respond_after(Duration::from_millis(4), "app", |question| {
        let headers = question.headers.clone();
        Ok(HttpResponse { status: http::StatusCode::ACCEPTED, headers, body: "x".into() })
    });
    assert_eq!(harness.request(&mut Scene::get("/")).status, 202);
}
