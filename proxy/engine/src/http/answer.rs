//! Phase 4: answers made here.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use pingora_error::{ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use switchback_conf::plan::{ActionPlan, RespondPlan};
use switchback_files::Part;

use super::answer_head::AnswerHead;
use super::bandwidth::Pace;
use super::context::Context;
use super::facts::RequestFacts;
use super::fault::Fault;
use super::pieces::Pieces;
use super::{action, bandwidth, errors, files, redirect, reply, route, rules};

/// An answer that is whole.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its head, complete.
    pub(crate) head: AnswerHead,
    /// Its body; also known where it is not sent.
    pub(crate) body: Body,
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Body {
    /// In memory.
    Whole(Bytes),
    /// Pieces of a file, and what stands between them.
    File(Arc<File>, Vec<Part>),
}

impl Body {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::File(_, parts) => parts.is_empty(),
        }
    }
}

/// What stands in for an answer that cannot be given.
#[derive(Debug)]
pub(crate) struct Page {
    /// Its head, complete.
    pub(crate) head: Box<ResponseHeader>,
    /// Its body.
    pub(crate) body: Bytes,
}

impl From<Page> for Answer {
    fn from(page: Page) -> Self {
        Self { head: page.head.into(), body: Body::Whole(page.body) }
    }
}

/// What the route's action comes to.
pub(crate) enum Made {
    /// An answer.
    Answer(Answer),
    /// An upstream has to be asked.
    Proxy,
    /// The embedding program has to be asked; it may want the request's body.
    Own,
}

/// Does what the route says, and what the routes say to which it leads. `head` and [`Context::place`] are then those of the
/// last one.
pub(crate) fn make(head: &mut RequestHeader, context: &mut Context) -> Result<Made, Fault> {
    loop {
        let Some(plan) = context.route() else { return Ok(Made::Proxy) };
        let step = match &plan.action {
            ActionPlan::Proxy(_) => return Ok(Made::Proxy),
            ActionPlan::Own(_) => return Ok(Made::Own),
            ActionPlan::Respond(plan) => {
                if let Some(fault) = errors::of_fixed(plan, context) {
                    return Err(fault);
                }
                return fixed(plan, head, context).map(Made::Answer);
            }
            ActionPlan::Redirect(plan) => {
                return redirect::answer(plan, head, context).map(Made::Answer);
            }
            ActionPlan::Rewrite(target) => {
                files::Step::Again(redirect::target(target, head, context))
            }
            ActionPlan::Files(plan) => files::answer(plan, head, context)?,
        };
        match step {
            files::Step::Answer(answer) => return Ok(Made::Answer(answer)),
            files::Step::Again(target) => route::again(head, &target, context)?,
            files::Step::Route(id) => route::lead_to(id, head, context)?,
        }
    }
}

/// Answers, if no upstream has to be asked. `taken` is the request's body, where it was taken in already.
pub(crate) async fn here(
    session: &mut Session,
    context: &mut Context,
    taken: Option<&[Bytes]>,
) -> Result<bool> {
    let made = make(session.req_header_mut(), context).map_err(|fault| context.fail(fault))?;
    let answer = match made {
        Made::Proxy => return Ok(false),
        Made::Answer(answer) => answer,
        Made::Own => action::answer(session, context, taken.map(<[Bytes]>::to_vec)).await?,
    };
    send(session, answer, context).await?;
    Ok(true)
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
        rules::append(&mut *head, name, template, &facts)?;
    }
    if !body.is_empty() && !head.headers.contains_key(header::CONTENT_TYPE) {
        insert(&mut head, "Content-Type", "text/plain; charset=utf-8")?;
    }
    if has_body(plan.status) {
        insert(&mut head, "Content-Length", &body.len().to_string())?;
    } else {
        body.clear();
    }
    Ok(Answer { head: head.into(), body: Body::Whole(body.into()) })
}

/// The page of a fault: its status in words, and the request's id to look for in the log.
pub(crate) fn fault(fault: &Fault, context: &Context) -> Result<Page, Fault> {
    let status = fault.status();
    let reason = status.canonical_reason().unwrap_or("Error");
    let body = format!("{} {reason}\nrequest {}\n", status.as_u16(), context.request.id);
    let mut head = blank(status)?;
    insert(&mut head, "Content-Type", "text/plain; charset=utf-8")?;
    insert(&mut head, "Content-Length", &body.len().to_string())?;
    if let Some(methods) = fault.allow() {
        insert(&mut head, "Allow", methods)?;
    }
    if let Some(error) = fault.kind().proxy_status() {
        insert(&mut head, "Proxy-Status", &format!("switchback; error={error}"))?;
    }
    Ok(Page { head, body: body.into() })
}

/// Sends `answer` to the client, or to the outer request of an inner one.
pub(crate) async fn send(
    session: &mut Session,
    answer: Answer,
    context: &mut Context,
) -> Result<()> {
    let mut head = answer.head.whole().map_err(|fault| context.fail(fault))?;
    errors::stamp(&mut head, context).map_err(|fault| context.fail(fault))?;
    reply::own(&mut head, session.req_header(), context)?;
    write(session, head, answer.body, context).await
}

/// Sends the page of a fault. Rules that would break this answer too are left out: the client is told something.
pub(crate) async fn send_page(
    session: &mut Session,
    page: Answer,
    context: &mut Context,
) -> Result<()> {
    let mut head = page.head.whole().map_err(|fault| context.fail(fault))?;
    if let Err(error) = reply::own(&mut head, session.req_header(), context) {
        tracing::debug!(%error, request = %context.request.id, "an error page without header rules");
    }
    write(session, head, page.body, context).await
}

async fn write(
    session: &mut Session,
    head: Box<ResponseHeader>,
    body: Body,
    context: &Context,
) -> Result<()> {
    let silent = session.req_header().method == Method::HEAD || body.is_empty();
    session.write_response_header(head, silent).await?;
    if silent {
        return Ok(());
    }
    let mut pace = context.route().and_then(|route| route.bandwidth).map(Pace::new);
    let mut pieces = match body {
        Body::Whole(bytes) if pace.is_none() => {
            return session.write_response_body(Some(bytes), true).await;
        }
        Body::Whole(bytes) => Pieces::of(bytes),
        Body::File(file, parts) => Pieces::new(file, parts),
    };
    while let Some(piece) =
        pieces.next().await.or_err(ErrorType::FileReadError, "sending an answer")?
    {
        match &mut pace {
            Some(pace) => bandwidth::send(session, piece, pace).await?,
            None => session.write_response_body(Some(piece), false).await?,
        }
    }
    session.write_response_body(None, true).await
}

pub(super) fn blank(status: StatusCode) -> Result<Box<ResponseHeader>, Fault> {
    let mut head = ResponseHeader::build(status, Some(8)).map_err(Fault::internal)?;
    insert(&mut head, "Server", "switchback")?;
    Ok(Box::new(head))
}

pub(super) fn insert(
    head: &mut ResponseHeader,
    name: &'static str,
    value: &str,
) -> Result<(), Fault> {
    head.insert_header(name, value).map_err(Fault::internal)
}

/// Whether an answer of this status may have a body (RFC 9110, 6.4.1).
pub(crate) fn has_body(status: StatusCode) -> bool {
    !status.is_informational()
        && status != StatusCode::NO_CONTENT
        && status != StatusCode::NOT_MODIFIED
}
