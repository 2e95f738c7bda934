//! Requests that go to another service because theirs has no room, or is not there.

use std::time::Instant;

use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use switchback_conf::plan::UpstreamId;
use switchback_upstream::{Nobody, Pool};

use super::context::Context;
use super::fault::Fault;
use super::{filter, hedge, overload, select, shard};

/// Which service a request goes to in place of another.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spilt {
    /// The one of its route, and the one that has it.
    from: Option<(UpstreamId, UpstreamId)>,
    /// Whether it is on its way there.
    is_turning: bool,
    /// Whether a connection stood: something of it may have been sent.
    pub(crate) was_connected: bool,
}

/// Why a request goes elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// There is no room.
    Full,
    /// There is nobody.
    Unavailable,
}

impl Spilt {
    /// The service that has what is for `upstream`.
    pub(super) fn instead_of(self, upstream: UpstreamId) -> UpstreamId {
        match self.from {
            Some((from, to)) if from == upstream => to,
            _ => upstream,
        }
    }
}

/// Lets the request in to its service, and finds an endpoint: of that one, or of where it spills to.
pub(super) async fn select(
    session: &mut Session,
    context: &mut Context,
) -> Result<Box<HttpPeer>, Fault> {
    loop {
        // That it was to turn here has been seen to.
        turns(context);
        shard::takes_turn(context);
        overload::enter(session, context).await?;
        filter::upstream(session.req_header(), context).await?;
        match select::select(session.req_header(), context) {
            Err(_) if turns_anywhere(context) => {}
            selected => return selected,
        }
    }
}

/// The same where nobody is counted: for tunnels.
pub(super) async fn select_uncounted(
    head: &RequestHeader,
    context: &mut Context,
) -> Result<Box<HttpPeer>, Fault> {
    loop {
        turns(context);
        shard::takes_turn(context);
        filter::upstream(head, context).await?;
        match select::select(head, context) {
            Err(_) if turns_anywhere(context) => {}
            selected => return selected,
        }
    }
}

/// Why none of these endpoints is asked, although one might be: they have as many requests as is said, or none of them is well.
pub(super) fn instead(pool: &Pool, now: Instant, context: &Context) -> Option<Nobody> {
    let plan = context.upstream()?.plan.spill?;
    if context.attempt.made() > 0 || context.spilt.was_connected {
        return None;
    }
    if plan.at.is_some_and(|most| pool.busy() >= u64::from(most)) {
        return Some(Nobody::Full);
    }
    (plan.unavailable && !pool.is_well(now)).then_some(Nobody::NoneLeft)
}

/// Has the next service have the request, if there is one: not when something of it was sent.
pub(super) fn over(why: Why, context: &mut Context) -> bool {
    let Some(of_route) = context.upstream_of_route() else { return false };
    let Some(upstream) = context.upstream() else { return false };
    let Some(plan) = upstream.plan.spill else { return false };
    if hedge::is_second(context) || hedge::is_contested(context) {
        // The other copy may be answered here.
        return false;
    }
    if context.spilt.was_connected || (why == Why::Unavailable && !plan.unavailable) {
        return false;
    }
    upstream.guard.service.counters.spilt.add();
    context.spilt.from = Some((of_route, plan.to));
    context.spilt.is_turning = true;
    context.permit = None;
    context.chosen = None;
    context.stays_with = None;
    context.attempt = context.attempt.anew();
    true
}

/// Whether the request is on its way to another service, or to another shard of its own, whose limits are others.
fn turns_anywhere(context: &mut Context) -> bool {
    turns(context) || shard::takes_turn(context)
}

/// Whether the request is on its way to another service.
pub(super) fn turns(context: &mut Context) -> bool {
    std::mem::take(&mut context.spilt.is_turning)
}
