//! HTTP/2 from clients: each stream is a request, and all of them share the connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::ServerSession;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Connection;
use super::drain;
use super::stream::ClientStream;
use super::worker::Worker;
use crate::h2::{self, Closed, Options};
use crate::http::{Entry, serving};

/// Serves streams until the client leaves or everything drains. `received` was read before the protocol was known.
pub(crate) async fn serve(
    worker: &Arc<Worker>,
    stream: ClientStream,
    received: BytesMut,
    connection: Arc<Connection>,
) {
    let client = Begun { received, stream };
    let options = options(worker, &connection);
    let streams = |session: h2::Session| {
        let (worker, connection) = (Arc::clone(worker), Arc::clone(&connection));
        tokio::spawn(async move {
            let _in_flight = worker.shared.resident.metrics.in_flight.hold();
            let session = ServerSession::new_custom(Box::new(session));
            let work = worker.proxy.process_new_http(session, &worker.drain);
            serving(Entry::New(connection), work).await
        });
    };
    let closed =
        h2::serve(client, &options, Arc::new(Digest::default()), worker.drain.clone(), streams)
            .await;
    if matches!(closed, Closed::Abusive | Closed::Failed | Closed::Handshake) {
        tracing::debug!(peer = ?connection.peer, ?closed, "HTTP/2 connection ended");
    }
}

fn options(worker: &Worker, connection: &Connection) -> Options {
    let listener = &connection.listener.plan;
    let snapshot = worker.shared.cell.load();
    let process = &snapshot.process;
    let header_bytes = listener.limits.headers.saturating_add(listener.limits.target);
    Options {
        max_header_bytes: u32::try_from(header_bytes).unwrap_or(u32::MAX),
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
