//! What goes over the control socket, as JSON.

use std::path::PathBuf;
use std::time::UNIX_EPOCH;

pub use crate::caches::{Caches, Entry, Group, Keys, Purge, Purged, Zone};
pub use crate::reshard::{Compared, Reshard, ReshardAction, Resharding, Shard};
use serde::{Deserialize, Serialize};
use switchback_conf::diagnostic;
use switchback_engine::control;

/// Answer to `GET /version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The product.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Answer to `GET /status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Process id.
    pub pid: u32,
    /// The configuration file in force; `null` for a configuration built in code.
    pub config: Option<PathBuf>,
    /// How many configurations have been in force, this one included.
    pub generation: u64,
    /// When the process began to serve, in seconds since 1970.
    pub started: u64,
    /// Whole seconds since then, by the monotonic clock.
    pub uptime_seconds: u64,
    /// Whether it accepts.
    pub state: State,
    /// Worker threads.
    pub workers: usize,
    /// What is bound.
    pub listeners: Vec<Listener>,
    /// Client connections open now.
    pub connections: u64,
    /// Requests in flight now.
    pub requests_in_flight: u64,
    /// Requests answered since the start.
    pub requests: u64,
    /// Lines of logs that were lost since the start.
    #[serde(default)]
    pub log_lines_lost: u64,
    /// Why the last upgrade has failed, if it has.
    #[serde(default)]
    pub upgrade_failure: Option<String>,
}

/// Whether a process accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It accepts connections.
    Serving,
    /// It finishes what runs and accepts nothing new.
    Draining,
    /// It serves nobody.
    Stopped,
}

impl State {
    /// The word used on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }
}

/// One bound address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Its name in the configuration.
    pub name: String,
    /// The address as bound.
    pub address: String,
    /// Whether it terminates TLS.
    pub tls: bool,
}

/// Answer to `POST /check` and `POST /reload`: 200 when accepted, else 422.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether the configuration can be, or has been, put in force.
    pub accepted: bool,
    /// The generation in force afterwards.
    pub generation: u64,
    /// Everything found: severity, code, message, file, line, column and hint of each.
    pub diagnostics: Vec<serde_json::Value>,
    /// The same for people, with the lines of the file shown. Empty when nothing was found.
    pub report: String,
}

/// Answer to `POST /upgrade`: 200 when another process has taken over, else 422.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgraded {
    /// Whether another process serves now.
    pub taken_over: bool,
    /// The process that serves.
    pub pid: u32,
    /// Why it is still the old one. Empty when it is not.
    pub report: String,
}

/// Body of `POST /stop`; an empty body is a graceful stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// How.
    #[serde(default)]
    pub mode: StopMode,
}

/// How to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopMode {
    /// Finish what runs first.
    #[default]
    Graceful,
    /// Drop everything now.
    Fast,
}

/// Body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong, for people.
    pub error: String,
}

impl From<control::Version> for Version {
    fn from(version: control::Version) -> Self {
        Self { name: version.name.to_owned(), version: version.version.to_owned() }
    }
}

impl From<control::Status> for Status {
    fn from(status: control::Status) -> Self {
        Self {
            pid: status.pid,
            config: status.config,
            generation: status.generation,
            started: status.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            uptime_seconds: status.uptime.as_secs(),
            state: status.state.into(),
            workers: status.workers,
            listeners: status.listeners.into_iter().map(Into::into).collect(),
            connections: status.connections,
            requests_in_flight: status.requests_in_flight,
            requests: status.requests,
            log_lines_lost: status.log_lines_lost,
            upgrade_failure: status.upgrade_failure,
        }
    }
}

impl From<control::State> for State {
    fn from(state: control::State) -> Self {
        match state {
            control::State::Serving => Self::Serving,
            control::State::Draining => Self::Draining,
            control::State::Stopped => Self::Stopped,
        }
    }
}

impl From<control::ListenerStatus> for Listener {
    fn from(listener: control::ListenerStatus) -> Self {
        Self { name: listener.name, address: listener.address, tls: listener.tls }
    }
}

impl From<control::Verdict> for Verdict {
    fn from(verdict: control::Verdict) -> Self {
        let report = diagnostic::report(&verdict.diagnostics);
        let diagnostics = verdict
            .diagnostics
            .iter()
            .map(|diagnostic| serde_json::to_value(diagnostic).unwrap_or_default())
            .collect();
        Self { accepted: verdict.accepted, generation: verdict.generation, diagnostics, report }
    }
}

impl From<control::Upgraded> for Upgraded {
    fn from(upgraded: control::Upgraded) -> Self {
        match upgraded {
            control::Upgraded::TakenOver { pid } => {
                Self { taken_over: true, pid, report: String::new() }
            }
            control::Upgraded::Failed { reason } => {
                Self { taken_over: false, pid: std::process::id(), report: reason }
            }
        }
    }
}

impl From<StopMode> for control::StopMode {
    fn from(mode: StopMode) -> Self {
        match mode {
            StopMode::Graceful => Self::Graceful,
            StopMode::Fast => Self::Fast,
        }
    }
}
