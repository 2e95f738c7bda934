//! The bytes of an answer over HTTP/1, on their way to the client.

use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use rustix::net::SendFlags;
use switchback_files::Part;
use tokio::io::AsyncWriteExt;

use super::answer::Body;
use super::bandwidth::Pace;
use super::pieces::{self, Pieces};
use super::streamed::Streamed;
use crate::listen::stream::ClientStream;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By its length, in the head.
    Length,
    /// By a last chunk.
    Chunked,
    /// By the end of the connection: HTTP/1.0 knows nothing else.
    Close,
}

/// Writes one answer, no slower than the client's patience.
pub(super) struct Writer<'c> {
    pub(super) client: &'c mut ClientStream,
    pub(super) patience: Duration,
    /// Of the body.
    pub(super) pace: Option<Pace>,
    pub(super) framing: Framing,
    /// Bytes of the body that are out.
    pub(super) sent: u64,
}

/// A body up to this size goes out with its head.
const TOGETHER: usize = 16 * 1024;
/// The head waits for the first bytes of a file up to this size, to share what the kernel sends at once with all of them. Larger
/// ones need several sends anyway, and there it is cheaper to have it go ahead: BBR then sees a connection that waits for its
/// server and does not set a timer before each further send, which costs more than the segment (28.5 and 24.9 us for 100 KB).
const SHARED: u64 = 60 * 1024;
/// What the kernel is asked to send at a time, some 70 microseconds; then others have their turn. Thousands of new downloads
/// at once would keep them waiting else, each for as much as a socket takes.
const CHUNK: u64 = 256 * 1024;

impl Writer<'_> {
    /// The head, and the body unless it is kept silent about.
    pub(super) async fn answer(
        &mut self,
        mut head: Vec<u8>,
        body: Body,
        silent: bool,
    ) -> io::Result<()> {
        if silent || body.is_empty() {
            return self.write(&head).await;
        }
        match body {
            Body::Whole(bytes) if bytes.len() <= TOGETHER && self.pace.is_none() => {
                head.extend_from_slice(&bytes);
                self.write(&head).await?;
                self.sent = bytes.len() as u64;
                Ok(())
            }
            Body::Whole(bytes) => self.both(&head, &bytes).await,
            Body::Streamed(streamed) => self.streamed(head, *streamed).await,
            Body::File(file, parts) if self.client.is_bare() => {
                self.file(&head, &file, parts).await
            }
            Body::File(file, parts) => {
                self.write(&head).await?;
                let mut pieces = Pieces::new(file, parts);
                while let Some(piece) = pieces.next().await? {
                    self.body(&piece).await?;
                }
                Ok(())
            }
        }
    }

    /// Piece by piece, as it comes; the first goes with the head if it is there.
    async fn streamed(&mut self, mut head: Vec<u8>, mut body: Streamed) -> io::Result<()> {
        let is_chunked = self.framing == Framing::Chunked;
        let mut first = match body.next().now_or_never() {
            Some(first) => first?,
            None => None,
        };
        if first.is_none() || self.pace.is_some() {
            self.write(&head).await?;
            head.clear();
        }
        loop {
            let piece = match first.take() {
                Some(piece) => piece,
                None => match self.next(&mut body).await? {
                    Some(piece) => piece,
                    None => break,
                },
            };
            if is_chunked {
                write!(head, "{:x}\r\n", piece.len())?;
            }
            if piece.len() <= TOGETHER && self.pace.is_none() {
                head.extend_from_slice(&piece);
                self.count(piece.len());
            } else {
                self.both(&head, &piece).await?;
                head.clear();
            }
            if is_chunked {
                head.extend_from_slice(b"\r\n");
            }
            self.write(&head).await?;
            head.clear();
        }
        if is_chunked { self.write(b"0\r\n\r\n").await } else { Ok(()) }
    }

    /// The next piece. Where it comes for this client alone, it is waited for no longer than the client is there.
    async fn next(&mut self, body: &mut Streamed) -> io::Result<Option<Bytes>> {
        if !body.is_for_one() {
            return body.next().await;
        }
        tokio::select! {
            biased;
            piece = body.next() => piece,
            () = self.client.gone() => Err(left()),
        }
    }

    /// Head and parts by the kernel alone.
    async fn file(&mut self, head: &[u8], file: &Arc<File>, parts: Vec<Part>) -> io::Result<()> {
        match parts.iter().map(Part::length).sum::<u64>() {
            ..=SHARED => self.more(head).await?,
            _ => self.write(head).await?,
        }
        for part in parts {
            match part {
                Part::Bytes(bytes) => self.body(&bytes).await?,
                Part::Range(range) => self.range(file, range).await?,
            }
        }
        Ok(())
    }

    async fn range(&mut self, file: &Arc<File>, mut range: Range<u64>) -> io::Result<()> {
        while !range.is_empty() {
            let most = self.turn().await.unwrap_or(CHUNK);
            let chunk = range.start..range.end.min(range.start + most);
            pieces::into_memory(file, &chunk).await?;
            let wanted = usize::try_from(chunk.end - chunk.start).unwrap_or(usize::MAX);
            let mut offset = chunk.start;
            let sending = self.client.when_writable(|socket| {
                rustix::fs::sendfile(socket, file, Some(&mut offset), wanted).map_err(Into::into)
            });
            let sent = within(self.patience, sending).await?;
            if sent == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the file has become shorter",
                ));
            }
            range.start += sent as u64;
            self.count(sent);
            if sent as u64 == CHUNK {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Writes with word that more follows at once.
    async fn more(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let sending = self.client.when_writable(|socket| {
                rustix::net::send(socket, bytes, SendFlags::MORE | SendFlags::NOSIGNAL)
                    .map_err(Into::into)
            });
            let sent = within(self.patience, sending).await?;
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    async fn body(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let most = self.turn().await.unwrap_or(u64::MAX);
            let length = bytes.len().min(usize::try_from(most).unwrap_or(usize::MAX));
            let (piece, rest) = bytes.split_at(length);
            self.write(piece).await?;
            self.count(length);
            bytes = rest;
        }
        Ok(())
    }

    /// What precedes a body, and the body, from where each lies.
    async fn both(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        if self.pace.is_some() {
            self.write(head).await?;
            return self.body(body).await;
        }
        let mut slices = [IoSlice::new(head), IoSlice::new(body)];
        let (mut slices, mut head_left) = (slices.as_mut_slice(), head.len());
        while !slices.is_empty() {
            let written = within(self.patience, self.client.write_vectored(slices)).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            let of_head = written.min(head_left);
            head_left -= of_head;
            self.count(written - of_head);
            IoSlice::advance_slices(&mut slices, written);
        }
        within(self.patience, self.client.flush()).await
    }

    /// Waits until the next piece may leave, and tells how long it may be; `None` is as long as it likes.
    async fn turn(&self) -> Option<u64> {
        let pace = self.pace.as_ref()?;
        let owed = pace.owed();
        if !owed.is_zero() {
            tokio::time::sleep(owed).await;
        }
        Some(pace.piece() as u64)
    }

    fn count(&mut self, length: usize) {
        self.sent += length as u64;
        if let Some(pace) = &mut self.pace {
            pace.count(length);
        }
    }

    /// Some bytes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let writing = async {
            self.client.write_all(bytes).await?;
            self.client.flush().await
        };
        within(self.patience, writing).await
    }
}

/// The client has left while its answer came.
pub(super) fn left() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the client left before its answer was whole")
}

async fn within<T>(patience: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let done = tokio::time::timeout(patience, step).await;
    done.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing"))
    })
}
