//! The new process's part: takes what it was given, says when it is ready, and waits to be told to go.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use switchback_engine::{Inheritance, ListeningSocket};

use super::link::{BATCH, Broken, Link, Message, Patience, shortened};
use super::{UPGRADE, VERSION, activation};

/// What a process is born with.
#[derive(Debug, Default)]
pub(crate) struct Heritage {
    pub(crate) sockets: Inheritance,
    /// Locked, by the predecessor and so by us.
    pub(crate) pid_file: Option<File>,
    control: Option<(PathBuf, OwnedFd)>,
    pub(crate) predecessor: Option<Predecessor>,
}

/// The process that serves until this one does.
#[derive(Debug)]
pub(crate) struct Predecessor(Link);

/// The predecessor has a deadline of its own; this one is for when it has stopped working.
const PATIENCE: Duration = Duration::from_secs(600);
/// For what the predecessor does at once.
const MOMENT: Duration = Duration::from_secs(5);

fn within<'a>(patience: Duration) -> Patience<'a> {
    Patience { deadline: Instant::now() + patience, is_called_off: &|| false }
}

impl Heritage {
    /// From the process that has started this one for an upgrade, or from a service manager; else nothing.
    pub(crate) fn take() -> io::Result<Self> {
        if std::env::var_os(UPGRADE).is_none() {
            let sockets = Inheritance::passed(activation::passed());
            return Ok(Self { sockets, ..Self::default() });
        }
        let link = Link::given(io::stdin().as_fd().try_clone_to_owned()?)?;
        Self::receive(link).map_err(io::Error::other)
    }

    fn receive(link: Link) -> Result<Self, Broken> {
        let (mut sockets, mut heritage) = (Vec::new(), Self::default());
        loop {
            let (message, descriptors) = link.receive(&within(MOMENT))?;
            match message {
                Message::Hello { version: VERSION } => {}
                Message::Sockets { names } => {
                    if names.len() != descriptors.len() {
                        let message = "sockets were lost on the way: are there descriptors left?";
                        return Err(io::Error::other(message).into());
                    }
                    let pairs = names.into_iter().zip(descriptors);
                    sockets.extend(
                        pairs.map(|(name, descriptor)| ListeningSocket { name, descriptor }),
                    );
                }
                Message::PidFile => {
                    heritage.pid_file = descriptors.into_iter().next().map(File::from);
                }
                Message::ControlSocket { path } => {
                    heritage.control =
                        descriptors.into_iter().next().map(|control| (path, control));
                }
                Message::Whole => break,
                other => {
                    let message =
                        format!("the old process says what this one does not know: {other:?}");
                    return Err(io::Error::other(message).into());
                }
            }
        }
        heritage.sockets = Inheritance::handed_over(sockets);
        heritage.predecessor = Some(Predecessor(link));
        Ok(heritage)
    }

    /// The control socket, if it is that of `path`.
    pub(crate) fn control(&mut self, path: &Path) -> Option<OwnedFd> {
        let (_, descriptor) = self.control.take_if(|(bound, _)| bound == path)?;
        Some(descriptor)
    }
}

impl Predecessor {
    /// Says that everything is ready, and waits to be told to accept.
    pub(crate) fn ready(
        &self,
        adopted: &[String],
        pid_file: bool,
        control_socket: bool,
    ) -> io::Result<()> {
        let gone = |broken: Broken| io::Error::other(format!("the old process: {broken}"));
        for names in adopted.chunks(BATCH) {
            let message = Message::Adopted { names: names.to_vec() };
            self.0.send(&message, &[], &within(MOMENT)).map_err(gone)?;
        }
        let message = Message::Ready { pid_file, control_socket };
        self.0.send(&message, &[], &within(MOMENT)).map_err(gone)?;
        match self.0.receive(&within(PATIENCE)).map_err(gone)?.0 {
            Message::Go => Ok(()),
            other => Err(io::Error::other(format!("the old process says {other:?}"))),
        }
    }

    /// Says that connections are accepted, and waits until the old process has let go; one that is gone has done so.
    pub(crate) fn serving(self) {
        let moment = within(MOMENT);
        if let Err(broken) = self.0.send(&Message::Serving, &[], &moment) {
            tracing::debug!(%broken, "the old process is gone already");
        }
        let _ = self.0.receive(&moment);
    }

    /// Says why this process cannot serve.
    pub(crate) fn refuse(&self, report: String) {
        let message = Message::Refused { report: shortened(report) };
        // Else it sees that this process has ended.
        let _ = self.0.send(&message, &[], &within(MOMENT));
    }
}
