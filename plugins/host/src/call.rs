//! One call of one plugin of a chain.

use std::sync::Arc;
use std::time::Instant;

use switchback_plugin::{Cause, Exchange, Failure, Flow, Hook};

use crate::configured::{Configured, OnError};
use crate::guard::{self, Began, Ended, Late};
use crate::plan::{Denial, Outcome};
use crate::running::Running;
use crate::watch::Post;

/// One call in so many is timed: asking for the time twice costs more than most hooks.
const SAMPLE: u64 = 64;

/// One call that is to be made.
#[derive(Clone, Copy)]
pub(crate) struct Call<'c> {
    pub(crate) plugin: &'c Arc<Configured>,
    pub(crate) number: u32,
    /// How many the chain has.
    pub(crate) count: usize,
    pub(crate) hook: Hook,
}

impl Call<'_> {
    /// All of it, where nobody can wait or will. `post` is this thread's.
    #[expect(
        clippy::inline_always,
        reason = "a quarter of the instructions of a call that does nothing"
    )]
    #[inline(always)]
    pub(crate) fn now(
        &self,
        post: &Post,
        running: &mut Running,
        exchange: &mut dyn Exchange,
    ) -> Outcome {
        if !self.plugin.is_plain() || !running.is_blank() {
            return self.now_with_state(post, running, exchange);
        }
        let Some(turn) = self.plugin.calls.untimed(post, SAMPLE) else {
            return self.now_timed(post, running, exchange);
        };
        exchange.enter(self.number);
        match guard::answer((post, turn), (self.plugin, self.hook), exchange) {
            None => Outcome::Passed,
            Some(ended) => self.end(ended, None, running, exchange),
        }
    }

    /// The same, timed.
    #[cold]
    #[inline(never)]
    fn now_timed(
        &self,
        post: &Post,
        running: &mut Running,
        exchange: &mut dyn Exchange,
    ) -> Outcome {
        exchange.enter(self.number);
        let before = self.plugin.calls.add_at(post);
        let began = Instant::now();
        let ended = guard::answer((post, before), (self.plugin, self.hook), exchange);
        self.end(ended.unwrap_or(Ok(Flow::Continue)), Some(began), running, exchange)
    }

    /// The same of one that remembers something, or is not well.
    #[inline(never)]
    fn now_with_state(
        &self,
        post: &Post,
        running: &mut Running,
        exchange: &mut dyn Exchange,
    ) -> Outcome {
        let plugin = &**self.plugin;
        if !plugin.breaker.is_closed() {
            return self.now_slowly(running, exchange);
        }
        let Some(state) = running.state(self.place(), plugin) else {
            return self.now_slowly(running, exchange);
        };
        exchange.enter(self.number);
        let before = plugin.calls.add_at(post);
        let sample = before.is_multiple_of(SAMPLE).then(Instant::now);
        match guard::call_now((post, before), (plugin, self.hook), state, exchange) {
            Ok(Flow::Continue) if sample.is_none() => Outcome::Passed,
            ended => self.end(ended, sample, running, exchange),
        }
    }

    /// All of it, where somebody may wait.
    pub(crate) async fn wait(&self, running: &mut Running, exchange: &mut dyn Exchange) -> Outcome {
        let sample = match self.admit(running, exchange) {
            Err(outcome) => return outcome,
            Ok(sample) => sample,
        };
        let ended = match self.begin(running, exchange) {
            Began::Done(ended) => ended,
            Began::Waits(waiting) => waiting.within(self.plugin.policy.timeout).await,
        };
        self.end(ended, sample, running, exchange)
    }

    /// The same when there is something to be looked at first.
    #[cold]
    fn now_slowly(&self, running: &mut Running, exchange: &mut dyn Exchange) -> Outcome {
        let sample = match self.admit(running, exchange) {
            Err(outcome) => return outcome,
            Ok(sample) => sample,
        };
        let ended = match self.begin(running, exchange) {
            Began::Done(ended) => ended,
            Began::Waits(waiting) => waiting.now(),
        };
        self.end(ended, sample, running, exchange)
    }

    #[inline]
    fn place(&self) -> (usize, usize) {
        (self.number as usize, self.count)
    }

    /// Whether the plugin is asked at all: counts it, and says when it began if it is to be timed.
    #[inline]
    pub(crate) fn admit(
        &self,
        running: &mut Running,
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
    fn admit_broken(
        &self,
        running: &mut Running,
        exchange: &mut dyn Exchange,
    ) -> Result<(), Outcome> {
        let breaker = &self.plugin.breaker;
        let cause = if running.is_lost(self.number as usize) {
            if running.is_over {
                return Err(Outcome::Skipped);
            }
            Cause::Lost
        } else if self.is_told_of_the_end(running) && !running.asks_on_trial(self.number) {
            // What the client is told instead must reach it.
            return Err(Outcome::Skipped);
        } else if breaker.is_held() {
            Cause::Breaker
        } else if running.asks_on_trial(self.number) {
            return Ok(());
        } else if breaker.admits(exchange.now()) {
            if !breaker.is_closed() {
                running.tries(self.number, self.plugin);
            }
            return Ok(());
        } else {
            Cause::Breaker
        };
        self.plugin.tell(self.hook, &Failure { cause, message: String::new() });
        Err(self.failed())
    }

    /// Whether the request was refused or answered, and this is about what its client is told.
    fn is_told_of_the_end(&self, running: &Running) -> bool {
        running.is_over && matches!(self.hook, Hook::Response | Hook::ResponseBody | Hook::Log)
    }

    /// Begins it.
    #[inline]
    pub(crate) fn begin<'a>(
        &'a self,
        running: &'a mut Running,
        exchange: &'a mut (dyn Exchange + 'a),
    ) -> Began<'a> {
        running.call(self.place(), self.plugin, self.hook, exchange)
    }

    /// What follows from what the plugin said.
    pub(crate) fn end(
        &self,
        ended: Ended,
        sample: Option<Instant>,
        running: &mut Running,
        exchange: &mut dyn Exchange,
    ) -> Outcome {
        if let Some(began) = sample {
            self.plugin.took(self.hook, began);
        }
        let outcome = match ended {
            Ok(Flow::Continue) => Outcome::Passed,
            Ok(Flow::Answer(answer)) => Outcome::Denied(Denial::Answer(answer)),
            Ok(Flow::Fail(failure)) => return self.fail(&failure, running, exchange),
            Err(Late) => return self.late(running, exchange),
        };
        if !self.plugin.breaker.is_closed() {
            running.went_well(self.number, self.hook);
        }
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
            self.forget(running);
        }
        let is_first = running.fails(self.number);
        self.plugin.failed(self.hook, failure, is_first, exchange);
        self.failed()
    }

    #[cold]
    fn late(&self, running: &mut Running, exchange: &mut dyn Exchange) -> Outcome {
        self.forget(running);
        running.fails(self.number);
        self.plugin.late(self.hook, exchange);
        self.failed()
    }

    /// What it remembers of the request is of no use any more.
    fn forget(&self, running: &mut Running) {
        let anew = self.plugin.policy.on_error == OnError::Open;
        running.forget(self.place(), anew);
    }

    fn failed(&self) -> Outcome {
        match self.plugin.policy.on_error {
            OnError::Closed => Outcome::Denied(Denial::Refuse),
            OnError::Open => Outcome::Skipped,
        }
    }
}
