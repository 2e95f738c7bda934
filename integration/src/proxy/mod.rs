//! The proxy under test, as a process of its own.

mod child;
mod control;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Client, Trust};
use crate::command::{Finished, switchback, switchback_binary};
use crate::config::{CONFIG_FILE, Config};
use crate::message::{Request, Response, get};
use crate::notify::{Heard, NotifySocket};
use crate::patience::{Deadline, eventually};
use crate::proc_stats::ProcessStats;
pub(crate) use child::Child;
pub use control::Verdict;

/// A bound address of a running proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name in the configuration.
    pub name: String,
    /// As bound: `127.0.0.1:40123` or `unix:/path`.
    pub address: String,
    /// Whether it terminates TLS.
    pub tls: bool,
}

/// Why a proxy did not start.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// A running `switchback run`. It is killed when dropped; when the test fails, its standard error is shown.
pub struct Proxy {
    folder: TempDir,
    child: Child,
    notify: NotifySocket,
}

impl Proxy {
    /// Starts it and waits until it says that it is ready.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub fn start(config: &Config) -> Self {
        Self::start_with(config, &[])
    }

    /// Starts it with these environment variables.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub fn start_with(config: &Config, environment: &[(&str, &str)]) -> Self {
        match Self::try_start_with(config, environment) {
            Ok(proxy) => proxy,
            Err(Refusal { code, stderr }) => {
                panic!(
                    "no start (exit code {code:?}) with\n{}\nstderr:\n{stderr}",
                    config.to_toml()
                )
            }
        }
    }

    /// Starts it, or says why it did not.
    ///
    /// # Errors
    /// When it ends before it says that it is ready.
    pub fn try_start(config: &Config) -> Result<Self, Refusal> {
        Self::try_start_with(config, &[])
    }

    fn try_start_with(config: &Config, environment: &[(&str, &str)]) -> Result<Self, Refusal> {
        let folder = TempDir::new().expect("a temporary folder");
        config.write(folder.path()).expect("a temporary folder takes files");
        let mut command = Command::new(switchback_binary());
        command.args(["run", "-c", CONFIG_FILE]);
        command.envs(environment.iter().copied());
        Self::launch(folder, command)
    }

    /// Starts it through a link of another name, which it takes for the name it is called by.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub fn start_called(name: &str, config: &Config) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        config.write(folder.path()).expect("a temporary folder takes files");
        let link = folder.path().join(name);
        std::os::unix::fs::symlink(switchback_binary(), &link).expect("a folder takes links");
        let mut command = Command::new(link);
        command.args(["run", "-c", CONFIG_FILE]);
        match Self::launch(folder, command) {
            Ok(proxy) => proxy,
            Err(Refusal { code, stderr }) => panic!("no start (exit code {code:?}):\n{stderr}"),
        }
    }

    /// Starts it from a copy of the binary in its folder, named `switchback`, that `place` puts where it is told.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub(crate) fn start_copied(config: &Config, place: impl FnOnce(&Path)) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        config.write(folder.path()).expect("a temporary folder takes files");
        let copy = folder.path().join("switchback");
        place(&copy);
        let mut command = Command::new(copy);
        command.args(["run", "-c", CONFIG_FILE]);
        match Self::launch(folder, command) {
            Ok(proxy) => proxy,
            Err(Refusal { code, stderr }) => panic!("no start (exit code {code:?}):\n{stderr}"),
        }
    }

    /// Starts `switchback` with these arguments instead of `run` and a configuration file.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub fn start_command(arguments: &[&str]) -> Self {
        let mut command = Command::new(switchback_binary());
        command.args(arguments);
        match Self::launch(TempDir::new().expect("a temporary folder"), command) {
            Ok(proxy) => proxy,
            Err(Refusal { code, stderr }) => panic!("no start (exit code {code:?}):\n{stderr}"),
        }
    }

    fn launch(folder: TempDir, mut command: Command) -> Result<Self, Refusal> {
        let notify = NotifySocket::bind(folder.path()).expect("a socket in an empty folder");
        command.current_dir(folder.path()).env("NOTIFY_SOCKET", notify.path());
        let mut child = Child::spawn(command, notify.path().to_owned());
        match notify.wait_for("READY=1", Deadline::soon()) {
            Heard::Said => Ok(Self { folder, child, notify }),
            Heard::Ended => Err(Refusal { code: child.wait().code(), stderr: child.stderr() }),
            Heard::Nothing => panic!("neither ready nor ended; stderr:\n{}", child.stderr()),
        }
    }

    /// Its folder: the configuration, its files, the pid file and the control socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.folder().join(CONFIG_FILE)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.child.stderr()
    }

    /// Waits until it has written this to standard error.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn wait_for_stderr(&self, text: &str) {
        self.child.wait_for_stderr(text);
    }

    /// Waits until it has written this to standard output, and returns all of it.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn wait_for_stdout(&self, text: &str) -> String {
        self.child.wait_for_stdout(text)
    }

    /// What the kernel says about it.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    #[track_caller]
    pub fn stats(&self) -> ProcessStats {
        ProcessStats::of(self.pid()).expect("a running process has statistics")
    }

    /// Waits until it has as few descriptors as this again.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn wait_for_descriptors(&self, count: usize) {
        eventually("descriptors are given back", Deadline::soon(), || {
            (self.stats().descriptors <= count).then_some(())
        });
    }

    /// Sends a signal: `HUP`, `QUIT`, `TERM`, `INT`, `USR1`.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, name: &str) {
        self.child.signal(name);
    }

    /// Waits until it has told the service manager this.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn wait_for_notification(&self, line: &str) {
        let heard = self.notify.wait_for(line, Deadline::soon());
        assert!(matches!(heard, Heard::Said), "no {line} was said; stderr:\n{}", self.stderr());
    }

    /// The TCP address of the listener with this name.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    #[track_caller]
    pub fn address(&self, listener: &str) -> SocketAddr {
        let listeners = self.listeners();
        let found = listeners.iter().find(|known| known.name == listener);
        match found.and_then(|known| known.address.parse().ok()) {
            Some(address) => address,
            None => panic!("no listener {listener} on TCP among {listeners:?}"),
        }
    }

    /// A connection to the listener `web`.
    ///
    /// # Panics
    /// When nobody answers.
    #[must_use]
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::tcp(self.address("web"))
    }

    /// A TLS connection to the listener `web`.
    ///
    /// # Panics
    /// When the handshake fails.
    #[must_use]
    #[track_caller]
    pub fn tls_client(&self, name: &str, trust: &Trust<'_>) -> Client {
        Client::tls(self.address("web"), name, trust)
    }

    /// The answer of the listener `web` to this request, on a connection of its own.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn ask(&self, request: &Request) -> Response {
        self.client().ask(request)
    }

    /// The answer of the listener `web` to a GET of `target`.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.ask(&get(target))
    }

    /// Writes another configuration and asks for a reload through the control socket.
    ///
    /// # Panics
    /// When the control socket does not answer.
    #[track_caller]
    pub fn reload(&self, config: &Config) -> Verdict {
        self.write(config);
        self.reload_as_written()
    }

    /// Writes another configuration in place of the one it was started with.
    ///
    /// # Panics
    /// When the folder takes no files.
    pub fn write(&self, config: &Config) {
        config.write(self.folder()).expect("a temporary folder takes files");
    }

    /// Asks for a reload of the file as it stands.
    ///
    /// # Panics
    /// When the control socket does not answer.
    #[track_caller]
    pub fn reload_as_written(&self) -> Verdict {
        Verdict::from(&self.control("POST", "/reload", None))
    }

    /// Runs `switchback` with these arguments in the proxy's folder.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Finished {
        switchback(self.folder(), arguments)
    }

    /// The answer of the control socket.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn control(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        control::ask(&self.folder().join("switchback.sock"), method, path, body)
    }

    /// What `GET /status` says.
    ///
    /// # Panics
    /// When it says nothing.
    #[must_use]
    #[track_caller]
    pub fn status(&self) -> Value {
        self.control("GET", "/status", None).expect_status(200).json()
    }

    /// What is bound.
    ///
    /// # Panics
    /// When the control socket does not say.
    #[must_use]
    #[track_caller]
    pub fn listeners(&self) -> Vec<Listener> {
        control::listeners(&self.status())
    }

    /// Waits for the end and says how it ended.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().code()
    }

    /// Stops it gracefully and holds it to exit code 0.
    ///
    /// # Panics
    /// When it ends with another code or not at all.
    #[track_caller]
    pub fn stop(mut self) {
        self.signal("QUIT");
        let code = self.wait();
        assert_eq!(code, Some(0), "unclean stop; stderr:\n{}", self.stderr());
    }
}
