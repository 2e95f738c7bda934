//! What hooks of bodies are given.

use bytes::Bytes;

use super::Request;
use crate::exchange::{Exchange, Refused};

/// A piece of a body.
pub struct Body<'a> {
    pub(super) request: Request<'a>,
}

impl<'a> Body<'a> {
    pub(crate) fn new(exchange: &'a mut (dyn Exchange + 'a)) -> Self {
        Self { request: Request::new(exchange) }
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request<'a> {
        &self.request
    }

    /// The request, for its operations and variables.
    pub fn request_mut(&mut self) -> &mut Request<'a> {
        &mut self.request
    }

    /// The piece.
    #[must_use]
    pub fn piece(&self) -> &[u8] {
        self.request.exchange.piece()
    }

    /// Whether it is the last one; it may be empty then.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.request.exchange.is_last_piece()
    }

    /// Sends `piece` instead.
    ///
    /// # Errors
    ///
    /// [`Refused::NotNow`]
    pub fn set(&mut self, piece: impl Into<Bytes>) -> Result<(), Refused> {
        self.request.exchange.set_piece(piece.into())
    }

    /// Has the piece wait for the next one, which begins with it then.
    ///
    /// # Errors
    ///
    /// [`Refused::Full`] when more waits than the proxy keeps; the piece is sent.
    pub fn hold(&mut self) -> Result<(), Refused> {
        self.request.exchange.hold_piece()
    }
}
