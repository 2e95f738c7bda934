//! Between route and endpoint: whether the service may have one request more, who waits for that, and what is sent again.
//!
//! The decisions are those of `switchback_upstream::limit`; here are the waiting and the telling.

pub(crate) mod counters;
pub(crate) mod retry;
pub(in crate::http) mod second;
mod wait;

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use pingora_proxy::Session;
use switchback_conf::plan::{AtOncePlan, HedgePlan, OverloadPlan};
use switchback_upstream::limit::{
    BreakerRules, BudgetRules, Ceiling, Class, Gate, QueueRules, RetryBudget, Sample,
};
use switchback_upstream::{InFlight, Outcome};
use tokio::sync::oneshot;

use super::context::Context;
use super::facts::RequestFacts;
use super::fault::{Fault, Kind};
use super::spill::{self, Why};
use super::{hedge, shard};
use counters::Counters;
use second::Hedging;

/// What is known of a service as a whole. Outlives snapshots.
pub(crate) struct Service {
    gate: Gate<oneshot::Sender<Permit>>,
    budget: RetryBudget,
    /// Since there have been second copies.
    hedging: OnceLock<Box<Hedging>>,
    pub(crate) counters: Counters,
    /// From where the next connection is made.
    source: AtomicUsize,
    began: Instant,
    /// When an endpoint failed last, in milliseconds from the beginning; 0 is never.
    failed: AtomicU64,
}

/// A service under the rules of one snapshot.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) service: Arc<Service>,
    ceiling: Ceiling,
    queue: QueueRules,
    budget: BudgetRules,
    hedge: Option<HedgePlan>,
    breaker: Option<BreakerRules>,
}

/// One request at a service, until it is dropped: whichever way the request ends.
pub(crate) struct Permit {
    guard: Arc<Guard>,
    /// How many were at it when it was sent, with this one; `None` while it is not counted, because its client still sends.
    in_flight: Option<u32>,
}

impl Service {
    /// Of which nothing is known yet.
    pub(crate) fn new(plan: &OverloadPlan) -> Self {
        Self {
            gate: Gate::default(),
            budget: RetryBudget::new(budget(plan), Instant::now()),
            hedging: OnceLock::new(),
            counters: Counters::default(),
            source: AtomicUsize::new(0),
            began: Instant::now(),
            failed: AtomicU64::new(0),
        }
    }

    fn has_failed(&self) {
        self.failed.store(self.age(), Ordering::Relaxed);
    }

    /// Whether no endpoint has failed for a while.
    fn is_well(&self) -> bool {
        let failed = self.failed.load(Ordering::Relaxed);
        failed == 0 || self.age().saturating_sub(failed) > WELL_AFTER
    }

    fn age(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// In milliseconds.
const WELL_AFTER: u64 = 1000;

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("in_flight", &self.gate.in_flight()).finish_non_exhaustive()
    }
}

fn budget(plan: &OverloadPlan) -> BudgetRules {
    BudgetRules { percent: plan.retry.percent, least: plan.retry.least }
}

impl Guard {
    /// `service` under the rules of `plan`.
    pub(crate) fn new(service: Arc<Service>, plan: &OverloadPlan) -> Arc<Self> {
        Arc::new(Self {
            service,
            ceiling: match plan.at_once {
                AtOncePlan::Adaptive => Ceiling::Adaptive,
                AtOncePlan::Fixed(most) => Ceiling::Fixed(most),
                AtOncePlan::Off => Ceiling::Off,
            },
            queue: QueueRules { most: plan.queue, wait: plan.wait },
            budget: budget(plan),
            hedge: plan.hedge,
            breaker: plan.breaker.as_ref().map(|breaker| BreakerRules {
                percent: breaker.percent,
                least: breaker.least,
                open: breaker.open,
                longest: breaker.longest,
            }),
        })
    }

    /// How many it may have at once; `None` is as many as come.
    pub(crate) fn limit(&self) -> Option<u32> {
        self.service.gate.limit(self.ceiling)
    }

    /// How many it has.
    pub(crate) fn in_flight(&self) -> u32 {
        self.service.gate.in_flight()
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> u32 {
        self.service.gate.waiting()
    }

    /// Whether requests whose answer is late are sent a second time.
    pub(crate) fn hedges(&self) -> bool {
        self.hedge.is_some()
    }

    /// Whose turn it is among the addresses to connect from.
    pub(crate) fn next_source(&self) -> usize {
        self.service.source.fetch_add(1, Ordering::Relaxed)
    }

    fn admitted(self: &Arc<Self>, in_flight: u32) -> Permit {
        self.service.budget.earn(self.budget, in_flight);
        Permit { guard: Arc::clone(self), in_flight: Some(in_flight) }
    }

    /// Lets in who may come in now.
    fn let_in(self: &Arc<Self>) {
        let gate = &self.service.gate;
        while let Some((in_flight, next)) = gate.next(self.ceiling, Instant::now(), drop) {
            // Whoever is not there any more gives its place back.
            drop(next.send(self.admitted(in_flight)));
        }
    }
}

impl Permit {
    fn is_for(&self, guard: &Guard) -> bool {
        Arc::ptr_eq(&self.guard.service, &guard.service)
    }

    /// Its place is for others, as long as its client sends.
    fn pause(&mut self) {
        if self.in_flight.take().is_some() {
            self.guard.service.gate.leave();
            self.guard.let_in();
        }
    }

