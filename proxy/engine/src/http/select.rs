//! Phase 6: which endpoint, and how to dial it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::Error;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use switchback_upstream::{Ask, Nobody, Target};

use super::context::{Context, Try};
use super::facts::RequestFacts;
use super::fault::{Fault, Kind};
use super::shard::Chosen;
use super::spill::{self, Why};
use super::{announce, hedge, outcome, overload, shard, sticky};
use crate::adapt;
use crate::snapshot::Upstream;

/// The next endpoint for this request, as a peer to dial.
pub(crate) fn select(head: &RequestHeader, context: &mut Context) -> Result<Box<HttpPeer>, Fault> {
    let snapshot = Arc::clone(&context.snapshot);
    let id = context.upstream_id();
    let upstream = id.and_then(|id| Some((id, snapshot.upstream(id)?)));
    let (id, upstream) =
        upstream.ok_or_else(|| Fault::ours(Kind::Internal, "the route has no upstream"))?;
    // Whoever had it before has it no more.
    outcome::end(context);
    shard::choose(head, (id, upstream), context)?;
    let choice = match choose(head, upstream, context) {
        Ok(choice) => choice,
        // Whoever owns the key is asked at once, as soon as it has room.
        Err((_, fault)) if shard::turn(context) => return Err(fault),
        Err((why, fault)) => {
            let fault = shard::judge(fault, context);
            spill::over(why, context);
            return Err(fault);
        }
    };
    peer(head, upstream, &choice, context)
}

/// Whom the part of the upstream that has the request gives it to; the try has begun.
fn choose(
    head: &RequestHeader,
    upstream: &Upstream,
    context: &mut Context,
) -> Result<Chose, (Why, Fault)> {
    let now = Instant::now();
    let name = &upstream.plan.name;
    let among = shard::among(head, context);
    let key = upstream.plan.balance.key.as_ref().map(|template| {
        let mut key = Vec::new();
        template.render(&RequestFacts::new(head, context), &mut key);
        key
    });
    let group = shard::group(context.chosen.as_ref());
    let no_part = || Fault::ours(Kind::Internal, "no part was chosen");
    let group = group.ok_or_else(|| (Why::Full, no_part()))?;
    let stuck = sticky::asked_for(upstream, group, head, context);
    if let (Some(lane), Some(chosen)) = (&context.lane, &context.chosen) {
        lane.join(chosen, &mut context.attempt);
    }
    let ask = Ask {
        stuck: stuck.endpoint,
        key: key.as_deref(),
        client: context.request.client,
        is_safe: head.method.is_safe(),
        among,
        ..Ask::at(now, outcome::chance())
    };
    let pool = &group.pool;
    let chosen = match spill::instead(pool, now, context) {
        Some(why) => Err(why),
        None => match context.filtering.preferred() {
            Some(order) => pool.choose_first(&order, &mut context.attempt, &ask),
            None => pool.choose(&mut context.attempt, &ask),
        },
    };
    let choice = chosen.map_err(|why| {
        let elsewhere = if why == Nobody::Full { Why::Full } else { Why::Unavailable };
        let fault = match pool.closed_for(ask.among.as_ref(), now) {
            Some(time) => {
                overload::later(format!("every endpoint of upstream `{name}` fails"), time)
            }
            None => nobody(why, name),
        };
        (elsewhere, fault)
    })?;
    let news = sticky::news((upstream, group), choice.endpoint, &stuck, context);
    context.stays_with = news;
    context.resident.metrics.upstream_tries.add();
    {
        let mut asked = context.asked.lock();
        asked.upstream = Some(name.clone());
        let place = context.chosen.as_ref().and_then(Chosen::shard);
        asked.epoch = place.map(|(_, epoch)| epoch);
        let shard = place.map(|(shard, _)| Arc::clone(&shard.name));
        asked.tries.push(Try { shard, ..Try::at(choice.target.to_string(), now) });
    }
    outcome::begin(choice.in_flight, now, context);
    hedge::placed(stuck.endpoint.is_some(), now, context);
    Ok(Chose { endpoint: choice.endpoint, target: choice.target })
}

/// An endpoint of the part that has the request.
struct Chose {
    endpoint: usize,
    target: Target,
}

/// How it is dialled.
fn peer(
    head: &RequestHeader,
    upstream: &Upstream,
    choice: &Chose,
    context: &Context,
) -> Result<Box<HttpPeer>, Fault> {
    let group = shard::group(context.chosen.as_ref());
    let template = group.and_then(|group| group.peers.get(choice.endpoint));
    let template = template.ok_or_else(|| Fault::ours(Kind::Internal, "endpoint without peer"))?;
    let timeouts = context.upstream_timeouts();
    let mut peer = adapt::peer::dial(template, &choice.target, timeouts)?;
    if !upstream.plan.overload.sources.is_empty() {
        adapt::peer::from_source(
            &mut peer,
            &upstream.plan.overload.sources,
            upstream.guard.next_source(),
        );
    }
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
        Nobody::Full => {
            let reason = format!(
                "every endpoint of upstream `{upstream}` has as many requests as it may: `max_connections`"
            );
            return overload::later(reason, Duration::from_secs(1));
        }
        Nobody::NoneLeft => format!(
            "upstream `{upstream}` has no endpoint to try: none is well, or no name could be resolved"
        ),
    };
    Fault::upstream(Kind::NoEndpoint, reason)
}

/// Whether a read that broke before its answer began is asked of the shard that owns its key, where another was asked.
pub(crate) fn reads_elsewhere(session: &Session, context: &mut Context) -> bool {
    let has_begun = session.response_written().is_some();
    !has_begun && !session.as_ref().retry_buffer_truncated() && shard::turn(context)
}

/// Whether a try that failed may be followed by another. While another copy of the request runs, that one is it.
pub(crate) fn may_try_again(context: &Context) -> bool {
    if hedge::is_contested(context) {
        return false;
    }
    let Some(group) = shard::group(context.chosen.as_ref()) else { return false };
    let mut attempt = Cow::Borrowed(&context.attempt);
    if let (Some(lane), Some(chosen)) = (&context.lane, &context.chosen) {
        lane.join(chosen, attempt.to_mut());
    }
    group.pool.has_more(&attempt, Instant::now())
}

/// Whether a request without a connection is tried again.
pub(crate) fn after_connect(error: &Error, context: &mut Context) -> bool {
    if overload::retry::after_connect(error, context) {
        return true;
    }
    let turns = shard::turn(context);
    if turns {
        context.fault = None;
    }
    turns || spills(context)
}

/// Whether a request that nobody could be connected to for goes to where its service spills.
fn spills(context: &mut Context) -> bool {
    // Without a local port, nothing is known of the endpoints.
    let is_theirs = context.fault.is_none() && !may_try_again(context);
    is_theirs && spill::over(Why::Unavailable, context)
}

/// How many addresses of this machine the upstream is reached from.
pub(crate) fn sources(context: &Context) -> usize {
    let upstream = context.upstream();
    upstream.map_or(0, |upstream| upstream.plan.overload.sources.len())
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
