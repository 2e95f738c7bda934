//! Phase 4: answers made here.

use bytes::Bytes;
use http::{Method, StatusCode, header};
use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use switchback_conf::plan::RespondPlan;

use super::context::Context;
use super::facts::RequestFacts;
use super::fault::Fault;
use super::{reply, rules};

/// An answer that is whole.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its head, complete.
    pub(crate) head: ResponseHeader,
    /// Its body; also known where it is not sent.
    pub(crate) body: Bytes,
}

/// Makes the fixed answer of a route.
pub(crate) fn fixed(
    plan: &RespondPlan,
    request: &RequestHeader,
    context: &Context,
) -> Result<Answer, Fault> {
    let facts = RequestFacts::new(request, context);
    let mut body = Vec::new();
    plan.body.render(&facts, &mut body);
    let mut head = blank(plan.status)?;
    for (name, template) in &plan.headers {
        rules::append(&mut head, name, template, &facts)?;
    }
    if !body.is_empty() && !head.headers.contains_key(header::CONTENT_TYPE) {
        insert(&mut head, "Content-Type", "text/plain; charset=utf-8")?;
    }
    if has_body(plan.status) {
        insert(&mut head, "Content-Length", &body.len().to_string())?;
    } else {
        body.clear();
    }
    Ok(Answer { head, body: body.into() })
}

/// The page of a fault: its status in words, and the request's id to look for in the log.
pub(crate) fn fault(fault: &Fault, context: &Context) -> Result<Answer, Fault> {
    let status = fault.status();
    let reason = status.canonical_reason().unwrap_or("Error");
    let body = format!("{} {reason}\nrequest {}\n", status.as_u16(), context.request.id);
    let mut head = blank(status)?;
    insert(&mut head, "Content-Type", "text/plain; charset=utf-8")?;
    insert(&mut head, "Content-Length", &body.len().to_string())?;
    if let Some(error) = fault.kind().proxy_status() {
        insert(&mut head, "Proxy-Status", &format!("switchback; error={error}"))?;
    }
    Ok(Answer { head, body: body.into() })
}

/// Sends `answer` to the client, or to the outer request of an inner one.
pub(crate) async fn send(
    session: &mut Session,
    mut answer: Answer,
    context: &mut Context,
) -> Result<()> {
    reply::own(&mut answer.head, session.req_header(), context)?;
    let silent = session.req_header().method == Method::HEAD || answer.body.is_empty();
    session.write_response_header(Box::new(answer.head), silent).await?;
    if !silent {
        session.write_response_body(Some(answer.body), true).await?;
    }
    Ok(())
}

fn blank(status: StatusCode) -> Result<ResponseHeader, Fault> {
    let mut head = ResponseHeader::build(status, Some(8)).map_err(Fault::internal)?;
    insert(&mut head, "Server", "switchback")?;
    Ok(head)
}

fn insert(head: &mut ResponseHeader, name: &'static str, value: &str) -> Result<(), Fault> {
    head.insert_header(name, value).map_err(Fault::internal)
}

/// Whether an answer of this status may have a body (RFC 9110, 6.4.1).
fn has_body(status: StatusCode) -> bool {
    !status.is_informational()
        && status != StatusCode::NO_CONTENT
        && status != StatusCode::NOT_MODIFIED
}