    /// Its service has all of it.
    fn resume(&mut self) {
        if self.in_flight.is_none() {
            self.in_flight = Some(self.guard.service.gate.come());
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.pause();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

/// Lets the request in to its service; if that has enough to do, after a while, or not at all. Once is enough for all its tries
/// there.
pub(super) async fn enter(session: &mut Session, context: &mut Context) -> Result<(), Fault> {
    let snapshot = Arc::clone(&context.snapshot);
    loop {
        let id = context.upstream_id();
        let Some((id, upstream)) = id.and_then(|id| Some((id, snapshot.upstream(id)?))) else {
            return Ok(());
        };
        shard::choose(session.req_header(), (id, upstream), context)?;
        let Some(guard) = guard(context) else { return Ok(()) };
        if context.permit.as_ref().is_some_and(|permit| permit.is_for(&guard)) {
            return Ok(());
        }
        context.permit = None;
        let mut permit = match guard.service.gate.enter(guard.ceiling) {
            Some(in_flight) => guard.admitted(in_flight),
            // Whoever has a client goes first.
            None if shard::is_beside(context) => {
                return Err(wait::shed(context, "what is asked for comparison does not wait"));
            }
            None if hedge::is_second(context) => {
                return Err(wait::shed(context, "a second copy does not wait"));
            }
            None if spill::over(Why::Full, context) && spill::turns(context) => continue,
            None => wait::wait(session, &guard, context).await?,
        };
        if guard.ceiling == Ceiling::Adaptive && !session.downstream_session.is_body_empty() {
            permit.pause();
        }
        context.permit = Some(permit);
        return Ok(());
    }
}

/// The service has all of the request. One whose limit is found by watching it is not asked to work while a client sends.
pub(super) fn sent(context: &mut Context) {
    if let Some(permit) = &mut context.permit {
        permit.resume();
    }
}

/// What a try has come to. A service whose limit is found by watching it has done its part when the head is here: how long a
/// client takes for a body is nothing of its.
pub(super) fn told(outcome: Outcome, now: Instant, context: &mut Context) {
    let Some(guard) = guard(context) else { return };
    if let Some(trying) = &context.trying {
        judge(outcome, &trying.in_flight, &guard, now);
    }
    if failed(outcome) == Some(true) {
        guard.service.has_failed();
    }
    let Outcome::Answered { first_byte, .. } = outcome else { return };
    let Some(permit) = context.permit.as_ref().filter(|_| guard.ceiling != Ceiling::Off) else {
        return;
    };
    // An answer to what was not all sent tells nothing.
    if let (Some(in_flight), Some(false)) = (permit.in_flight, failed(outcome)) {
        guard.service.gate.learn(Sample { took: first_byte, in_flight }, now);
    }
    if guard.ceiling == Ceiling::Adaptive && !is_repeated(outcome, context) {
        context.permit = None;
    }
}

/// What the endpoint's breaker learns.
fn judge(outcome: Outcome, endpoint: &InFlight, guard: &Guard, now: Instant) {
    if let (Some(rules), Some(pass)) = (&guard.breaker, endpoint.pass())
        && let Some(failed) = failed(outcome)
        && endpoint.endpoint().breaker().tell(pass, failed, rules, now)
    {
        guard.service.counters.breaker_opened.add();
        let endpoint = endpoint.endpoint().address();
        tracing::warn!(%endpoint, "fails too often: it is not asked for a while");
    }
}

/// Whether the answer is one that may be followed by another try.
fn is_repeated(outcome: Outcome, context: &Context) -> bool {
    let Outcome::Answered { status, .. } = outcome else { return false };
    is_named(status, context)
}

/// Whether an answer with this status is one that somebody else may better.
pub(super) fn is_named(status: u16, context: &Context) -> bool {
    let upstream = context.upstream();
    upstream.is_some_and(|upstream| {
        upstream.plan.overload.retry.statuses.iter().any(|known| known.as_u16() == status)
    })
}

/// Whether an endpoint has failed; `None` where it tells nothing of it.
fn failed(outcome: Outcome) -> Option<bool> {
    match outcome {
        Outcome::Answered { status, .. } => Some(matches!(status, 502..=504)),
        Outcome::ConnectFailed
        | Outcome::ConnectTimedOut
        | Outcome::TimedOut
        | Outcome::Reset
        | Outcome::Cut => Some(true),
        Outcome::Refused | Outcome::Stale => None,
    }
}

/// What keeps the upstream of the request, or the shard that has it, from being asked for too much.
fn guard(context: &Context) -> Option<Arc<Guard>> {
    let id = context.upstream_id()?;
    let shard = context.chosen.as_ref().and_then(|chosen| chosen.shard_of(id));
    let guard = match shard {
        Some(shard) => &shard.guard,
        None => &context.snapshot.upstream(id)?.guard,
    };
    Some(Arc::clone(guard))
}

/// The answer where nobody may be asked for a while.
pub(super) fn later(reason: String, after: Duration) -> Fault {
    Fault::upstream(Kind::Overloaded, reason).retrying_after(after)
}

/// How important the request is.
fn class(session: &Session, context: &Context) -> Class {
    let upstream = context.upstream();
    let template = upstream.and_then(|upstream| upstream.plan.overload.priority.as_ref());
    template.map_or_else(Class::default, |template| {
        let mut text = Vec::new();
        template.render(&RequestFacts::new(session.req_header(), context), &mut text);
        Class::of_text(&text)
    })
}
