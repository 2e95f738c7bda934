//! What is known elsewhere of an answer that goes over a lent stream: that its body is recoded as it is written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Version;
use parking_lot::Mutex;
use pingora_http::ResponseHeader;
use tokio::io::AsyncWrite;
use tokio::time::{Sleep, sleep};

use super::recoded::Recoded;
use crate::http::encode::Drawn;

/// Where a lent stream is told so. Clones tell the same.
#[derive(Clone, Debug)]
pub(crate) struct Outlet(Arc<Told>);

#[derive(Debug)]
struct Told {
    /// What the client speaks.
    version: Version,
    /// How long it may take to take something.
    patience: Duration,
    next: Mutex<Option<Box<Recoded>>>,
}

/// Writes to a client that has to take something in time, where that is minded here.
pub(super) struct Timed<'s, S> {
    pub(super) stream: &'s mut S,
    pub(super) patience: Option<Duration>,
    pub(super) deadline: &'s mut Option<Pin<Box<Sleep>>>,
}

impl Outlet {
    /// Of a client that speaks `version` and may take so long to take something.
    pub(super) fn new(version: Version, patience: Duration) -> Self {
        Self(Arc::new(Told { version, patience, next: Mutex::default() }))
    }

    /// Tells what the body behind `head`, which is written next, is drawn through, if it is.
    pub(crate) fn tell(&self, head: &ResponseHeader) {
        if let Some(drawn) = Drawn::taken(head) {
            *self.0.next.lock() = Some(Box::new(Recoded::new(drawn, self.0.version)));
        }
    }

    /// Takes that back: another answer is written, of which nothing was told.
    pub(crate) fn take_back(&self) {
        drop(self.taken());
    }

    /// What was told last, once.
    pub(super) fn taken(&self) -> Option<Box<Recoded>> {
        self.0.next.lock().take()
    }

    pub(super) fn patience(&self) -> Duration {
        self.0.patience
    }
}

impl<S> Timed<'_, S> {
    fn in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Some(patience) = self.patience else { return polled };
        if polled.is_ready() {
            *self.deadline = None;
            return polled;
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<'_, S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let timed = self.get_mut();
        let polled = Pin::new(&mut *timed.stream).poll_write(cx, bytes);
        timed.in_time(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let timed = self.get_mut();
        let polled = Pin::new(&mut *timed.stream).poll_write_vectored(cx, slices);
        timed.in_time(cx, polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let timed = self.get_mut();
        let polled = Pin::new(&mut *timed.stream).poll_flush(cx);
        timed.in_time(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_shutdown(cx)
    }
}
