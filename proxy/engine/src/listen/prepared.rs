//! An engine on the way from one process to the next: everything bound and running, but nothing accepted until it is told to.

use std::fmt;
use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use switchback_conf::plan::{ListenAddress, ListenerPlan, Plan};
use switchback_conf::{Code, Diagnostic, Location};

use super::handover::{self, Inheritance, ListeningSocket};
use super::socket::{self, Sockets};
use super::worker::Order;
use crate::Engine;
use crate::action::Actions;

/// An engine that runs and accepts nothing yet. Dropped, it leaves what it has inherited as it was.
pub struct Prepared {
    engine: Engine,
    bound: Vec<(ListenAddress, Sockets)>,
    adopted: Vec<String>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("adopted", &self.adopted).finish_non_exhaustive()
    }
}

impl Prepared {
    pub(crate) fn new(engine: Engine, bound: Claimed) -> Self {
        Self { engine, bound: bound.sockets, adopted: bound.adopted }
    }

    /// The names of the addresses whose sockets were inherited and are wanted.
    #[must_use]
    pub fn adopted(&self) -> &[String] {
        &self.adopted
    }

    /// Accepts from now on.
    #[must_use]
    pub fn begin(mut self) -> Engine {
        let workers = self.engine.status().workers;
        for (address, sockets) in &mut self.bound {
            handover::complete(address, sockets, workers);
        }
        self.engine.listen(self.bound);
        self.engine
    }
}

/// What a plan wants to be bound.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) sockets: Vec<(ListenAddress, Sockets)>,
    pub(crate) adopted: Vec<String>,
    /// For what was inherited and nobody wants.
    pub(crate) warnings: Vec<Diagnostic>,
}

impl Claimed {
    /// Adopts what there is, and binds the rest: all addresses, or none.
    pub(crate) fn all(
        plans: &[ListenerPlan],
        workers: usize,
        mut inheritance: Inheritance,
    ) -> Result<Self, Vec<Diagnostic>> {
        let (mut sockets, mut adopted, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for plan in plans {
            let inherited = inheritance.claim(&plan.address);
            let bound = if inherited.is_empty() {
                socket::bind(&plan.address, workers)
            } else {
                adopted.push(handover::name(&plan.address));
                handover::adopt(&plan.address, inherited)
            };
            match bound {
                Ok(bound) => sockets.push((plan.address.clone(), bound)),
                Err(error) => found.push(crate::cannot_bind(plan, &error)),
            }
        }
        if !found.is_empty() {
            return Err(found);
        }
        Ok(Self { sockets, adopted, warnings: inheritance.unwanted() })
    }
}

impl Inheritance {
    /// A predecessor keeps what its successor does not want, and serves what waits there; a service manager has to be told.
    fn unwanted(self) -> Vec<Diagnostic> {
        if self.is_from_predecessor() {
            return Vec::new();
        }
        let warn = |name| {
            let message =
                format!("the service manager passes a socket at {name}, which no listener wants");
            Diagnostic::warning(Code::NoEffect, Location::none(), message)
                .hint("write a listener with that address, or take it out of the socket unit")
        };
        self.into_names().into_iter().map(warn).collect()
    }
}

/// How long workers may take to tell what they accept from. They never block for longer.
const PATIENCE: Duration = Duration::from_secs(5);

impl Engine {
    /// As [`Engine::start`], with sockets that others have bound; nothing is accepted before [`Prepared::begin`].
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn prepare(
        plan: Plan,
        actions: Actions,
        inheritance: Inheritance,
    ) -> Result<(Prepared, Vec<Diagnostic>), Vec<Diagnostic>> {
        Self::assembled(plan, actions, inheritance)
    }

    /// Descriptors of all sockets that are accepted from, for another process.
    ///
    /// # Errors
    /// There are no descriptors left, or workers do not answer.
    pub fn listening_sockets(&self) -> io::Result<Vec<ListeningSocket>> {
        let (sender, receiver) = mpsc::channel();
        for worker in self.workers.lock().iter() {
            let _ = worker.orders.send(Order::Export(sender.clone()));
        }
        drop(sender);
        let deadline = Instant::now() + PATIENCE;
        let mut sockets: Vec<ListeningSocket> = Vec::new();
        loop {
            match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(socket) => {
                    let socket = socket?;
                    // Workers share the socket of a Unix address: once is enough.
                    let is_known = socket.name.starts_with("unix:")
                        && sockets.iter().any(|known| known.name == socket.name);
                    if !is_known {
                        sockets.push(socket);
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(sockets),
                Err(mpsc::RecvTimeoutError::Timeout) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// Accepts no more at the addresses of these names, leaves what waits there, and their files, to another process.
    pub fn leave(&self, names: &[String]) {
        let workers = self.workers.lock();
        self.listeners.lock().retain(|address, _| {
            let stays = !names.contains(&handover::name(address));
            if !stays {
                for worker in workers.iter() {
                    let _ = worker.orders.send(Order::Leave(address.clone()));
                }
            }
            stays
        });
    }
}
