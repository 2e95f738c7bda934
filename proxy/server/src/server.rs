//! A server before it runs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use switchback_conf::plan::Plan;
use switchback_conf::{Config, Environment, Outcome, ProcessEnvironment};
use switchback_engine::Drained;
use switchback_engine::action::Action;
use switchback_engine::plugins::Additions;
use switchback_engine::purge::PurgeRelay;
use switchback_plugin::Plugin;

use crate::error::Error;
use crate::error_log;
use crate::handle::Handle;
use crate::live::Successor;
use crate::plugin_files;
use crate::runtime_files;
use crate::signals::Signals;
use crate::source::Source;
use crate::start::Ready;
use crate::upgrade::Heritage;

/// A server that does not run yet.
pub struct Server {
    pub(crate) source: Source,
    pub(crate) signals: Signals,
    pub(crate) logger: bool,
    pub(crate) notify_socket: Option<String>,
    pub(crate) additions: Additions,
    pub(crate) successor: Option<Successor>,
    pub(crate) burst_over: Option<fn()>,
    pub(crate) relay: Option<Arc<dyn PurgeRelay>>,
    takes_over: bool,
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
            additions: Additions {
                plugins: Arc::new(plugin_files::registry()),
                ..Additions::default()
            },
            burst_over: None,
            relay: None,
            successor: None,
            takes_over: false,
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
        self.additions.actions.insert(name, action);
        self
    }

    /// Has filters that say `use = "NAME"` ask this plugin, [`Plugin::NAME`], in place of another of that name.
    #[must_use]
    pub fn plugin<P: Plugin>(mut self) -> Self {
        let registry = Arc::try_unwrap(std::mem::take(&mut self.additions.plugins));
        // Nobody else has it before the server runs.
        self.additions.plugins = Arc::new(registry.unwrap_or_default().with::<P>());
        self
    }

    /// Has each worker thread call `then` once most connections of a burst are gone: the moment to give memory back to the
    /// system, where the allocator does so only when asked. It must be quick.
    #[must_use]
    pub fn on_burst_over(mut self, then: fn()) -> Self {
        self.burst_over = Some(then);
        self
    }

    /// Has `relay` told of what is purged here, so that it can tell other nodes; what they purge goes to [`Handle::purge`].
    #[must_use]
    pub fn purge_relay(mut self, relay: impl PurgeRelay) -> Self {
        self.relay = Some(Arc::new(relay));
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

    /// Lets it be upgraded, by [`Handle::upgrade`], `switchback upgrade` or USR2: the process that `command` starts, which must
    /// [take over](Self::take_over), gets all listening sockets over its standard input. Without this, nothing is ever started.
    #[must_use]
    pub fn successor(mut self, command: impl Fn() -> Command + Send + Sync + 'static) -> Self {
        self.successor = Some(Box::new(command));
        self
    }

    /// Has it adopt listening sockets instead of binding them: those of the process that has started this one for an upgrade,
    /// or those that a service manager passes (`LISTEN_FDS`, sd_listen_fds(3)). For one server of a process.
    #[must_use]
    pub fn take_over(mut self) -> Self {
        self.takes_over = true;
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
        let mut outcome = self.source.check(&self.additions);
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
        let heritage = if self.takes_over { Heritage::take() } else { Ok(Heritage::default()) };
        let mut heritage = heritage.map_err(Error::TakeOver)?;
        let predecessor = heritage.predecessor.take();
        match Ready::prepare(self, heritage) {
            Ok(ready) => ready.serve(predecessor),
            Err(error) => {
                if let Some(predecessor) = predecessor {
                    predecessor.refuse(error.to_string());
                }
                Err(error)
            }
        }
    }
}
