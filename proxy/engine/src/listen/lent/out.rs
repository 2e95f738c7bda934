//! What a lent stream writes: as it is, or recoded.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

use super::Lent;
use crate::listen::outlet::{Outlet, Timed};
use crate::listen::recoded::Recoded;
use crate::listen::stream::ClientStream;

/// Who takes what is written, what is to be written first, and what it all goes through.
type Ways<'l> = (Timed<'l, ClientStream>, &'l mut BytesMut, Option<&'l mut Recoded>);

impl Lent {
    /// The ways out of a stream that is still here.
    pub(super) fn ways_out(&mut self) -> io::Result<Ways<'_>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let patience = self.outlet.get().map(Outlet::patience);
        let timed = Timed { stream, patience, deadline: &mut self.deadline };
        Ok((timed, &mut self.pending, self.recoded.as_deref_mut()))
    }

    /// Whether what is written is recoded.
    pub(super) fn is_recoding(&mut self) -> bool {
        if self.recoded.is_none()
            && let Some(outlet) = self.outlet.get()
        {
            self.recoded = outlet.taken();
        }
        self.recoded.is_some()
    }

    pub(super) fn recode(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.write_pending(cx))?;
        let (mut client, _, recoded) = self.ways_out()?;
        match recoded {
            Some(recoded) => recoded.poll_write(cx, bytes, Pin::new(&mut client)),
            None => Pin::new(&mut client).poll_write(cx, bytes),
        }
    }

    pub(super) fn write_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (mut client, pending, _) = self.ways_out()?;
        while !pending.is_empty() {
            let written = ready!(Pin::new(&mut client).poll_write(cx, pending))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            pending.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes all that is here, and what comes of it.
    pub(super) fn write_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_pending(cx))?;
        let (mut client, _, Some(recoded)) = self.ways_out()? else { return Poll::Ready(Ok(())) };
        recoded.poll_flush(cx, Pin::new(&mut client))
    }
}
