//! A stream to an origin, as Pingora's proxy sees it.

mod session;

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::uri::Scheme;
use http::{HeaderMap, Request, StatusCode};
use pingora_core::protocols::http::custom::BodyWrite;
use pingora_error::ErrorType::{H2Error, InternalError};
use pingora_error::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, Lease};
use super::exchange::Exchange;
use super::outflow::{Outflow, Refusal};
use super::{failure, fields};

/// How many 1xx responses an origin may send to one request.
const MAX_INFORMATIONAL: u8 = 32;

/// How long an origin may stand still when the peer does not say.
const STILL: Duration = Duration::from_secs(60);

/// One request to an origin over HTTP/2, and the response to it.
///
/// Dropped before the response has ended, it cancels the stream.
pub struct Session {
    lease: Lease,
    stream: Option<SendRequest<Bytes>>,
    scheme: Scheme,
    outflow: Option<Outflow>,
    exchange: Option<Exchange>,
    response: Option<ResponseFuture>,
    head: Option<ResponseHeader>,
    informational: u8,
    body: Option<RecvStream>,
    read_timeout: Duration,
    write_timeout: Duration,
}

/// Marks a response header behind which nothing comes.
#[derive(Clone, Copy, Debug)]
pub struct Empty;

impl Session {
    pub(super) fn new(lease: Lease, stream: SendRequest<Bytes>, is_tls: bool) -> Self {
        Self {
            lease,
            stream: Some(stream),
            scheme: if is_tls { Scheme::HTTPS } else { Scheme::HTTP },
            outflow: None,
            exchange: None,
            response: None,
            head: None,
            informational: 0,
            body: None,
            read_timeout: STILL,
            write_timeout: STILL,
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        self.lease.connection()
    }

    fn send_request(&mut self, request: &RequestHeader, end: bool) -> Result<()> {
        let Some(mut stream) = self.stream.take() else {
            return Error::e_explain(InternalError, "a second request on one stream");
        };
        let exchange = Exchange::of(request).cloned();
        let mut parts = fields::origin_request(request, self.scheme.clone())?;
        parts.extensions.clear();
        // On another attempt the body may be over already, with only trailers left to send.
        let trailers = exchange.as_ref().filter(|_| end).and_then(Exchange::request_trailers);
        let ends = end && trailers.is_none();
        if ends && fields::content_length(&parts.headers).is_some_and(|length| length > 0) {
            parts.headers.remove(http::header::CONTENT_LENGTH);
        }
        let (response, body) = stream
            .send_request(Request::from_parts(parts, ()), ends)
            .map_err(failure::before_response)?;
        let outflow = if ends { Outflow::ended(body) } else { Outflow::new(body) };
        if let Some(exchange) = &exchange {
            exchange.link(outflow.clone());
        }
        if let Some(trailers) = trailers {
            outflow
                .end(Some(trailers))
                .map_err(|_| Error::explain(H2Error, "sending the request trailers"))?;
        }
        (self.outflow, self.exchange, self.response) = (Some(outflow), exchange, Some(response));
        Ok(())
    }

    fn request_body(&self) -> Option<RequestBody> {
        let (outflow, exchange) = (self.outflow.clone()?, self.exchange.clone());
        Some(RequestBody { outflow, exchange, write_timeout: self.write_timeout })
    }

    /// The next response header: informational ones first, then the final one.
    async fn read_header(&mut self) -> Result<()> {
        let head = self.attended("the origin sent no response header", Self::poll_header).await?;
        let head = head.map_err(failure::before_response)?;
        if head.status.is_informational() {
            self.informational += 1;
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS || self.informational > MAX_INFORMATIONAL
        {
            return Err(failure::invalid_response("status 101, or too many informational ones"));
        }
        let head = self.head.insert(head);
        if self.body.as_ref().is_some_and(RecvStream::is_end_stream) {
            head.extensions_mut().insert(Empty);
        }
        self.note_end();
        Ok(())
    }

    fn poll_header(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHeader, h2::Error>> {
        let Some(response) = &mut self.response else { return Poll::Pending };
        if let Poll::Ready(Some(informational)) = response.poll_informational(cx) {
            return Poll::Ready(
                informational.map(|response| ResponseHeader::from(response.into_parts().0)),
            );
        }
        let (parts, body) = ready!(Pin::new(response).poll(cx))?.into_parts();
        self.response = None;
        self.body = Some(body);
        Poll::Ready(Ok(ResponseHeader::from(parts)))
    }

    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        let data =
            self.attended("the origin sent nothing of its response body", Self::poll_body).await?;
        let data = data.transpose().map_err(failure::within_response)?;
        self.note_end();
        Ok(data)
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let data = ready!(body.poll_data(cx));
        if let Some(Ok(data)) = &data {
            // Fails only for a stream that is gone, which the next read reports.
            let _ = body.flow_control().release_capacity(data.len());
        }
        Poll::Ready(data)
    }

    async fn read_end(&mut self) -> Result<Option<HeaderMap>> {
        let trailers =
            self.attended("the origin sent no end of its response", Self::poll_end).await?;
        let mut trailers = trailers.map_err(failure::within_response)?;
        self.note_end();
        if let Some(trailers) = &mut trailers {
            fields::clean_trailers(trailers);
        }
        Ok(trailers)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>, h2::Error>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(None)) };
        body.poll_trailers(cx)
    }

