//! Who asks for a tunnel: over HTTP/1.1 all of the connection becomes one, over HTTP/2 a stream.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{StatusCode, header};
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::custom::server::Session as _;
use pingora_http::ResponseHeader;
use tokio::io::{AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::time::timeout;

use super::framing::unchunked;
use super::wire;
use crate::h2;
use crate::http::answer::Page;
use crate::http::fail;
use crate::http::fault::{Fault, Kind};
use crate::listen::chunked::ChunkedScan;
use crate::listen::stream::ClientStream;

/// Bytes in flight in each direction of a tunnel.
const WINDOW: usize = 16 * 1024;

/// The client of a tunnel to be.
pub(crate) enum Client {
    /// It has asked for an upgrade.
    Http1(ClientStream),
    /// It has sent an extended CONNECT; and what its answer's chunks are taken out with, if it has any.
    Http2(Box<h2::Session>, Option<ChunkedScan>),
}

impl Client {
    /// A stream of an HTTP/2 connection.
    pub(crate) fn http2(session: h2::Session) -> Self {
        Self::Http2(Box::new(session), None)
    }

    /// Makes the head of an answer fit for the client.
    pub(super) fn fit<'h>(
        &mut self,
        head: &'h mut ResponseHeader,
    ) -> pingora_error::Result<&'h ResponseHeader> {
        let agrees = head.status == StatusCode::SWITCHING_PROTOCOLS;
        match self {
            // Nothing follows a handshake that failed.
            Self::Http1(_) if !agrees => head.insert_header(header::CONNECTION, "close")?,
            Self::Http1(_) => {}
            // What it agreed to with the upstream's key is nothing to the client (RFC 8441, 5).
            Self::Http2(..) if agrees => {
                head.set_status(StatusCode::OK)?;
                head.remove_header(&header::SEC_WEBSOCKET_ACCEPT);
            }
            Self::Http2(_, scan) => {
                let chunked = head.remove_header(&header::TRANSFER_ENCODING);
                *scan = chunked.map(|_| ChunkedScan::default());
            }
        }
        Ok(head)
    }

    /// Sends the head of an answer; more follows.
    pub(super) async fn send_head(
        &mut self,
        head: &ResponseHeader,
        patience: Duration,
    ) -> Result<(), Fault> {
        match self {
            Self::Http1(stream) => write(stream, &wire(head), patience).await,
            Self::Http2(session, _) => {
                session.set_write_timeout(Some(patience));
                session.write_response_header_ref(head, false).await.map_err(|e| fail::judge(&e))
            }
        }
    }

    /// Sends a piece of an answer's body, and its end if it is the last. Says how much of it was sent.
    pub(super) async fn send_body(
        &mut self,
        piece: BytesMut,
        is_last: bool,
        patience: Duration,
    ) -> Result<u64, Fault> {
        match self {
            Self::Http1(stream) => {
                write(stream, &piece, patience).await?;
                Ok(piece.len() as u64)
            }
            Self::Http2(session, scan) => {
                let data = match scan {
                    Some(scan) => unchunked(scan, &piece).map_err(Fault::internal)?,
                    None => piece,
                };
                let length = data.len() as u64;
                let sent = session.write_body(data.freeze(), is_last).await;
                let sent = if is_last { sent.and(session.finish().await) } else { sent };
                sent.map(|()| length).map_err(|error| fail::judge(&error))
            }
        }
    }

    /// Sends an answer that is whole, and the last.
    pub(super) async fn send_page(
        &mut self,
        mut page: Page,
        patience: Duration,
    ) -> Result<(), Fault> {
        match self {
            Self::Http1(stream) => {
                page.head.insert_header(header::CONNECTION, "close").map_err(Fault::internal)?;
                let bytes = [wire(&page.head).as_slice(), &page.body].concat();
                write(stream, &bytes, patience).await
            }
            Self::Http2(..) => {
                self.send_head(&page.head, patience).await?;
                self.send_body(BytesMut::from(&*page.body), true, patience).await.map(drop)
            }
        }
    }

    /// Copies both ways until both have ended, beginning with what was `ahead` from the client and was `received` from the
    /// upstream. Says how much passed up and down, where that is known.
    pub(super) async fn tunnel(
        &mut self,
        upstream: &mut Stream,
        ahead: Bytes,
        received: Bytes,
    ) -> Option<(u64, u64)> {
        match self {
            Self::Http1(stream) => {
                begin(upstream, &ahead).await.ok()?;
                begin(stream, &received).await.ok()?;
                let copied = copy_bidirectional_with_sizes(stream, upstream, WINDOW, WINDOW).await;
                let (up, down) = copied.ok()?;
                Some((up + ahead.len() as u64, down + received.len() as u64))
            }
            Self::Http2(session, _) => Some(session.tunnel(upstream, received, WINDOW).await),
        }
    }
}

async fn begin(stream: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn write(stream: &mut ClientStream, bytes: &[u8], patience: Duration) -> Result<(), Fault> {
    let gone = |reason: String| Fault::client(Kind::ClientClosed, reason);
    match timeout(patience, begin(stream, bytes)).await {
        Ok(written) => written.map_err(|error| gone(error.to_string())),
        Err(_) => Err(gone("the client takes nothing".to_owned())),
    }
}
