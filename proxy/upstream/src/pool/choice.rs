//! What choosing comes to.

use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::{Endpoint, Target};
use crate::limit::Pass;

/// Whom one try goes to.
#[derive(Debug)]
pub struct Choice {
    /// Position of the endpoint in its pool.
    pub endpoint: usize,
    /// What to dial.
    pub target: Target,
    /// What counts the request at the endpoint.
    pub in_flight: InFlight,
}

/// An endpoint as it looks at some moment.
#[derive(Clone, Copy, Debug)]
pub struct Look<'p> {
    /// Which.
    pub endpoint: &'p Arc<Endpoint>,
    /// Its share of the requests.
    pub weight: u32,
    /// Requests that it has in hand.
    pub in_flight: u32,
    /// Its latency, as the balancer knows it.
    pub latency: Option<Duration>,
    /// Whether the balancer would choose it: of the first tier, well, and with room.
    pub is_ready: bool,
}

/// One request at an endpoint, until it is dropped: whichever way the try ends.
#[derive(Debug)]
pub struct InFlight {
    pub(super) endpoint: Arc<Endpoint>,
    /// How its breaker let it through, if it is asked.
    pub(super) pass: Option<Pass>,
}

impl InFlight {
    /// Where.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// How the endpoint's breaker let it through; `None` where breakers are not asked.
    #[must_use]
    pub fn pass(&self) -> Option<Pass> {
        self.pass
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.endpoint.load().leave();
        if let Some(pass) = self.pass {
            // Of one that told its outcome, the breaker knows already.
            self.endpoint.breaker().forget(pass);
        }
    }
}

/// Why there is no choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nobody {
    /// The request has had all its tries.
    TriesUsed,
    /// Every address was tried, none is well, or no name has been resolved yet.
    NoneLeft,
    /// All that are left have as many requests in flight as they may.
    Full,
}
