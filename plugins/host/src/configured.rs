//! One plugin in use: an instance, and what is to be done when it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use switchback_plugin::{Cause, Exchange, Failure, Flow, Hook, Hooks, Instance, Level};

use crate::breaker::{Breaker, Standing};
use crate::calls::Calls;
use crate::guard::{self, Began, Late};
use crate::observer::{Failed, Observer};
use crate::watch::{self, Mark, Number};

/// What becomes of a request when a plugin fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnError {
    /// It ends. What may deny must not be passed over.
    #[default]
    Closed,
    /// It goes on as if the plugin were not there.
    Open,
}

/// What is to be done when a plugin fails, and when it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What becomes of the request.
    pub on_error: OnError,
    /// How long one hook may take with all that it awaits. One that does not come back for longer, and for 50 ms at least, holds up its
    /// thread and whoever else is served by it: it is told of while it does, and nobody else asks the plugin meanwhile.
    pub timeout: Duration,
    /// When it is left alone.
    pub breaker: Breaker,
    /// How often [`Hook::Tick`] is called.
    pub tick: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            on_error: OnError::Closed,
            timeout: Duration::from_millis(50),
            breaker: Breaker::default(),
            tick: None,
        }
    }
}

/// One plugin in use.
pub struct Configured {
    pub(crate) instance: Arc<dyn Instance>,
    pub(crate) policy: Policy,
    pub(crate) breaker: Standing,
    pub(crate) calls: Arc<Calls>,
    /// Requests that it was asked about, since it failed for the first time.
    pub(crate) requests: Calls,
    pub(crate) observer: Arc<dyn Observer>,
    number: Number,
    name: Arc<str>,
    hooks: Hooks,
    immediate: Hooks,
    /// Whether it remembers nothing of a request.
    pub(crate) is_stateless: bool,
    ticks: AtomicBool,
}

