//! Who may ask: judged as soon as the route is known.

use http::StatusCode;
use pingora_http::RequestHeader;
use switchback_conf::plan::AccessPlan;

use super::context::Context;
use super::facts::RequestFacts;
use super::fault::{Fault, Kind};

/// What the site says, then what the route says.
pub(crate) fn judge(head: &RequestHeader, context: &Context) -> Result<(), Fault> {
    if let Some(plan) = context.site().and_then(|site| site.access.as_ref()) {
        pass(plan, head, context)?;
    }
    judge_route(head, context)
}

/// What the route says. A request that is led to another route has passed its site already.
pub(crate) fn judge_route(head: &RequestHeader, context: &Context) -> Result<(), Fault> {
    match context.route().and_then(|route| route.access.as_ref()) {
        Some(plan) => pass(plan, head, context),
        None => Ok(()),
    }
}

fn pass(plan: &AccessPlan, head: &RequestHeader, context: &Context) -> Result<(), Fault> {
    if plan.check.passes(&RequestFacts::new(head, context)) {
        return Ok(());
    }
    let kind = match plan.status {
        StatusCode::FORBIDDEN => Kind::Forbidden,
        StatusCode::METHOD_NOT_ALLOWED => Kind::MethodNotAllowed,
        other => Kind::Refused(other),
    };
    let fault = Fault::client(kind, "refused by `access`");
    Err(match &plan.allow {
        Some(methods) => fault.allowing(methods.clone()),
        None => fault,
    })
}
