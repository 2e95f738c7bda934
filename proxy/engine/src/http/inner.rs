//! Re-entry: proxying as an inner request, whose head is read before anything is written to the client.
//!
//! A route that replaces some answers by another route's, or takes the request body in first, is proxied this way; all
//! others never pay for it. The inner request runs through the same phases; limits, access control and the access log act
//! on the outer one.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::cache::fetch::Fetcher;
use super::cache::{CacheFacts, query};
use super::context::{Asked, Context, FirstLine, Place, Request, StandIn};
use super::encode::Encoding;
use super::errors::{self, Replacement};
use super::fault::{Fault, Kind, Side};
use super::filter::Filtering;
use super::filter::steering::Steering;
use super::filter::variables::Variables;
use super::map_memos::MapMemos;
use super::{answer, body, encode, fail, forward, overload};
use crate::listen::connection::Connection;
use crate::snapshot::Snapshot;
use crate::snapshot::resident::Resident;
use bytes::Bytes;
use http::{HeaderName, header};
use parking_lot::Mutex;
use pingora_core::protocols::http::HttpTask;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use pingora_proxy::subrequest::pipe::{
    InputBody, InputBodyType, PipeSubrequestError, pipe_subrequest,
};
use pingora_proxy::subrequest::{BodyMode, Ctx as SubrequestCtx};

/// How long an answer that nobody wants may take to end, so that its connection can be used again.
const DISCARD_TIME: Duration = Duration::from_secs(2);
const DISCARD_BYTES: usize = 64 * 1024;

/// What an inner request takes over from its outer one.
pub(crate) struct Inherited {
    resident: Arc<Resident>,
    snapshot: Arc<Snapshot>,
    connection: Arc<Connection>,
    started: Instant,
    wall: SystemTime,
    request: Request,
    place: Place,
    asked: Arc<Mutex<Asked>>,
    maps: MapMemos,
    stand_in: Option<StandIn>,
    first_line: Option<Arc<FirstLine>>,
    received: Option<Arc<RequestHeader>>,
    cache: Option<Box<CacheFacts>>,
    fetcher: Option<Arc<Fetcher>>,
    encoding: Option<Box<Encoding>>,
    filtering: Filtering,
    variables: Variables,
    steering: Option<Box<Steering>>,
    /// The outer request's head as it stands: Pingora gives the inner one what the client sent, forged fields and all.
    head: RequestHeader,
}

/// How an inner request ended.
enum Ended {
    /// The client has its answer.
    Answered,
    /// Its answer is replaced by that of another route.
    Replaced(Box<Replacement>),
    /// It broke on a connection that had served others before, and may be sent again.
    Stale,
}

impl Inherited {
    pub(super) fn from(session: &Session, context: &Context, filtering: Filtering) -> Self {
        Self {
            resident: Arc::clone(&context.resident),
            snapshot: Arc::clone(&context.snapshot),
            connection: Arc::clone(&context.connection),
            started: context.started,
            wall: context.wall,
            request: context.request.clone(),
            place: context.place,
            asked: Arc::clone(&context.asked),
            maps: context.memos.maps.inherit(&context.snapshot.maps),
            stand_in: context.stand_in.clone(),
            first_line: context.first_line.clone(),
            received: context.received.clone(),
            cache: context.cache.as_deref().map(CacheFacts::of_passed),
            fetcher: context.fetcher.clone(),
            encoding: context.encoding.as_deref().map(Encoding::inherit),
            filtering,
            variables: context.variables.clone(),
            steering: context.steering.clone(),
            head: session.req_header().clone(),
        }
    }

