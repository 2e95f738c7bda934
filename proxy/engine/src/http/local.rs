//! Answers made here, written by the front door itself: plain requests over HTTP/1 for which nobody else is asked never see
//! Pingora, and files go from the page cache to the socket without passing through this process.

use std::io;
use std::time::Duration;

use http::{Method, StatusCode, Version, header};
use pingora_core::protocols::http::date::get_cached_date;
use pingora_http::RequestHeader;
use switchback_cache::serve::Hop;

use super::answer::{self, Answer, Body, Made};
use super::answer_head::{self, AnswerHead, Lines};
use super::bandwidth::Pace;
use super::cache::ahead::{Interim, Waiter};
use super::cache::lookup::Wanted;
use super::context::{Context, Sent};
use super::fault::{Fault, Kind};
use super::filter::AtOnce;
use super::writer::{Framing, Writer};
use super::{
    access, cache, concurrency, encode, errors, fail, filter, finish, receive, reply, route,
    upgrade,
};
use crate::listen::head::has_token;
use crate::listen::stream::ClientStream;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It may carry another request.
    Open,
    /// This answer was its last.
    Close,
}

/// Receives and routes the request, and makes its answer, or what is answered instead, if that can be done without asking an
/// upstream.
pub(crate) fn make(head: &mut RequestHeader, context: &mut Context) -> Result<Made, Fault> {
    let let_in = receive::receive(head, context)
        .and_then(|()| route::route(head, context))
        .and_then(|()| access::judge(head, context))
        .and_then(|()| concurrency::enter(head, context));
    if let_in.is_ok() && filter::settle(context) {
        return filtered(head, context);
    }
    let made = let_in.and_then(|()| answer::make(head, context));
    or_instead(made, head, context)
}

/// Asks plugins, and makes the answer unless that takes one that waits.
fn filtered(head: &mut RequestHeader, context: &mut Context) -> Result<Made, Fault> {
    let answer = match filter::in_front(head, context)? {
        AtOnce::Waits => return Ok(Made::Filters),
        AtOnce::Done(answer) => answer,
    };
    match answer {
        Some(answer) if filter::may_answer_at_once(context) => Ok(Made::Answer(answer)),
        Some(answer) => {
            context.filtering.answer_with(answer);
            Ok(Made::Filters)
        }
        None if filter::may_answer_at_once(context) => answer::make(head, context),
        None => Ok(Made::Filters),
    }
}

/// The answer as plugins and the rules of its route change it.
pub(crate) fn shown(
    answer: Answer,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<Answer, Fault> {
    let mut answer = answer;
    if context.stand_in.is_some() {
        errors::stamp(answer.head.in_whole()?, context)?;
    }
    reply::own_lean(&mut answer.head, request, context)?;
    if let Some(instead) = filter::own_response_at_once(&mut answer.head, request, context)? {
        answer = instead;
    }
    if encode::leaves(&answer.head, context) {
        return Ok(answer);
    }
    let mut head = answer.head.whole()?;
    let body = encode::own(&mut head, answer.body, request, context)?;
    Ok(Answer { head: head.into(), body })
}

/// Waits for what a cache is to have, and makes the answer with it. In the end no cache has to be waited for.
pub(crate) async fn wait(
    wanted: Box<Wanted>,
    head: &mut RequestHeader,
    context: &mut Context,
) -> Result<Made, Fault> {
    let mut made = cache::wait::wait(wanted, head, context).await;
    loop {
        match or_instead(made, head, context) {
            Ok(Made::Cache(wanted)) => made = cache::wait::wait(wanted, head, context).await,
            made => return made,
        }
    }
}

/// What was made, or what is answered instead of a fault.
fn or_instead(
    mut made: Result<Made, Fault>,
    head: &mut RequestHeader,
    context: &mut Context,
) -> Result<Made, Fault> {
    // Each turn leads the request elsewhere, which may happen ten times.
    while let Err(fault) = &made
        // Plugins see what is answered instead, too: that is for Pingora.
        && !filter::settle(context)
        && let Some(replacement) = errors::of_fault(fault, context)
    {
        fail::log(fault, context);
        made = errors::enter(replacement, head, context).and_then(|()| answer::make(head, context));
    }
    made
}

/// Sends what was [shown](shown), or the page of what went wrong, and closes the books on the request.
pub(crate) async fn send(
    client: &mut ClientStream,
    request: &RequestHeader,
    made: Result<Answer, Fault>,
    context: &mut Context,
    last: bool,
) -> After {
    let (mut answer, mut fault) = match made {
        Ok(answer) => (answer, None),
        Err(fault) => match page(&fault, request, context) {
            Some(page) => (page, Some(fault)),
            None => return After::Close,
        },
    };
    let after = if last || !keeps_alive(request) || closes(fault.as_ref()) {
        After::Close
    } else {
        After::Open
    };
    let silent = request.method == Method::HEAD;
    let framing = framing(&answer.body, request);
    let after = if framing == Framing::Close { After::Close } else { after };
    let hop = Hop {
        connection: if after == After::Open { "keep-alive" } else { "close" },
        is_granted: after == After::Open && request.version == Version::HTTP_11,
        is_chunked: framing == Framing::Chunked,
    };
    let (status, head) = written(&mut answer.head, hop);
    context.sent = Sent { status: Some(status), body: 0, head: head.len() as u64 };
    let patience = context.connection.listener.plan.timeouts.write;
    let pace = context.route().and_then(|route| route.bandwidth).map(Pace::new);
    let mut writer = Writer { client, patience, pace, framing, sent: 0 };
    let written = writer.answer(head, answer.body, silent).await;
    context.sent.body = writer.sent;
    if let Err(error) = &written {
        if framing == Framing::Close && !silent {
            // Its end would be a clean one.
            client.reset_at_close();
        }
        fault = Some(broken(error));
    }
    context.fault = fault;
    finish::record(request, &Lines::of(&answer.head, Some(hop)), context);
    if written.is_ok() { after } else { After::Close }
}

/// Closes the books on the request of a client that has left.
pub(crate) fn left(request: &RequestHeader, context: &mut Context) {
    let fault = Fault::client(Kind::ClientClosed, "the client left while it waited");
    fail::log(&fault, context);
    context.fault = Some(fault);
    finish::record(request, &Lines::None, context);
}

/// A client that waits, and how long it may take to be told something.
pub(crate) struct Waiting<'c>(pub(crate) &'c mut ClientStream, pub(crate) Duration);

