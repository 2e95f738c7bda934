//! A configured module: its instances, and what runs plugins sees of them.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use switchback_plugin::{
    BuildError, Called, Exchange, Flow, Hook, Hooks, Instance, Services, State,
};

use crate::compiled::Compiled;
use crate::guest::{AtHand, Guest};
use crate::host::ROOT;
use crate::lent::Loan;
use crate::limits::Work;
use crate::ours;
use crate::plan::Plan;
use crate::request::{Early, Request, Step};
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
    plan: Arc<Plan>,
    seats: Box<[Mutex<Option<Arc<Guest>>>]>,
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
        let first = Guest::start(&compiled.pre, &plan, Some(services))?;
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
        let mut seats: Vec<_> = (1..plan.limits.instances).map(|_| Mutex::new(None)).collect();
        seats.push(Mutex::new(Some(Arc::new(first))));
        Ok(Self { compiled, plan, seats: seats.into_boxed_slice(), period })
    }

    /// An instance for a request of this thread: the same one each time, as long as it lives.
    fn guest(&self) -> Result<Arc<Guest>, String> {
        let first = thread_number() % self.seats.len().max(1);
        let (before, from) = self.seats.split_at_checked(first).unwrap_or((&[], &self.seats));
        let mut why = None;
        for seat in from.iter().chain(before) {
            match self.sit(seat) {
                Ok(guest) => return Ok(guest),
                Err(error) => why = why.or(Some(error)),
            }
        }
        Err(why.unwrap_or_else(|| "it has no instance".to_owned()))
    }

    fn sit(&self, seat: &Mutex<Option<Arc<Guest>>>) -> Result<Arc<Guest>, String> {
        let seat = &mut *seat.lock();
        if let Some(guest) = seat.as_ref().filter(|guest| !guest.is_dead()) {
            return Ok(Arc::clone(guest));
        }
        if !self.plan.may_start() {
            return Err("its instances end again and again: the next one is made later".to_owned());
        }
        if seat.take().is_some() {
            self.plan.restarts.fetch_add(1, Ordering::Relaxed);
        }
        match Guest::start(&self.compiled.pre, &self.plan, None) {
            Ok(guest) => Ok(Arc::clone(seat.insert(Arc::new(guest)))),
            Err(error) => {
                self.plan.crashed();
                Err(format!("no new instance: {error}"))
            }
        }
    }

    /// The instances that are alive.
    fn alive(&self) -> Vec<Arc<Guest>> {
        let guests = self.seats.iter().filter_map(|seat| seat.lock().clone());
        guests.filter(|guest| !guest.is_dead()).collect()
    }

    fn raw<'a>(
        request: &'a mut Request,
        hook: Hook,
        exchange: &'a mut (dyn Exchange + 'a),
    ) -> Called<'a> {
        match (request.step(hook, exchange), &request.guest) {
            (Step::Waits, Ok(guest)) => {
                let (guest, context) = (Arc::clone(guest), request.context);
                let body = waiting::body(request, hook, exchange);
                let waiting = Waiting { guest, context, hook, exchange, body, is_over: false };
                Called::Waits(Box::pin(waiting))
            }
            (Step::Waits, Err(_)) => Called::Done(Flow::Continue),
            (Step::Flow(flow), _) => Called::Done(flow),
        }
    }

    fn ours<'a>(
        request: &mut Request,
        hook: Hook,
        exchange: &'a mut (dyn Exchange + 'a),
    ) -> Called<'a> {
        let guest = match &request.guest {
            Ok(guest) => Arc::clone(guest),
            Err(why) => return Called::Done(Flow::fail(why.clone())),
        };
        let context = request.context(&guest);
        match ours::step(&guest, context, hook, exchange) {
            Step::Flow(flow) => Called::Done(flow),
            Step::Waits => {
                Called::Waits(Box::pin(Resuming { guest, context, hook, exchange, is_over: false }))
            }
        }
    }

    /// Each instance is called: each has what it remembers for itself.
    async fn tick(&self, exchange: &mut (dyn Exchange + '_)) -> Flow {
        let mut failed = None;
        for guest in self.alive() {
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
        Box::new(Request { guest: self.guest(), context: 0, early: Early::No })
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
        match self.compiled.is_ours() {
            true => Self::ours(request, hook, exchange),
            false => Self::raw(request, hook, exchange),
        }
    }

    fn report(&self) -> Vec<(&'static str, u64)> {
        let memory: u64 = self.alive().iter().map(|guest| guest.memory()).sum();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        vec![
            ("instances", count(self.plan.alive.load(Ordering::Relaxed))),
            ("restarts", count(self.plan.restarts.load(Ordering::Relaxed))),
            ("memory_bytes", memory),
        ]
    }
}

/// A number of this thread: those of threads that were started one after the other follow each other, so that each gets an instance for
/// itself.
fn thread_number() -> usize {
    struct Number(u64);
    impl Hasher for Number {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = self.0.wrapping_mul(31).wrapping_add(u64::from(*byte));
            }
        }
        fn write_u64(&mut self, number: u64) {
            self.0 = number;
        }
    }
    let mut number = Number(0);
    std::thread::current().id().hash(&mut number);
    usize::try_from(number.0 & u64::from(u32::MAX)).unwrap_or(0)
}