    /// The context of the inner request, whose head becomes that of the outer one.
    pub(crate) fn into_context(self, head: &mut RequestHeader) -> Context {
        adopt(head, &self.head, &self.filtering);
        let mut context = Context::new(self.resident, self.snapshot, self.connection);
        context.started = self.started;
        context.wall = self.wall;
        context.request = self.request;
        context.place = self.place;
        context.asked = self.asked;
        context.memos.maps = self.maps;
        context.stand_in = self.stand_in;
        context.first_line = self.first_line;
        context.received = self.received;
        context.cache = self.cache;
        context.fetcher = self.fetcher;
        context.encoding = self.encoding;
        context.filtering = self.filtering;
        context.variables = self.variables;
        context.steering = self.steering;
        context.inner = true;
        context
    }
}

/// Makes `head` ask for what `outer` asks for, and takes out of it what is no longer in that. How its body is framed is its
/// own affair, and `Host` may stand in the target of the other. What plugins have set is part of what it asks for.
pub(super) fn adopt(head: &mut RequestHeader, outer: &RequestHeader, filtering: &Filtering) {
    const OWN: [HeaderName; 3] = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::HOST];
    if head.method != outer.method {
        head.set_method(outer.method.clone());
    }
    if head.raw_path() != outer.raw_path() {
        // It is a path that was made here or taken from a head that was judged.
        let _ = forward::set_target(head, outer.raw_path());
    }
    let is_gone = |name: &&HeaderName| !outer.headers.contains_key(*name) && !OWN.contains(name);
    let gone: Vec<HeaderName> = head.headers.keys().filter(is_gone).cloned().collect();
    for name in &gone {
        head.remove_header(name);
    }
    if filtering.has_changed_fields() {
        adopt_fields(head, outer);
    }
}

/// Gives `head` the fields of `outer` that plugins may have set, its host among them.
fn adopt_fields(head: &mut RequestHeader, outer: &RequestHeader) {
    const FRAMING: [HeaderName; 2] = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    let is_other = |name: &&HeaderName| {
        let (own, others) = (head.headers.get_all(*name), outer.headers.get_all(*name));
        !FRAMING.contains(name) && !own.iter().eq(others.iter())
    };
    let others: Vec<HeaderName> = outer.headers.keys().filter(is_other).cloned().collect();
    for name in others {
        head.remove_header(&name);
        for value in outer.headers.get_all(&name) {
            // There were no more of them there.
            let _ = head.append_header(name.clone(), value.clone());
        }
    }
    if head.uri.authority() != outer.uri.authority() {
        head.set_uri(outer.uri.clone());
    }
}

/// Answers the request of `session`, going from route to route as their `errors` say.
pub(crate) async fn run(session: &mut Session, context: &mut Context) -> Result<()> {
    let body = match &context.content {
        Some(content) => body::pieces(Bytes::clone(content)),
        None => body::take_in(session, context).await?,
    };
    announce(session.req_header_mut(), &body).map_err(|fault| context.fail(fault))?;
    go(session, context, body).await
}

/// Over HTTP/2 a body need not be announced; over HTTP/1, which inner requests speak, there is none then.
fn announce(head: &mut RequestHeader, body: &[Bytes]) -> std::result::Result<(), Fault> {
    let is_announced = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING]
        .iter()
        .any(|name| head.headers.contains_key(name));
    if is_announced || body.is_empty() {
        return Ok(());
    }
    let length: usize = body.iter().map(Bytes::len).sum();
    head.insert_header(header::CONTENT_LENGTH, length).map_err(Fault::internal)
}

/// Answers by `replacement` what cannot be answered as asked. The body is not passed on: it may be gone.
pub(crate) async fn instead(
    session: &mut Session,
    context: &mut Context,
    replacement: Replacement,
) -> Result<()> {
    if !session.downstream_session.is_body_empty() {
        errors::as_get(session.req_header_mut(), context);
    }
    let entered = errors::enter(replacement, session.req_header_mut(), context);
    entered.map_err(|fault| context.fail(fault))?;
    go(session, context, Vec::new()).await
}

