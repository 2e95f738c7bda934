//! Phase 6: which endpoint, and how to dial it.

use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;

use super::announce;
use super::context::{Context, Try};
use super::fault::{Fault, Kind};
use crate::adapt;

/// The next endpoint for this request, as a peer to dial.
pub(crate) fn select(head: &RequestHeader, context: &mut Context) -> Result<Box<HttpPeer>, Fault> {
    let snapshot = std::sync::Arc::clone(&context.snapshot);
    let upstream = context.proxy().and_then(|proxy| snapshot.upstream(proxy.upstream));
    let upstream =
        upstream.ok_or_else(|| Fault::ours(Kind::Internal, "the route has no upstream"))?;
    let name = &upstream.plan.name;
    let Some(choice) = upstream.pool.choose(&mut context.attempt) else {
        let reason = format!(
            "upstream `{name}` has no endpoint to try: no name of its endpoints could be resolved"
        );
        return Err(Fault::upstream(Kind::NoEndpoint, reason));
    };
    context.resident.metrics.upstream_tries.add();
    {
        let mut asked = context.asked.lock();
        asked.upstream = Some(name.clone());
        asked.tries.push(Try::at(choice.target.to_string()));
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

/// Whether a try that failed before anything was sent may be followed by another.
pub(crate) fn may_try_again(context: &Context) -> bool {
    let upstream = context.proxy().and_then(|proxy| context.snapshot.upstream(proxy.upstream));
    upstream.is_some_and(|upstream| upstream.pool.has_more(&context.attempt))
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
