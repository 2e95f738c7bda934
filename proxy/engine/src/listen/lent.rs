//! A client's stream while Pingora has it on loan for one request.
//!
//! Pingora takes a boxed stream and gives it back after the answer; in between it may only read what belongs to the
//! request. Bytes of the next request stay here, where the front door finds them again: while Pingora waits for an
//! upstream it probes the client with a one-byte read, and a byte that it got would cost the connection.

use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use http::Version;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType, raw_connect::ProxyDigest,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Sleep;

use super::chunked::{ChunkedScan, Malformed, Scanned};
use super::head::BodyFraming;
use super::outlet::Outlet;
use super::recoded::Recoded;
use super::stream::ClientStream;

mod out;

/// A client's stream on loan, with what it must not give away.
#[derive(Debug)]
pub(crate) struct Lent {
    /// `None` only once it was taken back.
    stream: Option<ClientStream>,
    owed: Owed,
    /// Bytes that came after the request.
    rest: BytesMut,
    /// Head and body of an answer leave in one write.
    pending: BytesMut,
    /// The client has not been asked for the body, and has sent nothing of it: it owes nothing yet.
    is_unasked: bool,
    /// Where it is told that the answer is recoded, once somebody has asked.
    outlet: OnceLock<Outlet>,
    /// The answer, if it is.
    recoded: Option<Box<Recoded>>,
    /// Until when the client has to take something, where that is minded here.
    deadline: Option<Pin<Box<Sleep>>>,
}

/// What of the request has not been read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owed {
    Bytes(u64),
    Chunks(ChunkedScan),
    Nothing,
}

/// The body that a lent stream still owes, as a reader that [`tokio::io::Take`] can be put around.
struct Body<'a>(&'a mut Lent);

impl AsyncRead for Body<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().0.poll_read_body(cx, buf)
    }
}

/// Writes are gathered up to this size, so that a small answer is one system call.
const GATHER: usize = 16 * 1024;
/// The most that is kept of requests sent ahead.
const MOST_REST: usize = 64 * 1024;
/// How long, and how much, a client may go on sending after an answer that did not wait for its body.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 16 * 1024 * 1024;

impl Lent {
    /// Lends `stream` for a request framed as `body`, of which `ahead` has been received after the head.
    ///
    /// Gives back the bytes of `ahead` that belong to the request; the others are kept.
    ///
    /// # Errors
    /// What follows the head is no chunked body; the stream is given back.
    pub(crate) fn new(
        stream: ClientStream,
        body: BodyFraming,
        mut ahead: BytesMut,
    ) -> Result<(Self, BytesMut), (ClientStream, Malformed)> {
        let (owed, mine) = match body {
            BodyFraming::Length(length) => {
                let mine = usize::try_from(length).unwrap_or(usize::MAX).min(ahead.len());
                (Owed::bytes(length - mine as u64), mine)
            }
            BodyFraming::Chunked => {
                let mut scan = ChunkedScan::default();
                match scan.scan(&ahead) {
                    Ok(Scanned::Open) => (Owed::Chunks(scan), ahead.len()),
                    Ok(Scanned::End(end)) => (Owed::Nothing, end),
                    Err(malformed) => return Err((stream, malformed)),
                }
            }
        };
        let rest = ahead.split_off(mine);
        let lent = Self {
            stream: Some(stream),
            owed,
            rest,
            pending: BytesMut::new(),
            is_unasked: false,
            outlet: OnceLock::new(),
            recoded: None,
            deadline: None,
        };
        Ok((lent, ahead))
    }

    /// Whether the client waits for a first word before it sends a body: it takes its time as it likes until then.
    pub(crate) fn waiting_to_be_asked(mut self, is_waiting: bool) -> Self {
        self.is_unasked = is_waiting;
        self
    }

    /// Where it can be told that an answer is recoded. From then on it minds how long the client takes: Pingora knows how much it
    /// writes, and not how much that comes to.
    pub(crate) fn outlet(&self, version: Version, patience: Duration) -> &Outlet {
        self.outlet.get_or_init(|| Outlet::new(version, patience))
    }

    /// The same, where somebody has asked for it before.
    pub(crate) fn told(&self) -> Option<&Outlet> {
        self.outlet.get()
    }

    /// Bytes of the body that are out, where they are others than Pingora has written.
    pub(crate) fn recoded(&self) -> Option<u64> {
        self.recoded.as_ref().map(|recoded| recoded.sent())
    }

