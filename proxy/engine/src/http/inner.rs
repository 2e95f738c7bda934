//! Re-entry: proxying as an inner request, whose head is read before anything is written to the client.
//!
//! A route that replaces some answers by another route's, or takes the request body in first, is proxied this way; all
//! others never pay for it. The inner request runs through the same phases; limits, access control and the access log act
//! on the outer one.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use pingora_core::protocols::http::HttpTask;
use pingora_error::{Error, ErrorType, Result};
use pingora_proxy::Session;
use pingora_proxy::subrequest::pipe::{
    InputBody, InputBodyType, PipeSubrequestError, pipe_subrequest,
};
use pingora_proxy::subrequest::{BodyMode, Ctx as SubrequestCtx};
use switchback_conf::plan::RouteId;

use super::answer::Made;
use super::context::{Asked, Context, Place, Request};
use super::fault::{Fault, Kind, Side};
use super::map_memos::MapMemos;
use super::{action, answer, body, fail, route};
use crate::listen::connection::Connection;
use crate::snapshot::Snapshot;
use crate::snapshot::resident::Resident;

/// Re-entries of one request, as many as nginx allows internal redirects.
const MOST_REENTRIES: usize = 10;
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
}

/// How an inner request ended.
enum Ended {
    /// The client has its answer.
    Answered,
    /// Its answer is replaced by that of another route.
    Replaced(RouteId),
    /// It broke on a connection that had served others before, and may be sent again.
    Stale,
}

impl Inherited {
    fn from(context: &Context) -> Self {
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
        }
    }

    /// The context of the inner request.
    pub(crate) fn into_context(self) -> Context {
        let mut context = Context::new(self.resident, self.snapshot, self.connection);
        context.started = self.started;
        context.wall = self.wall;
        context.request = self.request;
        context.place = self.place;
        context.asked = self.asked;
        context.memos.maps = self.maps;
        context.inner = true;
        context
    }
}

/// Answers the request of `session`, going from route to route as their `errors` say.
pub(crate) async fn run(session: &mut Session, context: &mut Context) -> Result<()> {
    let body = body::take_in(session, context).await?;
    let mut stale = 0;
    for _ in 0..=MOST_REENTRIES {
        let made = answer::make(session.req_header_mut(), context);
        let answer = match made.map_err(|fault| context.fail(fault))? {
            Made::Answer(answer) => Some(answer),
            Made::Own => Some(action::answer(session, context, Some(body.clone())).await?),
            Made::Proxy => None,
        };
        if let Some(answer) = answer {
            return answer::send(session, answer, context).await;
        }
        match pipe(session, context, body.clone(), stale == 0).await? {
            Ended::Answered => return Ok(()),
            Ended::Stale => stale += 1,
            Ended::Replaced(route) => {
                route::lead_to(route, context).map_err(|fault| context.fail(fault))?;
            }
        }
    }
    Err(context.fail(Fault::ours(
        Kind::TooManyReentries,
        "more than 10 re-entries: the `errors` of routes lead in a circle",
    )))
}

/// Runs one inner request and pipes its answer to the client, unless the route replaces it.
async fn pipe(
    session: &mut Session,
    context: &mut Context,
    body: Vec<Bytes>,
    may_resend: bool,
) -> Result<Ended> {
    let inherited = Box::new(Some(Inherited::from(context)));
    let inner =
        SubrequestCtx::builder().user_ctx(inherited).body_mode(BodyMode::ExpectBody).build();
    let spawner = session.subrequest_spawner.as_ref();
    let spawner = spawner.ok_or_else(|| {
        context.fail(Fault::ours(Kind::Internal, "inner requests are not allowed here"))
    })?;
    let (inner, channels) = spawner.create_subrequest(&session.downstream_session, inner);

    let errors = context.route().map(|route| route.errors.clone()).unwrap_or_default();
    let mut replaced = None;
    let pass_or_replace = |task: HttpTask| match &task {
        HttpTask::Header(head, _) => {
            replaced =
                errors.iter().find(|(status, _)| *status == head.status).map(|(_, route)| *route);
            if replaced.is_some() {
                Err(Error::explain(ErrorType::Custom("replaced"), ""))
            } else {
                Ok(Some(task))
            }
        }
        _ => Ok(Some(task)),
    };
    let body = if body.is_empty() { InputBody::NoBody } else { InputBody::Bytes(body) };
    let piped =
        pipe_subrequest(session, inner, channels, pass_or_replace, InputBodyType::Preset(body))
            .await;
    match (replaced, piped) {
        (_, Ok(_)) => Ok(Ended::Answered),
        (Some(route), Err(error)) => {
            discard(error);
            Ok(Ended::Replaced(route))
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
    let replaced = context
        .route()
        .and_then(|route| route.errors.iter().find(|(status, _)| *status == fault.status()));
    if let Some((_, route)) = replaced {
        return Ok(Ended::Replaced(*route));
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
        && session.req_header().method.is_idempotent()
    {
        return Ok(Ended::Stale);
    }
    Err(context.fail(fault))
}
