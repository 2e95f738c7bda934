//! Other addresses: for the client, and within a site.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use pingora_http::RequestHeader;
use switchback_conf::plan::RedirectPlan;
use switchback_value::Template;

use super::answer::{Answer, Body, blank, insert};
use super::context::Context;
use super::facts::RequestFacts;
use super::fault::Fault;
use super::percent;

/// Sends the client to the address that the route names.
pub(super) fn answer(
    plan: &RedirectPlan,
    head: &RequestHeader,
    context: &Context,
) -> Result<Answer, Fault> {
    let to = percent::in_uri(target(&plan.to, head, context));
    to_address(plan.status, HeaderValue::from_bytes(&to).map_err(Fault::internal)?)
}

/// Sends the client to `address`.
pub(super) fn to_address(status: StatusCode, address: HeaderValue) -> Result<Answer, Fault> {
    let mut head = blank(status)?;
    head.insert_header(header::LOCATION, address).map_err(Fault::internal)?;
    let text = format!("{} {}\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    insert(&mut head, "Content-Type", "text/plain; charset=utf-8")?;
    insert(&mut head, "Content-Length", &text.len().to_string())?;
    Ok(Answer { head: head.into(), body: Body::Whole(Bytes::from(text)) })
}

/// The address that the template renders to.
pub(super) fn target(template: &Template, head: &RequestHeader, context: &Context) -> Vec<u8> {
    let mut target = Vec::with_capacity(128);
    template.render_by(&RequestFacts::new(head, context), &mut target, percent::write_value);
    target
}
