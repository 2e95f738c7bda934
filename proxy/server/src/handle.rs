//! A running server, as its owner holds it.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use switchback_conf::{Config, Diagnostic};
use switchback_engine::Drained;
use switchback_engine::control::{Control, Status, StopMode, Upgraded, Verdict};
use switchback_engine::purge::{Heard, Purge, PurgeError, Purged};

use crate::live::Live;

/// A running server. Dropped without [`wait`](Handle::wait), it stops at once.
///
/// [`check`](Handle::check), [`reload`](Handle::reload), [`replace`](Handle::replace),
/// [`upgrade`](Handle::upgrade) and [`wait`](Handle::wait) block; call them from async code through `spawn_blocking`.
#[must_use = "a server stops when its handle is dropped"]
pub struct Handle {
    live: Arc<Live>,
    supervisor: Option<JoinHandle<Drained>>,
    warnings: Vec<Diagnostic>,
}

impl Handle {
    pub(crate) fn new(
        live: Arc<Live>,
        supervisor: JoinHandle<Drained>,
        warnings: Vec<Diagnostic>,
    ) -> Self {
        Self { live, supervisor: Some(supervisor), warnings }
    }

    /// What the start found that did not keep it from serving.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.live.status()
    }

    /// Where its control socket is, if it has one.
    #[must_use]
    pub fn control_socket(&self) -> Option<&Path> {
        self.live.control_socket()
    }

    /// Reads the configuration again and says what a reload would find.
    #[must_use]
    pub fn check(&self) -> Verdict {
        self.live.check()
    }

    /// Reads the configuration again and puts it in force if it has no errors; else the old one keeps serving.
    #[must_use = "a reload can be refused"]
    pub fn reload(&self) -> Verdict {
        self.live.reload()
    }

    /// Puts another configuration in force if it has no errors; later reloads take that one again, whatever the server was
    /// started from. Else the old one keeps serving.
    #[must_use = "a configuration can be refused"]
    pub fn replace(&self, config: Config) -> Verdict {
        self.live.replace(config)
    }

    /// Appends the counters in the Prometheus text format.
    pub fn metrics(&self, out: &mut String) {
        self.live.metrics(out);
    }

    /// Purges what is stored, in memory and on disk, for whatever was asked for before; it blocks until that is kept for good. The
    /// server's [relay](crate::Server::purge_relay) is told, unless another node has told us.
    ///
    /// # Errors
    /// It cannot be understood, or could not be kept.
    pub fn purge(&self, wanted: &Purge, heard: Heard) -> Result<Purged, PurgeError> {
        self.live.engine().purge(wanted, heard)
    }

    /// Opens all log files again, after they were rotated. Blocks until nothing more goes to the old ones, so that they can be
    /// compressed or sent away; at most a second for each that takes no lines.
    pub fn reopen_logs(&self) {
        self.live.reopen_logs();
    }

    /// Has the process that [`Server::successor`](crate::Server::successor) starts take over; if it does, begins to stop.
    /// Else this one keeps serving.
    #[must_use = "an upgrade can fail"]
    pub fn upgrade(&self) -> Upgraded {
        self.live.upgrade()
    }

    /// Begins to stop and returns at once. A fast stop also cuts a graceful one short.
    pub fn stop(&self, mode: StopMode) {
        self.live.stop(mode);
    }

    /// Waits until it has stopped and says how.
    #[must_use = "the stop can have been unclean"]
    pub fn wait(mut self) -> Drained {
        self.join()
    }

    fn join(&mut self) -> Drained {
        let ended = self.supervisor.take().map(JoinHandle::join);
        // A supervisor that panicked has told nobody what became of the connections.
        ended.and_then(Result::ok).unwrap_or(Drained::Forced { connections: 0 })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.supervisor.is_some() {
            self.live.stop(StopMode::Fast);
            self.join();
        }
    }
}
