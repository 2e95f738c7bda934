//! From a judged head to its answer: made here, asked of an upstream over a loan of the stream, or a tunnel.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_http::RequestHeader;
use tokio::io::AsyncWriteExt;

use super::connection::Connection;
use super::head::{Head, Upgrade};
use super::lent::{Lent, linger};
use super::stream::ClientStream;
use super::worker::Worker;
use crate::http::answer::Made;
use crate::http::answer_head::Lines;
use crate::http::cache::ahead::{self, Waiter};
use crate::http::cache::purge;
use crate::http::context::{Context, Sent};
use crate::http::fault::{Fault, Kind};
use crate::http::filter;
use crate::http::local::{self, After};
use crate::http::upgrade::{self, Handshake};
use crate::http::{Entry, answer, finish, name_request, percent, serving};

/// A request being served. It gives the stream back if the connection may go on, with what came after the request.
pub(crate) type Serving = Pin<Box<dyn Future<Output = Option<Returned>> + Send>>;
/// The stream, and bytes that nobody has looked at.
pub(crate) type Returned = (ClientStream, BytesMut);

/// One request, with all that serving it needs.
pub(crate) struct Turn {
    /// Who serves it.
    pub(crate) worker: Arc<Worker>,
    /// What it came on.
    pub(crate) connection: Arc<Connection>,
    /// What was received: its head first.
    pub(crate) received: BytesMut,
}

/// How long the client of a connection that a drain has closed may take to close its end.
const PARTING: Duration = Duration::from_millis(250);

impl Turn {
    /// Ends a connection that waits for a request. What crosses our end is read, so that the client sees an end and no reset.
    pub(crate) fn part(stream: ClientStream) -> Serving {
        Box::pin(async move {
            let _ = tokio::time::timeout(PARTING, linger(stream)).await;
            None
        })
    }

    /// Serves the request that has this head.
    pub(crate) fn serve(mut self, mut stream: ClientStream, head: Head) -> Serving {
        let mut head = self.in_plain(head);
        if head.upgrade == Upgrade::None {
            stream.expect(Arc::clone(&self.connection));
        }
        match head.request.take() {
            Some(request) if head.upgrade == Upgrade::WebSocket => {
                Box::pin(self.upgrade(stream, head, request))
            }
            Some(request) => Box::pin(self.answer(stream, head, request)),
            None => self.lend(stream, &head, None),
        }
    }

    /// Serves streams over HTTP/2, which are requests side by side, until the connection ends.
    pub(crate) fn http2(self, stream: ClientStream) -> Serving {
        Box::pin(async move {
            super::h2::serve(&self.worker, stream, self.received, self.connection).await;
            None
        })
    }

