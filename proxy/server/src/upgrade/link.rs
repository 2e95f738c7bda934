//! The private socket between two processes: messages in JSON, each with the descriptors it speaks of.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Descriptors in one message; the kernel takes 253.
pub(super) const BATCH: usize = 64;
/// Bytes of a message: names of 64 sockets, or what is wrong with a configuration.
const LARGEST: usize = 64 * 1024;
/// How long a wait goes on before it looks whether it was called off.
const GLANCE: Duration = Duration::from_millis(50);

/// What two processes say to each other, in the order in which they do.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub(super) enum Message {
    /// Predecessor: this is how I speak.
    Hello { version: u32 },
    /// Predecessor: as many descriptors as names.
    Sockets { names: Vec<String> },
    /// Predecessor: one descriptor, locked.
    PidFile,
    /// Predecessor: one descriptor.
    ControlSocket { path: PathBuf },
    /// Predecessor: that was all.
    Whole,
    /// Successor: these addresses are mine once you say so.
    Adopted { names: Vec<String> },
    /// Successor: everything is ready.
    Ready { pid_file: bool, control_socket: bool },
    /// Successor: I cannot serve.
    Refused { report: String },
    /// Predecessor: accept.
    Go,
    /// Successor: I accept.
    Serving,
    /// Predecessor: what you have adopted is yours.
    Yours,
}

/// Why a conversation came to nothing.
#[derive(Debug, Error)]
pub(super) enum Broken {
    #[error("the other process has ended")]
    Ended,
    #[error("the other process takes too long")]
    Late,
    #[error("called off")]
    CalledOff,
    #[error("{0}")]
    Failed(#[from] io::Error),
}

impl From<Errno> for Broken {
    fn from(error: Errno) -> Self {
        match error {
            Errno::PIPE | Errno::CONNRESET => Self::Ended,
            error => Self::Failed(error.into()),
        }
    }
}

/// How long to wait, and whether it is still worth it.
pub(super) struct Patience<'a> {
    pub(super) deadline: Instant,
    pub(super) is_called_off: &'a dyn Fn() -> bool,
}

/// One end.
#[derive(Debug)]
pub(super) struct Link(OwnedFd);

impl Link {
    /// Both ends.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self(one), other))
    }

    /// The end that this process was given.
    pub(super) fn given(descriptor: OwnedFd) -> io::Result<Self> {
        match rustix::net::sockopt::socket_type(&descriptor)? {
            SocketType::SEQPACKET => Ok(Self(descriptor)),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "that is no link")),
        }
    }

    pub(super) fn send(
        &self,
        message: &Message,
        descriptors: &[BorrowedFd<'_>],
        patience: &Patience<'_>,
    ) -> Result<(), Broken> {
        let bytes = serde_json::to_vec(message).map_err(io::Error::from)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        loop {
            let mut rights = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() && !rights.push(SendAncillaryMessage::ScmRights(descriptors))
            {
                return Err(io::Error::other("too many descriptors at once").into());
            }
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut rights, flags) {
                Ok(_) => return Ok(()),
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT, patience)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(super) fn receive(
        &self,
        patience: &Patience<'_>,
    ) -> Result<(Message, Vec<OwnedFd>), Broken> {
        let mut bytes = vec![0; LARGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        loop {
            let mut rights = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
            let into = &mut [IoSliceMut::new(&mut bytes)];
            let length = match recvmsg(&self.0, into, &mut rights, flags) {
                Ok(received) => received.bytes,
                Err(Errno::AGAIN) => {
                    self.wait(PollFlags::IN, patience)?;
                    continue;
                }
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let descriptors = rights.drain().filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            });
            let descriptors = descriptors.flatten().collect();
            if length == 0 {
                return Err(Broken::Ended);
            }
            let message = serde_json::from_slice(bytes.get(..length).unwrap_or_default());
            return Ok((message.map_err(io::Error::from)?, descriptors));
        }
    }

    fn wait(&self, what: PollFlags, patience: &Patience<'_>) -> Result<(), Broken> {
        loop {
            let left = patience.deadline.saturating_duration_since(Instant::now());
            if (patience.is_called_off)() {
                return Err(Broken::CalledOff);
            }
            if left.is_zero() {
                return Err(Broken::Late);
            }
            let glance = Timespec::try_from(left.min(GLANCE)).map_err(io::Error::other)?;
            let mut watched = [PollFd::from_borrowed_fd(self.0.as_fd(), what)];
            match poll(&mut watched, Some(&glance)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// As much of `report` as a message holds.
pub(super) fn shortened(mut report: String) -> String {
    // JSON may write six bytes for one.
    report.truncate(report.floor_char_boundary(LARGEST / 8));
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon<'a>() -> Patience<'a> {
        Patience { deadline: Instant::now() + Duration::from_secs(10), is_called_off: &|| false }
    }

    fn ends() -> (Link, Link) {
        let (one, other) = Link::pair().unwrap();
        (one, Link::given(other).unwrap())
    }

    #[test]
    fn descriptors_arrive_with_their_message() {
        let (one, other) = ends();
        let file = std::fs::File::open("/dev/null").unwrap();
        let many: Vec<_> = (0..BATCH).map(|_| file.as_fd()).collect();
        let names = vec!["n".repeat(200); BATCH];
        one.send(&Message::Sockets { names: names.clone() }, &many, &soon()).unwrap();
        one.send(&Message::Whole, &[], &soon()).unwrap();
        let (message, descriptors) = other.receive(&soon()).unwrap();
        assert_eq!((message, descriptors.len()), (Message::Sockets { names }, BATCH));
        let flags = rustix::io::fcntl_getfd(&descriptors[0]).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        assert_eq!(other.receive(&soon()).unwrap().0, Message::Whole);
    }

    #[test]
    fn an_end_that_is_gone_ends_the_conversation() {
        let (one, other) = ends();
        drop(other);
        assert!(matches!(one.receive(&soon()), Err(Broken::Ended)));
        assert!(matches!(one.send(&Message::Go, &[], &soon()), Err(Broken::Ended)));
    }

    #[test]
    fn silence_and_deafness_are_waited_for_until_the_deadline_or_until_called_off() {
        let (one, _other) = ends();
        let patience = Patience { deadline: Instant::now(), is_called_off: &|| false };
        assert!(matches!(one.receive(&patience), Err(Broken::Late)));
        let called_off = Patience { is_called_off: &|| true, ..soon() };
        assert!(matches!(one.receive(&called_off), Err(Broken::CalledOff)));
        let report = "x".repeat(30_000);
        let deaf = (0..1000).find_map(|_| {
            one.send(&Message::Refused { report: report.clone() }, &[], &patience).err()
        });
        assert!(matches!(deaf, Some(Broken::Late)), "{deaf:?}");
    }

    #[test]
    fn the_longest_report_fits_whatever_is_in_it() {
        let (one, other) = ends();
        let report = shortened("\u{1}é".repeat(LARGEST));
        one.send(&Message::Refused { report: report.clone() }, &[], &soon()).unwrap();
        assert_eq!(other.receive(&soon()).unwrap().0, Message::Refused { report });
    }

    #[test]
    fn what_is_no_message_or_no_link_is_said() {
        let (one, other) = ends();
        rustix::net::send(&one.0, b"GET / HTTP/1.1", SendFlags::empty()).unwrap();
        assert!(matches!(other.receive(&soon()), Err(Broken::Failed(_))));
        let (stream, _) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(Link::given(stream.into()).is_err());
    }
}
