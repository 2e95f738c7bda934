//! What hooks of responses are given.

use std::borrow::Cow;

use http::HeaderValue;

use super::{Request, text};
use crate::exchange::{Exchange, Fact, FieldName, Map, Refused, Value};

/// The response, and the request that it answers.
pub struct Response<'a> {
    pub(super) request: Request<'a>,
}

impl<'a> Response<'a> {
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

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.request.fact(Fact::Status).parse().unwrap_or(0)
    }

    /// Changes the status.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`]
    pub fn set_status(&mut self, status: u16) -> Result<(), Refused> {
        self.request.exchange.set_status(status)
    }

    header_methods!(request.exchange, Map::ResponseHeaders);
}
