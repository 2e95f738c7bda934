//! The request path on Pingora: each callback calls one phase, and nothing else.
//!
//! Pick a step, read one file: [`receive`], [`route`], [`answer`], [`action`], [`inner`] (re-entry), [`hedge`], [`select`], [`forward`],
//! [`reply`], [`fail`], [`finish`].

pub(crate) mod access;
pub(crate) mod action;
mod announce;
pub(crate) mod answer;
pub(crate) mod answer_head;
pub(crate) mod bandwidth;
mod body;
pub(crate) mod cache;
pub(crate) mod concurrency;
pub(crate) mod context;
mod cookies;
mod deadlines;
pub(crate) mod encode;
pub(crate) mod errors;
pub(crate) mod facts;
pub(crate) mod fail;
pub(crate) mod fault;
mod files;
pub(crate) mod filter;
pub(crate) mod finish;
pub(crate) mod forward;
mod hedge;
mod hints;
pub(crate) mod host;
mod inner;
pub(crate) mod jwt;
pub(crate) mod local;
mod map_memos;
mod outcome;
pub(crate) mod overload;
pub(crate) mod percent;
mod pieces;
pub(crate) mod receive;
mod redirect;
pub(crate) mod reply;
pub(crate) mod route;
mod rules;
pub(crate) mod select;
mod set_cookie;
mod shard;
mod spill;
mod sticky;
mod streamed;
pub(crate) mod upgrade;
mod writer;

pub(crate) use shard::Comparisons;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use cache::fetch::Fetcher;
use cache::{as_get, invalidate, query};
use context::Context;
use fault::{Fault, Kind};
use inner::Inherited;
use select::Again;

use crate::listen::connection::Connection;
use crate::snapshot::SnapshotCell;
use crate::snapshot::resident::Resident;

tokio::task_local! {
    /// Whose request is in hand. Pingora makes a request's context without saying so.
    static ENTRY: Entry;
    /// The id of the request in hand, for lines of the error log that do not know it.
    static REQUEST: RefCell<Option<Arc<str>>>;
}

/// How a request comes to Pingora.
pub(crate) enum Entry {
    /// As it was received on this connection.
    New(Arc<Connection>),
    /// With what the front door has found out already; taken when the context is made.
    Known(Mutex<Option<Box<Context>>>),
}

impl Entry {
    /// With this context.
    pub(crate) fn known(context: Box<Context>) -> Self {
        Self::Known(Mutex::new(Some(context)))
    }

    fn context(&self, phases: &Phases) -> Box<Context> {
        let connection = match self {
            Self::New(connection) => connection,
            Self::Known(context) => match context.lock().take() {
                Some(context) => return context,
                None => &phases.nobody,
            },
        };
        phases.context(Arc::clone(connection))
    }
}

/// Serves one request that comes by `entry`.
pub(crate) async fn serving<T>(entry: Entry, work: impl Future<Output = T>) -> T {
    ENTRY.scope(entry, REQUEST.scope(RefCell::default(), work)).await
}

/// The id of the request that the calling task serves, once it has one.
#[must_use]
pub fn current_request() -> Option<Arc<str>> {
    REQUEST.try_with(|request| request.try_borrow().ok()?.clone()).ok().flatten()
}

/// Has the calling task's lines in the error log name this request.
pub(crate) fn name_request(id: &Arc<str>) {
    // An inner request has a task of its own, which nobody has prepared.
    let _ = REQUEST.try_with(|request| request.replace(Some(Arc::clone(id))));
}

/// The phases, as Pingora calls them.
pub(crate) struct Phases {
    /// Where the snapshot in force is found.
    pub(crate) cell: Arc<SnapshotCell>,
    /// What outlives snapshots.
    pub(crate) resident: Arc<Resident>,
    /// Stands in where a request has no connection, until it inherits one.
    pub(crate) nobody: Arc<Connection>,
    /// With what it fetches for caches.
    pub(crate) fetcher: Arc<Fetcher>,
}

impl Phases {
    fn context(&self, connection: Arc<Connection>) -> Box<Context> {
        let resident = Arc::clone(&self.resident);
        let context = Context::new(resident, self.cell.load(), connection);
        Box::new(context.fetching_with(&self.fetcher))
    }
}

#[async_trait]
impl ProxyHttp for Phases {
    type CTX = Box<Context>;

    fn new_ctx(&self) -> Self::CTX {
        let context = ENTRY.try_with(|entry| entry.context(self));
        context.unwrap_or_else(|_| self.context(Arc::clone(&self.nobody)))
    }

