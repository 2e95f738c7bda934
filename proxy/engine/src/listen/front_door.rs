//! Between accept and the phases: one head at a time, within its deadline and strictly framed, then a loan of the stream.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_http::RequestHeader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::connection::Connection;
use super::drain;
use super::head::{self, Head, Parsed, Upgrade};
use super::lent::{Lent, linger};
use super::stream::ClientStream;
use super::worker::{Open, Worker};
use crate::http::answer::Made;
use crate::http::context::{Context, Sent};
use crate::http::fault::{Fault, Kind};
use crate::http::local::{self, After};
use crate::http::upgrade::{self, Handshake};
use crate::http::{
    Entry, access, answer, concurrency, finish, name_request, percent, receive, route, serving,
};

/// The connection preface of HTTP/2 (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long the client of a connection that a drain has closed may take to close its end.
const PARTING: Duration = Duration::from_millis(250);
/// What one read may bring; a head is mostly smaller.
const READ: usize = 4 * 1024;

/// Serves a connection in a task of its own: HTTP/2 where that was agreed on or where the client begins with its preface and
/// the listener speaks it, else HTTP/1.
pub(crate) fn spawn(open: Open, stream: ClientStream, connection: Arc<Connection>, is_h2: bool) {
    tokio::spawn(async move {
        let visit = Visit::new(open.worker(), connection);
        if is_h2 { visit.http2(stream, BytesMut::new()).await } else { visit.http1(stream).await }
    });
}

/// A connection as long as it lasts.
struct Visit<'w> {
    worker: &'w Arc<Worker>,
    connection: Arc<Connection>,
    drain: watch::Receiver<bool>,
    /// Received and not yet used.
    received: BytesMut,
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

/// How the wait for a request ended.
enum Wait {
    Begun,
    Over,
    LetGo,
}

impl<'w> Visit<'w> {
    fn new(worker: &'w Arc<Worker>, connection: Arc<Connection>) -> Self {
        Self { worker, connection, drain: worker.drain.clone(), received: BytesMut::new() }
    }

    /// Request after request, until somebody has had enough.
    async fn http1(mut self, mut stream: ClientStream) {
        loop {
            let mut head = match self.next(&mut stream).await {
                Next::Head(head) => head,
                Next::Preface => {
                    let received = std::mem::take(&mut self.received);
                    return self.http2(stream, received).await;
                }
                Next::Refused(fault) => return self.refuse(stream, &fault).await,
                Next::Closed => return,
                Next::LetGo => {
                    // What crosses our end is read, so that the client sees an end and no reset.
                    let _ = tokio::time::timeout(PARTING, linger(stream)).await;
                    return;
                }
            };
            let served = match head.request.take() {
                Some(request) if head.upgrade == Upgrade::WebSocket => {
                    self.upgrade(stream, head, request).await
                }
                // The state of an answer is on the heap for its time, not in every idle connection.
                Some(request) => Box::pin(self.answer(stream, head, request)).await,
                None => self.lend(stream, head, None).await,
            };
            match served {
                // Also in a drain: that answer has said that there may be another.
                Some(returned) if self.connection.may_go_on() => stream = returned,
                _ => return,
            }
        }
    }

    /// The next head, or why there is none.
    async fn next(&mut self, stream: &mut ClientStream) -> Next {
        if self.received.is_empty() {
            // An idle connection holds no buffer.
            self.received = BytesMut::new();
            match self.first_bytes(stream).await {
                Wait::Begun => {}
                Wait::Over => return Next::Closed,
                Wait::LetGo => return Next::LetGo,
            }
        }
        let deadline = Instant::now() + self.connection.listener.plan.timeouts.header;
        match tokio::time::timeout_at(deadline, self.whole_head(stream)).await {
            Ok(next) => next,
            Err(_) => {
                Next::Refused(Fault::client(Kind::RequestTimeout, "the request head took too long"))
            }
        }
    }

    /// Waits for a request to begin.
    async fn first_bytes(&mut self, stream: &mut ClientStream) -> Wait {
        let timeouts = self.connection.listener.plan.timeouts;
        let patience =
            if self.connection.requests() == 0 { timeouts.header } else { timeouts.keepalive };
        self.received.reserve(READ);
        tokio::select! {
            // What has come by then is served, whatever else is due.
            biased;
            read = stream.read_buf(&mut self.received) => match read {
                Ok(read) if read > 0 => Wait::Begun,
                _ => Wait::Over,
            },
            () = drain::turn(&self.worker.shared, &mut self.drain, &self.connection) => Wait::LetGo,
            () = tokio::time::sleep(patience) => Wait::Over,
        }
    }

