//! Where lines go, piece by piece, without ever waiting long.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use switchback_conf::plan::LogTarget;

use super::syslog::Datagrams;

/// What a pipe takes whole once it takes anything (`PIPE_BUF`).
const PIPE_PIECE: usize = 4096;
/// Enough to make a write worth its while.
const FILE_PIECE: usize = 256 * 1024;
/// The longest wait for a reader before the writer looks at its orders again.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// An open target.
#[derive(Debug)]
pub(super) enum Sink {
    /// A file on a disk.
    Regular {
        /// Opened to append.
        file: File,
        /// Its size, as far as this process knows.
        length: u64,
    },
    /// Something that may stop taking bytes: a pipe, a terminal, a device.
    Stream(File),
    /// A syslog.
    Syslog(Datagrams),
}

/// What became of a piece.
#[derive(Debug)]
pub(super) enum Piece {
    /// So many bytes are gone.
    Written(usize),
    /// So many bytes, one line, are more than the target can ever take.
    TooLong(usize),
    /// Nobody takes anything at present.
    Blocked,
}

impl Sink {
    /// Opens `target`; never waits for a reader.
    pub(super) fn open(target: &LogTarget) -> io::Result<Self> {
        let file = match target {
            // A descriptor of our own: nobody else waits for a lock that is held while the reader sleeps.
            LogTarget::Stdout => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            LogTarget::Stderr => File::from(io::stderr().as_fd().try_clone_to_owned()?),
            LogTarget::File(path) => OpenOptions::new()
                .create(true)
                .append(true)
                .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
                .open(path)?,
            LogTarget::Syslog(address) => return Datagrams::open(address).map(Self::Syslog),
        };
        let metadata = file.metadata()?;
        Ok(if metadata.is_file() {
            Self::Regular { file, length: metadata.len() }
        } else {
            Self::Stream(file)
        })
    }

    /// Writes the first lines of `bytes`, at most `most` bytes of them unless one line alone is longer.
    pub(super) fn write(&mut self, bytes: &[u8], most: usize) -> io::Result<Piece> {
        match self {
            Self::Regular { file, length } => {
                let written = file.write(lines(bytes, most.min(FILE_PIECE)))?;
                *length += written as u64;
                Ok(Piece::Written(written))
            }
            Self::Stream(file) => {
                let piece = lines(bytes, PIPE_PIECE);
                // More than this, and a pipe that has room for some of it would put the writer to sleep.
                let piece = piece.get(..PIPE_PIECE).unwrap_or(piece);
                if !is_ready(file.as_fd())? {
                    return Ok(Piece::Blocked);
                }
                blocked_or(file.write(piece).map(Piece::Written))
            }
            Self::Syslog(socket) => {
                let line = lines(bytes, 0);
                let datagram = line.strip_suffix(b"\n").unwrap_or(line);
                let sent = match socket.send(datagram) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        if !is_ready(socket.as_fd())? {
                            return Ok(Piece::Blocked);
                        }
                        socket.send(datagram)
                    }
                    sent => sent,
                };
                match sent {
                    Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                        Ok(Piece::TooLong(line.len()))
                    }
                    sent => blocked_or(sent.map(|_| Piece::Written(line.len()))),
                }
            }
        }
    }

    /// Which file on a disk it is, if it is one.
    pub(super) fn identity(&self) -> Option<(u64, u64)> {
        let Self::Regular { file, .. } = self else { return None };
        file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
    }
}

/// Whether a target could not be opened only because nobody listens there at present: a FIFO without reader, the socket of a
/// syslog that is being started.
#[must_use]
pub fn is_absent(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENXIO | libc::ECONNREFUSED))
}

fn blocked_or(outcome: io::Result<Piece>) -> io::Result<Piece> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Piece::Blocked),
        outcome => outcome,
    }
}

/// Waits a little until something can be written, or is broken.
fn is_ready(target: BorrowedFd<'_>) -> io::Result<bool> {
    let mut wanted = [PollFd::from_borrowed_fd(target, PollFlags::OUT)];
    match poll(&mut wanted, Some(&PATIENCE)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// As many whole lines as fit into `most` bytes; at least one.
fn lines(bytes: &[u8], most: usize) -> &[u8] {
    let fitting = bytes.get(..most).unwrap_or(bytes);
    let end = memchr::memrchr(b'\n', fitting).or_else(|| memchr::memchr(b'\n', bytes));
    end.and_then(|end| bytes.get(..=end)).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_made_of_whole_lines() {
        assert_eq!(lines(b"ab\ncd\nef\n", 7), b"ab\ncd\n");
        assert_eq!(lines(b"ab\ncd\n", 100), b"ab\ncd\n");
        assert_eq!(lines(b"abcd\nef\n", 2), b"abcd\n");
        assert_eq!(lines(b"ab\ncd\n", 0), b"ab\n");
        assert_eq!(lines(b"abc", 1), b"abc");
    }
}
