//! Phase 9: what the client is told.

use std::time::Instant;

use http::{HeaderName, StatusCode, Version, header};
use pingora_http::{RequestHeader, ResponseHeader};

use super::answer_head::{AnswerHead, Lines};
use super::cache::serve;
use super::context::Context;
use super::facts::RequestFacts;
use super::fault::{Fault, Kind};
use super::rules::Change;
use super::{cookies, hints, outcome, rules, shard, sticky};

/// Makes the head of an upstream's answer into what the client receives.
pub(crate) fn proxied(
    head: &mut ResponseHeader,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<(), Fault> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Fault::upstream(Kind::BadAnswer, "status 101 that nobody asked for"));
    }
    if head.status.is_informational() {
        return Ok(());
    }
    of_its_own_hop(head);
    record(head, context);
    sticky::learn(head, request, context);
    // The version is the hop's own (RFC 9110, 2.5): an HTTP/1.0 origin does not make us one.
    head.set_version(Version::HTTP_11);
    if let Some(fetch) = &context.fetch {
        // What a route says to its clients is for each of them, when they have their answers.
        fetch.judge(head, request, context);
        return Ok(());
    }
    serve::tell_passed(head, context)?;
    apply(head, Whose::Upstream, request, context)?;
    sticky::tell(head, context)
}

/// What the upstream said of its own connection ends here (RFC 9110, 7.6.1).
pub(super) fn of_its_own_hop(head: &mut ResponseHeader) {
    let options =
        head.headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> = options
        .flat_map(|options| options.split(','))
        .filter_map(|option| HeaderName::try_from(option.trim()).ok())
        .filter(|name| !FRAMING.contains(name))
        .collect();
    for name in &named {
        head.remove_header(name);
    }
    head.remove_header(&header::CONNECTION);
    head.remove_header("keep-alive");
    head.remove_header("proxy-connection");
}

/// No `Connection` field may take these away.
const FRAMING: [HeaderName; 2] = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];

/// The same for an answer that agrees to change protocols; its `Connection` and `Upgrade` are what the client waits for.
pub(crate) fn switched(
    head: &mut ResponseHeader,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<(), Fault> {
    record(head, context);
    sticky::learn(head, request, context);
    apply(head, Whose::Upstream, request, context)?;
    sticky::tell(head, context)
}

/// The same for an answer made here, or stored here and the upstream's nevertheless.
pub(crate) fn own(
    head: &mut ResponseHeader,
    request: &RequestHeader,
    context: &mut Context,
) -> pingora_error::Result<()> {
    let whose = if context.is_answered_by_cache() { Whose::Upstream } else { Whose::Ours };
    apply(head, whose, request, context).map_err(|fault| context.fail(fault))
}

/// The same for one that the front door sends, which it leaves as lean as it can.
pub(crate) fn own_lean(
    head: &mut AnswerHead,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<(), Fault> {
    if !is_ruled_alone(head, request, context) {
        return own(head.in_whole()?, request, context)
            .map_err(|error| context.fault.take().unwrap_or_else(|| Fault::internal(error)));
    }
    context.memos.maps.forget_passing();
    let Some(route) = context.route() else { return Ok(()) };
    if route.response_headers.is_empty() {
        return Ok(());
    }
    let lines = Lines::of(head, None);
    let facts = RequestFacts::new(request, context)
        .with_answer(head.status(), &lines)
        .of_upstream_if(context.is_answered_by_cache());
    for change in rules::changes(&route.response_headers, &facts)? {
        match change {
            Change::Remove(name) => head.remove(name)?,
            Change::Replace(name, value) => head.replace(name, value)?,
            Change::Append(name, value) => head.append(name, value)?,
        }
    }
    Ok(())
}

/// Whether there is nothing to be told but what rules for fields say.
fn is_ruled_alone(head: &AnswerHead, request: &RequestHeader, context: &Context) -> bool {
    let rules_cookies = || {
        let rules = context.route().map(|route| &route.response_cookies);
        rules.is_some_and(|rules| !rules.is_empty()) && head.line(&header::SET_COOKIE).is_some()
    };
    !hints::are_wanted(head, context)
        && !(context.is_answered_by_cache()
            && (rules_cookies() || shard::may_tell(request, context)))
}

/// Who made an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Upstream,
    Ours,
}

fn apply(
    head: &mut ResponseHeader,
    whose: Whose,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<(), Fault> {
    // What depends on the answer may have been asked for before there was one.
    context.memos.maps.forget_passing();
    hints::ask(head, context)?;
    if whose == Whose::Upstream {
        shard::tell(head, request, context)?;
    }
    let Some(route) = context.route() else { return Ok(()) };
    let cookie_rules = match whose {
        Whose::Upstream => &*route.response_cookies,
        Whose::Ours => &[],
    };
    if route.response_headers.is_empty() && cookie_rules.is_empty() {
        return Ok(());
    }
    let lines = Lines::Map(&head.headers);
    let facts = RequestFacts::new(request, context)
        .with_answer(head.status, &lines)
        .of_upstream_if(whose == Whose::Upstream);
    let changes = rules::changes(&route.response_headers, &facts)?;
    if let Some(lines) = cookies::changed(cookie_rules, &head.headers, &facts)? {
        head.remove_header(&header::SET_COOKIE);
        for line in lines {
            head.append_header(header::SET_COOKIE, line).map_err(Fault::internal)?;
        }
    }
    rules::apply(head, changes)
}

/// Notes status and time of the upstream's answer.
fn record(head: &ResponseHeader, context: &mut Context) {
    let now = Instant::now();
    outcome::answered(head.status.as_u16(), now, context);
    let mut asked = context.asked.lock();
    asked.current(|tried| {
        tried.status = Some(head.status);
        tried.answered.get_or_insert(now.saturating_duration_since(tried.began));
    });
    if context.snapshot.logs_upstream_headers {
        asked.headers = Some(head.headers.clone());
    }
}
