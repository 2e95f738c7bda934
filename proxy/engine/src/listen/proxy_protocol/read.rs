//! Reads a header off a connection: all of it, and not one byte of what follows.
//!
//! What has come is looked at first, and only what belongs to the header is taken; so nothing has to be put back before TLS or
//! HTTP, and each look takes something, or waits for more.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;

use super::parse::{self, Header, MOST, Malformed, Parsed};
use crate::listen::stream::PlainStream;

/// A header as far as it has come.
#[derive(Debug)]
pub(super) struct Received {
    bytes: [u8; MOST],
    length: usize,
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoHeader {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the connection ended within the PROXY header: {0}")]
    Ended(#[from] io::Error),
}

/// How far one look got.
enum Look {
    Part,
    Whole,
    Malformed(Malformed),
}

impl Received {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self { bytes: [0; MOST], length: 0 }
    }

    /// Waits for all of it.
    pub(super) async fn read(&mut self, stream: &PlainStream) -> Result<Header<'_>, NoHeader> {
        loop {
            match when_readable(stream, |socket| self.look(socket)).await? {
                Look::Part => {}
                Look::Malformed(malformed) => return Err(malformed.into()),
                Look::Whole => break,
            }
        }
        match parse::parse(self.bytes.get(..self.length).unwrap_or_default())? {
            Parsed::Header(_, header) => Ok(header),
            // It was whole a moment ago.
            Parsed::Incomplete => Err(Malformed::NotOne.into()),
        }
    }

    /// Looks at what has come, and takes what of it belongs to the header.
    fn look(&mut self, socket: BorrowedFd<'_>) -> io::Result<Look> {
        let taken = self.length;
        let (seen, _) =
            recv(socket, self.bytes.get_mut(taken..).unwrap_or_default(), RecvFlags::PEEK)?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (look, end) = match parse::parse(self.bytes.get(..taken + seen).unwrap_or_default()) {
            Ok(Parsed::Incomplete) => (Look::Part, taken + seen),
            Ok(Parsed::Header(length, _)) => (Look::Whole, length),
            Err(malformed) => return Ok(Look::Malformed(malformed)),
        };
        while self.length < end {
            let room = self.bytes.get_mut(self.length..end).unwrap_or_default();
            match recv(socket, room, RecvFlags::empty())? {
                (0, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
                (read, _) => self.length += read,
            }
        }
        Ok(look)
    }
}

/// Runs `step` on the socket, again and again until it does not say that it would have to wait.
async fn when_readable<T>(
    stream: &PlainStream,
    mut step: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
) -> io::Result<T> {
    match stream {
        PlainStream::Tcp(stream) => {
            stream.async_io(Interest::READABLE, || step(stream.as_fd())).await
        }
        PlainStream::Unix(stream) => {
            stream.async_io(Interest::READABLE, || step(stream.as_fd())).await
        }
    }
}