    async fn whole_head(&mut self, stream: &mut ClientStream) -> Next {
        let mut seen = 0;
        loop {
            match self.judge(seen) {
                Ok(Some(Next::Head(head))) => return Next::Head(self.in_plain(head)),
                Ok(Some(next)) => return next,
                Ok(None) => seen = self.received.len(),
                Err(fault) => return Next::Refused(fault),
            }
            self.received.reserve(READ);
            match stream.read_buf(&mut self.received).await {
                Ok(read) if read > 0 => {}
                _ => return Next::Closed,
            }
        }
    }

    /// `None` while more bytes are needed. The first `seen` bytes were judged before.
    fn judge(&self, seen: usize) -> Result<Option<Next>, Fault> {
        let listener = &self.connection.listener.plan;
        if listener.h2c && self.connection.tls.is_none() {
            let known = self.received.len().min(PREFACE.len());
            if self.received.get(..known) == PREFACE.get(..known) {
                return Ok((known == PREFACE.len()).then_some(Next::Preface));
            }
        }
        // A head ends with a line. Without a new one there is nothing to parse again: a client that sends byte by byte
        // would have it parsed as often.
        if memchr::memchr(b'\n', self.received.get(seen..).unwrap_or_default()).is_none() {
            return head::within_limits(&self.received, &listener.limits).map(|()| None);
        }
        let has_answers = self.connection.listener.has_answers;
        match head::parse(&self.received, &listener.limits, has_answers)? {
            Parsed::Partial => Ok(None),
            Parsed::Complete(head) => Ok(Some(Next::Head(head))),
        }
    }

    /// Puts the plain form of an unusual head in its place.
    fn in_plain(&mut self, mut head: Head) -> Head {
        if let Some(plain) = &head.plain {
            let rest = self.received.split_off(head.length);
            self.received = BytesMut::from(plain.bytes.as_slice());
            self.received.extend_from_slice(&rest);
            head.length = plain.bytes.len();
        }
        head
    }

    /// Lends the stream to Pingora for one request, with what is known of that. Gives it back if the connection may go on.
    async fn lend(
        &mut self,
        stream: ClientStream,
        head: Head,
        known: Option<Box<Context>>,
    ) -> Option<ClientStream> {
        let entry = known.map_or_else(|| self.entry(&head), Entry::known);
        let mut request = std::mem::take(&mut self.received);
        let ahead = request.split_off(head.length);
        let (lent, body) = match Lent::new(stream, head.body, ahead) {
            Ok(lent) => lent,
            Err((stream, malformed)) => {
                let plain = head.plain.as_ref();
                let line =
                    plain.map_or_else(|| first_line(&request), |plain| &plain.first_line.whole);
                let fault = Fault::client(Kind::BadRequest, malformed.to_string());
                self.refuse_head(stream, line, &fault).await;
                return None;
            }
        };
        request.unsplit(body);
        let mut session = ServerSession::new_http1(Box::new(lent));
        session.set_pipelined_prefix(request);
        let metrics = &self.worker.shared.resident.metrics;
        let in_flight = metrics.in_flight.hold();
        let work = self.worker.proxy.process_new_http(session, &self.drain);
        // Pingora's future is 14 KB: on the heap for the time of a request, not in every idle connection.
        let returned = serving(entry, Box::pin(work)).await;
        drop(in_flight);
        let (stream, _) = returned?.consume();
        let lent = stream.into_any().downcast::<Lent>().ok()?;
        let (stream, rest) = lent.into_parts()?;
        self.received = rest;
        Some(stream)
    }

    /// The request as it came.
    fn entry(&self, head: &Head) -> Entry {
        if head.plain.is_some() {
            return Entry::known(Box::new(self.context(head)));
        }
        Entry::New(Arc::clone(&self.connection))
    }

    /// The beginning of a request that has this head.
    fn context(&self, head: &Head) -> Context {
        let mut context = self.blank();
        context.first_line = head.plain.as_ref().map(|plain| Arc::clone(&plain.first_line));
        context
    }

    /// A request that nothing is known of.
    fn blank(&self) -> Context {
        let shared = &self.worker.shared;
        Context::new(Arc::clone(&shared.resident), shared.cell.load(), Arc::clone(&self.connection))
    }

