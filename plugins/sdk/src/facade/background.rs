//! What [`on_tick`](crate::Plugin::on_tick) is given.

use super::Request;
use crate::exchange::Exchange;

/// Time that has passed, without a request.
pub struct Background<'a> {
    pub(super) request: Request<'a>,
}

impl<'a> Background<'a> {
    pub(crate) fn new(exchange: &'a mut (dyn Exchange + 'a)) -> Self {
        Self { request: Request::new(exchange) }
    }
}
