//! A client's stream, as Pingora's proxy sees it.

mod drawn;
mod session;
mod tunnel;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Method, Response, StatusCode, header};
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::body_buffer::FixedBuffer;
use pingora_core::protocols::http::date::get_cached_date;
use pingora_error::ErrorType::{H2Error, InternalError, ReadError, WriteError};
use pingora_error::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::{Instant, sleep, timeout_at};

use super::exchange::{Demand, Exchange};
use super::open::Open;
use super::outflow::{Outflow, Refusal};
use super::{failure, fields};
use crate::http::encode::Drawn;

/// What Pingora keeps of a request body for another attempt; its other sessions keep as much.
const REPLAY_LIMIT: usize = 64 * 1024;

/// How many 1xx responses one request may get; further ones are dropped.
const MAX_INFORMATIONAL: u8 = 32;

/// How long a request that was reset before its turn keeps its place among those of its connection.
const GONE: Duration = Duration::from_secs(1);

/// One request of a client over HTTP/2, and the response to it.
///
/// Dropped before its response has ended, it resets the stream: a client never takes a short body for a whole one.
pub struct Session {
    request: RequestHeader,
    body: RecvStream,
    response: SendResponse<Bytes>,
    /// Set once the final header is written.
    outflow: Option<Outflow>,
    exchange: Exchange,
    written: Option<Box<ResponseHeader>>,
    informational: u8,
    /// HEAD, 204 or 304: the header ended the stream.
    is_bodiless: bool,
    /// What the body is drawn through on its way to the client, if it is.
    drawn: Option<Box<Drawn>>,
    /// The content length the client was told.
    promised: Option<u64>,
    body_read: usize,
    body_sent: usize,
    replay: Option<FixedBuffer>,
    digest: Arc<Digest>,
    read_timeout: Duration,
    write_timeout: Duration,
    drain_timeout: Duration,
    /// Tells the connection that this stream is in use.
    open: Open,
}

/// What a session is made of.
pub(super) struct Accepted {
    pub(super) request: RequestHeader,
    pub(super) body: RecvStream,
    pub(super) response: SendResponse<Bytes>,
    pub(super) digest: Arc<Digest>,
    /// For reading, writing and draining alike, until somebody sets another.
    pub(super) timeout: Duration,
    pub(super) open: Open,
}

impl Session {
    pub(super) fn new(accepted: Accepted) -> Self {
        let Accepted { mut request, body, response, digest, timeout, open } = accepted;
        let exchange = Exchange::default();
        request.extensions_mut().insert(exchange.clone());
        Self {
            request,
            body,
            response,
            outflow: None,
            exchange,
            written: None,
            informational: 0,
            is_bodiless: false,
            drawn: None,
            promised: None,
            body_read: 0,
            body_sent: 0,
            replay: None,
            digest,
            read_timeout: timeout,
            write_timeout: timeout,
            drain_timeout: timeout,
            open,
        }
    }

    /// Waits until it may be worked for: a connection's requests are begun as their answers are taken. `false` when the
    /// client has gone before.
    pub async fn turn(&mut self) -> bool {
        let turn = self.open.turn();
        let response = &mut self.response;
        tokio::select! {
            biased;
            _ = std::future::poll_fn(|cx| response.poll_reset(cx)) => {}
            () = turn => return true,
        }
        // Its place is not free at once, else requests could be reset as fast as they are sent.
        sleep(GONE).await;
        false
    }

    /// Turns the request away without an answer, as what is malformed has to be.
    pub fn refuse(mut self) {
        self.reset(Reason::PROTOCOL_ERROR);
    }

    /// The next bytes of the request body; `None` at its end, with the trailers then in the exchange.
    async fn read(&mut self) -> Result<Option<Bytes>> {
        let mut quiet_since = Instant::now();
        loop {
            let deadline = quiet_since + self.read_timeout;
            let deadline = self.stall_deadline().map_or(deadline, |stall| stall.min(deadline));
            let mut is_held = false;
            let read = std::future::poll_fn(|cx| self.poll_read(cx, &mut is_held));
            if let Ok(read) = timeout_at(deadline, read).await {
                return read;
            }
            self.check_stall()?;
            let last = self.outflow.as_ref().map_or(quiet_since, Outflow::last_write);
            let now = Instant::now();
            quiet_since = if is_held { now } else { quiet_since.max(last) };
            if quiet_since + self.read_timeout <= now {
                return Err(failure::request_overdue());
            }
        }
    }

