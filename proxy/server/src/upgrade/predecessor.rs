//! The old process's part: starts the new one, hands everything over, and ends it if it does not get ready.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use switchback_admin::ControlShare;
use switchback_engine::ListeningSocket;
use thiserror::Error;

use super::link::{BATCH, Broken, Link, Message, Patience};
use super::{UPGRADE, VERSION, activation};

/// What a process has to hand over.
pub(crate) struct Estate<'a> {
    pub(crate) sockets: Vec<ListeningSocket>,
    pub(crate) pid_file: Option<BorrowedFd<'a>>,
    pub(crate) control: Option<&'a ControlShare>,
    /// How long all of it may take.
    pub(crate) timeout: Duration,
    /// Whether this process is to end: then nobody is to take over.
    pub(crate) is_called_off: &'a dyn Fn() -> bool,
}

/// A new process that accepts from the same sockets.
#[derive(Debug)]
pub(crate) struct Heir {
    child: Child,
    link: Link,
    /// The addresses that it has taken over.
    pub(crate) adopted: Vec<String>,
    /// Whether the pid file is to be its.
    pub(crate) pid_file: bool,
    /// Whether the control socket is to be its.
    pub(crate) control_socket: bool,
}

/// Why nobody has taken over.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("cannot start {program}: {source}")]
    NotStarted { program: String, source: io::Error },
    #[error("the new process refuses to serve:\n{0}")]
    Refused(String),
    #[error("the new process ended before it was ready ({0}); its log says why")]
    Ended(ExitStatus),
    #[error("the new process was not ready within {} seconds, and was ended", .0.as_secs_f32())]
    Late(Duration),
    #[error("this process was told to stop")]
    CalledOff,
    #[error("the new process does not understand this one: it says {0}")]
    Misunderstood(String),
    #[error("the new process cannot be talked to: {0}")]
    Broken(io::Error),
}

/// After the new process was told to accept, it gets at least so long to say that it does.
const LAST_STEP: Duration = Duration::from_secs(5);
/// For a process that is about to end by itself to say its last words.
const LAST_WORDS: Duration = Duration::from_secs(1);
const GLANCE: Duration = Duration::from_millis(5);

/// Starts `command` and returns when it accepts from every socket that it wants. Otherwise it has ended.
pub(crate) fn hand_over(mut command: Command, estate: &Estate<'_>) -> Result<Heir, Failure> {
    let deadline = Instant::now() + estate.timeout;
    let (link, other) = Link::pair().map_err(Failure::Broken)?;
    command.stdin(Stdio::from(other)).env(UPGRADE, "1");
    activation::forget(&mut command);
    let program = command.get_program().display().to_string();
    let child = command.spawn().map_err(|source| Failure::NotStarted { program, source })?;
    // It holds the other end.
    drop(command);
    let mut heir =
        Heir { child, link, adopted: Vec::new(), pid_file: false, control_socket: false };
    match heir.settle(estate, deadline) {
        Ok(()) => Ok(heir),
        Err(stuck) => Err(heir.end(stuck, estate.timeout)),
    }
}

/// Why it does not go on, before it is known how the child has ended.
enum Stuck {
    Broken(Broken),
    Said(Failure),
}

impl From<Broken> for Stuck {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl Heir {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it stop gracefully.
    pub(crate) fn stop(&self) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended already.
            let _ = kill_process(pid, Signal::QUIT);
        }
    }

    /// Tells it that everything it has adopted is its alone, and looks after its end for as long as this process lives.
    pub(crate) fn let_go(mut self) {
        let patience = Patience { deadline: Instant::now() + LAST_STEP, is_called_off: &|| false };
        // One that does not hear it sees this end close, which means the same.
        let _ = self.link.send(&Message::Yours, &[], &patience);
        // Without anybody to take note of its end it would seem to live on. Without a thread, it does so until we end.
        let _ =
            thread::Builder::new().name("switchback-heir".into()).spawn(move || self.child.wait());
    }

    fn settle(&mut self, estate: &Estate<'_>, deadline: Instant) -> Result<(), Stuck> {
        let patience = Patience { deadline, is_called_off: estate.is_called_off };
        self.hand(estate, &patience)?;
        loop {
            match self.link.receive(&patience)?.0 {
                Message::Adopted { names } => self.adopted.extend(names),
                Message::Ready { pid_file, control_socket } => {
                    (self.pid_file, self.control_socket) = (pid_file, control_socket);
                    break;
                }
                Message::Refused { report } => return Err(Stuck::Said(Failure::Refused(report))),
                other => return Err(misunderstood(&other)),
            }
        }
        if (estate.is_called_off)() {
            return Err(Broken::CalledOff.into());
        }
        // From here on it may hold connections.
        let deadline = deadline.max(Instant::now() + LAST_STEP);
        let patience = Patience { deadline, is_called_off: &|| false };
        self.link.send(&Message::Go, &[], &patience)?;
        match self.link.receive(&patience)?.0 {
            Message::Serving => Ok(()),
            other => Err(misunderstood(&other)),
        }
    }

    fn hand(&self, estate: &Estate<'_>, patience: &Patience<'_>) -> Result<(), Broken> {
        self.link.send(&Message::Hello { version: VERSION }, &[], patience)?;
        for batch in estate.sockets.chunks(BATCH) {
            let names = batch.iter().map(|socket| socket.name.clone()).collect();
            let descriptors: Vec<_> =
                batch.iter().map(|socket| OwnedFd::as_fd(&socket.descriptor)).collect();
            self.link.send(&Message::Sockets { names }, &descriptors, patience)?;
        }
        if let Some(file) = estate.pid_file {
            self.link.send(&Message::PidFile, &[file], patience)?;
        }
        if let Some(control) = estate.control {
            let message = Message::ControlSocket { path: control.path().to_owned() };
            self.link.send(&message, &[control.descriptor().as_fd()], patience)?;
        }
        self.link.send(&Message::Whole, &[], patience)
    }

    /// Ends it, and says in its words, if it has any, why it came to that.
    fn end(mut self, stuck: Stuck, timeout: Duration) -> Failure {
        let (failure, ended) = match stuck {
            Stuck::Broken(Broken::Late) => (Failure::Late(timeout), None),
            Stuck::Broken(Broken::CalledOff) => (Failure::CalledOff, None),
            Stuck::Broken(Broken::Failed(error)) => (Failure::Broken(error), None),
            // It may have left a message before it ended.
            Stuck::Broken(Broken::Ended) => {
                let ended = self.wait(LAST_WORDS);
                let failure = ended.map(Failure::Ended);
                let silent = || Failure::Broken(io::ErrorKind::BrokenPipe.into());
                (self.last_words().or(failure).unwrap_or_else(silent), ended)
            }
            Stuck::Said(failure) => (failure, self.wait(LAST_WORDS)),
        };
        if ended.is_none() {
            // It fails when it has ended meanwhile.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        failure
    }

    /// What it has said and nobody has heard yet, because it ended while it was spoken to.
    fn last_words(&self) -> Option<Failure> {
        let patience = Patience { deadline: Instant::now(), is_called_off: &|| false };
        while let Ok((message, _)) = self.link.receive(&patience) {
            if let Message::Refused { report } = message {
                return Some(Failure::Refused(report));
            }
        }
        None
    }

    fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::park_timeout(GLANCE);
        }
        None
    }
}

fn misunderstood(message: &Message) -> Stuck {
    Stuck::Said(Failure::Misunderstood(format!("{message:?}")))
}
