//! From a configuration to a server that serves: everything that can fail comes before the first connection is accepted.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use switchback_admin::ControlSocket;
use switchback_conf::Diagnostic;
use switchback_conf::plan::Plan;
use switchback_engine::plugins::Additions;
use switchback_engine::purge::PurgeRelay;
use switchback_engine::{Engine, Inheritance, Prepared};
use tracing::error;

use crate::control_thread;
use crate::control_thread::ControlThread;
use crate::error::Error;
use crate::error_log::ErrorLog;
use crate::handle::Handle;
use crate::live::{self, Live};
use crate::notify::Notifier;
use crate::pid_file::PidFile;
use crate::server::Server;
use crate::stop::{self, Stops, Supervised};
use crate::upgrade::{Heritage, Predecessor};

/// A server that has everything it needs and accepts nothing yet.
pub(crate) struct Ready {
    engine: Prepared,
    parts: live::Parts,
    control: control_thread::Prepared,
    stops: Stops,
    pid_file: Option<PidFile>,
    socket: Option<ControlSocket>,
    adopted: Adopted,
    burst_over: Option<fn()>,
    relay: Option<Arc<dyn PurgeRelay>>,
    warnings: Vec<Diagnostic>,
}

/// What the predecessor and this process both have.
#[derive(Clone, Copy, Debug, Default)]
struct Adopted {
    pid_file: bool,
    control_socket: bool,
}

impl Ready {
    /// Makes everything ready, with what the process was born with.
    pub(crate) fn prepare(server: Server, mut heritage: Heritage) -> Result<Self, Error> {
        let outcome = server.source.plan();
        let Some(plan) = outcome.value else { return Err(Error::Config(outcome.diagnostics)) };
        let error_log = if server.logger { Some(ErrorLog::install(&plan.log)?) } else { None };
        let process = plan.process.clone();
        let control = ControlThread::prepare(server.signals).map_err(Error::Thread)?;
        let mut adopted = Adopted::default();
        let pid_file = match process.pid_file.as_deref() {
            Some(path) => Some(adopted.pid_file(path, heritage.pid_file.take())?),
            None => None,
        };
        let socket = match process.control_socket.as_deref() {
            Some(path) => Some(adopted.control_socket(path, heritage.control(path))?),
            None => None,
        };
        let (engine, warnings) =
            prepare_engine(plan, server.additions.clone(), heritage.sockets, outcome.diagnostics)?;
        let (stopper, stops) = stop::channel();
        let (burst_over, relay) = (server.burst_over, server.relay);
        let parts = live::Parts {
            source: Mutex::new(Arc::new(server.source)),
            additions: server.additions,
            process,
            error_log,
            notifier: Notifier::new(server.notify_socket.as_deref()),
            successor: server.successor,
            pid_file: pid_file.as_ref().map(PidFile::share).transpose()?,
            control: socket.as_ref().map(ControlSocket::share).transpose()?,
            stopper,
        };
        Ok(Self {
            engine,
            parts,
            control,
            stops,
            pid_file,
            socket,
            adopted,
            burst_over,
            relay,
            warnings,
        })
    }

    /// Accepts, when the predecessor says so, and tells everybody.
    pub(crate) fn serve(self, predecessor: Option<Predecessor>) -> Result<Handle, Error> {
        let Self {
            engine,
            parts,
            control,
            stops,
            pid_file,
            socket,
            adopted,
            burst_over,
            relay,
            warnings,
        } = self;
        let takes_over = predecessor.is_some();
        if let Some(predecessor) = &predecessor {
            predecessor
                .ready(&engine.adopted(), adopted.pid_file, adopted.control_socket)
                .map_err(Error::TakeOver)?;
        }
        let engine = engine.begin();
        if let Some(then) = burst_over {
            engine.on_burst_over(then);
        }
        if let Some(relay) = relay {
            engine.on_purge(relay);
        }
        let live = Arc::new(Live::new(Arc::new(engine), parts));
        if let Some(predecessor) = predecessor {
            predecessor.serving();
        }
        match pid_file.as_ref().map(PidFile::write).transpose() {
            Ok(_) => {}
            // Nobody else serves any more.
            Err(error) if takes_over => error!("{error}"),
            Err(error) => return Err(error.into()),
        }
        let control = control.begin(&live, socket);
        live.ready();
        let supervised = Supervised { live: Arc::clone(&live), stops, control, pid_file };
        let supervisor = stop::supervise(supervised).map_err(Error::Thread)?;
        Ok(Handle::new(live, supervisor, warnings))
    }
}

impl Adopted {
    fn pid_file(&mut self, path: &Path, inherited: Option<File>) -> Result<PidFile, Error> {
        if let Some(adopted) = inherited.and_then(|file| PidFile::adopt(path, file)) {
            self.pid_file = true;
            return Ok(adopted);
        }
        Ok(PidFile::lock(path)?)
    }

    fn control_socket(
        &mut self,
        path: &Path,
        inherited: Option<OwnedFd>,
    ) -> Result<ControlSocket, Error> {
        if let Some(descriptor) = inherited {
            self.control_socket = true;
            return Ok(ControlSocket::adopt(path, descriptor)?);
        }
        Ok(ControlSocket::bind(path)?)
    }
}

/// Prepares the engine on a thread of its own: it blocks on a runtime, which a caller inside a runtime may not.
///
/// What it finds is added to `found`.
fn prepare_engine(
    plan: Plan,
    additions: Additions,
    inheritance: Inheritance,
    mut found: Vec<Diagnostic>,
) -> Result<(Prepared, Vec<Diagnostic>), Error> {
    let prepared = thread::scope(|scope| {
        let preparing = thread::Builder::new().name("switchback-start".into());
        let preparing =
            preparing.spawn_scoped(scope, || Engine::prepare(plan, additions, inheritance))?;
        Ok(preparing.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    match prepared.map_err(Error::Thread)? {
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