    /// `is_held` tells whether it is the origin that must take something before the client may send more.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        is_held: &mut bool,
    ) -> Poll<Result<Option<Bytes>>> {
        self.drive_response(cx);
        let demand = self.exchange.poll_demand(cx);
        *is_held = demand.is_pending();
        match demand {
            Poll::Ready(Demand::Nothing) => return Poll::Ready(Ok(None)),
            Poll::Ready(Demand::More) => {}
            Poll::Pending => return self.poll_gone(cx).map(Err),
        }
        match std::task::ready!(self.body.poll_data(cx)) {
            Some(Ok(data)) => {
                self.took(&data);
                Poll::Ready(Ok(Some(data)))
            }
            Some(Err(cause)) => {
                Poll::Ready(Err(failure::downstream(ReadError, "reading the request body", cause)))
            }
            None => self.poll_trailers(cx).map_ok(|()| None),
        }
    }

    fn took(&mut self, data: &Bytes) {
        self.body_read += data.len();
        if let Some(replay) = &mut self.replay {
            replay.write_to_buffer(data);
        }
        // Fails only for a stream that is gone, which the next read reports.
        let _ = self.body.flow_control().release_capacity(data.len());
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match std::task::ready!(self.body.poll_trailers(cx)) {
            Ok(Some(mut trailers)) => {
                fields::clean_trailers(&mut trailers);
                self.exchange.keep_request_trailers(trailers);
                Poll::Ready(Ok(()))
            }
            Ok(None) => Poll::Ready(Ok(())),
            Err(cause) => Poll::Ready(Err(failure::downstream(
                ReadError,
                "reading the request trailers",
                cause,
            ))),
        }
    }

    /// Waits until the client gives up, which is an error, or takes too long to read what waits for it.
    async fn idle(&mut self) -> Box<Error> {
        loop {
            let deadline = self.stall_deadline();
            let gone = std::future::poll_fn(|cx| {
                self.drive_response(cx);
                self.poll_gone(cx)
            });
            let Some(deadline) = deadline else { return gone.await };
            if let Ok(error) = timeout_at(deadline, gone).await {
                return error;
            }
            if let Err(error) = self.check_stall() {
                return error;
            }
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Box<Error>> {
        let reset = match &self.outflow {
            Some(outflow) => outflow.poll_reset(cx),
            None => self.response.poll_reset(cx),
        };
        reset.map(|reset| match reset {
            Ok(reason) => Error::explain(H2Error, format!("the client reset its stream: {reason}"))
                .into_down(),
            Err(cause) => failure::downstream(H2Error, "waiting for the client", cause),
        })
    }

    /// Lets an end that is due go out; a failure shows where the stream is next used.
    fn drive_response(&self, cx: &mut Context<'_>) {
        if let Some(outflow) = &self.outflow {
            let _ = outflow.poll_flushed(cx);
        }
    }

    fn stall_deadline(&self) -> Option<Instant> {
        self.outflow.as_ref()?.deadline(self.write_timeout)
    }

    fn check_stall(&self) -> Result<()> {
        match self.stall_deadline() {
            Some(deadline) if deadline <= Instant::now() => Err(self.give_up(Refusal::TimedOut)),
            _ => Ok(()),
        }
    }

    /// Resets the stream, so that an origin whose response goes on, into the cache, is not held back for ever.
    fn give_up(&self, refusal: Refusal) -> Box<Error> {
        if let Some(outflow) = self.outflow.as_ref().filter(|outflow| !outflow.is_over()) {
            if refusal == Refusal::TimedOut {
                self.open.stalled();
            }
            outflow.reset(Reason::CANCEL);
        }
        failure::response_refused(refusal)
    }

    fn write_header(&mut self, mut response: Box<ResponseHeader>, end: bool) -> Result<()> {
        if response.status.is_informational() {
            return self.write_informational(&response);
        }
        if self.outflow.is_some() {
            return Ok(());
        }
        // Who made the response knows when (RFC 9110, 6.6.1).
        if !response.headers.contains_key(header::DATE) {
            response.insert_header(header::DATE, get_cached_date())?;
        }
        fields::clean_response(&mut response);
        self.is_bodiless = self.request.method == Method::HEAD
            || matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        self.promised = fields::content_length(&response.headers);
        self.drawn = Drawn::taken(&response);
        let ends = self.is_bodiless || end && self.is_complete();
        let head = Response::from_parts(response.as_owned_parts(), ());
        let stream = self.response.send_response(head, ends).map_err(|cause| {
            failure::downstream(WriteError, "writing the response header", cause)
        })?;
        let outflow = if ends {
            Outflow::ended(stream)
        } else {
            Outflow::accounted(stream, Some(self.open.ledger()))
        };
        self.exchange.begin_response(outflow.clone());
        self.outflow = Some(outflow);
        self.written = Some(response);
        if end && !ends { self.end(None) } else { Ok(()) }
    }

    fn write_informational(&mut self, response: &ResponseHeader) -> Result<()> {
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            return Error::e_explain(InternalError, "HTTP/2 has no upgrade")
                .map_err(|e: Box<Error>| e.into_in());
        }
        if self.outflow.is_some() || self.informational >= MAX_INFORMATIONAL {
            return Ok(());
        }
        self.informational += 1;
        let mut response = response.clone();
        fields::clean_response(&mut response);
        self.response
            .send_informational(Response::from_parts(response.as_owned_parts(), ()))
            .map_err(|cause| {
                failure::downstream(WriteError, "writing an informational response", cause)
            })
    }

    async fn write(&mut self, data: Bytes, end: bool) -> Result<()> {
        if self.is_bodiless {
            return Ok(());
        }
        if self.drawn.is_some() {
            return self.draw(data, end).await;
        }
        self.send(data, end).await
    }

    async fn send(&mut self, data: Bytes, end: bool) -> Result<()> {
        let Some(outflow) = self.outflow.clone() else {
            return Error::e_explain(InternalError, "a response body before its header");
        };
        self.body_sent += data.len();
        let trailers = if end { self.exchange.take_response_trailers() } else { None };
        let written = if end && trailers.is_none() && self.is_complete() {
            outflow.write_last(data, self.write_timeout).await
        } else {
            outflow.write(data, self.write_timeout).await
        };
        written.map_err(|refusal| self.give_up(refusal))?;
        if end { self.end(trailers) } else { Ok(()) }
    }

    /// Ends the response; one that is shorter or longer than promised is reset instead.
    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<()> {
        let Some(outflow) = &self.outflow else { return Ok(()) };
        if !self.is_complete() && !outflow.is_over() {
            outflow.reset(Reason::INTERNAL_ERROR);
            return Error::e_explain(InternalError, "the response body is not as long as promised");
        }
        outflow.end(trailers).map_err(failure::response_refused)
    }

    /// Ends the response and waits until the client has room for all of it.
    async fn finish_response(&mut self) -> Result<()> {
        self.end_drawn().await?;
        self.end(None)?;
        let Some(outflow) = &self.outflow else { return Ok(()) };
        let flushed = outflow.flushed(self.write_timeout).await;
        flushed.map_err(|refusal| self.give_up(refusal))
    }

    fn is_complete(&self) -> bool {
        self.is_bodiless || self.promised.is_none_or(|promised| promised == self.body_sent as u64)
    }

    fn is_request_empty(&self) -> bool {
        let says_empty =
            || self.request.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
        self.body_read == 0 && (self.body.is_end_stream() || says_empty())
    }

    fn is_request_read(&self) -> bool {
        self.is_request_empty() || self.body.is_end_stream() || self.exchange.is_unwanted()
    }

    fn reset(&mut self, reason: Reason) {
        match &self.outflow {
            Some(outflow) => outflow.reset(reason),
            None => self.response.send_reset(reason),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let is_out = self.outflow.as_ref().is_some_and(Outflow::is_whole);
        if is_out && self.is_complete() {
            self.open.answered();
        }
        self.reset(Reason::INTERNAL_ERROR);
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("request", &self.request)
            .field("written", &self.written)
            .field("body_read", &self.body_read)
            .field("body_sent", &self.body_sent)
            .finish_non_exhaustive()
    }
}
