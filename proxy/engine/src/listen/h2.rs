//! HTTP/2 from clients: each stream is a request, and all of them share the connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::h2::Reason;
use bytes::{Buf, BytesMut};
use http::StatusCode;
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::custom::server::Session as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Connection;
use super::drain;
use super::h2_guard::{Excess, Guarded};
use super::stream::ClientStream;
use super::worker::Worker;
use crate::h2::{self, Arrival, Bounds, Closed, Options, Refused, Session};
use crate::http::answer::{self, Page};
use crate::http::answer_head::Lines;
use crate::http::fault::{Fault, Kind};
use crate::http::upgrade::{self, Handshake};
use crate::http::{Entry, context, finish, serving};

/// Serves streams until the client leaves or everything drains. `received` was read before the protocol was known.
pub(crate) async fn serve(
    worker: &Arc<Worker>,
    stream: ClientStream,
    received: BytesMut,
    connection: Arc<Connection>,
) {
    let mut client = Guarded::new(Begun { received, stream }, &connection.listener.plan);
    let options = options(worker, &connection);
    let streams = |arrival| begin(worker, &connection, arrival);
    let digest = Arc::new(Digest::default());
    let closed = h2::serve(&mut client, &options, digest, worker.drain.clone(), streams).await;
    let excess = client.excess().or(match closed {
        Closed::Abusive => Some(Excess::Malformed),
        Closed::Stalled => Some(Excess::StalledStreams),
        _ => None,
    });
    if let Some(excess) = excess {
        worker.shared.resident.metrics.h2_excesses.add(excess);
        let reason = excess.name();
        tracing::info!(peer = ?connection.peer, reason, "HTTP/2 connection closed: too much of something");
        client.dismiss(Reason::ENHANCE_YOUR_CALM).await;
    } else if closed == Closed::Idle {
        client.dismiss(Reason::NO_ERROR).await;
    } else if matches!(closed, Closed::Failed | Closed::Handshake) {
        tracing::debug!(peer = ?connection.peer, ?closed, "HTTP/2 connection ended");
    }
}

/// Has a request served by a task of its own, which is small until the request has its turn.
fn begin(worker: &Arc<Worker>, connection: &Arc<Connection>, arrival: Arrival) {
    let (worker, connection) = (Arc::clone(worker), Arc::clone(connection));
    tokio::spawn(async move {
        let _in_flight = worker.shared.resident.metrics.in_flight.hold();
        match arrival {
            Arrival::Refused(session, refused) => {
                Box::pin(refuse(&worker, connection, session, refused)).await;
            }
            Arrival::Request(mut session) => {
                if session.turn().await {
                    Box::pin(serve_stream(&worker, connection, session)).await;
                }
            }
        }
    });
}

async fn serve_stream(worker: &Arc<Worker>, connection: Arc<Connection>, session: Session) {
    if session.protocol().is_some() {
        let work = tunnel(worker, &connection, session);
        return serving(Entry::New(Arc::clone(&connection)), work).await;
    }
    let session = ServerSession::new_custom(Box::new(session));
    let work = worker.proxy.process_new_http(session, &worker.drain);
    drop(serving(Entry::New(connection), work).await);
}

/// Serves an extended CONNECT (RFC 8441): a WebSocket, if the route is for that.
async fn tunnel(worker: &Worker, connection: &Arc<Connection>, session: Session) {
    connection.count_request();
    let mut context = blank(worker, Arc::clone(connection));
    let is_websocket = session.protocol() == Some("websocket");
    let head = session.req_header().clone();
    let client = upgrade::Client::http2(session);
    let mut handshake = Handshake { head, ahead: BytesMut::new(), client };
    let not_here = |reason| Fault::client(Kind::Refused(StatusCode::NOT_IMPLEMENTED), reason);
    let admitted = upgrade::as_get(&mut handshake.head, &context)
        .and_then(|()| upgrade::admit(&mut handshake.head, &mut context))
        .and_then(|()| match is_websocket {
            false => Err(not_here("CONNECT with an unknown `:protocol`")),
            // An answer of another kind would look like an open tunnel.
            true if !upgrade::is_tunnel(&context) => Err(not_here(
                "a WebSocket over HTTP/2 for a route that proxies to no HTTP/1.1 upstream",
            )),
            true => Ok(()),
        });
    match admitted {
        Ok(()) => upgrade::run(handshake, &mut context, &worker.connector).await,
        Err(fault) => {
            upgrade::refuse(&mut handshake, fault, &mut context).await;
            finish::record(&handshake.head, &Lines::None, &mut context);
        }
    }
}

