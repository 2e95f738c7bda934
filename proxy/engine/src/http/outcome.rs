//! What becomes of each try at an endpoint: the one place where it is told, whichever way the try ends.
//!
//! A request counts as in flight at its endpoint from [`begin`] until [`end`], the next try, or the end of its context.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Instant;

use pingora_error::{Error, ErrorSource, ErrorType};
use switchback_upstream::health::Now;
use switchback_upstream::{Endpoint, InFlight, Outcome, Pool};

use super::context::Context;
use super::fault::{Fault, Kind, Side};
use super::{hedge, overload, shard};
use crate::snapshot::resident::Resident;
use crate::snapshot::shards::Group;
use crate::{h2, health};

/// A try that an endpoint has in hand.
#[derive(Debug)]
pub(crate) struct Trying {
    /// What counts it.
    pub(super) in_flight: InFlight,
    /// Since when the endpoint has had as much of the request as there is.
    since: Instant,
    /// Whether the head of its answer is here.
    is_answered: bool,
}

/// A request goes to an endpoint.
pub(super) fn begin(in_flight: InFlight, now: Instant, context: &mut Context) {
    context.trying = Some(Trying { in_flight, since: now, is_answered: false });
}

/// The endpoint has more of the request's body: how long its client took for that is nothing of the endpoint's.
pub(super) fn was_sent_more(context: &mut Context) {
    if let Some(trying) = context.trying.as_mut().filter(|trying| !trying.is_answered) {
        trying.since = Instant::now();
    }
}

/// The head of an answer is here; who says so twice has waited for a better one.
pub(super) fn answered(status: u16, now: Instant, context: &mut Context) {
    let Some(trying) = &mut context.trying else { return };
    if std::mem::replace(&mut trying.is_answered, true) {
        return;
    }
    let first_byte = now.saturating_duration_since(trying.since);
    tell(Outcome::Answered { status, first_byte }, now, context);
}

/// There was no connection.
pub(super) fn not_connected(error: &Error, context: &mut Context) {
    let outcome = match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Outcome::ConnectTimedOut,
        _ => Outcome::ConnectFailed,
    };
    failed(outcome, context);
}

/// The exchange with the endpoint broke; `reused` is whether its connection had served others before.
pub(super) fn broke(error: &Error, reused: bool, context: &mut Context) {
    let is_theirs = *error.esource() == ErrorSource::Upstream;
    let is_answered = context.trying.as_ref().is_some_and(|trying| trying.is_answered);
    let outcome = match error.etype() {
        // Its answer was told of, and is not passed on.
        kind if context.repeats || [shard::MISSED, hedge::LOST].contains(kind) => {
            return end(context);
        }
        kind if *kind == h2::REFUSED_STREAM => Outcome::Refused,
        _ if !is_theirs => return end(context),
        _ if is_answered => Outcome::Cut,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Outcome::TimedOut,
        // The endpoint may have closed it for want of use.
        _ if reused => Outcome::Stale,
        _ => Outcome::Reset,
    };
    failed(outcome, context);
}

/// The same where the exchange is our own.
pub(super) fn broke_by(fault: &Fault, context: &mut Context) {
    let is_answered = context.trying.as_ref().is_some_and(|trying| trying.is_answered);
    match (fault.side(), fault.kind()) {
        (Side::Upstream, _) if is_answered => failed(Outcome::Cut, context),
        (Side::Upstream, Kind::UpstreamTimeout) => failed(Outcome::TimedOut, context),
        (Side::Upstream, _) => failed(Outcome::Reset, context),
        _ => end(context),
    }
}

/// The endpoint has nothing more to do with the request.
pub(super) fn end(context: &mut Context) {
    context.trying = None;
}

fn failed(outcome: Outcome, context: &mut Context) {
    tell(outcome, Instant::now(), context);
    end(context);
}

/// Tells everybody who learns from outcomes.
fn tell(outcome: Outcome, now: Instant, context: &mut Context) {
    let Some(trying) = &context.trying else { return };
    trying.in_flight.endpoint().load().told(outcome, now);
    judge(outcome, now, context);
    overload::told(outcome, now, context);
}

fn judge(outcome: Outcome, now: Instant, context: &Context) {
    let group = shard::group(context.chosen.as_ref());
    let (Some(trying), Some(Group { pool, .. })) = (&context.trying, group) else { return };
    let upstream = context.upstream().map_or("", |upstream| &upstream.plan.name);
    eject((outcome, now), (pool, trying.in_flight.endpoint()), upstream, &context.resident);
}

/// Tells of a try that is not a request's own: of one that a plugin has made.
pub(in crate::http) fn tell_of(
    outcome: (Outcome, Instant),
    (pool, in_flight): (&Pool, &InFlight),
    upstream: &str,
    resident: &Resident,
) {
    in_flight.endpoint().load().told(outcome.0, outcome.1);
    eject(outcome, (pool, in_flight.endpoint()), upstream, resident);
}

/// Ejects the endpoint, if that was one failure too many.
fn eject(
    (outcome, now): (Outcome, Instant),
    (pool, endpoint): (&Pool, &Arc<Endpoint>),
    upstream: &str,
    resident: &Resident,
) {
    let now = Now { at: now, dice: (chance() >> 32) as u32 };
    if let Some(ejected) = pool.told(endpoint, outcome, now) {
        health::tell_ejected(upstream, pool, ejected, resident);
    }
}

/// Chance for one choice: each thread has a sequence of its own, so that none waits for another.
pub(in crate::http) fn chance() -> u64 {
    thread_local! {
        static SEQUENCE: Cell<u64> = Cell::new(RandomState::new().hash_one(0_u8));
    }
    // The pool mixes it; an odd step visits every number.
    SEQUENCE.with(|sequence| {
        let next = sequence.get().wrapping_add(STEP);
        sequence.set(next);
        next
    })
}

const STEP: u64 = 0xd134_2543_de82_ef95;
