//! What [`on_route`](crate::Plugin::on_route) is given.

use super::Request;
use crate::exchange::{Exchange, Refused};
use crate::steer::Steer;

/// Where the request goes.
pub struct Route<'a> {
    pub(super) request: Request<'a>,
}

impl<'a> Route<'a> {
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

    /// Decides; see [`Steer`].
    ///
    /// # Errors
    ///
    /// [`Refused::Unknown`]
    pub fn steer(&mut self, steer: Steer<'_>) -> Result<(), Refused> {
        self.request.exchange.steer(steer)
    }

    /// Has the upstream of that name answer.
    ///
    /// # Errors
    ///
    /// [`Refused::Unknown`]
    pub fn upstream(&mut self, name: &str) -> Result<(), Refused> {
        self.steer(Steer::Upstream(name))
    }

    /// Has the shard found by `key`.
    ///
    /// # Errors
    ///
    /// [`Refused::NotNow`]
    pub fn shard_key(&mut self, key: impl AsRef<[u8]>) -> Result<(), Refused> {
        self.steer(Steer::ShardKey(key.as_ref()))
    }
}
