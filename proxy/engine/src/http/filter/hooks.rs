//! The hooks where a request is with an upstream or has its answer, and what follows from what plugins say there.

use pingora_error::{Error, ErrorType};
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_plugin::Hook;
use switchback_plugin_host::Verdict;

use super::view::{Request, Response};
use super::{Sides, bodies, run, run_now, settle};
use crate::http::answer::Answer;
use crate::http::answer_head::{AnswerHead, Lines};
use crate::http::context::Context;
use crate::http::fault::{Fault, Kind};
use crate::http::{action, errors, shard};

/// What a verdict means: nothing, an answer, or the end.
pub(super) fn judged(verdict: Verdict) -> Result<Option<Answer>, Fault> {
    match verdict {
        Verdict::Continue => Ok(None),
        Verdict::Refuse => {
            Err(Fault::ours(Kind::Internal, "a plugin failed that must not be passed over"))
        }
        Verdict::Answer(answer) => {
            let status = answer.status;
            let is_final = (200..600).contains(&status.as_u16());
            let mut response = http::Response::new(answer.body);
            *response.status_mut() =
                if is_final { status } else { http::StatusCode::INTERNAL_SERVER_ERROR };
            *response.headers_mut() = answer.headers;
            action::whole(response).map(Some)
        }
    }
}

/// Why an exchange with an upstream ends when a plugin answers in its place.
const ANSWERED: ErrorType = ErrorType::Custom("AnsweredByPlugin");

/// Ends an exchange with an upstream where a plugin said so.
pub(super) fn ended(verdict: Verdict, context: &mut Context) -> pingora_error::Result<()> {
    match judged(verdict) {
        Ok(None) => Ok(()),
        Ok(Some(answer)) => {
            context.filtering.answer = Some(Box::new(answer));
            Err(Error::explain(ANSWERED, "a plugin has answered"))
        }
        Err(fault) => Err(context.fail(fault)),
    }
}

/// Asks who may have the next try, if somebody wants to say that.
pub(crate) async fn upstream(head: &RequestHeader, context: &mut Context) -> Result<(), Fault> {
    if !settle(context) || !context.filtering.has(Hook::Upstream) {
        return Ok(());
    }
    shard::choose_for(head, context)?;
    let ran = run(Hook::Upstream, None, context, Sides::of(Request::Fixed(head)), None).await;
    context.filtering.preferred = ran.preferred;
    instead(ran.verdict, context)
}

/// Shows the head that an endpoint is about to be sent.
pub(crate) async fn upstream_request(
    head: &mut RequestHeader,
    context: &mut Context,
) -> pingora_error::Result<()> {
    if !settle(context) {
        return Ok(());
    }
    if context.filtering.has(Hook::UpstreamRequest) {
        let sides = Sides::of(Request::Copy(head));
        let ran = run(Hook::UpstreamRequest, None, context, sides, None).await;
        ended(ran.verdict, context)?;
    }
    if context.filtering.has(Hook::RequestBody) {
        bodies::of_unknown_length(head).map_err(|fault| context.fail(fault))?;
    }
    Ok(())
}

/// The same for a tunnel.
pub(crate) async fn tunnel_request(
    head: &mut RequestHeader,
    context: &mut Context,
) -> Result<(), Fault> {
    if !settle(context) || !context.filtering.has(Hook::UpstreamRequest) {
        return Ok(());
    }
    let sides = Sides::of(Request::Copy(head));
    let ran = run(Hook::UpstreamRequest, None, context, sides, None).await;
    instead(ran.verdict, context)
}

/// The same of what a tunnel is agreed on, or refused, with.
pub(crate) async fn tunnel_response(
    head: &mut ResponseHeader,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<(), Fault> {
    for hook in [Hook::UpstreamResponse, Hook::Response] {
        if settle(context) && context.filtering.has(hook) {
            let sides = Sides::of(Request::Fixed(request)).with(Response::Head(head));
            let ran = run(hook, None, context, sides, None).await;
            context.filtering.has_answered = matches!(ran.verdict, Verdict::Answer(_));
            instead(ran.verdict, context)?;
        }
    }
    Ok(())
}

/// Has a tunnel end where a plugin says so.
fn instead(verdict: Verdict, context: &mut Context) -> Result<(), Fault> {
    match judged(verdict)? {
        None => Ok(()),
        Some(answer) => {
            context.filtering.answer = Some(Box::new(answer));
            Err(Fault::client(Kind::Forbidden, "a plugin has answered"))
        }
    }
}

/// Shows the head that an endpoint has sent.
pub(crate) async fn upstream_response(
    head: &mut ResponseHeader,
    request: &RequestHeader,
    context: &mut Context,
) -> pingora_error::Result<()> {
    if head.status.is_informational()
        || !settle(context)
        || !context.filtering.has(Hook::UpstreamResponse)
    {
        return Ok(());
    }
    let sides = Sides::of(Request::Fixed(request)).with(Response::Head(head));
    let ran = run(Hook::UpstreamResponse, None, context, sides, None).await;
    ended(ran.verdict, context)
}

/// Shows the head that the client is about to be sent, of an upstream's answer.
pub(crate) async fn passing_response(
    head: &mut ResponseHeader,
    request: &RequestHeader,
    context: &mut Context,
) -> pingora_error::Result<()> {
    if head.status.is_informational() || context.fetch.is_some() || !settle(context) {
        return Ok(());
    }
    if context.inner && errors::of_answer(head.status, context).is_some() {
        // Another route answers instead, and has filters of its own.
        context.filtering.give_back();
        return Ok(());
    }
    if context.filtering.has(Hook::Response) {
        let sides = Sides::of(Request::Fixed(request)).with(Response::Head(head));
        let ran = run(Hook::Response, None, context, sides, None).await;
        if !matches!(ran.verdict, Verdict::Continue) {
            context.filtering.has_answered = matches!(ran.verdict, Verdict::Answer(_));
            return ended(ran.verdict, context);
        }
    }
    if context.filtering.has(Hook::ResponseBody) {
        bodies::passing(head, request).map_err(|fault| context.fail(fault))?;
    }
    Ok(())
}

/// The same of an answer that is made or stored here. Returns what is answered instead, if a plugin says so.
pub(crate) async fn own_response(
    head: &mut ResponseHeader,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<Option<Answer>, Fault> {
    if !shows_own(context) {
        return Ok(None);
    }
    let sides = Sides::of(Request::Fixed(request)).with(Response::Head(head));
    let ran = run(Hook::Response, None, context, sides, None).await;
    judged(ran.verdict)
}

/// The same where nobody [waits](super::may_answer_at_once).
pub(crate) fn own_response_at_once(
    head: &mut AnswerHead,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<Option<Answer>, Fault> {
    if !shows_own(context) {
        return Ok(None);
    }
    let sides = Sides::of(Request::Fixed(request)).with(Response::Own(head));
    judged(run_now(Hook::Response, None, context, sides, None).verdict)
}

fn shows_own(context: &mut Context) -> bool {
    let is_for_client = context.fetch.is_none() && !context.filtering.has_answered;
    is_for_client && settle(context) && context.filtering.has(Hook::Response)
}

/// Tells that a request has ended.
pub(crate) fn log(request: &RequestHeader, sent: &Lines<'_>, context: &mut Context) {
    if settle(context) && context.filtering.has(Hook::Log) {
        let sides = Sides::of(Request::Fixed(request)).with(Response::Sent(sent));
        let _ = run_now(Hook::Log, None, context, sides, None);
    }
}
