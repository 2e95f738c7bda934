//! Which instance a request is in: that of its thread, or one of its own.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use switchback_plugin_host::Isolation;

use crate::compiled::Compiled;
use crate::guest::Guest;
use crate::plan::Plan;

/// The instances of a configured module.
pub(crate) struct Seats {
    compiled: Arc<Compiled>,
    plan: Arc<Plan>,
    /// Those that outlive requests.
    kept: Box<[Mutex<Option<Arc<Guest>>>]>,
}

impl Seats {
    /// With one instance that is there already; the others come when they are needed.
    pub(crate) fn new(compiled: Arc<Compiled>, plan: Arc<Plan>, first: Option<Guest>) -> Self {
        let count = match plan.limits.isolation {
            Isolation::Worker => plan.limits.instances,
            Isolation::Request => usize::from(first.is_some()),
        };
        let mut kept: Vec<_> = (1..count).map(|_| Mutex::new(None)).collect();
        kept.extend(first.map(|first| Mutex::new(Some(Arc::new(first)))));
        Self { compiled, plan, kept: kept.into_boxed_slice() }
    }

    /// An instance for a request that begins in this thread.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) fn guest(&self) -> Result<Arc<Guest>, String> {
        match self.plan.limits.isolation {
            Isolation::Worker => self.of_thread(),
            Isolation::Request => {
                self.may_start()?;
                self.start(self.kept.len() + self.plan.limits.instances)
            }
        }
    }

    /// The same one each time, as long as it lives.
    fn of_thread(&self) -> Result<Arc<Guest>, String> {
        let first = THREAD.with(|number| *number) % self.kept.len().max(1);
        let (before, from) = self.kept.split_at_checked(first).unwrap_or((&[], &self.kept));
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
        self.may_start()?;
        if seat.take().is_some() {
            self.plan.restarts.fetch_add(1, Ordering::Relaxed);
        }
        let guest = self.start(usize::MAX)?;
        Ok(Arc::clone(seat.insert(guest)))
    }

    fn may_start(&self) -> Result<(), String> {
        match self.plan.may_start() {
            true => Ok(()),
            false => {
                Err("its instances end again and again: the next one is made later".to_owned())
            }
        }
    }

    /// A new one, unless `most` are alive.
    fn start(&self, most: usize) -> Result<Arc<Guest>, String> {
        let Some(alive) = self.plan.enter(most) else {
            let most = self.plan.limits.instances;
            return Err(format!("each of {most} requests has an instance of it, and no more may"));
        };
        match Guest::start(&self.compiled.pre, &self.plan, alive, None) {
            Ok(guest) => Ok(Arc::new(guest)),
            Err(error) => {
                self.plan.crashed();
                Err(format!("no new instance: {error}"))
            }
        }
    }

    /// Those that are called without a request: each of those that are there, or the one that is there for nothing else.
    pub(crate) fn without_request(&self) -> Vec<Arc<Guest>> {
        match self.plan.limits.isolation {
            Isolation::Worker => self.alive(),
            Isolation::Request => self.kept.iter().filter_map(|seat| self.sit(seat).ok()).collect(),
        }
    }

    fn alive(&self) -> Vec<Arc<Guest>> {
        let guests = self.kept.iter().filter_map(|seat| seat.lock().clone());
        guests.filter(|guest| !guest.is_dead()).collect()
    }

    /// What there is to say about them.
    pub(crate) fn report(&self) -> Vec<(&'static str, u64)> {
        let memory: u64 = self.alive().iter().map(|guest| guest.memory()).sum();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        vec![
            ("instances", count(self.plan.alive())),
            ("restarts", count(self.plan.restarts.load(Ordering::Relaxed))),
            ("memory_bytes", memory),
        ]
    }
}

thread_local! {
    /// The number of this thread, asked for once: that takes as long as a call of a module.
    static THREAD: usize = thread_number();
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
