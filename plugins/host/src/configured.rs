//! One plugin in use: an instance, and what is to be done when it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use switchback_plugin::{Exchange, Failure, Flow, Hook, Hooks, Instance, Level};

use crate::breaker::{Breaker, Standing};
use crate::calls::Calls;
use crate::guard::{self, Began};
use crate::observer::{Failed, Observer};

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
    /// How long one hook may take with all that it awaits.
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
    pub(crate) observer: Arc<dyn Observer>,
    name: Arc<str>,
    hooks: Hooks,
    immediate: Hooks,
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
        Arc::new(Self {
            hooks: instance.hooks(),
            immediate: instance.immediate(),
            instance,
            breaker: Standing::new(policy.breaker),
            policy,
            calls: observer.calls(name),
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
        if !self.breaker.is_closed() && !self.breaker.admits(exchange.now()) {
            return;
        }
        self.calls.add();
        let timeout = self.policy.timeout.max(self.policy.tick.unwrap_or_default());
        let began = Instant::now();
        let flow = match guard::start(&*self.instance) {
            Err(failure) => Flow::Fail(failure),
            Ok(mut state) => {
                let flow = match guard::call(&*self.instance, Hook::Tick, &mut state, exchange) {
                    Began::Done(flow) => flow,
                    Began::Waits(waiting) => waiting.within(timeout).await,
                };
                guard::forget(state);
                flow
            }
        };
        self.took(Hook::Tick, began);
        match flow {
            Flow::Fail(failure) => self.failed(Hook::Tick, &failure, exchange),
            Flow::Continue | Flow::Answer(_) => self.succeeded(),
        }
    }

    /// Tells how long a call took.
    pub(crate) fn took(&self, hook: Hook, began: Instant) {
        let time = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.observer.took(&self.name, hook, time);
    }

    /// A call ended well.
    #[inline]
    pub(crate) fn succeeded(&self) {
        if !self.breaker.is_closed() && self.breaker.succeeded() {
            self.observer.breaker(&self.name, false);
        }
    }

    /// A call did not.
    #[cold]
    pub(crate) fn failed(&self, hook: Hook, failure: &Failure, exchange: &mut dyn Exchange) {
        exchange.abandon();
        self.tell(hook, failure);
        exchange.log(Level::Error, &self.describe(hook, failure));
        if self.breaker.failed(exchange.now(), self.calls.count()) {
            self.observer.breaker(&self.name, true);
            exchange.log(Level::Error, &self.describe_rest());
        }
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

struct Ticking<'t>(&'t AtomicBool);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