impl Configured {
    /// An instance under its name.
    pub fn new(
        name: &str,
        instance: Arc<dyn Instance>,
        policy: Policy,
        observer: Arc<dyn Observer>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|plugin| Self {
            // One that ends its calls by itself would be told of twice.
            number: if instance.is_bounded() { Number::NONE } else { Number::of(plugin) },
            hooks: instance.hooks(),
            immediate: instance.immediate(),
            is_stateless: instance.is_stateless(),
            instance,
            breaker: Standing::new(policy.breaker),
            policy,
            calls: observer.calls(name),
            requests: Calls::default(),
            observer,
            name: name.into(),
            ticks: AtomicBool::new(false),
        })
    }

    /// The name by which it is configured.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The hooks that it has.
    #[must_use]
    pub fn hooks(&self) -> Hooks {
        self.hooks
    }

    /// Whether it remembers nothing of a request, and is well.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.is_stateless && self.breaker.is_untroubled()
    }

    /// Those where it never waits.
    pub(crate) fn immediate(&self) -> Hooks {
        self.immediate
    }

    /// What is to be done when it fails.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The instance.
    #[must_use]
    pub fn instance(&self) -> &Arc<dyn Instance> {
        &self.instance
    }

    /// How often it was called.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.count()
    }

    /// Whether it is left alone, because it failed too often.
    #[must_use]
    pub fn is_left_alone(&self) -> bool {
        !self.breaker.is_closed()
    }

    /// Calls [`Hook::Tick`] and waits for its end, for its period or its time-out, whichever is longer. Does nothing while an earlier call
    /// is not over, and while it is left alone.
    pub async fn tick(&self, exchange: &mut dyn Exchange) {
        if !self.hooks.contains(Hook::Tick) || self.ticks.swap(true, Ordering::Acquire) {
            return;
        }
        let _ticking = Ticking(&self.ticks);
        if !self.breaker.is_closed() && !self.admits_tick(exchange) {
            return;
        }
        self.calls.add();
        self.requests.add();
        let began = Instant::now();
        let ended = match guard::start(&*self.instance) {
            Err(failure) => Ok(Flow::Fail(failure)),
            Ok(mut state) => {
                let ended = match guard::call(self, Hook::Tick, &mut state, exchange) {
                    Began::Done(ended) => ended,
                    Began::Waits(waiting) => waiting.within(self.time(Hook::Tick)).await,
                };
                guard::forget(state);
                ended
            }
        };
        self.took(Hook::Tick, began);
        match ended {
            Ok(Flow::Fail(failure)) => self.failed(Hook::Tick, &failure, true, exchange),
            Ok(Flow::Continue | Flow::Answer(_)) if self.breaker.was_opened_at(Hook::Tick) => {
                self.succeeded();
            }
            Ok(Flow::Continue | Flow::Answer(_)) => {}
            Err(Late) => self.late(Hook::Tick, exchange),
        }
    }

    /// Whether it is called there though it is left alone: to try, if that is where it failed. Else a request has to.
    fn admits_tick(&self, exchange: &dyn Exchange) -> bool {
        self.breaker.was_opened_at(Hook::Tick) && self.breaker.admits(exchange.now())
    }

    /// How long a hook may take.
    fn time(&self, hook: Hook) -> Duration {
        match hook {
            Hook::Tick => self.policy.timeout.max(self.policy.tick.unwrap_or_default()),
            _ => self.policy.timeout,
        }
    }

    /// How long a hook may hold its thread.
    pub(crate) fn patience(&self, hook: Hook) -> Duration {
        self.time(hook).max(watch::LEAST)
    }

    /// What a thread says that is in a hook of it.
    #[inline]
    pub(crate) fn mark(&self, hook: Hook) -> Mark {
        self.number.mark(hook)
    }

    /// Tells how long a call took.
    pub(crate) fn took(&self, hook: Hook, began: Instant) {
        let time = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.observer.took(&self.name, hook, time);
    }

    /// A request that tried went well.
    #[cold]
    pub(crate) fn succeeded(&self) {
        if !self.breaker.is_closed() && self.breaker.succeeded() {
            self.observer.breaker(&self.name, false);
        }
    }

    /// A call did not end well, the first one of its request or another.
    #[cold]
    pub(crate) fn failed(
        &self,
        hook: Hook,
        failure: &Failure,
        is_first: bool,
        exchange: &mut dyn Exchange,
    ) {
        exchange.abandon();
        self.tell(hook, failure);
        exchange.log(Level::Error, &self.describe(hook, failure));
        if self.breaker.count() {
            // The request at hand is the first.
            self.requests.add();
        }
        if is_first && self.breaker.failed(exchange.now(), self.requests.count(), hook) {
            self.observer.breaker(&self.name, true);
            exchange.log(Level::Error, &self.describe_rest());
        }
    }

    /// A call has come back that was told of because it did not. What is left to be said is which request that was.
    #[cold]
    pub(crate) fn late(&self, hook: Hook, exchange: &mut dyn Exchange) {
        exchange.abandon();
        exchange.log(Level::Error, &self.describe(hook, &spun("it has come back too late")));
    }

    /// A call does not come back. Said by the watchdog.
    pub(crate) fn spins(&self, hook: Hook, worker: &str, time: Duration) {
        self.tell(hook, &spun("does not come back"));
        let is_opened = self.breaker.hold(hook);
        if is_opened {
            self.observer.breaker(&self.name, true);
        }
        let follows = match (self.policy.breaker.failures, self.policy.on_error) {
            (0, _) => "others are asked on",
            (_, OnError::Closed) => "nobody else asks it until it does, requests are refused",
            (_, OnError::Open) => "nobody else asks it until it does, requests go on without it",
        };
        let (name, time) = (hook.name(), time.as_millis());
        let message =
            format!("{name}: spin: has held up {worker} for {time} ms and goes on; {follows}");
        self.observer.log(&self.name, Level::Error, &message);
    }

    /// It did. Said by the watchdog.
    pub(crate) fn came_back(&self, hook: Hook, worker: &str, time: Duration) {
        let Breaker { failures, rest } = self.policy.breaker;
        let follows =
            if failures == 0 { String::new() } else { format!("; not asked for {rest:?}") };
        let (name, time) = (hook.name(), time.as_millis());
        let message = format!("{name}: came back to {worker} after {time} ms{follows}");
        self.observer.log(&self.name, Level::Warn, &message);
    }

    /// Counts that the plugin was of no use.
    pub(crate) fn tell(&self, hook: Hook, failure: &Failure) {
        let Failure { cause, message } = failure;
        self.observer.failed(Failed { plugin: &self.name, hook, cause: *cause, message });
    }

    fn describe(&self, hook: Hook, failure: &Failure) -> String {
        let Failure { cause, message } = failure;
        let name = hook.name();
        let follows = match self.policy.on_error {
            OnError::Closed => "the request is refused",
            OnError::Open => "the request goes on without it",
        };
        match hook {
            Hook::Log | Hook::Tick => format!("{name}: {cause}: {message}"),
            _ => format!("{name}: {cause}: {message}; {follows}"),
        }
    }

    fn describe_rest(&self) -> String {
        let Breaker { failures, rest } = self.policy.breaker;
        let follows = match self.policy.on_error {
            OnError::Closed => "requests are refused",
            OnError::Open => "requests go on without it",
        };
        format!("failed {failures} times within a minute: not asked for {rest:?}, {follows}")
    }
}

fn spun(message: &str) -> Failure {
    Failure { cause: Cause::Spin, message: message.to_owned() }
}

struct Ticking<'t>(&'t AtomicBool);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