    /// Answers without Pingora if no upstream has to be asked; else lends the stream with what is known by then.
    async fn answer(
        &mut self,
        mut stream: ClientStream,
        head: Head,
        mut request: Box<RequestHeader>,
    ) -> Option<ClientStream> {
        let mut context = Box::new(self.context(&head));
        self.connection.count_request();
        let made = match local::make(&mut request, &mut context) {
            Ok(Made::Proxy | Made::Own) => {
                context.routed = Some(request);
                return self.lend(stream, head, Some(context)).await;
            }
            Ok(Made::Answer(answer)) => Ok(answer),
            Err(fault) => Err(fault),
        };
        self.received.advance(head.length);
        let _in_flight = self.worker.shared.resident.metrics.in_flight.hold();
        let last = *self.drain.borrow() || !self.connection.may_go_on();
        match local::send(&mut stream, &request, made, &mut context, last).await {
            After::Open => Some(stream),
            After::Close if self.received.is_empty() => None,
            After::Close => {
                linger(stream).await;
                None
            }
        }
    }

    /// Tunnels, if that is what the route is for; else the request goes the usual way.
    async fn upgrade(
        &mut self,
        stream: ClientStream,
        head: Head,
        request: Box<RequestHeader>,
    ) -> Option<ClientStream> {
        let mut context = self.context(&head);
        let mut handshake = Handshake { head: *request, ahead: BytesMut::new(), client: stream };
        let routed = receive::receive(&mut handshake.head, &mut context)
            .and_then(|()| route::route(&handshake.head, &mut context))
            .and_then(|()| access::judge(&handshake.head, &context))
            .and_then(|()| concurrency::enter(&handshake.head, &mut context));
        if routed.is_err() || !upgrade::is_tunnel(&context) {
            // It is counted again on the usual way.
            drop(context);
            return self.lend(handshake.client, head, None).await;
        }
        self.connection.count_request();
        handshake.ahead = std::mem::take(&mut self.received).split_off(head.length);
        let _in_flight = self.worker.shared.resident.metrics.in_flight.hold();
        let work = async {
            name_request(&context.request.id);
            upgrade::run(handshake, &mut context, &self.worker.connector).await;
        };
        Box::pin(serving(Entry::New(Arc::clone(&self.connection)), work)).await;
        None
    }

    /// Answers a head that cannot be passed on, and ends the connection.
    async fn refuse(self, stream: ClientStream, fault: &Fault) {
        let received = self.received.clone();
        self.refuse_head(stream, first_line(&received), fault).await;
    }

    async fn refuse_head(&self, mut stream: ClientStream, line: &[u8], fault: &Fault) {
        let shared = &self.worker.shared;
        shared.resident.metrics.refused_heads.add();
        self.connection.count_request();
        let mut context = self.blank();
        context.request.id = shared.resident.request_ids.next();
        context.request.client = self.connection.peer.map(|peer| peer.ip().to_canonical());
        context.request.is_unreadable = true;
        context.memos.line.value_or(|| line.to_vec());
        tracing::info!(request = &*context.request.id, status = fault.status().as_u16(), peer = ?self.connection.peer, "client: {fault}");
        let Ok(page) = answer::fault(fault, &context) else { return };
        let mut head = page.head;
        // Our own text: it is a valid header.
        let _ = head.insert_header(http::header::CONNECTION, "close");
        context.sent = Sent {
            status: Some(head.status),
            body: page.body.len() as u64,
            head: finish::head_length(&head),
        };
        let bytes = [upgrade::wire(&head).as_slice(), &page.body].concat();
        let patience = self.connection.listener.plan.timeouts.write;
        let sent = tokio::time::timeout(patience, async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        });
        let is_sent = matches!(sent.await, Ok(Ok(())));
        context.fault = Some(fault.clone());
        finish::record(&unreadable(line), Some(&head.headers), &mut context);
        if is_sent {
            linger(stream).await;
        }
    }

    /// HTTP/2, whose streams are requests side by side.
    async fn http2(self, stream: ClientStream, received: BytesMut) {
        super::h2::serve(self.worker, stream, received, self.connection).await;
    }
}

/// As much of a refused head as can be told, for the log.
fn unreadable(line: &[u8]) -> RequestHeader {
    let mut parts = line.split(|byte| *byte == b' ');
    let method = parts
        .next()
        .filter(|method| !method.is_empty())
        .and_then(|method| std::str::from_utf8(method).ok());
    let target = parts.next().filter(|target| target.starts_with(b"/")).unwrap_or(b"/");
    let blank = || RequestHeader::from(http::Request::new(()).into_parts().0);
    let target = percent::in_target(target.to_vec());
    RequestHeader::build(method.unwrap_or("GET"), &target, None).unwrap_or_else(|_| blank())
}

/// What may be a request line, as received.
fn first_line(received: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'\r', b'\n', received).unwrap_or(received.len());
    received.get(..end).unwrap_or_default()
}
