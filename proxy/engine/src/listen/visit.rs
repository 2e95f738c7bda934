//! A connection as long as it lasts, as a future written by hand: thousands of them wait for their next request, and nothing
//! but what that takes waits with them. What a request needs is on the heap for its time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

use super::connection::Connection;
use super::front_door::{Serving, Turn};
use super::head::{self, Head, Parsed};
use super::seats::Waits;
use super::stream::ClientStream;
use super::worker::Open;
use crate::http::fault::{Fault, Kind};

/// The connection preface of HTTP/2 (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a connection in a task of its own: HTTP/2 where that was agreed on or where the client begins with its preface and
/// the listener speaks it, else HTTP/1.
pub(crate) fn spawn(open: Open, stream: ClientStream, connection: Arc<Connection>, is_h2: bool) {
    let mut visit = Visit {
        open,
        connection,
        stream: Some(stream),
        waits: Waits::No,
        begun: None,
        serving: None,
    };
    if is_h2 {
        visit.serving = visit.turn(BytesMut::new()).map(|(turn, stream)| turn.http2(stream));
    }
    tokio::spawn(visit);
}

/// Request after request, until somebody has had enough.
struct Visit {
    open: Open,
    connection: Arc<Connection>,
    /// `None` while a request has it.
    stream: Option<ClientStream>,
    /// What was waited for when there was nothing to read.
    waits: Waits,
    begun: Option<Box<Begun>>,
    serving: Option<Serving>,
}

/// What was received of a request. Never empty.
struct Begun {
    received: BytesMut,
    /// How much of it was judged.
    seen: usize,
}

/// What came next on a connection.
enum Next {
    Head(Head),
    Preface,
    Refused(Fault),
    Closed,
    /// A drain has come to this connection.
    LetGo,
}

impl Future for Visit {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let visit = self.get_mut();
        loop {
            if let Some(serving) = &mut visit.serving {
                let returned = ready!(serving.as_mut().poll(cx));
                visit.serving = None;
                let Some((mut stream, rest)) = returned.filter(|_| visit.may_go_on()) else {
                    return Poll::Ready(());
                };
                stream.forget();
                visit.stream = Some(stream);
                visit.waits = Waits::No;
                visit.begun = Begun::with(rest);
            }
            let next = ready!(visit.next(cx));
            visit.serving = visit.serve(next);
            if visit.serving.is_none() {
                return Poll::Ready(());
            }
        }
    }
}

impl Visit {
    fn may_go_on(&self) -> bool {
        // Also in a drain: that answer has said that there may be another request.
        self.connection.may_go_on()
    }

    /// What is done about what came next; `None` if that is the end.
    fn serve(&mut self, next: Next) -> Option<Serving> {
        let received = self.begun.take().map_or_else(BytesMut::new, |begun| begun.received);
        let (turn, stream) = self.turn(received)?;
        stream.seat.rest();
        match next {
            Next::Head(head) => Some(turn.serve(stream, head)),
            Next::Preface => Some(turn.http2(stream)),
            Next::Refused(fault) => Some(turn.refuse(stream, fault)),
            Next::LetGo => Some(Turn::part(stream)),
            Next::Closed => None,
        }
    }

    fn turn(&mut self, received: BytesMut) -> Option<(Turn, ClientStream)> {
        let stream = self.stream.take()?;
        let worker = Arc::clone(self.open.worker());
        Some((Turn { worker, connection: Arc::clone(&self.connection), received }, stream))
    }

    /// The next head, or why there is none.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            match self.judge() {
                Ok(Some(next)) => return Poll::Ready(next),
                Ok(None) => {}
                Err(fault) => return Poll::Ready(Next::Refused(fault)),
            }
            match self.read(cx) {
                Poll::Ready(Ok(read)) if read > 0 => {}
                Poll::Ready(_) => return Poll::Ready(Next::Closed),
                Poll::Pending => return self.wait(cx),
            }
        }
    }

    /// Reads into what the worker has for that, and keeps what came.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(0)) };
        let mut room = self.open.worker().room.lock();
        let mut buf = ReadBuf::new(&mut room);
        ready!(Pin::new(stream).poll_read(cx, &mut buf))?;
        let read = buf.filled();
        match &mut self.begun {
            Some(begun) => begun.received.extend_from_slice(read),
            None => self.begun = Begun::with(BytesMut::from(read)),
        }
        Poll::Ready(Ok(read.len()))
    }

    /// Waits no longer than a client has: for a request to begin, then for all of its head, however it drips.
    fn wait(&mut self, cx: &Context<'_>) -> Poll<Next> {
        let Some(stream) = &self.stream else { return Poll::Ready(Next::Closed) };
        let is_first = self.connection.requests() == 0;
        let waits = match &self.begun {
            Some(_) => Waits::Head,
            None if is_first => Waits::First,
            None => Waits::Idle,
        };
        if waits != self.waits {
            self.waits = waits;
            let timeouts = self.connection.listener.plan.timeouts;
            let patience = match waits {
                Waits::Idle => timeouts.keepalive,
                _ => timeouts.header,
            };
            stream.seat.wait(waits, patience, cx);
            return Poll::Pending;
        }
        match waits {
            _ if !stream.seat.is_over(cx) => Poll::Pending,
            Waits::Head => {
                let late = Fault::client(Kind::RequestTimeout, "the request head took too long");
                Poll::Ready(Next::Refused(late))
            }
            _ if self.open.worker().is_draining() => Poll::Ready(Next::LetGo),
            _ => Poll::Ready(Next::Closed),
        }
    }

    /// `None` while more bytes are needed.
    fn judge(&mut self) -> Result<Option<Next>, Fault> {
        let Some(begun) = &mut self.begun else { return Ok(None) };
        let listener = &self.connection.listener;
        if listener.plan.h2c && self.connection.tls.is_none() {
            let known = begun.received.len().min(PREFACE.len());
            if begun.received.get(..known) == PREFACE.get(..known) {
                return Ok((known == PREFACE.len()).then_some(Next::Preface));
            }
        }
        let limits = &listener.plan.limits;
        // A head ends with a line. Without a new one there is nothing to parse again: a client that sends byte by byte
        // would have it parsed as often.
        let new = begun.received.get(begun.seen..).unwrap_or_default();
        begun.seen = begun.received.len();
        if memchr::memchr(b'\n', new).is_none() {
            return head::within_limits(&begun.received, limits).map(|()| None);
        }
        match head::parse(&begun.received, limits, listener.has_answers)? {
            Parsed::Partial => Ok(None),
            Parsed::Complete(head) => Ok(Some(Next::Head(head))),
        }
    }
}

impl Begun {
    fn with(received: BytesMut) -> Option<Box<Self>> {
        (!received.is_empty()).then(|| Box::new(Self { received, seen: 0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runtime adds about 100 bytes to a task, and gives it 128, 256 or 384 together. A word of this one leads to the place
    /// of a connection that is limited.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Visit>() <= 144, "{}", size_of::<Visit>());
        assert!(size_of::<Connection>() <= 112, "{}", size_of::<Connection>());
    }
}
