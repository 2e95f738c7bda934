//! A child process: its output kept, its end awaited, its life bounded by the test's.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use parking_lot::{Condvar, Mutex};
use rustix::process::{Pid, Signal, kill_process};

use crate::guard::must_not_outlive;
use crate::notify::NotifySocket;
use crate::patience::Deadline;

pub(crate) struct Child {
    pid: u32,
    end: Signal,
    ended: Receiver<ExitStatus>,
    gone: Receiver<ExitStatus>,
    status: Option<ExitStatus>,
    stdout: Arc<Output>,
    stderr: Arc<Output>,
}

impl Child {
    /// Starts `command`; `notify` is the socket that hears of its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub(crate) fn spawn(command: Command, notify: PathBuf) -> Self {
        Self::spawn_reading(command, notify, Stdio::null())
    }

    /// The same with this standard input.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub(crate) fn spawn_reading(mut command: Command, notify: PathBuf, stdin: Stdio) -> Self {
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let pid = child.id();
        must_not_outlive(pid);
        let (stdout, stdout_end) = Output::collect(child.stdout.take());
        let (stderr, stderr_end) = Output::collect(child.stderr.take());
        let (sender, ended) = channel();
        let (early, gone) = channel();
        thread::spawn(move || {
            let status = child.wait();
            if let Ok(status) = status {
                let _heard = early.send(status);
            }
            // The last words first: whoever hears of the end reads them.
            let _read = (stdout_end.join(), stderr_end.join());
            if let Ok(status) = status {
                // Nobody may wait any more.
                let _heard = sender.send(status);
            }
            NotifySocket::ended(&notify);
        });
        Self { pid, end: Signal::KILL, ended, gone, status: None, stdout, stderr }
    }

    /// Asked to end rather than killed when dropped, because it has children of its own to end.
    pub(crate) fn ended_gently(mut self) -> Self {
        self.end = Signal::TERM;
        self
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    #[track_caller]
    pub(crate) fn wait_for_stderr(&self, text: &str) -> String {
        self.stderr.wait_for(text)
    }

    #[track_caller]
    pub(crate) fn wait_for_stdout(&self, text: &str) -> String {
        self.stdout.wait_for(text)
    }

    pub(crate) fn signal(&self, name: &str) {
        let signal = match name {
            "HUP" => Signal::HUP,
            "INT" => Signal::INT,
            "QUIT" => Signal::QUIT,
            "TERM" => Signal::TERM,
            "USR1" => Signal::USR1,
            "USR2" => Signal::USR2,
            "KILL" => Signal::KILL,
            "STOP" => Signal::STOP,
            "CONT" => Signal::CONT,
            other => panic!("no test sends {other}"),
        };
        kill_process(self.kernel_pid(), signal).expect("a running process takes signals");
    }

    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        if let Some(status) = self.status {
            return status;
        }
        let Ok(status) = self.ended.recv_timeout(Deadline::soon().left()) else {
            panic!("process {} does not end; stderr:\n{}", self.pid, self.stderr());
        };
        self.status = Some(status);
        status
    }

    /// As [`wait`](Self::wait), but does not wait for the last words: others may go on writing to the same streams.
    #[track_caller]
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        let Ok(status) = self.gone.recv_timeout(Deadline::soon().left()) else {
            panic!("process {} does not end; stderr:\n{}", self.pid, self.stderr());
        };
        self.status = Some(status);
        status
    }

    fn kernel_pid(&self) -> Pid {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        pid.expect("a process id is a positive number")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- stderr of process {}:\n{}---", self.pid, self.stderr());
        }
        if self.status.is_none() && self.ended.try_recv().is_err() {
            // It may end by itself between the question and the signal.
            let _sent = kill_process(self.kernel_pid(), self.end);
            let _ended = self.ended.recv_timeout(Deadline::soon().left());
        }
    }
}

/// What a process writes to one of its streams.
#[derive(Default)]
struct Output {
    text: Mutex<String>,
    grown: Condvar,
}

impl Output {
    fn collect(stream: Option<impl Read + Send + 'static>) -> (Arc<Self>, thread::JoinHandle<()>) {
        let output = Arc::new(Self::default());
        let kept = Arc::clone(&output);
        let reader = thread::spawn(move || {
            let Some(mut stream) = stream else { return };
            let mut block = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut block) {
                kept.text.lock().push_str(&String::from_utf8_lossy(&block[..length]));
                kept.grown.notify_all();
            }
        });
        (output, reader)
    }

    fn text(&self) -> String {
        self.text.lock().clone()
    }

    #[track_caller]
    fn wait_for(&self, part: &str) -> String {
        let deadline = Deadline::soon();
        let mut text = self.text.lock();
        while !text.contains(part) {
            let late = self.grown.wait_until(&mut text, deadline.instant()).timed_out();
            assert!(!late, "no {part:?} was written; there is:\n{text}");
        }
        text.clone()
    }
}
