//! What the two sides of one request share.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::HeaderMap;
use parking_lot::Mutex;
use pingora_http::RequestHeader;

use super::fields;
use super::outflow::Outflow;

/// Ties a client's stream to the origin's stream that serves it. It travels in the extensions of the request header,
/// which Pingora clones for every attempt; inner requests are re-parsed from bytes and so never share it.
///
/// Each side reads only while the other side's send queue is empty. Back pressure thus acts where bytes come in, and
/// Pingora's loop, which serves both directions in turn, never stands still in a write.
#[derive(Clone, Debug, Default)]
pub struct Exchange(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    request_trailers: Option<HeaderMap>,
    /// What is to follow the response's body, where Pingora is told of a body alone.
    response_trailers: Option<HeaderMap>,
    /// Where the request body goes. `None` between attempts, and for origins whose sessions do their own waiting.
    request: Option<Outflow>,
    response: Option<Outflow>,
    /// The origin has answered in full.
    answered: bool,
    /// It has then stopped taking the request.
    unwanted: bool,
    /// Where the client's side waits for a change of these.
    waiting: Option<Waker>,
}

/// What the client's side may do about the request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// Read on.
    More,
    /// Nobody wants the rest.
    Nothing,
}

impl Exchange {
    /// The exchange `request` belongs to, if its client came through [`super::Session`].
    #[must_use]
    pub fn of(request: &RequestHeader) -> Option<&Self> {
        request.extensions.get::<Self>()
    }

    /// The client's trailers, once its body has been read to the end.
    #[must_use]
    pub fn request_trailers(&self) -> Option<HeaderMap> {
        self.0.lock().request_trailers.clone()
    }

    pub(super) fn keep_request_trailers(&self, trailers: HeaderMap) {
        self.0.lock().request_trailers = Some(trailers);
    }

    /// Has the end of the response's body followed by these.
    pub(crate) fn keep_response_trailers(&self, mut trailers: HeaderMap) {
        fields::clean_trailers(&mut trailers);
        self.0.lock().response_trailers = Some(trailers);
    }

    pub(super) fn take_response_trailers(&self) -> Option<HeaderMap> {
        self.0.lock().response_trailers.take()
    }

    /// The client's side has begun its response.
    pub(super) fn begin_response(&self, response: Outflow) {
        self.0.lock().response = Some(response);
    }

    /// An attempt has begun.
    pub(super) fn link(&self, request: Outflow) {
        let mut shared = self.0.lock();
        (shared.request, shared.answered, shared.unwanted) = (Some(request), false, false);
        shared.wake();
    }

    /// The attempt is over.
    pub(super) fn unlink(&self) {
        let mut shared = self.0.lock();
        shared.request = None;
        shared.wake();
    }

    /// The origin has answered in full.
    pub(super) fn answered(&self) {
        let mut shared = self.0.lock();
        shared.answered = true;
        shared.wake();
    }

    /// Whether the rest of the request is wanted by nobody.
    pub(super) fn is_unwanted(&self) -> bool {
        self.0.lock().unwanted
    }

    /// Ready when the request body may be read on, or never need be.
    pub(super) fn poll_demand(&self, cx: &mut Context<'_>) -> Poll<Demand> {
        self.0.lock().poll_demand(cx)
    }

    /// Ready when the client's side has sent on what it was given of the response.
    pub(super) fn poll_response_sent(&self, cx: &mut Context<'_>) -> Poll<()> {
        let response = self.0.lock().response.clone();
        match response {
            Some(response) => response.poll_flushed(cx).map(|_| ()),
            None => Poll::Ready(()),
        }
    }
}

impl Shared {
    fn poll_demand(&mut self, cx: &mut Context<'_>) -> Poll<Demand> {
        if self.unwanted {
            return Poll::Ready(Demand::Nothing);
        }
        let Some(request) = &self.request else { return Poll::Ready(Demand::More) };
        let flushed = request.poll_flushed(cx).is_ready();
        let closed = request.is_over() || self.answered && request.poll_reset(cx).is_ready();
        if closed && self.answered {
            self.unwanted = true;
            return Poll::Ready(Demand::Nothing);
        }
        self.waiting = Some(cx.waker().clone());
        // A stream the origin has closed takes nothing more; its response tells what becomes of the request.
        if flushed && !closed { Poll::Ready(Demand::More) } else { Poll::Pending }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}
