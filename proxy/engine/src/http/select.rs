//! Phase 6: which endpoint, and how to dial it.

use std::time::Instant;

use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use switchback_upstream::{Ask, Nobody};

use super::context::{Context, Try};
use super::fault::{Fault, Kind};
use super::{announce, outcome};
use crate::adapt;

/// The next endpoint for this request, as a peer to dial.
pub(crate) fn select(head: &RequestHeader, context: &mut Context) -> Result<Box<HttpPeer>, Fault> {
    let upstream = context.settle_upstream();
    let upstream =
        upstream.ok_or_else(|| Fault::ours(Kind::Internal, "the route has no upstream"))?;
    let name = &upstream.plan.name;
    // Whoever had it before has it no more.
    outcome::end(context);
    let now = Instant::now();
    let ask = Ask {
        client: context.request.client,
        is_safe: head.method.is_safe(),
        ..Ask::at(now, outcome::chance())
    };
    let choice = upstream.pool.choose(&mut context.attempt, &ask);
    let choice = choice.map_err(|why| nobody(why, name))?;
    outcome::begin(choice.in_flight, now, context);
    context.resident.metrics.upstream_tries.add();
    {
        let mut asked = context.asked.lock();
        asked.upstream = Some(name.clone());
        asked.tries.push(Try::at(choice.target.to_string(), now));
    }
    let template = upstream.peers.get(choice.endpoint);
    let template = template.ok_or_else(|| Fault::ours(Kind::Internal, "endpoint without peer"))?;
    let timeouts = context.route().map(|route| route.timeouts).unwrap_or_default();
    let mut peer = adapt::peer::dial(template, &choice.target, timeouts)?;
    if let Some(send) = &upstream.plan.send_proxy {
        let header = announce::header(send, head, context);
        adapt::announce(&mut peer, header, context.connection.number);
    }
    Ok(peer)
}

/// What it means that there is nobody to choose.
fn nobody(why: Nobody, upstream: &str) -> Fault {
    let reason = match why {
        Nobody::TriesUsed => format!("upstream `{upstream}` was tried as often as it may be"),
        Nobody::NoneLeft => format!(
            "upstream `{upstream}` has no endpoint to try: none is well, or no name could be resolved"
        ),
    };
    Fault::upstream(Kind::NoEndpoint, reason)
}

/// Whether a try that failed before anything was sent may be followed by another.
pub(crate) fn may_try_again(context: &Context) -> bool {
    context
        .upstream()
        .is_some_and(|upstream| upstream.pool.has_more(&context.attempt, Instant::now()))
}

/// Whom a request is sent to after a try that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Nobody.
    No,
    /// Whoever is next, if there is anybody.
    NextEndpoint,
    /// The same endpoint may have it once more.
    SameEndpoint,
}

/// Tries that a request may be refused before it is given up.
const MOST_REFUSALS: usize = 3;

/// What becomes of a request that an endpoint refused to begin with.
pub(crate) fn after_refusal(context: &Context) -> Again {
    if may_try_again(context) {
        Again::NextEndpoint
    } else if context.asked.lock().tries.len() < MOST_REFUSALS {
        Again::SameEndpoint
    } else {
        Again::No
    }
}