/// A request that nothing is known of.
fn blank(worker: &Worker, connection: Arc<Connection>) -> context::Context {
    let shared = &worker.shared;
    let resident = Arc::clone(&shared.resident);
    let context = context::Context::new(resident, shared.cell.load(), connection);
    context.fetching_with(&worker.fetcher)
}

/// Tells the client why its request goes no further, and logs it as the front door does.
async fn refuse(
    worker: &Worker,
    connection: Arc<Connection>,
    mut session: Session,
    refused: Refused,
) {
    let fault = fault(refused);
    let resident = &worker.shared.resident;
    resident.metrics.refused_heads.add();
    connection.count_request();
    let peer = connection.peer;
    let mut context = blank(worker, connection);
    context.request.id = resident.request_ids.next();
    context.request.client = peer.map(|peer| peer.ip().to_canonical());
    tracing::info!(
        request = &*context.request.id,
        status = fault.status().as_u16(),
        ?peer,
        "client: {fault}"
    );
    let Ok(page) = answer::fault(&fault, &context) else { return };
    context.sent.status = Some(page.head.status);
    let request = session.req_header().clone();
    if refused == Refused::Framing {
        session.refuse();
    } else if let Err(error) = send(&mut session, &page).await {
        tracing::debug!(%error, request = &*context.request.id, "the client did not take the error page");
    } else {
        context.sent.body = page.body.len() as u64;
        context.sent.head = finish::head_length(&page.head);
    }
    context.fault = Some(fault);
    finish::record(&request, &Lines::Map(&page.head.headers), &mut context);
}

fn fault(refused: Refused) -> Fault {
    let (kind, reason) = match refused {
        Refused::Framing => (Kind::BadRequest, "a malformed request"),
        Refused::Authority => (Kind::BadRequest, "no authority, or not a valid one"),
        Refused::Fields => (Kind::HeadersTooLarge, "more headers than `limits.fields`"),
        Refused::Target => (Kind::TargetTooLong, "a target longer than `limits.target`"),
        Refused::Method => (Kind::MethodNotAllowed, "CONNECT"),
    };
    Fault::client(kind, reason)
}

async fn send(session: &mut Session, page: &Page) -> pingora_error::Result<()> {
    session.write_response_header_ref(&page.head, false).await?;
    session.write_body(page.body.clone(), true).await?;
    session.finish().await
}

fn options(worker: &Worker, connection: &Connection) -> Options {
    let listener = &connection.listener.plan;
    let snapshot = worker.shared.cell.load();
    let process = &snapshot.process;
    let (limits, http2) = (&listener.limits, &listener.http2);
    let header_bytes = limits.headers.saturating_add(limits.target);
    Options {
        max_streams: http2.max_streams,
        first_streams: http2.first_streams,
        max_requests: u64::from(limits.keepalive_requests),
        bounds: Bounds {
            fields: limits.fields as usize,
            target: usize::try_from(limits.target).unwrap_or(usize::MAX),
        },
        max_stalled: http2.stalled_streams as usize,
        max_header_bytes: u32::try_from(header_bytes).unwrap_or(u32::MAX),
        max_pending_resets: http2.early_resets as usize,
        handshake_timeout: listener.timeouts.header,
        idle_timeout: listener.timeouts.keepalive,
        drain_delay: drain::share(connection.number, process.drain_spread),
        // The process ends when its own time-out has passed, whatever streams are open.
        drain_timeout: process.shutdown_timeout,
        stream_timeout: listener.timeouts.write,
        ..Options::default()
    }
}

/// A stream of which the first bytes have been read already.
struct Begun {
    received: BytesMut,
    stream: ClientStream,
}

impl AsyncRead for Begun {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.received.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let take = self.received.len().min(buf.remaining());
        buf.put_slice(self.received.get(..take).unwrap_or_default());
        self.received.advance(take);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
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