impl Waiter for Waiting<'_> {
    async fn tell(&mut self, interim: Interim) {
        let (client, patience) = (&mut *self.0, self.1);
        let (pace, framing) = (None, Framing::Length);
        let mut writer = Writer { client, patience, pace, framing, sent: 0 };
        let (Ok(()) | Err(_)) = writer.write(&upgrade::wire(&interim)).await;
    }

    async fn gone(&mut self) {
        self.0.gone().await;
    }
}

/// The page of a fault. Rules that would break it too are left out: the client is told something.
fn page(fault: &Fault, request: &RequestHeader, context: &mut Context) -> Option<Answer> {
    fail::log(fault, context);
    // A plain page has the status of its own fault.
    context.stand_in = None;
    let mut page = answer::fault(fault, context).ok()?;
    let _ = reply::own(&mut page.head, request, context);
    Some(page.into())
}

/// Where a request cannot be understood, the next one cannot be either.
fn closes(fault: Option<&Fault>) -> bool {
    fault.is_some_and(|fault| fault.kind() == Kind::BadRequest)
}

fn broken(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Fault::ours(Kind::Internal, error.to_string()),
        _ => Fault::client(Kind::ClientClosed, error.to_string()),
    }
}

/// Whether the client would send another request (RFC 9112, 9.3).
fn keeps_alive(request: &RequestHeader) -> bool {
    let says = |token: &[u8]| {
        let lines = request.headers.get_all(header::CONNECTION);
        lines.iter().any(|line| has_token(line.as_bytes(), token))
    };
    if request.version == Version::HTTP_11 { !says(b"close") } else { says(b"keep-alive") }
}

/// Status and bytes of a head, with what every answer over HTTP/1 says of itself and of the connection.
fn written(head: &mut AnswerHead, hop: Hop<'static>) -> (StatusCode, Vec<u8>) {
    let head = match head {
        AnswerHead::Whole(head) => head,
        AnswerHead::Plain(status, fields) => {
            return (*status, answer_head::wire(*status, fields, hop.connection));
        }
        AnswerHead::Stored(head) => return (head.status(), head.wire(hop)),
    };
    // All values are valid. What is stored says when the origin made it.
    if !head.headers.contains_key(header::DATE) {
        let _ = head.insert_header(header::DATE, get_cached_date());
    }
    if hop.is_chunked {
        let _ = head.insert_header(header::TRANSFER_ENCODING, "chunked");
    }
    let _ = head.insert_header(header::CONNECTION, hop.connection);
    (head.status, upgrade::wire(head))
}

fn framing(body: &Body, request: &RequestHeader) -> Framing {
    match body {
        Body::Streamed(body) if body.length().is_none() => {
            if request.version == Version::HTTP_11 {
                Framing::Chunked
            } else {
                Framing::Close
            }
        }
        _ => Framing::Length,
    }
}
