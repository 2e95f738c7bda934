//! One call of one plugin of a chain.

use std::time::Instant;

use switchback_plugin::{Cause, Exchange, Failure, Flow, Hook};

use crate::configured::{Configured, OnError};
use crate::guard::{self, Began};
use crate::plan::{Denial, Outcome};
use crate::running::Running;

/// One call in so many is timed: asking for the time twice costs more than most hooks.
const SAMPLE: u64 = 64;

/// One call that is to be made.
#[derive(Clone, Copy)]
pub(crate) struct Call<'c> {
    pub(crate) plugin: &'c Configured,
    pub(crate) number: u32,
    /// How many the chain has.
    pub(crate) count: usize,
    pub(crate) hook: Hook,
}

impl Call<'_> {
    /// All of it, where nobody can wait or will.
    #[inline]
    pub(crate) fn now(&self, running: &mut Running, exchange: &mut dyn Exchange) -> Outcome {
        if !self.plugin.breaker.is_closed() {
            return self.now_slowly(running, exchange);
        }
        let instance = &*self.plugin.instance;
        let Some(state) = running.state(self.place(), instance) else {
            return self.now_slowly(running, exchange);
        };
        exchange.enter(self.number);
        let before = self.plugin.calls.add();
        let sample = if before.is_multiple_of(SAMPLE) { Some(Instant::now()) } else { None };
        let flow = guard::call_now(instance, self.hook, state, exchange);
        match (flow, sample) {
            (Flow::Continue, None) => Outcome::Passed,
            (flow, sample) => self.end(flow, sample, running, exchange),
        }
    }

    /// All of it, where somebody may wait.
    pub(crate) async fn wait(&self, running: &mut Running, exchange: &mut dyn Exchange) -> Outcome {
        let sample = match self.admit(running, exchange) {
            Err(outcome) => return outcome,
            Ok(sample) => sample,
        };
        let flow = match self.begin(running, exchange) {
            Began::Done(flow) => flow,
            Began::Waits(waiting) => waiting.within(self.plugin.policy.timeout).await,
        };
        self.end(flow, sample, running, exchange)
    }

    /// The same when there is something to be looked at first.
    #[cold]
    fn now_slowly(&self, running: &mut Running, exchange: &mut dyn Exchange) -> Outcome {
        let sample = match self.admit(running, exchange) {
            Err(outcome) => return outcome,
            Ok(sample) => sample,
        };
        let flow = match self.begin(running, exchange) {
            Began::Done(flow) => flow,
            Began::Waits(waiting) => waiting.now(),
        };
        self.end(flow, sample, running, exchange)
    }

    #[inline]
    fn place(&self) -> (usize, usize) {
        (self.number as usize, self.count)
    }

    /// Whether the plugin is asked at all: counts it, and says when it began if it is to be timed.
    #[inline]
    pub(crate) fn admit(
        &self,
        running: &Running,
        exchange: &mut dyn Exchange,
    ) -> Result<Option<Instant>, Outcome> {
        exchange.enter(self.number);
        if !self.plugin.breaker.is_closed() || running.is_lost(self.number as usize) {
            self.admit_broken(running, exchange)?;
        }
        let before = self.plugin.calls.add();
        Ok(before.is_multiple_of(SAMPLE).then(Instant::now))
    }

    #[cold]
    fn admit_broken(&self, running: &Running, exchange: &mut dyn Exchange) -> Result<(), Outcome> {
        let cause = if running.is_lost(self.number as usize) {
            if running.is_over {
                return Err(Outcome::Skipped);
            }
            Cause::Lost
        } else if self.plugin.breaker.admits(exchange.now()) {
            return Ok(());
        } else {
            Cause::Breaker
        };
        self.plugin.tell(self.hook, &Failure { cause, message: String::new() });
        Err(self.failed())
    }

    /// Begins it.
    #[inline]
    pub(crate) fn begin<'a>(
        &'a self,
        running: &'a mut Running,
        exchange: &'a mut (dyn Exchange + 'a),
    ) -> Began<'a> {
        running.call(self.place(), &*self.plugin.instance, self.hook, exchange)
    }

    /// What follows from what the plugin said.
    pub(crate) fn end(
        &self,
        flow: Flow,
        sample: Option<Instant>,
        running: &mut Running,
        exchange: &mut dyn Exchange,
    ) -> Outcome {
        if let Some(began) = sample {
            self.plugin.took(self.hook, began);
        }
        let outcome = match flow {
            Flow::Continue => Outcome::Passed,
            Flow::Answer(answer) => Outcome::Denied(Denial::Answer(answer)),
            Flow::Fail(failure) => return self.fail(&failure, running, exchange),
        };
        self.plugin.succeeded();
        outcome
    }

    #[cold]
    fn fail(
        &self,
        failure: &Failure,
        running: &mut Running,
        exchange: &mut dyn Exchange,
    ) -> Outcome {
        if failure.cause != Cause::Said {
            let anew = self.plugin.policy.on_error == OnError::Open;
            running.forget(self.number as usize, anew);
        }
        self.plugin.failed(self.hook, failure, exchange);
        self.failed()
    }

    fn failed(&self) -> Outcome {
        match self.plugin.policy.on_error {
            OnError::Closed => Outcome::Denied(Denial::Refuse),
            OnError::Open => Outcome::Skipped,
        }
    }
}
