//! A configured module: its instances, and what runs plugins sees of them.

use std::sync::Arc;
use std::time::Duration;

use switchback_plugin::{
    BuildError, Called, Exchange, Flow, Hook, Hooks, Instance, Services, State,
};
use switchback_plugin_host::Isolation;

use crate::compiled::Compiled;
use crate::guest::{AtHand, Guest};
use crate::host::ROOT;
use crate::lent::Loan;
use crate::limits::Work;
use crate::ours;
use crate::plan::Plan;
use crate::request::{Early, Request, Step};
use crate::seats::Seats;
use crate::waiting::{self, Body, Resuming, Waiting};

/// How often a module is called without a request that has not said how often: it may still do so.
const SOMETIMES: Duration = Duration::from_secs(1);
/// How soon it is told that there is something in a queue.
const QUEUE: Duration = Duration::from_millis(20);
/// What runs plugins calls them no more often.
const SHORTEST: Duration = Duration::from_millis(10);

/// A configured module.
pub(crate) struct Configured {
    compiled: Arc<Compiled>,
    seats: Seats,
    /// How often it is called without a request.
    period: Option<Duration>,
}

impl Configured {
    /// Makes the first instance; the others come when they are needed.
    pub(crate) fn new(
        compiled: Arc<Compiled>,
        plan: Arc<Plan>,
        services: &mut dyn Services,
    ) -> Result<Self, BuildError> {
        let alive = plan.enter(usize::MAX);
        let alive = alive.ok_or_else(|| BuildError::new("", "it has too many instances"))?;
        let first = Guest::start(&compiled.pre, &plan, alive, Some(services))?;
        let (period, has_queues) = first.look(|running| {
            let host = running.store.data_mut();
            (host.period, !host.queues.is_empty())
        });
        let period = compiled.hooks.contains(Hook::Tick).then(|| {
            let period = period.or_else(|| (!compiled.is_ours()).then_some(SOMETIMES));
            let queue = has_queues.then_some(QUEUE);
            period.into_iter().chain(queue).min().map(|period| period.max(SHORTEST))
        });
        let period = period.flatten();
        if let Some(period) = period {
            services.every(period);
        }
        // Where each request has its own, the first one is kept for what is nobody's request.
        let is_kept = plan.limits.isolation == Isolation::Worker || period.is_some();
        let seats = Seats::new(Arc::clone(&compiled), plan, is_kept.then_some(first));
        Ok(Self { compiled, seats, period })
    }

    fn raw<'a>(
        request: &'a mut Request,
        hook: Hook,
        exchange: &'a mut (dyn Exchange + 'a),
    ) -> Called<'a> {
        match (request.step(hook, exchange), &request.guest) {
            (Step::Waits, Some(guest)) => {
                let (guest, context) = (Arc::clone(guest), request.context);
                let body = waiting::body(request, hook, exchange);
                let waiting = Waiting { guest, context, hook, exchange, body, is_over: false };
                Called::Waits(Box::pin(waiting))
            }
            (Step::Waits, None) => Called::Done(Flow::Continue),
            (Step::Flow(flow), _) => Called::Done(flow),
        }
    }

    fn ours<'a>(
        request: &mut Request,
        hook: Hook,
        exchange: &'a mut (dyn Exchange + 'a),
    ) -> Called<'a> {
        let context = request.context();
        let Some(guest) = &request.guest else {
            return Called::Done(Flow::fail("it is in no instance"));
        };
        match ours::step(guest, context, hook, exchange) {
            Step::Flow(flow) => Called::Done(flow),
            Step::Waits => {
                let guest = Arc::clone(guest);
                Called::Waits(Box::pin(Resuming { guest, context, hook, exchange, is_over: false }))
            }
        }
    }

    /// Each instance is called: each has what it remembers for itself.
    async fn tick(&self, exchange: &mut (dyn Exchange + '_)) -> Flow {
        let mut failed = None;
        for guest in self.seats.without_request() {
            let flow = match self.compiled.is_ours() {
                true => tick_ours(guest, exchange).await,
                false => self.tick_raw(guest, exchange).await,
            };
            if let Flow::Fail(failure) = flow {
                failed = Some(failure);
            }
        }
        failed.map_or(Flow::Continue, Flow::Fail)
    }

    async fn tick_raw(&self, guest: Arc<Guest>, exchange: &mut (dyn Exchange + '_)) -> Flow {
        let hook = Hook::Tick;
        let loan = Loan { exchange: &mut *exchange, context: ROOT, hook, waker: None };
        let called = guest.call(AtHand::Request(loan), Work::Head, |store, exports| {
            let now = store.data().now();
            if let Some(tick) = exports.on_tick.as_ref().filter(|_| store.data_mut().is_due(now)) {
                tick.call(&mut *store, ROOT)?;
            }
            for queue in store.data().queues.clone() {
                // Once for each item, as long as the module takes them.
                let mut waiting = store.data().plan.shared.waiting(queue);
                while let Some(ready) = exports.on_queue_ready.as_ref().filter(|_| waiting > 0) {
                    store.data_mut().current = ROOT;
                    ready.call(&mut *store, (ROOT, queue))?;
                    waiting = store.data().plan.shared.waiting(queue).min(waiting - 1);
                }
            }
            Ok(())
        });
        if let Err(trapped) = called {
            return trapped.into();
        }
        let body = Body::None;
        Waiting { guest, context: ROOT, hook, exchange, body, is_over: false }.await
    }
}

async fn tick_ours(guest: Arc<Guest>, exchange: &mut (dyn Exchange + '_)) -> Flow {
    match ours::step(&guest, ROOT, Hook::Tick, exchange) {
        Step::Flow(flow) => flow,
        Step::Waits => {
            let (context, hook) = (ROOT, Hook::Tick);
            Resuming { guest, context, hook, exchange, is_over: false }.await
        }
    }
}

impl Instance for Configured {
    fn hooks(&self) -> Hooks {
        let tick = Hooks::of(&[Hook::Tick]).bits();
        match self.period {
            Some(_) => self.compiled.hooks,
            None => Hooks::from_bits(self.compiled.hooks.bits() & !tick),
        }
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn start(&self) -> State {
        Box::new(Request { guest: None, context: 0, early: Early::No })
    }

    fn call<'a>(
        &'a self,
        hook: Hook,
        state: &'a mut State,
        exchange: &'a mut (dyn Exchange + 'a),
    ) -> Called<'a> {
        if hook == Hook::Tick {
            return Called::Waits(Box::pin(self.tick(exchange)));
        }
        let Some(request) = state.downcast_mut::<Request>() else {
            return Called::Done(Flow::fail("called with another plugin's state"));
        };
        if request.guest.is_none() {
            match self.seats.guest() {
                Ok(guest) => request.guest = Some(guest),
                Err(why) => return Called::Done(Flow::fail(why)),
            }
        }
        match self.compiled.is_ours() {
            true => Self::ours(request, hook, exchange),
            false => Self::raw(request, hook, exchange),
        }
    }

    fn report(&self) -> Vec<(&'static str, u64)> {
        self.seats.report()
    }
}
