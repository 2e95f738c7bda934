//! Who may be asked, as plugins see it.

use std::time::Instant;

use switchback_plugin::Endpoint;

use crate::http::context::Context;
use crate::http::shard;

/// The endpoints of the part that has the request, as they are when a plugin first looks.
pub(super) struct Endpoints(Box<[Seen]>);

struct Seen {
    address: String,
    weight: u32,
    in_flight: u32,
    latency: u64,
    is_ready: bool,
}

impl Endpoints {
    pub(super) fn of(context: &Context) -> Self {
        let Some(group) = shard::group(context.chosen.as_ref()) else { return Self([].into()) };
        let now = Instant::now();
        let looks = (0..).map_while(|index| group.pool.look(index, now));
        let seen = looks.map(|look| Seen {
            address: match look.endpoint.target() {
                Some(target) => target.to_string(),
                None => look.endpoint.address().to_string(),
            },
            weight: look.weight,
            in_flight: look.in_flight,
            latency: look
                .latency
                .map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
            is_ready: look.is_ready,
        });
        Self(seen.collect())
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn at(&self, index: usize) -> Option<Endpoint<'_>> {
        let Seen { address, weight, in_flight, latency, is_ready } = self.0.get(index)?;
        Some(Endpoint {
            address,
            weight: *weight,
            in_flight: *in_flight,
            latency: *latency,
            ready: *is_ready,
        })
    }
}
