//! What [`on_upstream`](crate::Plugin::on_upstream) is given.

use super::Request;
use crate::exchange::{Endpoint, Exchange, Fact, Refused};

/// Who may be asked.
pub struct Endpoints<'a> {
    pub(super) request: Request<'a>,
}

impl<'a> Endpoints<'a> {
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

    /// Number of the try, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.request.fact(Fact::Attempt).parse().unwrap_or(1)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.request.exchange.endpoint_count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<Endpoint<'_>> {
        self.request.exchange.endpoint(index)
    }

    /// Asks this one, and nobody else in this try.
    ///
    /// # Errors
    ///
    /// [`Refused::Unknown`]
    pub fn choose(&mut self, index: usize) -> Result<(), Refused> {
        self.prefer(&[index])
    }

    /// Asks the first of these that can be asked.
    ///
    /// # Errors
    ///
    /// [`Refused::Unknown`]
    pub fn prefer(&mut self, order: &[usize]) -> Result<(), Refused> {
        self.request.exchange.prefer(order)
    }
}