    /// Takes the stream back, with the bytes that came after the request, if it may go on.
    pub(crate) fn into_parts(mut self) -> Option<(ClientStream, BytesMut)> {
        if self.recoded.as_ref().is_some_and(|recoded| recoded.closes()) {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        self.stream.take().map(|stream| (stream, rest))
    }

    fn client(&mut self) -> io::Result<&mut ClientStream> {
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn stream(&mut self) -> io::Result<Pin<&mut ClientStream>> {
        self.client().map(Pin::new)
    }

    fn poll_read_body(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_unasked {
            return self.client()?.poll_read_body(cx, buf);
        }
        std::task::ready!(self.stream()?.poll_read(cx, buf))?;
        self.is_unasked = false;
        Poll::Ready(Ok(()))
    }

    /// Reads at most `left` bytes of the body.
    fn read_body(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        left: u64,
    ) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        // Nothing is cleared for what may be a few bytes in 64 KiB of room.
        std::task::ready!(Pin::new(&mut Body(self).take(left)).poll_read(cx, buf))?;
        let read = buf.filled().len() - start;
        self.owed = Owed::bytes(left - read as u64);
        Poll::Ready(Ok(()))
    }

    /// Reads chunks, and keeps what comes after the last one.
    fn read_chunks(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        mut scan: ChunkedScan,
    ) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        std::task::ready!(self.poll_read_body(cx, buf))?;
        let read = buf.filled().get(start..).unwrap_or_default();
        match scan.scan(read).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
            Scanned::Open => self.owed = Owed::Chunks(scan),
            Scanned::End(end) => {
                self.rest.extend_from_slice(read.get(end..).unwrap_or_default());
                buf.set_filled(start + end);
                self.owed = Owed::Nothing;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reports only the end of the stream; bytes of a next request are kept.
    fn watch(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 1024];
        loop {
            if self.rest.len() >= MOST_REST {
                // Nobody is told of more until the answer is out, and then the front door reads on.
                return Poll::Pending;
            }
            let mut buf = ReadBuf::new(&mut scratch);
            std::task::ready!(self.stream()?.poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.rest.extend_from_slice(buf.filled());
        }
    }
}

impl Owed {
    fn bytes(left: u64) -> Self {
        if left == 0 { Self::Nothing } else { Self::Bytes(left) }
    }
}

impl AsyncRead for Lent {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let lent = self.get_mut();
        // Whoever reads has nothing to write for now: an answer that pauses must not wait for its next part.
        if let Poll::Ready(Err(error)) = lent.write_all(cx) {
            return Poll::Ready(Err(error));
        }
        match lent.owed.clone() {
            Owed::Bytes(left) => lent.read_body(cx, buf, left),
            Owed::Chunks(scan) => lent.read_chunks(cx, buf, scan),
            Owed::Nothing => lent.watch(cx),
        }
    }
}

impl AsyncWrite for Lent {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let lent = self.get_mut();
        lent.is_unasked = false;
        if lent.is_recoding() {
            return lent.recode(cx, bytes);
        }
        if lent.pending.len() + bytes.len() <= GATHER {
            lent.pending.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        std::task::ready!(lent.write_pending(cx))?;
        if bytes.len() <= GATHER {
            lent.pending.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut lent.ways_out()?.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let lent = self.get_mut();
        lent.is_unasked = false;
        if lent.is_recoding() {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return lent.recode(cx, first.map_or(&[], |slice| slice));
        }
        if lent.pending.len() + total > GATHER {
            std::task::ready!(lent.write_pending(cx))?;
        }
        if lent.pending.len() + total <= GATHER {
            for slice in slices {
                lent.pending.extend_from_slice(slice);
            }
            return Poll::Ready(Ok(total));
        }
        Pin::new(&mut lent.ways_out()?.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let lent = self.get_mut();
        std::task::ready!(lent.write_all(cx))?;
        Pin::new(&mut lent.ways_out()?.0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let lent = self.get_mut();
        std::task::ready!(lent.write_pending(cx))?;
        lent.stream()?.poll_shutdown(cx)
    }
}

impl Drop for Lent {
    /// A stream that Pingora drops while the client still sends would be reset, and the reset overtakes the answer: such
    /// a stream is read for a little while longer.
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        if self.recoded.as_ref().is_some_and(|recoded| recoded.is_cut()) {
            stream.reset_at_close();
        }
        if self.owed == Owed::Nothing && self.rest.is_empty() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(linger(stream));
        }
    }
}

/// Says that no more will be written, then reads and forgets until the client stops, or patience ends (RFC 9112, 9.6).
pub(crate) async fn linger(mut stream: ClientStream) {
    let drain = async {
        stream.shutdown().await?;
        let mut scratch = vec![0; 16 * 1024];
        let mut left = LINGER_BYTES;
        loop {
            let read = stream.read(&mut scratch).await? as u64;
            left = left.saturating_sub(read);
            if read == 0 || left == 0 {
                return Ok::<(), io::Error>(());
            }
        }
    };
    // Whatever comes of it, the connection ends here.
    let _ = tokio::time::timeout(LINGER, drain).await;
}

#[async_trait]
impl Shutdown for Lent {
    async fn shutdown(&mut self) {
        // The peer may be gone already; there is nobody left to tell.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Lent {
    fn id(&self) -> UniqueIDType {
        self.stream.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }
}

impl Ssl for Lent {}

impl GetTimingDigest for Lent {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Lent {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Lent {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

#[async_trait]
impl Peek for Lent {}