    /// Pingora's compression does not obey q-values and never ends a Brotli stream: no modules.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    /// 1 receive, 2 route.
    async fn early_request_filter(
        &self,
        session: &mut Session,
        context: &mut Self::CTX,
    ) -> Result<()> {
        if let Some(inherited) = inherited(session) {
            **context = inherited.into_context(session.req_header_mut());
            return Ok(());
        }
        if let Some(routed) = context.routed.take() {
            deadlines::set(session, context);
            name_request(&context.request.id);
            inner::adopt(session.req_header_mut(), &routed, &context.filtering);
            return Ok(());
        }
        context.connection.count_request();
        deadlines::set(session, context);
        let head = session.req_header_mut();
        let let_in = receive::receive(head, context)
            .and_then(|()| route::route(head, context))
            .and_then(|()| access::judge(head, context))
            .and_then(|()| concurrency::enter(head, context))
            .and_then(|()| body_allowed(head, context));
        match let_in {
            // Another route answers instead: for that, Pingora is not ready before the next phase.
            Err(fault) if errors::of_fault(&fault, context).is_some() => {
                context.fault = Some(fault);
                Ok(())
            }
            let_in => let_in.map_err(|fault| context.fail(fault)),
        }
    }

    fn allow_spawning_subrequest(&self, session: &Session, context: &Self::CTX) -> bool {
        // Whoever is not proxied at once may be led to a route that needs it.
        !context.inner
            && (context.snapshot.filters.is_some()
                || needs_inner(context)
                || context.proxy().is_none()
                || errors::may_apply(context)
                || query::is_query(&session.req_header().method))
    }

    /// 4 answer, and re-entry.
    async fn request_filter(&self, session: &mut Session, context: &mut Self::CTX) -> Result<bool> {
        if let Some(fault) = context.fault.take() {
            return Err(context.fail(fault));
        }
        if let Some(answer) = context.filtering.take_answer() {
            answer::send(session, answer, context).await?;
            return Ok(true);
        }
        if answer::here(session, context, None).await? {
            return Ok(true);
        }
        if !context.inner && needs_inner(context) {
            inner::run(session, context).await?;
            return Ok(true);
        }
        if hedge::may_apply(session, context) {
            return hedge::run(session, context).await;
        }
        Ok(false)
    }

    /// 6 select.
    async fn upstream_peer(
        &self,
        session: &mut Session,
        context: &mut Self::CTX,
    ) -> Result<Box<HttpPeer>> {
        let peer = spill::select(session, context).await.map_err(|fault| context.fail(fault))?;
        deadlines::is_passed_on(session, context);
        Ok(peer)
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::unix::io::RawFd,
        _digest: Option<&Digest>,
        context: &mut Self::CTX,
    ) -> Result<()> {
        context.spilt.was_connected = true;
        if reused {
            context.resident.metrics.upstream_reuses.add();
        }
        context.asked.lock().current(|tried| {
            tried.connected = Some(tried.began.elapsed());
            tried.reused = reused;
        });
        Ok(())
    }