    /// Answers a head that cannot be passed on, and ends the connection.
    pub(crate) fn refuse(self, stream: ClientStream, fault: Fault) -> Serving {
        Box::pin(async move {
            self.refuse_head(stream, first_line(&self.received), &fault).await;
            None
        })
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

    /// Lends the stream to Pingora for one request, with what is known of that.
    fn lend(mut self, stream: ClientStream, head: &Head, known: Option<Box<Context>>) -> Serving {
        let entry = known.map_or_else(|| self.entry(head), Entry::known);
        let ahead = self.received.split_off(head.length);
        let (lent, body) = match Lent::new(stream, head.body, ahead) {
            Ok((lent, body)) => {
                (lent.waiting_to_be_asked(head.expects_continue && body.is_empty()), body)
            }
            Err((stream, malformed)) => {
                let fault = Fault::client(Kind::BadRequest, malformed.to_string());
                if let Some(plain) = &head.plain {
                    self.received = BytesMut::from(&*plain.first_line.whole);
                }
                return self.refuse(stream, fault);
            }
        };
        self.received.unsplit(body);
        let mut session = ServerSession::new_http1(Box::new(lent));
        session.set_pipelined_prefix(self.received);
        let worker = self.worker;
        Box::pin(async move {
            let in_flight = worker.shared.resident.metrics.in_flight.hold();
            let work = worker.proxy.process_new_http(session, &worker.drain);
            let returned = serving(entry, work).await;
            drop(in_flight);
            let lent = returned?.consume().0.into_any().downcast::<Lent>().ok()?;
            lent.into_parts()
        })
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
        let resident = Arc::clone(&shared.resident);
        let context = Context::new(resident, shared.cell.load(), Arc::clone(&self.connection));
        context.fetching_with(&self.worker.fetcher)
    }

    /// Answers without Pingora if no upstream has to be asked; else lends the stream with what is known by then.
    async fn answer(
        mut self,
        mut stream: ClientStream,
        head: Head,
        mut request: Box<RequestHeader>,
    ) -> Option<Returned> {
        let mut context = Box::new(self.context(&head));
        self.connection.count_request();
        let mut made = local::make(&mut request, &mut context);
        self.tell(&mut stream, &mut context).await;
        if let Ok(Made::Cache(mut wanted)) = made {
            let told = wanted.told(&request);
            let patience = self.connection.listener.plan.timeouts.write;
            let mut client = local::Waiting(&mut stream, patience);
            let waiting = local::wait(wanted, &mut request, &mut context);
            let Some(waited) = Box::pin(ahead::attend(waiting, told, &mut client)).await else {
                local::left(&request, &mut context);
                return None;
            };
            made = waited;
        }
        if let Ok(Made::Purge(wanted)) = made {
            made = Box::pin(purge::answer(&wanted, &context)).await.map(Made::Answer);
        }
        let made = match made {
            Ok(Made::Answer(answer)) if filter::may_answer_at_once(&mut context) => {
                local::shown(answer, &request, &mut context).map(Made::Answer)
            }
            made => made,
        };
        let made = match made {
            Ok(Made::Answer(answer)) if filter::may_answer_at_once(&mut context) => Ok(answer),
            Err(fault) if fault.kind() == Kind::BadRequest || !filter::settle(&mut context) => {
                Err(fault)
            }
            // An upstream has to be asked, or plugins have, and Pingora waits better.
            made => {
                context.fault = made.err();
                context.routed = Some(request);
                return self.lend(stream, &head, Some(context)).await;
            }
        };
        self.received.advance(head.length);
        let _in_flight = self.worker.shared.resident.metrics.in_flight.hold();
        let last = self.worker.is_draining()
            || !self.connection.may_go_on()
            || context.snapshot.has_removed_listener_of(&self.connection);
        match local::send(&mut stream, &request, made, &mut context, last).await {
            After::Open => Some((stream, self.received)),
            After::Close if self.received.is_empty() => None,
            After::Close => {
                linger(stream).await;
                None
            }
        }
    }

    /// Tells the client what plugins want it to know before its answer.
    async fn tell(&self, stream: &mut ClientStream, context: &mut Context) {
        let told = context.filtering.take_told();
        if told.is_empty() {
            return;
        }
        let mut client = local::Waiting(stream, self.connection.listener.plan.timeouts.write);
        for interim in told {
            Box::pin(client.tell(interim)).await;
        }
    }

    /// Tunnels, if that is what the route is for; else the request goes the usual way.
    async fn upgrade(
        mut self,
        stream: ClientStream,
        head: Head,
        request: Box<RequestHeader>,
    ) -> Option<Returned> {
        let mut context = self.context(&head);
        let mut request = *request;
        let routed = upgrade::admit(&mut request, &mut context);
        if routed.is_err() || !upgrade::is_tunnel(&context) {
            // It is counted again on the usual way.
            drop(context);
            return self.lend(stream, &head, None).await;
        }
        let client = upgrade::Client::Http1(stream);
        let mut handshake = Handshake { head: request, ahead: BytesMut::new(), client };
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
        finish::record(&unreadable(line), &Lines::Map(&head.headers), &mut context);
        if is_sent {
            linger(stream).await;
        }
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