async fn go(session: &mut Session, context: &mut Context, mut body: Vec<Bytes>) -> Result<()> {
    let mut stale = 0;
    loop {
        if answer::here(session, context, Some(&body)).await? {
            return Ok(());
        }
        match pipe(session, context, body.clone(), stale == 0).await? {
            Ended::Answered => return Ok(()),
            Ended::Stale => stale += 1,
            Ended::Replaced(replacement) => {
                if replacement.drops_body() {
                    body.clear();
                }
                let entered = errors::enter(*replacement, session.req_header_mut(), context);
                entered.map_err(|fault| context.fail(fault))?;
            }
        }
    }
}

/// Runs one inner request and pipes its answer to the client, unless the route replaces it.
async fn pipe(
    session: &mut Session,
    context: &mut Context,
    body: Vec<Bytes>,
    may_resend: bool,
) -> Result<Ended> {
    let filtering = context.filtering.lend();
    let inherited = Box::new(Some(Inherited::from(session, context, filtering)));
    let inner =
        SubrequestCtx::builder().user_ctx(inherited).body_mode(BodyMode::ExpectBody).build();
    let spawner = session.subrequest_spawner.as_ref();
    let spawner = spawner.ok_or_else(|| {
        context.fail(Fault::ours(Kind::Internal, "inner requests are not allowed here"))
    })?;
    let (inner, channels) = spawner.create_subrequest(&session.downstream_session, inner);
    let outlet = encode::passing::outlet(session, context);
    let mut replaced = None;
    let pass_or_replace = |mut task: HttpTask| {
        let HttpTask::Header(head, _) = &mut task else { return Ok(Some(task)) };
        if head.status.is_informational() {
            return Ok(Some(task));
        }
        replaced = errors::of_answer(head.status, context);
        if replaced.is_some() {
            return Err(Error::explain(ErrorType::Custom("replaced"), ""));
        }
        errors::stamp(head, context)
            .map_err(|fault| Error::explain(ErrorType::InternalError, fault.to_string()))?;
        outlet.iter().for_each(|outlet| outlet.tell(head));
        Ok(Some(task))
    };
    let body = if body.is_empty() { InputBody::NoBody } else { InputBody::Bytes(body) };
    let piped =
        pipe_subrequest(session, inner, channels, pass_or_replace, InputBodyType::Preset(body))
            .await;
    context.filtering.come_back().await;
    match (replaced, piped) {
        (_, Ok(_)) => Ok(Ended::Answered),
        (Some(replacement), Err(error)) => {
            discard(error);
            Ok(Ended::Replaced(Box::new(replacement)))
        }
        (None, Err(error)) => failed(session, context, error, may_resend),
    }
}

/// Lets an answer that nobody wants come to its end, if that is near.
fn discard(mut error: PipeSubrequestError) {
    let Some(mut tasks) = error.state.pipe_rx.take() else { return };
    tokio::spawn(tokio::time::timeout(DISCARD_TIME, async move {
        let mut left = DISCARD_BYTES;
        while let Some(task) = tasks.recv().await {
            let HttpTask::Body(Some(piece), _) = &task else { continue };
            let Some(rest) = left.checked_sub(piece.len()) else { return };
            left = rest;
        }
    }));
}

/// An inner request that ended without a whole answer.
fn failed(
    session: &Session,
    context: &mut Context,
    error: PipeSubrequestError,
    may_resend: bool,
) -> Result<Ended> {
    let fault = context.asked.lock().fault.take().unwrap_or_else(|| fail::judge(&error.error));
    if session.response_written().is_some() {
        context.fault = Some(fault);
        return Err(error.error);
    }
    if let Some(replacement) = errors::of_fault(&fault, context) {
        fail::log(&fault, context);
        return Ok(Ended::Replaced(Box::new(replacement)));
    }
    let stale = context
        .asked
        .lock()
        .tries
        .last()
        .is_some_and(|tried| tried.reused && tried.status.is_none());
    if may_resend
        && stale
        && fault.side() == Side::Upstream
        && query::may_be_repeated(&session.req_header().method)
        && overload::retry::take(overload::retry::Reason::Stale, context)
    {
        return Ok(Ended::Stale);
    }
    Err(context.fail(fault))
}
