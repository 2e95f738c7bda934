//! A running server, as operators meet it: the one implementation of [`Control`].

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use switchback_admin::ControlShare;
use switchback_conf::plan::{Plan, ProcessPlan};
use switchback_conf::{Code, Config, Diagnostic, Location, Outcome, Severity};
use switchback_engine::Engine;
use switchback_engine::control::{Control, Status, StopMode, Upgraded, Verdict, Version};
use switchback_engine::plugins::Additions;
use switchback_engine::purge::{Heard, KeyPage, Purge, PurgeError, Purged, ZoneStatus};
use switchback_engine::reshard::{Reshard, ReshardAction, ReshardError, ReshardStatus, Step};
use tracing::{error, info, warn};

use crate::VERSION;
use crate::error_log::ErrorLog;
use crate::notify::Notifier;
use crate::pid_file::PidShare;
use crate::source::Source;
use crate::stop::Event;
use crate::upgrade::{self, Estate, Heir};

/// A running server.
pub(crate) struct Live {
    engine: Arc<Engine>,
    parts: Parts,
    started: SystemTime,
    started_at: Instant,
    stopping: AtomicBool,
    shutdown_timeout: Mutex<Duration>,
    upgrade_timeout: Mutex<Duration>,
    /// Held during a reload: one at a time, in the order they were asked for.
    reloading: Mutex<()>,
    /// Held during an upgrade: there is no second one.
    upgrading: Mutex<()>,
    /// Why the last upgrade has failed.
    upgrade_failure: Mutex<Option<String>>,
}

/// Makes the command that starts a successor.
pub(crate) type Successor = Box<dyn Fn() -> Command + Send + Sync>;

/// What a server is made of.
pub(crate) struct Parts {
    pub(crate) source: Mutex<Arc<Source>>,
    /// What routes may name, for checks.
    pub(crate) additions: Additions,
    /// As at the start: files and threads of the process do not change with a reload.
    pub(crate) process: ProcessPlan,
    pub(crate) error_log: Option<ErrorLog>,
    pub(crate) notifier: Notifier,
    /// How a successor is started.
    pub(crate) successor: Option<Successor>,
    pub(crate) pid_file: Option<PidShare>,
    pub(crate) control: Option<ControlShare>,
    pub(crate) stopper: Sender<Event>,
}

