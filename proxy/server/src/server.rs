//! A server before it runs.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use switchback_admin::ControlSocket;
use switchback_conf::plan::Plan;
use switchback_conf::{Config, Diagnostic, Environment, Outcome, ProcessEnvironment};
use switchback_engine::action::{Action, Actions};
use switchback_engine::{Drained, Engine};

use crate::control_thread::ControlThread;
use crate::error::Error;
use crate::error_log::{self, ErrorLog};
use crate::handle::Handle;
use crate::live::{self, Live};
use crate::notify::Notifier;
use crate::pid_file::PidFile;
use crate::runtime_files;
use crate::signals::Signals;
use crate::source::Source;
use crate::stop::{self, Supervised};

/// A server that does not run yet.
pub struct Server {
    source: Source,
    signals: Signals,
    logger: bool,
    notify_socket: Option<String>,
    actions: Actions,
    burst_over: Option<fn()>,
}

impl Server {
    /// A server of this configuration. A reload puts the same one in force again; [`Handle::replace`] takes another.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::of(Source::Fixed(Box::new(config)))
    }

    /// A server of the configuration in a file, which is read at the start and again at each reload.
    #[must_use]
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self::of(Source::File {
            path: path.into(),
            environment: Box::new(ProcessEnvironment),
            runtime_files: false,
        })
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            signals: Signals::Untouched,
            logger: false,
            notify_socket: None,
            actions: Actions::default(),
            burst_over: None,
        }
    }

    /// Where `${NAME}` in the file gets its value, instead of from the process. Nothing for a configuration built in code.
    #[must_use]
    pub fn environment(mut self, environment: impl Environment + Send + Sync + 'static) -> Self {
        if let Source::File { environment: current, .. } = &mut self.source {
            *current = Box::new(environment);
        }
        self
    }

    /// Has pid file and control socket made where this user's processes keep such things, if the file names neither. See
    /// [`Server::runtime_socket`].
    #[must_use]
    pub fn runtime_files(mut self) -> Self {
        if let Source::File { runtime_files, .. } = &mut self.source {
            *runtime_files = true;
        }
        self
    }

    /// The control socket of a server with [`runtime_files`](Self::runtime_files) that runs from `path`, when the file names
    /// neither pid file nor socket: in `/run/switchback` for root, else in `$XDG_RUNTIME_DIR/switchback`.
    #[must_use]
    pub fn runtime_socket(path: &Path) -> PathBuf {
        runtime_files::socket(path)
    }

    /// Has `action` answer the routes that say `action = "NAME"`, in place of another of that name.
    #[must_use]
    pub fn action(mut self, name: &str, action: impl Action) -> Self {
        self.actions.insert(name, action);
        self
    }

    /// Has each worker thread call `then` once most connections of a burst are gone: the moment to give memory back to the
    /// system, where the allocator does so only when asked. It must be quick.
    #[must_use]
    pub fn on_burst_over(mut self, then: fn()) -> Self {
        self.burst_over = Some(then);
        self
    }

    /// Has the process's signals act on this server.
    #[must_use]
    pub fn signals(mut self, signals: Signals) -> Self {
        self.signals = signals;
        self
    }

    /// Has the process log as `[log]` says: `tracing` events and `log` records.
    ///
    /// Without it events go to whatever logger the process has.
    #[must_use]
    pub fn logger(mut self) -> Self {
        self.logger = true;
        self
    }

    /// Has a service manager told of readiness, reloads and the stop, at this socket (`$NOTIFY_SOCKET`, sd_notify(3)).
    #[must_use]
    pub fn notify(mut self, socket: impl Into<String>) -> Self {
        self.notify_socket = Some(socket.into());
        self
    }

    /// The file of the configuration, where there is one.
    #[must_use]
    pub fn config_file(&self) -> Option<&Path> {
        self.source.path()
    }

    /// What a start would find, without binding or running anything.
    #[must_use]
    pub fn check(&self) -> Outcome<Plan> {
        let mut outcome = self.source.check(&self.actions);
        let refusal = outcome.value.as_ref().filter(|_| self.logger);
        if let Some(refusal) = refusal.and_then(|plan| error_log::probe(&plan.log)) {
            outcome.diagnostics.push(refusal);
            outcome.value = None;
        }
        outcome
    }

    /// Starts and blocks until something stops it: the control socket, or a signal if those were asked for.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn run(self) -> Result<Drained, Error> {
        Ok(self.spawn()?.wait())
    }

    /// Starts on threads of its own: every listener is bound when this returns.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn spawn(self) -> Result<Handle, Error> {
        let outcome = self.source.plan();
        let Some(plan) = outcome.value else { return Err(Error::Config(outcome.diagnostics)) };
        let error_log = if self.logger { Some(ErrorLog::install(&plan.log)?) } else { None };
        let process = plan.process.clone();
        let control = ControlThread::prepare(self.signals).map_err(Error::Thread)?;
        let pid_file = process.pid_file.as_deref().map(PidFile::lock).transpose()?;
        let socket = process.control_socket.as_deref().map(ControlSocket::bind).transpose()?;
        let notifier = Notifier::new(self.notify_socket.as_deref());
        let (engine, found) = start_engine(plan, self.actions.clone(), outcome.diagnostics)?;
        if let Some(then) = self.burst_over {
            engine.on_burst_over(then);
        }

        let (stopper, stops) = stop::channel();
        let live = Arc::new(Live::new(live::Parts {
            engine: Arc::new(engine),
            source: Mutex::new(Arc::new(self.source)),
            actions: self.actions,
            process,
            error_log,
            notifier,
            stopper,
        }));
        if let Some(pid_file) = &pid_file {
            pid_file.write()?;
        }
        let control = control.begin(&live, socket);
        live.ready();
        let supervisor =
            stop::supervise(Supervised { live: Arc::clone(&live), stops, control, pid_file })
                .map_err(Error::Thread)?;
        Ok(Handle::new(live, supervisor, found))
    }
}

/// Starts the engine on a thread of its own: it blocks on a runtime, which a caller inside a runtime may not.
///
/// What it finds is added to `found`.
fn start_engine(
    plan: Plan,
    actions: Actions,
    mut found: Vec<Diagnostic>,
) -> Result<(Engine, Vec<Diagnostic>), Error> {
    let started = thread::scope(|scope| {
        let starting = thread::Builder::new().name("switchback-start".into());
        let starting = starting.spawn_scoped(scope, || Engine::start(plan, actions))?;
        Ok(starting.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    match started.map_err(Error::Thread)? {
        Ok((engine, warnings)) => {
            found.extend(warnings);
            Ok((engine, found))
        }
        Err(errors) => {
            found.extend(errors);
            Err(Error::Config(found))
        }
    }
}
