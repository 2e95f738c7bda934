//! Phase 10: what went wrong, in the log and to the client.

use std::io;

use pingora_error::{Error, ErrorSource, ErrorType};
use pingora_proxy::{FailToProxy, Session};

use super::answer::Answer;
use super::context::Context;
use super::encode::{self, Failed};
use super::fault::{Fault, Kind, Side};
use super::{answer, errors, hedge, inner, shard};

/// Ends a request that cannot be answered as asked: an error page if nothing was sent yet.
pub(crate) async fn fail(
    session: &mut Session,
    error: &Error,
    context: &mut Context,
) -> FailToProxy {
    if let Some(answer) = context.filtering.take_answer()
        && session.response_written().is_none()
    {
        context.fault = None;
        return instead(session, answer, context).await;
    }
    let fault = context.fault.take().unwrap_or_else(|| judge(error));
    let fault = shard::judge(fault, context);
    if context.lane.is_none() || hedge::is_contested(context) {
        // What is left of a copy that fails alone is said by the request.
        log(&fault, context);
    }
    let status = fault.status().as_u16();
    if context.inner {
        // The outer request decides: another route's answer, or the error page.
        context.asked.lock().fault = Some(fault);
        return FailToProxy { error_code: status, can_reuse_downstream: false };
    }
    encode::passing::take_back(session);
    let mut can_reuse_downstream = false;
    if session.response_written().is_none() && fault.kind() != Kind::ClientClosed {
        let is_harmless = is_harmless(&fault, session);
        if !is_harmless {
            // The rest of the request may be unread, or the way to the client broken: the connection ends with this answer.
            session.set_keepalive(None);
        }
        let told = respond(session, fault.clone(), context).await;
        can_reuse_downstream = is_harmless && told == Told::Whole;
    }
    context.fault.get_or_insert(fault);
    FailToProxy { error_code: status, can_reuse_downstream }
}

/// Sends what a plugin answers while an upstream was being asked.
async fn instead(session: &mut Session, answer: Answer, context: &mut Context) -> FailToProxy {
    encode::passing::take_back(session);
    let is_whole = session.downstream_session.is_body_empty();
    if !is_whole {
        // The rest of the request may be unread.
        session.set_keepalive(None);
    }
    let status = answer.head.status().as_u16();
    let sent = answer::send(session, answer, context).await;
    if let Err(error) = &sent {
        let fault = context.fault.take().unwrap_or_else(|| judge(error));
        log(&fault, context);
        if session.response_written().is_none() && !context.inner {
            page(session, &fault, context).await;
        }
        context.fault = Some(fault);
    }
    FailToProxy { error_code: status, can_reuse_downstream: is_whole && sent.is_ok() }
}

/// Whether the connection may go on: a whole request that was refused for what it asks.
fn is_harmless(fault: &Fault, session: &mut Session) -> bool {
    let is_refused = matches!(
        fault.kind(),
        Kind::NotFound | Kind::Forbidden | Kind::MethodNotAllowed | Kind::Refused(_)
    );
    is_refused && session.downstream_session.is_body_empty()
}

/// How much of an answer the client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// All of it.
    Whole,
    /// Not all, or nobody knows.
    Cut,
}

/// Has another route answer, as `errors` say, or tells of the fault on a plain page.
async fn respond(session: &mut Session, mut fault: Fault, context: &mut Context) -> Told {
    // Each turn leads the request elsewhere, which may happen ten times.
    while let Some(replacement) = errors::of_fault(&fault, context) {
        let Err(error) = inner::instead(session, context, replacement).await else {
            return Told::Whole;
        };
        let next = context.fault.take().unwrap_or_else(|| judge(&error));
        log(&next, context);
        if session.response_written().is_some() || next.kind() == Kind::ClientClosed {
            context.fault = Some(next);
            return Told::Cut;
        }
        fault = next;
    }
    let told = page(session, &fault, context).await;
    context.fault = Some(fault);
    told
}

async fn page(session: &mut Session, fault: &Fault, context: &mut Context) -> Told {
    // A plain page has the status of its own fault.
    context.stand_in = None;
    let sent = match answer::fault(fault, context) {
        Ok(page) => answer::send_page(session, page.into(), context).await,
        Err(fault) => Err(context.fail(fault)),
    };
    match sent {
        Ok(()) => Told::Whole,
        Err(error) => {
            tracing::debug!(%error, request = %context.request.id, "the client did not take the error page");
            Told::Cut
        }
    }
}

/// What an error of Pingora's means.
pub(crate) fn judge(error: &Error) -> Fault {
    if let Some(failed) = recoding(error) {
        return failed.clone().into_fault();
    }
    let reason = error.to_string();
    match error.esource() {
        ErrorSource::Upstream => Fault::upstream(upstream_kind(error.etype()), reason),
        ErrorSource::Downstream => Fault::client(client_kind(error), reason),
        ErrorSource::Internal | ErrorSource::Unset => Fault::ours(Kind::Internal, reason),
    }
}

fn upstream_kind(error: &ErrorType) -> Kind {
    match error {
        ErrorType::ConnectTimedout
        | ErrorType::ReadTimedout
        | ErrorType::WriteTimedout
        | ErrorType::TLSHandshakeTimedout => Kind::UpstreamTimeout,
        ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::BindError
        | ErrorType::SocketError => Kind::ConnectFailed,
        ErrorType::InvalidCert | ErrorType::TLSHandshakeFailure | ErrorType::TLSWantX509Lookup => {
            Kind::UpstreamTls
        }
        _ => Kind::BadAnswer,
    }
}

fn client_kind(error: &Error) -> Kind {
    match refusal(error) {
        Some(io::ErrorKind::InvalidData) => return Kind::BadRequest,
        // The client sends its body, or takes its answer, too slowly.
        Some(io::ErrorKind::TimedOut) => return Kind::RequestTimeout,
        _ => {}
    }
    match error.etype() {
        ErrorType::ReadTimedout => Kind::RequestTimeout,
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error | ErrorType::InvalidH2 => {
            Kind::BadRequest
        }
        _ => Kind::ClientClosed,
    }
}

/// Why the client's stream refused to go on, if it did.
fn refusal(error: &Error) -> Option<io::ErrorKind> {
    error.root_cause().downcast_ref::<io::Error>().map(io::Error::kind)
}

/// Why what was to be written to the client could not be made, if that is it.
fn recoding(error: &Error) -> Option<&Failed> {
    let cause = error.root_cause().downcast_ref::<io::Error>()?;
    cause.get_ref()?.downcast_ref()
}

/// Once, where it is handled.
pub(crate) fn log(fault: &Fault, context: &Context) {
    let asked = context.asked.lock();
    let upstream = asked.upstream.as_deref().unwrap_or("-");
    let endpoint = asked.tries.last().map_or("-", |tried| &tried.address);
    let (request, status, reason) = (&*context.request.id, fault.status().as_u16(), fault.reason());
    match fault.side() {
        // There are many of them, and when there are, no time to write.
        _ if fault.kind() == Kind::Overloaded => {
            tracing::debug!(request, status, upstream, "upstream: {reason}");
        }
        Side::Client => tracing::info!(request, status, "client: {reason}"),
        Side::Upstream => tracing::warn!(request, status, upstream, endpoint, "upstream: {reason}"),
        Side::Us => tracing::error!(request, status, "{reason}"),
    }
}
