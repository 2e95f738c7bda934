//! Which tries are followed by another: only where it surely does no harm, and within the budget.

use std::time::{Duration, Instant};

use pingora_error::{Error, ErrorSource, ErrorType};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::guard;
use crate::h2;
use crate::http::cache::query;
use crate::http::context::Context;
use crate::http::fault::{Fault, Kind};
use crate::http::outcome;
use crate::http::select::{self, Again};

/// Why a request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// No connection: nothing was sent.
    Connect,
    /// The endpoint has not begun.
    Refused,
    /// The connection broke before an answer.
    Reset,
    /// No answer in time.
    Timeout,
    /// An answer that says so.
    Status,
    /// The connection had served others before, and was closed for want of use.
    Stale,
}

impl Reason {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Connect, Self::Refused, Self::Reset, Self::Timeout, Self::Status, Self::Stale];

    /// The word for it in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Refused => "refused_stream",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Stale => "stale_connection",
        }
    }
}

/// Whether a request without a connection is tried again, whatever its method: nothing was sent.
pub(crate) fn after_connect(error: &Error, context: &mut Context) -> bool {
    if has_no_port(error) {
        // That is nothing of the endpoint's.
        outcome::end(context);
        context.without_port += 1;
        if let Some(guard) = guard(context) {
            guard.service.counters.no_port.add();
        }
        if context.without_port < select::sources(context) {
            context.attempt.take_back();
            return true;
        }
    } else {
        outcome::not_connected(error, context);
    }
    let is_meant = guarded(context).is_some_and(|rules| rules.connect);
    let again = is_meant && select::may_try_again(context);
    if again {
        count(Reason::Connect, context);
    } else if has_no_port(error) {
        let reason = format!("no local port left: {error}");
        context.fault = Some(Fault::ours(Kind::NoPort, reason).retrying_after(COME_BACK));
    }
    again
}

const COME_BACK: Duration = Duration::from_secs(1);

/// Whether this machine has no port, or not the address, to connect from. Pingora makes it an internal error.
fn has_no_port(error: &Error) -> bool {
    let cause = error.cause.as_deref().and_then(|cause| cause.downcast_ref::<Box<Error>>());
    cause.is_some_and(|cause| *cause.etype() == ErrorType::BindError)
}

/// An answer that is not passed on, because somebody else is asked. The error has Pingora do so.
pub(crate) fn after_answer(
    head: &ResponseHeader,
    session: &Session,
    context: &mut Context,
) -> Option<Box<Error>> {
    let rules = guarded(context)?;
    if !rules.statuses.contains(&head.status) || !may_repeat(session) {
        return None;
    }
    if !take(Reason::Status, context) {
        return None;
    }
    context.repeats = true;
    let status = head.status.as_u16();
    let now = Instant::now();
    outcome::answered(status, now, context);
    context.asked.lock().current(|tried| {
        tried.status = Some(head.status);
        tried.answered = Some(now.saturating_duration_since(tried.began));
    });
    let mut error = Error::explain(ErrorType::HTTPStatus(status), "the endpoint's answer");
    error.as_up();
    Some(error)
}

/// Whom a request goes to after an exchange that broke.
pub(crate) fn after_break(
    error: &mut Error,
    reused: bool,
    session: &Session,
    context: &mut Context,
) -> Again {
    if std::mem::take(&mut context.repeats) {
        return Again::NextEndpoint;
    }
    if session.as_ref().retry_buffer_truncated() || session.response_written().is_some() {
        return Again::No;
    }
    let Some(rules) = guarded(context) else { return Again::No };
    let (refused, reset, timeout) = (rules.refused_stream, rules.reset, rules.timeout);
    if *error.etype() == h2::REFUSED_STREAM {
        // The endpoint said that it has not begun: even a POST may go again.
        let again = if refused { select::after_refusal(context) } else { Again::No };
        if again != Again::No {
            count(Reason::Refused, context);
        }
        return again;
    }
    if !may_repeat(session) {
        return Again::No;
    }
    error.retry.decide_reuse(reused);
    if error.retry() {
        let again = take_for_stale(error, context);
        return if again { Again::SameEndpoint } else { Again::No };
    }
    let is_theirs = *error.esource() == ErrorSource::Upstream;
    let is_answered = context.asked.lock().tries.last().is_none_or(|tried| tried.status.is_some());
    if !is_theirs || is_answered {
        return Again::No;
    }
    let (reason, is_meant) = match error.etype() {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => (Reason::Timeout, timeout),
        ErrorType::ConnectionClosed
        | ErrorType::ReadError
        | ErrorType::WriteError
        | ErrorType::H2Error => (Reason::Reset, reset),
        _ => return Again::No,
    };
    if is_meant && take(reason, context) { Again::NextEndpoint } else { Again::No }
}

/// Whether a request whose connection had served others is sent again. The endpoint closed it for want of use, which is nothing of
/// the service's: that costs nothing, once. Where requests fail otherwise, too, it may well be the service's.
fn take_for_stale(error: &Error, context: &mut Context) -> bool {
    let was_stale = std::mem::replace(&mut context.was_stale, true);
    let is_free = !was_stale && !has_begun(error);
    if let Some(guard) = guard(context).filter(|guard| is_free && guard.service.is_well()) {
        guard.service.counters.retried(Reason::Stale);
        return true;
    }
    take(Reason::Stale, context)
}

/// Whether bytes of an answer are here. Pingora says so in words alone.
fn has_begun(error: &Error) -> bool {
    let text = error.to_string();
    let read = text.split_once("bytes already read: ").map_or("", |(_, read)| read);
    read.bytes().next().is_some_and(|digit| (b'1'..=b'9').contains(&digit))
}

/// Whether a request may reach an endpoint twice, and is still there to be sent.
fn may_repeat(session: &Session) -> bool {
    query::may_be_repeated(&session.req_header().method)
        && !session.as_ref().retry_buffer_truncated()
        && session.response_written().is_none()
}

fn guarded(context: &Context) -> Option<&switchback_conf::plan::RetryPlan> {
    let upstream = context.upstream();
    upstream.map(|upstream| &upstream.plan.overload.retry)
}

/// Takes one more try of the budget, if there is somebody to try, time for it, and something left.
pub(crate) fn take(reason: Reason, context: &Context) -> bool {
    let (Some(guard), Some(rules)) = (guard(context), guarded(context)) else { return false };
    let usual = guard.service.gate.usual().unwrap_or_default();
    let has_more = reason == Reason::Stale || select::may_try_again(context);
    if !has_more || context.started.elapsed() + usual >= rules.within {
        return false;
    }
    let allowed = guard.service.budget.take(guard.budget, Instant::now());
    if allowed {
        count(reason, context);
    } else {
        guard.service.counters.over_budget.add();
    }
    allowed
}

fn count(reason: Reason, context: &Context) {
    let Some(guard) = guard(context) else { return };
    guard.service.counters.retried(reason);
}
