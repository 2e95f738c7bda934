//! Judges HTTP/2 frames before the codec sees them.
//!
//! The codec checks what is allowed; this checks what is too much of it. [`Guarded`] passes a client's bytes through and reads
//! the heads of the frames in them, in both directions: [`frames`] finds them, [`fields`] counts what header blocks would
//! become, [`budget`] says when it is enough. The codec then finds the connection broken, and [`Guarded::dismiss`] says
//! goodbye. Nothing is allocated for a frame.

mod budget;
mod fields;
mod frames;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use h2::Reason;
use switchback_conf::plan::ListenerPlan;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

use budget::Budget;
pub(crate) use budget::Excess;
use frames::{BlockLimits, Inbound, Outbound};

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(100);
/// How many fields more than allowed are let through, so that an honest mistake gets an answer (431).
const FIELDS_OVER: u32 = 2;
/// How many bytes more of encoded header are let through, for the same reason.
const BYTES_OVER: u64 = 2;

/// A client's stream whose frames are judged.
pub(crate) struct Guarded<S> {
    stream: S,
    budget: Budget,
    inbound: Inbound,
    outbound: Outbound,
    excess: Option<Excess>,
    /// For a frame, or the frames of one header block, to be complete.
    patience: Duration,
    /// Set while one is not, and nothing comes.
    overdue: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guarded<S> {
    /// Judges what goes over `stream` by what `listener` allows, from the preface on.
    pub(crate) fn new(stream: S, listener: &ListenerPlan) -> Self {
        let limits = &listener.limits;
        let bytes = limits.headers.saturating_add(limits.target).saturating_mul(BYTES_OVER);
        let block = BlockLimits {
            continuations: listener.http2.continuations,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            // Method, scheme, authority, path and protocol are none that were asked to be counted.
            fields: limits.fields.saturating_mul(FIELDS_OVER).saturating_add(5),
        };
        Self {
            stream,
            budget: Budget::new(listener.http2, Instant::now()),
            inbound: Inbound::new(block),
            outbound: Outbound::default(),
            excess: None,
            patience: listener.timeouts.header,
            overdue: None,
        }
    }

    /// What the client has overdone, if that has ended the connection.
    pub(crate) fn excess(&self) -> Option<Excess> {
        self.excess
    }

    /// Says GOAWAY where that can still be said, and closes. The codec must be gone.
    pub(crate) async fn dismiss(&mut self, reason: Reason) {
        // The client need not take it.
        let _ = timeout(GOODBYE, self.goodbye(reason)).await;
    }

    async fn goodbye(&mut self, reason: Reason) -> io::Result<()> {
        if self.outbound.is_between() {
            let mut frame = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let [.., s3, s2, s1, s0, r3, r2, r1, r0] = &mut frame;
            [*s3, *s2, *s1, *s0] = self.budget.newest().to_be_bytes();
            [*r3, *r2, *r1, *r0] = u32::from(reason).to_be_bytes();
            self.stream.write_all(&frame).await?;
        }
        self.stream.flush().await?;
        self.stream.shutdown().await
    }
}

impl<S> Guarded<S> {
    fn end(&mut self, excess: Excess) -> io::Error {
        self.excess = Some(excess);
        io::ErrorKind::ConnectionAborted.into()
    }

    /// Judges what the codec is about to read.
    fn judge(&mut self, bytes: &[u8]) -> io::Result<()> {
        let now = Instant::now();
        let Self { inbound, budget, .. } = self;
        let judged = inbound.scan(bytes, |frame| budget.received(frame, now));
        judged.map_err(|excess| self.end(excess))
    }

    /// Judges what the codec has written.
    fn judge_sent(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Self { outbound, budget, .. } = self;
        let judged = outbound.scan(bytes, |frame| budget.sent(frame));
        judged.map_err(|excess| self.end(excess))
    }

    /// While a frame or a header block is not complete, it has a deadline.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if !self.inbound.is_within() {
            return Poll::Pending;
        }
        let patience = self.patience;
        let overdue = self.overdue.get_or_insert_with(|| Box::pin(sleep(patience)));
        std::task::ready!(overdue.as_mut().poll(cx));
        Poll::Ready(self.end(Excess::HeaderTime))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.excess.is_some() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                let ended = this.inbound.ended();
                let judged = this.judge(buf.filled().get(before..).unwrap_or_default());
                if this.inbound.ended() != ended {
                    this.overdue = None;
                }
                Poll::Ready(judged)
            }
            Poll::Ready(failed) => Poll::Ready(failed),
            Poll::Pending => this.poll_overdue(cx).map(Err),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.judge_sent(bytes.get(..written).unwrap_or_default())?;
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written =
            std::task::ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        let mut left = written;
        for slice in slices {
            let here = left.min(slice.len());
            self.judge_sent(slice.get(..here).unwrap_or_default())?;
            left -= here;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
