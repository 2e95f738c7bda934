//! An engine on the way from one process to the next: everything bound and running, but nothing accepted until it is told to.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use switchback_conf::plan::Plan;
use switchback_conf::{Code, Diagnostic, Location};

use super::handover::{Inheritance, ListeningSocket};
use crate::listeners::{Change, Listeners};
use crate::plugins::Additions;
use crate::snapshot::assemble::assemble;
use crate::snapshot::resident::Resident;
use crate::{Engine, addresses, cannot_start, nobody, worker_count};

/// An engine that runs and accepts nothing yet. Dropped, it leaves what it has inherited as it was.
pub struct Prepared {
    engine: Engine,
    /// `None` only once it is in force.
    change: Option<Change>,
    workers: usize,
    within: Duration,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("adopted", &self.adopted()).finish_non_exhaustive()
    }
}

impl Prepared {
    /// The names of the addresses whose sockets were inherited and are wanted.
    #[must_use]
    pub fn adopted(&self) -> Vec<String> {
        self.change.as_ref().map(Change::adopted).unwrap_or_default()
    }

    /// Accepts from now on.
    #[must_use]
    pub fn begin(self) -> Engine {
        let Self { engine, change, workers, within } = self;
        if let Some(mut change) = change {
            change.complete();
            // The workers run already, so nothing can fail.
            let _ = engine.put_workers(change, workers, within, || ());
        }
        engine
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

impl Engine {
    /// As [`Engine::start`], with sockets that others have bound; nothing is accepted before [`Prepared::begin`].
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn prepare(
        plan: Plan,
        additions: Additions,
        mut inheritance: Inheritance,
    ) -> Result<(Prepared, Vec<Diagnostic>), Vec<Diagnostic>> {
        let resident = Arc::new(Resident::new(additions));
        let order = addresses(&plan);
        let (snapshot, mut warnings) = assemble(plan, &resident, 1)?;
        snapshot.take_over(&resident);
        let (workers, within) = (worker_count(&snapshot), snapshot.process.shutdown_timeout);
        let wanted = snapshot.listeners_in(&order);
        let nobody = nobody(wanted.first()).map_err(|error| vec![cannot_start(&error)])?;
        let listeners = Arc::new(Listeners::default());
        let change = listeners.prepare(wanted, workers, &mut inheritance)?;
        warnings.append(&mut inheritance.unwanted());
        let engine = Self::run(snapshot, resident, nobody, listeners).and_then(|engine| {
            engine.workers.lock().grow(workers, &engine.shared)?;
            Ok(engine)
        });
        match engine {
            Ok(engine) => {
                Ok((Prepared { engine, change: Some(change), workers, within }, warnings))
            }
            Err(error) => {
                change.abandon();
                Err(vec![cannot_start(&error)])
            }
        }
    }

    /// Descriptors of all sockets that are accepted from, for another process.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn listening_sockets(&self) -> io::Result<Vec<ListeningSocket>> {
        self.listeners.export()
    }

    /// Accepts no more at the addresses of these names, leaves what waits there, and their files, to another process.
    pub fn leave(&self, names: &[String]) {
        self.listeners.leave_to_another(names, &self.workers.lock().running);
    }
}