    /// 7 forward.
    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        head: &mut RequestHeader,
        context: &mut Self::CTX,
    ) -> Result<()> {
        forward::forward(head, session.req_header(), context)
            .map_err(|fault| context.fail(fault))?;
        filter::upstream_request(head, context).await
    }

    /// Nobody is told what is answered instead of by the shard that has it.
    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        context: &mut Self::CTX,
    ) -> Result<()> {
        if session.as_ref().retry_buffer_truncated() || !shard::is_missed(head.status, context) {
            return Ok(());
        }
        Err(Error::explain(shard::MISSED, "not in the next shard yet"))
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        context: &mut Self::CTX,
    ) -> Result<()> {
        deadlines::is_asked(session, context);
        let length = body.as_ref().map_or(0, Bytes::len);
        if length > 0 || end {
            outcome::was_sent_more(context);
        }
        if end {
            overload::sent(context);
        }
        context.body_received += length as u64;
        let limit = context.route().and_then(|route| route.body_limit).filter(|_| !context.inner);
        if limit.is_some_and(|limit| context.body_received > limit) {
            return Err(context
                .fail(Fault::client(Kind::BodyTooLarge, "request body larger than `body_limit`")));
        }
        filter::bodies::request(body, end, session.req_header(), context).await
    }

    /// Pingora counts only what HTTP/1 upstreams send. The delay is that of the piece in hand.
    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        context: &mut Self::CTX,
    ) -> Result<Option<Duration>> {
        let length = body.as_ref().map_or(0, Bytes::len);
        as_get::take(&mut context.keeping, body.as_ref(), end);
        if let (Some(half), Some(piece)) = (&mut context.comparing, body.as_ref()) {
            half.take(piece);
        }
        context.asked.lock().current(|tried| tried.received += length as u64);
        if end {
            outcome::end(context);
        }
        if context.fetch.is_some() {
            // Its readers have paces of their own.
            return Ok(None);
        }
        Ok(bandwidth::delay(session, context, length))
    }

    /// 9 reply.
    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        context: &mut Self::CTX,
    ) -> Result<()> {
        hedge::better(head, context).await?;
        if let Some(again) = overload::retry::after_answer(head, session, context) {
            return Err(again);
        }
        hedge::settle(head, context)?;
        shard::compare(session.req_header(), head.status, context);
        deadlines::is_asked(session, context);
        let request = session.req_header();
        filter::upstream_response(head, request, context).await?;
        let kept = as_get::keep(head, request, context);
        context.keeping = invalidate::by(head, request, kept, context).await;
        let request = session.req_header();
        reply::proxied(head, request, context).map_err(|fault| context.fail(fault))?;
        filter::passing_response(head, request, context).await?;
        encode::passing::head(head, request, context).map_err(|fault| context.fail(fault))?;
        if !context.inner {
            encode::passing::tell(head, session, context);
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        context: &mut Self::CTX,
    ) -> Result<Option<Duration>> {
        filter::bodies::response(body, end, session.req_header(), context)
            .and_then(|()| encode::passing::body(body, end, context))
            .map_err(|fault| context.fail(fault))?;
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        session: &mut Session,
        trailers: &mut HeaderMap,
        context: &mut Self::CTX,
    ) -> Result<Option<Bytes>> {
        let (request, mut last) = (session.req_header(), None);
        filter::bodies::response(&mut last, true, request, context)
            .and_then(|()| encode::passing::end(trailers, last, request, context))
            .map_err(|fault| context.fail(fault))
    }

    /// A try that could not connect has sent nothing, so another endpoint may have the request, whatever its method.
    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut Self::CTX,
        mut error: Box<Error>,
    ) -> Box<Error> {
        context.resident.metrics.upstream_connect_failures.add();
        context.asked.lock().current(|tried| tried.ended = Some(tried.began.elapsed()));
        let again = select::after_connect(&error, context);
        error.set_retry(again && context.filtering.allows_another_try());
        error.as_up();
        error
    }

    /// A pooled connection that the endpoint had closed meanwhile is no try of the endpoint's; a request that may be sent
    /// twice is sent again, and Pingora still has all of its body.
    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        context: &mut Self::CTX,
        reused: bool,
    ) -> Box<Error> {
        if context.filtering.has_ended() {
            // That was no fault of the endpoint's.
            outcome::end(context);
            error.set_retry(false);
            return error;
        }
        // Before another part of the upstream is chosen.
        outcome::broke(&error, reused, context);
        if *error.etype() == hedge::LOST {
            error.set_retry(false);
            return error;
        }
        if shard::takes_turn(context) || select::reads_elsewhere(session, context) {
            error.set_retry(context.filtering.allows_another_try());
            context.asked.lock().current(|tried| tried.ended = Some(tried.began.elapsed()));
            return error;
        }
        error = error.more_context(format!("peer: {peer}"));
        let retry = overload::retry::after_break(&mut error, reused, session, context);
        if retry == Again::SameEndpoint {
            context.attempt.take_back();
        }
        error.set_retry(retry != Again::No && context.filtering.allows_another_try());
        context.asked.lock().current(|tried| tried.ended = Some(tried.began.elapsed()));
        error
    }

    /// 10 fail.
    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut Self::CTX,
    ) -> FailToProxy {
        deadlines::is_asked(session, context);
        fail::fail(session, error, context).await
    }

    /// 11 finish.
    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Self::CTX) {
        shard::compared(error.is_none(), context);
        finish::finish(session, context);
    }

    /// Faults are logged once, by [`fail`].
    fn suppress_error_log(&self, _session: &Session, _context: &Self::CTX, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        context: &Self::CTX,
        error: &Error,
        _kind: ProxyWarnLogContext,
    ) -> bool {
        if *error.etype() == shard::MISSED {
            // As expected, and as often as anybody reads.
            return true;
        }
        let asked = context.asked.lock();
        let upstream = asked.upstream.as_deref().unwrap_or("-");
        let endpoint = asked.tries.last().map_or("-", |tried| &tried.address);
        tracing::warn!(
            request = &*context.request.id,
            upstream,
            endpoint,
            "no answer, trying next: {error}"
        );
        true
    }
}

/// The state that an inner request takes over, once.
fn inherited(session: &mut Session) -> Option<Inherited> {
    let carried = session.subrequest_ctx.as_mut()?.user_ctx_mut()?;
    let inherited = carried.downcast_mut::<Option<Inherited>>()?;
    inherited.take()
}

/// A route whose plan can start again after an answer, or that takes the body in first, is proxied as an inner request.
fn needs_inner(context: &Context) -> bool {
    if context.stand_in.is_some() {
        // Its status is still to be changed.
        return context.proxy().is_some();
    }
    let (Some(route), Some(proxy)) = (context.route(), context.proxy()) else { return false };
    // What a cache has read is not there to be passed on any more.
    let is_read = context.content.as_deref().is_some_and(|content| !content.is_empty());
    is_read || route.errors.own > 0 || proxy.buffer_request
}

/// A body that is announced as too large is refused before a byte of it is read.
fn body_allowed(head: &RequestHeader, context: &Context) -> Result<(), Fault> {
    let limit = context.route().and_then(|route| route.body_limit);
    let announced = head
        .headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match (limit, announced) {
        (Some(limit), Some(announced)) if announced > limit => {
            Err(Fault::client(Kind::BodyTooLarge, "Content-Length larger than `body_limit`"))
        }
        _ => Ok(()),
    }
}
