//! The proxy under test, as a process of its own.

mod child;
mod control;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Client, Trust};
use crate::command::{Finished, switchback, switchback_binary};
use crate::config::{CONFIG_FILE, Config};
use crate::message::{Request, Response, get};
use crate::notify::{Heard, NotifySocket};
use crate::patience::{Deadline, eventually};
use crate::plugin_module::linked_program;
use crate::proc_stats::ProcessStats;
use crate::witness::tell_panics_at_once;
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
    /// The process that has taken over last; the first is `child`.
    successor: Option<u32>,
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

    /// Starts a program that it is built into, with the plugin `conformance` linked in.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub fn start_linked(config: &Config) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        config.write(folder.path()).expect("a temporary folder takes files");
        let mut command = Command::new(linked_program());
        command.args(["run", "-c", CONFIG_FILE]);
        match Self::launch(folder, command) {
            Ok(proxy) => proxy,
            Err(Refusal { code, stderr }) => panic!("no start (exit code {code:?}):\n{stderr}"),
        }
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

    /// Starts it from a copy of the binary in its folder, [`Proxy::binary`], which a test may replace.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub fn start_copied(config: &Config) -> Self {
        Self::start_placed(config, |copy| {
            let linked = std::fs::hard_link(switchback_binary(), copy);
            let copied = || std::fs::copy(switchback_binary(), copy).map(drop);
            linked.or_else(|_| copied()).expect("a copy");
        })
    }

    /// The same, with the binary that `place` puts where it is told.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub(crate) fn start_placed(config: &Config, place: impl FnOnce(&Path)) -> Self {
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

    /// Starts `program` as what this command runs, in its folder: the program and its arguments follow those that are there.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub(crate) fn start_under(mut command: Command, program: &Path, config: &Config) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        config.write(folder.path()).expect("a temporary folder takes files");
        command.arg(program).args(["run", "-c", CONFIG_FILE]);
        match Self::launch(folder, command) {
            Ok(proxy) => proxy,
            Err(Refusal { code, stderr }) => panic!("no start (exit code {code:?}):\n{stderr}"),
        }
    }

    /// Where [`Proxy::start_copied`] has its binary.
    #[must_use]
    pub fn binary(&self) -> PathBuf {
        self.folder().join("switchback")
    }

    /// Has the process that serves now give way to the next one, and waits until that has been decided.
    ///
    /// # Panics
    /// When nobody is there to be asked.
    #[track_caller]
    pub fn upgrade(&mut self) -> Finished {
        let finished = self.run(&["upgrade", "--control", "switchback.sock"]);
        self.follow();
        finished
    }

    /// Takes note of the process that serves now, in order to end it with the test.
    ///
    /// # Panics
    /// When the control socket does not answer.
    #[track_caller]
    pub fn follow(&mut self) -> u32 {
        let serving = self.status()["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        let serving = serving.expect("a status has a process id");
        self.successor = (serving != self.pid()).then_some(serving);
        serving
    }

    /// Waits until the process that was started first has ended, whoever has taken over.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn wait_for_first(&mut self) -> Option<i32> {
        self.child.wait_for_exit().code()
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

    /// Starts it with a listening socket that is passed to it as a service manager does.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub fn start_activated(config: &Config, socket: OwnedFd) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        config.write(folder.path()).expect("a temporary folder takes files");
        let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" run -c \"$1\" 3<&0 </dev/null";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(switchback_binary()).arg(CONFIG_FILE);
        match Self::launch_reading(folder, command, socket.into()) {
            Ok(proxy) => proxy,
            Err(Refusal { code, stderr }) => panic!("no start (exit code {code:?}):\n{stderr}"),
        }
    }

    fn launch(folder: TempDir, command: Command) -> Result<Self, Refusal> {
        Self::launch_reading(folder, command, Stdio::null())
    }

    fn launch_reading(
        folder: TempDir,
        mut command: Command,
        stdin: Stdio,
    ) -> Result<Self, Refusal> {
        tell_panics_at_once();
        let notify = NotifySocket::bind(folder.path()).expect("a socket in an empty folder");
        command.current_dir(folder.path()).env("NOTIFY_SOCKET", notify.path());
        let mut child = Child::spawn_reading(command, notify.path().to_owned(), stdin);
        match notify.wait_for("READY=1", Deadline::soon()) {
            Heard::Said => Ok(Self { folder, child, notify, successor: None }),
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

    /// Sends a signal: `HUP`, `QUIT`, `TERM`, `INT`, `USR1`, `STOP`, `CONT`.
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

    /// Whether the service manager has been told this, among what nobody has waited for yet.
    #[must_use]
    pub fn has_notified(&self, line: &str) -> bool {
        let now = Deadline::after(Duration::from_millis(1));
        matches!(self.notify.wait_for(line, now), Heard::Said)
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

impl Drop for Proxy {
    fn drop(&mut self) {
        let pid =
            self.successor.take().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _sent = kill_process(pid, Signal::KILL);
        }
    }
}
