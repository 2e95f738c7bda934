//! What an operator may ask of a running process. The control socket and the library's handle speak only this.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use switchback_conf::diagnostic::Diagnostic;

use crate::purge::{KeyPage, Purge, PurgeError, Purged, ZoneStatus};
use crate::reshard::{Reshard, ReshardError, ReshardStatus};

/// A running process, as an operator sees it. Calls may block for as long as reading a configuration takes.
pub trait Control: Send + Sync + 'static {
    /// Which program this is.
    fn version(&self) -> Version;
    /// How it stands.
    fn status(&self) -> Status;
    /// Reads the configuration again and says what a reload would find, without acting.
    fn check(&self) -> Verdict;
    /// Reads the configuration again and, if it has no errors, swaps it in whole.
    fn reload(&self) -> Verdict;
    /// Gives way to a newer binary: starts it, hands it all sockets, and begins to stop once it serves. Returns when that has
    /// been decided.
    fn upgrade(&self) -> Upgraded;
    /// Begins to stop; returns at once.
    fn stop(&self, mode: StopMode);
    /// Appends the counters in the Prometheus text format.
    fn metrics(&self, out: &mut String);
    /// Opens all log files again (after rotation). Blocks until nothing more goes to the old ones.
    fn reopen_logs(&self);
    /// Purges, and tells other nodes.
    ///
    /// # Errors
    /// It cannot be understood, or could not be kept.
    fn purge(&self, wanted: &Purge) -> Result<Purged, PurgeError>;
    /// Takes a step in giving keys of an upstream to other shards.
    ///
    /// # Errors
    /// It cannot be taken now, or not at all.
    fn reshard(&self, wanted: &Reshard) -> Result<ReshardStatus, ReshardError>;
    /// What the caches hold.
    fn zones(&self) -> Vec<ZoneStatus>;
    /// At most `most` keys of a zone's memory with what is stored under them, after the one with this hash; `None` where there is
    /// no such zone.
    fn keys(&self, zone: &str, after: Option<u128>, most: usize) -> Option<KeyPage>;
}

/// Which program this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The product.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// How a process stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Process id.
    pub pid: u32,
    /// The configuration file in force, where there is one.
    pub config: Option<PathBuf>,
    /// How many configurations have been in force, this one included.
    pub generation: u64,
    /// When the process began to serve.
    pub started: SystemTime,
    /// Since then, by the monotonic clock.
    pub uptime: Duration,
    /// Whether it accepts, drains or has stopped.
    pub state: State,
    /// Worker threads.
    pub workers: usize,
    /// What is bound.
    pub listeners: Vec<ListenerStatus>,
    /// Client connections open now.
    pub connections: u64,
    /// Requests in flight now.
    pub requests_in_flight: u64,
    /// Requests answered since the start.
    pub requests: u64,
    /// Lines of logs that were lost since the start: they could not be written, or not fast enough.
    pub log_lines_lost: u64,
    /// Why the last upgrade has failed, if it has.
    pub upgrade_failure: Option<String>,
}

/// Whether a process accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It accepts connections.
    Serving,
    /// It finishes what runs and accepts nothing new.
    Draining,
    /// It serves nobody.
    Stopped,
}

/// One bound address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerStatus {
    /// Its name in the configuration.
    pub name: String,
    /// The address as bound: the port chosen by the kernel where 0 was asked for; `unix:/path` for a Unix socket.
    pub address: String,
    /// Whether it terminates TLS.
    pub tls: bool,
}

/// What reading the configuration found.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Whether it can be, or has been, put in force.
    pub accepted: bool,
    /// The generation in force afterwards.
    pub generation: u64,
    /// Everything found, warnings too.
    pub diagnostics: Vec<Diagnostic>,
}

/// What became of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgraded {
    /// The process with this id serves; this one finishes what it has begun, and ends.
    TakenOver {
        /// The successor.
        pid: u32,
    },
    /// This process goes on serving.
    Failed {
        /// For this reason.
        reason: String,
    },
}

/// How to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Accept nothing new, finish what runs, exit as soon as idle or when the time-out has passed.
    Graceful,
    /// Drop everything now.
    Fast,
}
