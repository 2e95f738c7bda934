//! What is answered instead of errors: which rule applies, and what it makes of the request. Nothing here reads or writes.

use std::sync::Arc;

use http::{HeaderName, Method, StatusCode, header};
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_conf::plan::{
    ActionPlan, ErrorRule, ErrorStatus, ErrorTarget, RespondPlan, find_error_rule,
};

use super::context::{Context, StandIn};
use super::facts::RequestFacts;
use super::fault::{Fault, Kind};
use super::{answer, encode, percent, route};

/// Who answers instead, and how.
#[derive(Clone, Debug)]
pub(crate) struct Replacement {
    target: ErrorTarget,
    /// The status of the answer; `None` is its own.
    status: Option<StatusCode>,
    /// For `Allow`, where the error was about the method.
    allow: Option<Box<str>>,
}

/// Who answers instead of a fault found here. In an answer that stands in already, only the route's own rules that name a
/// route count: a fault there never leads back to where it came from.
pub(crate) fn of_fault(fault: &Fault, context: &Context) -> Option<Replacement> {
    // Nobody is there to be answered.
    let told = Some(fault).filter(|fault| fault.kind() != Kind::ClientClosed)?;
    let mut replacement = replacement(told.status(), context)?;
    replacement.allow = fault.allow().map(Into::into);
    Some(replacement)
}

/// The same by the status alone, as for a fixed answer that is nothing but a status.
pub(crate) fn replacement(status: StatusCode, context: &Context) -> Option<Replacement> {
    if !route::may_turn(context) {
        return None;
    }
    let rule = match context.route() {
        Some(route) if context.stand_in.is_some() => named(route.errors.of_own(status)),
        Some(route) => route.errors.of_fault(status),
        None if context.stand_in.is_some() => None,
        None => find_error_rule(&context.site()?.errors, status),
    };
    rule.map(|rule| Replacement::by(rule, status))
}

/// Who answers instead of an upstream's answer with this status: only the route's own rules count.
pub(crate) fn of_answer(status: StatusCode, context: &Context) -> Option<Replacement> {
    let rule = context.route()?.errors.of_own(status);
    let rule = if context.stand_in.is_some() { named(rule) } else { rule };
    rule.map(|rule| Replacement::by(rule, status))
}

fn named(rule: Option<&ErrorRule>) -> Option<&ErrorRule> {
    rule.filter(|rule| matches!(rule.target, ErrorTarget::Route(_)))
}

/// The fault that a fixed answer is when it says nothing but the status of an error, and there is an answer instead. One that
/// has a body says what it means to say, as with nginx's `return`.
pub(crate) fn of_fixed(plan: &RespondPlan, context: &Context) -> Option<Fault> {
    let is_error = plan.status.is_client_error() || plan.status.is_server_error();
    let is_bare = is_error && plan.body.as_literal() == Some("");
    let is_replaced =
        is_bare && context.stand_in.is_none() && replacement(plan.status, context).is_some();
    is_replaced.then(|| Fault::client(Kind::Refused(plan.status), "answered by `respond`"))
}

/// Whether anything could be answered instead of a fault, so that the means for it must be at hand.
pub(crate) fn may_apply(context: &Context) -> bool {
    match context.route() {
        Some(route) => !route.errors.rules.is_empty(),
        None => context.site().is_some_and(|site| !site.errors.is_empty()),
    }
}

impl Replacement {
    fn by(rule: &ErrorRule, status: StatusCode) -> Self {
        let status = match rule.status {
            ErrorStatus::Kept => Some(status),
            ErrorStatus::Own => None,
            ErrorStatus::Is(status) => Some(status),
        };
        Self { target: rule.target.clone(), status, allow: None }
    }

    /// Whether the request's body is of no use any more.
    pub(crate) fn drops_body(&self) -> bool {
        matches!(self.target, ErrorTarget::Path(_))
    }
}

/// Leads the request to who answers instead.
pub(crate) fn enter(
    replacement: Replacement,
    head: &mut RequestHeader,
    context: &mut Context,
) -> Result<(), Fault> {
    let Replacement { target, status, allow } = replacement;
    if status.is_some() {
        // They were about what was asked for, and a part of a page or no page at all has another status.
        CONDITIONAL.iter().for_each(|name| drop(head.remove_header(name)));
        encode::forget_conditions(context);
    }
    context.stand_in = Some(StandIn { status, allow });
    match target {
        ErrorTarget::Route(id) => {
            let of_route = context.snapshot.route(id).map(|route| &route.action);
            if !matches!(of_route, Some(ActionPlan::Proxy(_) | ActionPlan::Own(_))) {
                // A page is asked for, whatever the method was.
                as_get(head, context);
            }
            route::lead_to(id, head, context)
        }
        ErrorTarget::Path(template) => {
            let mut target = Vec::new();
            template.render_by(
                &RequestFacts::new(head, context),
                &mut target,
                percent::write_value,
            );
            as_get(head, context);
            route::again(head, &target, context)
        }
    }
}

const OF_THE_PAGE: [HeaderName; 3] = [header::ACCEPT_RANGES, header::ETAG, header::LAST_MODIFIED];

const CONDITIONAL: [HeaderName; 6] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
];

/// Makes a request whose body is not passed on into a GET; a HEAD stays one. The head as received is kept for the log.
pub(crate) fn as_get(head: &mut RequestHeader, context: &mut Context) {
    if context.received.is_none() {
        context.received = Some(Arc::new(head.clone()));
    }
    if head.method != Method::HEAD {
        head.set_method(Method::GET);
    }
}

/// Gives an answer that stands in for another the status that it is to have. One that has no body keeps its own.
pub(crate) fn stamp(head: &mut ResponseHeader, context: &Context) -> Result<(), Fault> {
    let Some(stand_in) = &context.stand_in else { return Ok(()) };
    if let Some(status) = stand_in.status.filter(|_| answer::has_body(head.status)) {
        head.set_status(status).map_err(Fault::internal)?;
        if status.is_client_error() || status.is_server_error() {
            // They are of the page, not of what was asked for.
            OF_THE_PAGE.iter().for_each(|name| drop(head.remove_header(name)));
        }
    }
    match &stand_in.allow {
        Some(methods) => head.insert_header(header::ALLOW, &**methods).map_err(Fault::internal),
        None => Ok(()),
    }
}