impl Live {
    pub(crate) fn new(engine: Arc<Engine>, parts: Parts) -> Self {
        let shutdown_timeout = Mutex::new(parts.process.shutdown_timeout);
        let upgrade_timeout = Mutex::new(parts.process.upgrade_timeout);
        Self {
            engine,
            parts,
            started: SystemTime::now(),
            started_at: Instant::now(),
            stopping: AtomicBool::new(false),
            shutdown_timeout,
            upgrade_timeout,
            reloading: Mutex::new(()),
            upgrading: Mutex::new(()),
            upgrade_failure: Mutex::new(None),
        }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(crate) fn control_socket(&self) -> Option<&Path> {
        self.parts.process.control_socket.as_deref()
    }

    /// The longest a graceful stop may take, as the configuration in force says.
    pub(crate) fn shutdown_timeout(&self) -> Duration {
        *self.shutdown_timeout.lock()
    }

    /// Tells the service manager that every listener is bound.
    pub(crate) fn ready(&self) {
        let generation = self.generation();
        self.parts.notifier.ready(generation);
        info!(generation, "serving");
    }

    /// Refuses whatever is still asked.
    pub(crate) fn stopped(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    fn generation(&self) -> u64 {
        self.engine.status().generation
    }

    fn verdict(&self, accepted: bool, diagnostics: Vec<Diagnostic>) -> Verdict {
        Verdict { accepted, generation: self.generation(), diagnostics }
    }

    /// The plan that a reload would put in force, and what it would leave as it is.
    fn next_plan(&self, read: Outcome<Plan>) -> Outcome<Plan> {
        read.and_then(|plan| {
            let unmoved = unmoved(&self.parts.process, &plan.process);
            Outcome::new(plan, unmoved)
        })
    }

    fn source(&self) -> Arc<Source> {
        Arc::clone(&self.parts.source.lock())
    }

    /// Puts `config` in force, if it has no errors, and has later reloads take it too.
    pub(crate) fn replace(&self, config: Config) -> Verdict {
        self.reload_from(Arc::new(Source::Fixed(Box::new(config))))
    }

    fn reload_from(&self, source: Arc<Source>) -> Verdict {
        let _one_at_a_time = self.reloading.lock();
        self.parts.notifier.reloading();
        let verdict = self.swap(&source);
        if verdict.accepted {
            *self.parts.source.lock() = source;
        }
        tell(&verdict);
        self.parts.notifier.ready(verdict.generation);
        verdict
    }

    fn swap(&self, source: &Source) -> Verdict {
        if self.stopping.load(Ordering::Acquire) {
            let refusal = "the process is stopping, it takes no new configuration";
            return self.verdict(
                false,
                vec![Diagnostic::error(Code::Assemble, Location::none(), refusal)],
            );
        }
        let outcome = self.next_plan(source.plan());
        let mut found = outcome.diagnostics;
        let Some(plan) = outcome.value else { return self.verdict(false, found) };
        let (log, process) = (plan.log.clone(), plan.process.clone());
        let opened = match self.parts.error_log.as_ref().map(|own| own.open(&log)).transpose() {
            Ok(opened) => opened,
            Err(refusal) => {
                found.push(refusal);
                return self.verdict(false, found);
            }
        };
        match self.engine.reload(plan) {
            Ok(warnings) => found.extend(warnings),
            Err(errors) => {
                found.extend(errors);
                return self.verdict(false, found);
            }
        }
        *self.shutdown_timeout.lock() = process.shutdown_timeout;
        *self.upgrade_timeout.lock() = process.upgrade_timeout;
        if let (Some(error_log), Some(opened)) = (&self.parts.error_log, opened) {
            error_log.follow(&log, opened);
        }
        self.verdict(true, found)
    }

    /// Starts the successor and gives everything away, or nothing.
    fn hand_over(&self) -> Result<Heir, String> {
        let Some(successor) = &self.parts.successor else {
            return Err("this program has no way to start another of itself".to_owned());
        };
        may_be_outlived(std::process::id())?;
        let Some(_one_at_a_time) = self.upgrading.try_lock() else {
            return Err("an upgrade is under way".to_owned());
        };
        // A reload would change what is handed over.
        let _no_reload = self.reloading.lock();
        let is_called_off = || self.stopping.load(Ordering::Acquire);
        if is_called_off() {
            return Err("the process is stopping".to_owned());
        }
        let sockets = self.engine().listening_sockets().map_err(|error| error.to_string())?;
        let heir = upgrade::hand_over(
            successor(),
            &Estate {
                sockets,
                pid_file: self.parts.pid_file.as_ref().map(PidShare::descriptor),
                control: self.parts.control.as_ref(),
                timeout: *self.upgrade_timeout.lock(),
                is_called_off: &is_called_off,
            },
        )
        .map_err(|failure| failure.to_string())?;
        self.give_away(&heir);
        Ok(heir)
    }

    fn give_away(&self, heir: &Heir) {
        self.engine().leave(&heir.adopted);
        if let Some(pid_file) = self.parts.pid_file.as_ref().filter(|_| heir.pid_file) {
            pid_file.leave();
        }
        if let Some(control) = self.parts.control.as_ref().filter(|_| heir.control_socket) {
            control.leave();
        }
        self.parts.notifier.succeeded_by(heir.pid());
    }

    /// Waits until what the process has said is written.
    pub(crate) fn flush_log(&self) {
        if let Some(error_log) = &self.parts.error_log {
            error_log.flush();
        }
    }

    fn lost_messages(&self) -> u64 {
        self.parts.error_log.as_ref().map_or(0, ErrorLog::lost)
    }
}

impl Control for Live {
    fn version(&self) -> Version {
        VERSION
    }

    fn status(&self) -> Status {
        let engine = self.engine.status();
        Status {
            pid: std::process::id(),
            config: self.source().path().map(Into::into),
            generation: engine.generation,
            started: self.started,
            uptime: self.started_at.elapsed(),
            state: engine.state,
            workers: engine.workers,
            listeners: engine.listeners,
            connections: engine.connections,
            requests_in_flight: engine.requests_in_flight,
            requests: engine.requests,
            log_lines_lost: engine.log_lines_lost + self.lost_messages(),
            upgrade_failure: self.upgrade_failure.lock().clone(),
        }
    }

    fn check(&self) -> Verdict {
        let mut outcome = self.next_plan(self.source().check(&self.parts.additions));
        if let (Some(error_log), Some(plan)) = (&self.parts.error_log, &outcome.value)
            && let Err(refusal) = error_log.open(&plan.log)
        {
            outcome.diagnostics.push(refusal);
            outcome.value = None;
        }
        self.verdict(outcome.value.is_some(), outcome.diagnostics)
    }

    fn reload(&self) -> Verdict {
        self.reload_from(self.source())
    }

    fn upgrade(&self) -> Upgraded {
        match self.hand_over() {
            Ok(heir) => {
                let pid = heir.pid();
                info!(pid, "another process serves, this one finishes what it has begun");
                // Told to stop when it was too late to call it off: that was meant for whoever serves.
                if self.stopping.load(Ordering::Acquire) {
                    heir.stop();
                }
                heir.let_go();
                self.stop(StopMode::Graceful);
                Upgraded::TakenOver { pid }
            }
            Err(reason) => {
                error!("upgrade failed, this process keeps serving: {reason}");
                *self.upgrade_failure.lock() = Some(reason.clone());
                Upgraded::Failed { reason }
            }
        }
    }

    fn stop(&self, mode: StopMode) {
        if !self.stopping.swap(true, Ordering::AcqRel) {
            info!(?mode, "stopping");
            self.parts.notifier.stopping();
        }
        // It fails only when the supervisor has ended, and with it everything else.
        let _ = self.parts.stopper.send(Event::Asked(mode));
    }

    fn metrics(&self, out: &mut String) {
        self.engine.metrics(out);
        out.push_str("# HELP switchback_error_log_lines_dropped_total Lines of the error log that were lost.\n");
        out.push_str("# TYPE switchback_error_log_lines_dropped_total counter\n");
        let lost = self.lost_messages();
        out.push_str(&format!("switchback_error_log_lines_dropped_total {lost}\n"));
    }

    fn purge(&self, wanted: &Purge) -> Result<Purged, PurgeError> {
        self.engine.purge(wanted, Heard::Here)
    }

    fn reshard(&self, wanted: &Reshard) -> Result<ReshardStatus, ReshardError> {
        let _one_at_a_time = self.reloading.lock();
        if wanted.compare.is_some() && wanted.action != ReshardAction::Start {
            return Err(ReshardError::ComparesAtStart);
        }
        let next = || {
            let read = self.source().upstream(&wanted.upstream, wanted.to.as_deref());
            let unknown = || ReshardError::UnknownUpstream(wanted.upstream.clone());
            match read.value {
                Some(plan) => plan.map(Box::new).ok_or_else(unknown),
                None => Err(ReshardError::Wrong(read.diagnostics)),
            }
        };
        let step = match wanted.action {
            ReshardAction::Plan => Step::Plan(next()?),
            ReshardAction::Start => {
                Step::Start { to: next()?, compare: wanted.compare.unwrap_or(0.0) }
            }
            ReshardAction::Status => Step::Status,
            ReshardAction::Cutover => Step::Cutover,
            ReshardAction::Abort => Step::Abort,
        };
        let told = self.engine.reshard(&wanted.upstream, &step)?;
        if !matches!(step, Step::Plan(_) | Step::Status) {
            let (upstream, epoch, next) = (&*told.upstream, told.epoch, told.next_epoch);
            info!(upstream, epoch, next, action = ?wanted.action, "shards change");
        }
        Ok(told)
    }

    fn zones(&self) -> Vec<ZoneStatus> {
        self.engine.zones()
    }

    fn keys(&self, zone: &str, after: Option<u128>, most: usize) -> Option<KeyPage> {
        self.engine.keys(zone, after, most)
    }

    fn reopen_logs(&self) {
        self.engine.reopen_logs();
        if let Some(error_log) = &self.parts.error_log {
            error_log.reopen();
        }
    }
}

/// Refuses the process that everything around it ends with.
fn may_be_outlived(pid: u32) -> Result<(), String> {
    let advice = "this is the first process of a container, which ends with it: start another container instead";
    if pid == 1 { Err(advice.to_owned()) } else { Ok(()) }
}

/// Warnings for what the process keeps until it is started again. The engine tells of its own.
fn unmoved(now: &ProcessPlan, next: &ProcessPlan) -> Vec<Diagnostic> {
    let keys = [
        ("pid_file", now.pid_file != next.pid_file),
        ("control.socket", now.control_socket != next.control_socket),
    ];
    let changed = keys.into_iter().filter(|(_, changed)| *changed);
    changed
        .map(|(key, _)| {
            let message =
                format!("`{key}` has changed, but stays as it was at the start of the process");
            Diagnostic::warning(Code::NoEffect, Location::none(), message)
                .hint("start the process again to have it act")
        })
        .collect()
}

/// Logs what came of a reload.
fn tell(verdict: &Verdict) {
    for found in &verdict.diagnostics {
        let (code, at) = (found.code, &found.at);
        match found.severity {
            Severity::Error => error!(%code, %at, "{}", found.message),
            Severity::Warning => warn!(%code, %at, "{}", found.message),
        }
    }
    let generation = verdict.generation;
    if verdict.accepted {
        info!(generation, "reloaded");
    } else {
        error!(generation, "reload refused, the old configuration keeps serving");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_process_of_a_container_gives_way_to_nobody() {
        assert!(may_be_outlived(1).unwrap_err().contains("container"));
        assert_eq!(may_be_outlived(2), Ok(()));
    }
}
