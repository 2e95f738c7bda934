//! Phase 4: answers made here.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use pingora_core::protocols::http::ServerSession;
use pingora_error::{Error, ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use switchback_conf::plan::{ActionPlan, RespondPlan};
use switchback_files::Part;

use super::answer_head::AnswerHead;
use super::bandwidth::Pace;
use super::cache::ahead::{self, Interim, Waiter};
use super::cache::lookup::{Lookup, Wanted, lookup};
use super::cache::wait::wait;
use super::cache::{purge, query};
use super::context::Context;
use super::facts::RequestFacts;
use super::fault::{Fault, Kind};
use super::filter::bodies::Shown;
use super::pieces::Pieces;
use super::streamed::Streamed;
use crate::purge::Purge;

use super::{
    action, bandwidth, encode, errors, files, filter, redirect, reply, route, rules, writer,
};

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
    /// Piece by piece.
    Streamed(Box<Streamed>),
}

impl Body {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::File(_, parts) => parts.is_empty(),
            Self::Streamed(body) => body.length() == Some(0),
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

impl Answer {
    /// As a page, for who can send nothing else: its body is in memory.
    pub(crate) fn into_page(self) -> Result<Page, Fault> {
        let body = match self.body {
            Body::Whole(bytes) => bytes,
            Body::File(..) | Body::Streamed(_) => Bytes::new(),
        };
        Ok(Page { head: self.head.whole()?, body })
    }
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
    /// The request's content has to be taken in before a cache can be asked.
    Content,
    /// Something has to be waited for that a cache is to have.
    Cache(Box<Wanted>),
    /// The client asks for a purge, and may.
    Purge(Box<Purge>),
    /// The embedding program has to be asked; it may want the request's body.
    Own,
    /// Plugins have to be asked first.
    Filters,
}

/// Does what the route says, and what the routes say to which it leads. `head` and [`Context::place`] are then those of the
/// last one.
pub(crate) fn make(head: &mut RequestHeader, context: &mut Context) -> Result<Made, Fault> {
    if !filter::are_due(context) && purge::is_asked(head, context) {
        return purge::asked(head, context).map(Box::new).map(Made::Purge);
    }
    loop {
        if filter::are_due(context) {
            return Ok(Made::Filters);
        }
        // A cache may have what makes that unnecessary.
        if context.proxy().is_none() {
            encode::prepare(head, context)?;
        }
        let Some(plan) = context.route() else { return Ok(Made::Proxy) };
        let step = match &plan.action {
            ActionPlan::Proxy(_) => match lookup(head, context)? {
                Lookup::Pass => return Ok(Made::Proxy),
                Lookup::Content => return Ok(Made::Content),
                Lookup::Wait(wanted) => return Ok(Made::Cache(wanted)),
                Lookup::Answer(answer) => {
                    let Some(instead) = errors::of_answer(answer.head.status(), context) else {
                        return Ok(Made::Answer(answer));
                    };
                    errors::enter(instead, head, context)?;
                    continue;
                }
            },
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
    let mut made = make(session.req_header_mut(), context);
    loop {
        let step = made.map_err(|fault| context.fail(fault))?;
        made = match step {
            Made::Proxy => return Ok(false),
            Made::Content => {
                query::take_in(session, taken, context).await?;
                make(session.req_header_mut(), context)
            }
            Made::Filters => match filter::with_session(session, context, taken).await? {
                Some(answer) => Ok(Made::Answer(answer)),
                None => make(session.req_header_mut(), context),
            },
            Made::Cache(wanted) => wait_for(wanted, session, context).await,
            Made::Purge(wanted) => purge::answer(&wanted, context).await.map(Made::Answer),
            Made::Own => {
                let content = context.content.as_deref().cloned().map(|content| vec![content]);
                let taken = taken.map(<[Bytes]>::to_vec).or(content);
                let answer = action::answer(session, context, taken).await?;
                send(session, answer, context).await?;
                return Ok(true);
            }
            Made::Answer(answer) => {
                send(session, answer, context).await?;
                return Ok(true);
            }
        };
    }
}

/// Waits for what a cache is to have.
async fn wait_for(
    mut wanted: Box<Wanted>,
    session: &mut Session,
    context: &mut Context,
) -> Result<Made, Fault> {
    // The session is the client's meanwhile.
    let mut request = session.req_header().clone();
    let told = wanted.told(&request);
    let waiting = wait(wanted, &mut request, context);
    let waited = ahead::attend(waiting, told, &mut Waiting(session)).await;
    *session.req_header_mut() = request;
    waited.unwrap_or_else(|| {
        Err(Fault::client(Kind::ClientClosed, "the client left while it waited"))
    })
}

/// A client that waits, as Pingora knows it.
struct Waiting<'s>(&'s mut Session);

impl Waiter for Waiting<'_> {
    async fn tell(&mut self, interim: Interim) {
        let (Ok(()) | Err(_)) = self.0.write_response_header(interim, false).await;
    }

    async fn gone(&mut self) {
        match &mut *self.0.downstream_session {
            // A stream of HTTP/2.
            ServerSession::Custom(stream) => drop(stream.read_body_or_idle(true).await),
            _ => std::future::pending().await,
        }
    }
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
    if let Some(seconds) = fault.retry_after() {
        insert(&mut head, "Retry-After", &seconds.to_string())?;
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
    let mut body = answer.body;
    if let Some(fetch) = &context.fetch {
        // A plugin has answered in place of an origin: what it says is for nobody else, and goes as it is.
        fetch.is_not_stored();
        return write(session, head, (body, Shown::Whole), context).await;
    }
    errors::stamp(&mut head, context).map_err(|fault| context.fail(fault))?;
    let request = session.req_header();
    reply::own(&mut head, request, context)?;
    let instead = filter::own_response(&mut head, request, context).await;
    if let Some(instead) = instead.map_err(|fault| context.fail(fault))? {
        head = instead.head.whole().map_err(|fault| context.fail(fault))?;
        body = instead.body;
    }
    let (body, shown) = filter::bodies::own(&mut head, body, request, context)
        .and_then(|(body, shown)| match shown {
            // Plugins see it as it is.
            Shown::Pieces => Ok((body, shown)),
            Shown::Whole => Ok((encode::own(&mut head, body, request, context)?, shown)),
        })
        .map_err(|fault| context.fail(fault))?;
    write(session, head, (body, shown), context).await
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
    let mut body = page.body;
    let request = session.req_header();
    // Likewise plugins that fail.
    if let Ok(Some(instead)) = filter::own_response(&mut head, request, context).await {
        head = instead.head.whole().map_err(|fault| context.fail(fault))?;
        body = instead.body;
    }
    let body = filter::bodies::own(&mut head, body, request, context);
    let body = body.map_err(|fault| context.fail(fault))?;
    write(session, head, body, context).await
}

async fn write(
    session: &mut Session,
    head: Box<ResponseHeader>,
    (body, shown): (Body, Shown),
    context: &mut Context,
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
        Body::Streamed(streamed) => Pieces::streamed(streamed),
    };
    let mut is_over = false;
    while !is_over {
        let mut piece = next(&mut pieces, session).await?;
        is_over = piece.is_none();
        if shown == Shown::Pieces {
            let seen = filter::bodies::own_piece(piece, session.req_header(), context);
            let seen = seen.map_err(|fault| context.fail(fault))?;
            piece = Some(seen).filter(|seen| !seen.is_empty());
        }
        let Some(piece) = piece else { continue };
        match &mut pace {
            Some(pace) => bandwidth::send(session, piece, pace).await?,
            None => session.write_response_body(Some(piece), false).await?,
        }
    }
    match (&mut *session.downstream_session, pieces.trailers()) {
        // A stream of HTTP/2: Pingora has no trailers over HTTP/1.
        (ServerSession::Custom(stream), Some(trailers)) => stream.write_trailers(trailers).await,
        _ => session.write_response_body(None, true).await,
    }
}

/// The next piece. Where it comes for this client alone, it is waited for no longer than the client is there.
async fn next(pieces: &mut Pieces, session: &mut Session) -> Result<Option<Bytes>> {
    let (is_for_one, mut client) = (pieces.are_for_one(), Waiting(session));
    tokio::select! {
        biased;
        piece = pieces.next() => piece.or_err(ErrorType::FileReadError, "sending an answer"),
        () = client.gone(), if is_for_one => {
            Err(Error::explain(ErrorType::ConnectionClosed, writer::left().to_string()).into_down())
        }
    }
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