    /// Reads by `poll` once the client has taken what came before, and minds the clock: the origin must take the request
    /// within the write time-out and must not be silent for the read time-out while the request is still as well.
    async fn attended<T>(
        &mut self,
        overdue: &'static str,
        poll: fn(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Result<T> {
        let mut quiet_since = Instant::now();
        loop {
            let deadline = quiet_since + self.read_timeout;
            let deadline = self.stall_deadline().map_or(deadline, |stall| stall.min(deadline));
            let mut is_held = false;
            let read = std::future::poll_fn(|cx| self.poll_attended(cx, &mut is_held, poll));
            if let Ok(read) = timeout_at(deadline, read).await {
                return Ok(read);
            }
            let now = Instant::now();
            if self.stall_deadline().is_some_and(|deadline| deadline <= now) {
                self.connection().retire();
                return Err(failure::request_stalled());
            }
            let last = self.outflow.as_ref().map_or(quiet_since, Outflow::last_write);
            quiet_since = if is_held { now } else { quiet_since.max(last) };
            if quiet_since + self.read_timeout <= now {
                // The whole connection may hang.
                self.connection().retire();
                return Err(failure::response_overdue(overdue));
            }
        }
    }

    fn poll_attended<T>(
        &mut self,
        cx: &mut Context<'_>,
        is_held: &mut bool,
        poll: fn(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if let Some(outflow) = &self.outflow {
            // Lets an end that is due go out; a failure shows in the response.
            let _ = outflow.poll_flushed(cx);
        }
        *is_held = self
            .exchange
            .as_ref()
            .is_some_and(|exchange| exchange.poll_response_sent(cx).is_pending());
        if *is_held { Poll::Pending } else { poll(self, cx) }
    }

    fn stall_deadline(&self) -> Option<Instant> {
        self.outflow.as_ref()?.deadline(self.write_timeout)
    }

    fn is_response_over(&self) -> bool {
        self.body.as_ref().is_some_and(RecvStream::is_end_stream)
    }

    fn note_end(&self) {
        if let Some(exchange) = self.exchange.as_ref().filter(|_| self.is_response_over()) {
            exchange.answered();
        }
    }

    fn cancel(&self) {
        let Some(outflow) = &self.outflow else { return };
        if !self.is_response_over() || !outflow.is_over() {
            outflow.cancel();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.cancel();
        if let Some(exchange) = &self.exchange {
            exchange.unlink();
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("head", &self.head).finish_non_exhaustive()
    }
}

/// The sending half of a request.
struct RequestBody {
    outflow: Outflow,
    exchange: Option<Exchange>,
    write_timeout: Duration,
}

impl RequestBody {
    async fn write(&self, data: Bytes) -> Result<()> {
        match self.outflow.write(data, self.write_timeout).await {
            // The origin has heard enough: its response, which is read elsewhere, says whether that is an error.
            Ok(()) | Err(Refusal::Closed) => Ok(()),
            Err(Refusal::TimedOut) => Err(failure::request_stalled()),
        }
    }

    fn end(&self) {
        let trailers = self.exchange.as_ref().and_then(Exchange::request_trailers);
        // An origin that has closed the stream is no error, as above.
        let _ = self.outflow.end(trailers);
    }
}

#[async_trait]
impl BodyWrite for RequestBody {
    async fn write_all_buf(&mut self, data: &mut Bytes) -> Result<()> {
        self.write(std::mem::take(data)).await
    }

    async fn finish(&mut self) -> Result<()> {
        self.end();
        Ok(())
    }

    async fn cleanup(&mut self) -> Result<()> {
        Ok(())
    }

    fn upgrade_body_writer(&mut self) {}
}
