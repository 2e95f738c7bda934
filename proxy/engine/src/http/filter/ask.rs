//! Before a request is answered: each chain that it meets is asked once, and routes are looked for anew where a plugin has changed
//! what is asked for.

use std::pin::pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::header;
use pingora_error::Result as Passed;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use switchback_plugin::{Hook, OperationError};
use switchback_plugin_host::Verdict;

use super::talk::{Talk, Wanted};
use super::{Filters, Level, Ran, Request, Sides, judged, mirror, run, run_now, settle};
use crate::http::answer::Answer;
use crate::http::context::{Context, Memos};
use crate::http::fault::{Fault, Kind};
use crate::http::{body, route};

/// Whether there are plugins to be asked before the request goes on from where it is, or copies to be sent that they have asked for.
pub(crate) fn are_due(context: &mut Context) -> bool {
    if context.inner || !settle(context) {
        return false;
    }
    let is_due = |filters: &mut Filters| next(filters).is_some();
    context.filtering.filters.as_deref_mut().is_some_and(is_due) || mirror::are_due(context)
}

/// Who is asked next, and at which hook.
#[inline]
fn next(filters: &mut Filters) -> Option<(usize, Hook)> {
    if !filters.may_be_due {
        return None;
    }
    let next = look_for_next(filters);
    filters.may_be_due = next.is_some();
    next
}

/// Everybody is asked first about the request, then about where it goes.
fn look_for_next(filters: &mut Filters) -> Option<(usize, Hook)> {
    for (index, level) in filters.levels.iter_mut().enumerate() {
        let Some(level) = level else { continue };
        level.is_asked |= !level.chain.hooks().contains(Hook::Request);
        if !level.is_asked {
            return Some((index, Hook::Request));
        }
    }
    for (index, level) in filters.levels.iter_mut().enumerate() {
        let Some(level) = level else { continue };
        level.is_routed |= !level.chain.hooks().contains(Hook::Route);
        if !level.is_routed {
            return Some((index, Hook::Route));
        }
    }
    None
}

/// Asks all that are due. Returns what a plugin answers, if one does.
pub(crate) async fn ask(
    head: &mut RequestHeader,
    context: &mut Context,
) -> Result<Option<Answer>, Fault> {
    ask_with(head, context, None).await
}

async fn ask_with(
    head: &mut RequestHeader,
    context: &mut Context,
    talk: Option<&Talk>,
) -> Result<Option<Answer>, Fault> {
    while let Some((index, hook)) = due(context) {
        claim(context, (index, hook));
        let sides = Sides { talk, ..Sides::of(Request::Ours(head)) };
        let ran = run(hook, Some(index), context, sides, None).await;
        if let Some(answer) = follow(ran, head, context)? {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

/// How far those came who answer at once.
pub(crate) enum AtOnce {
    /// All were asked. What a plugin answers, if one does.
    Done(Option<Answer>),
    /// Somebody is next who may wait.
    Waits,
}

/// Asks those that are due until one may wait, while the request is still with the front door. What they have the client told is
/// [left](Filtering::take_told) for whoever has it.
pub(crate) fn in_front(head: &mut RequestHeader, context: &mut Context) -> Result<AtOnce, Fault> {
    let talk = Talk::default();
    let asked = ask_at_once(head, context, &talk);
    context.filtering.told = talk.take_interims();
    asked
}

/// Asks those that are due until one may wait: without all that waiting takes.
fn ask_at_once(
    head: &mut RequestHeader,
    context: &mut Context,
    talk: &Talk,
) -> Result<AtOnce, Fault> {
    while let Some((index, hook)) = due(context) {
        if may_wait(context, (index, hook)) {
            return Ok(AtOnce::Waits);
        }
        claim(context, (index, hook));
        let sides = Sides { talk: Some(talk), ..Sides::of(Request::Ours(head)) };
        let ran = run_now(hook, Some(index), context, sides, None);
        if let Some(answer) = follow(ran, head, context)? {
            return Ok(AtOnce::Done(Some(answer)));
        }
    }
    Ok(AtOnce::Done(None))
}

/// Which chain is asked next, and at which hook.
fn due(context: &mut Context) -> Option<(usize, Hook)> {
    if !settle(context) {
        return None;
    }
    next(context.filtering.filters.as_deref_mut()?)
}

fn may_wait(context: &mut Context, (index, hook): (usize, Hook)) -> bool {
    level(context, index).is_some_and(|level| level.chain.waiting().contains(hook))
}

/// Has a chain be asked at a hook: once, whatever comes of it.
fn claim(context: &mut Context, (index, hook): (usize, Hook)) {
    let Some(level) = level(context, index) else { return };
    match hook {
        Hook::Request => level.is_asked = true,
        _ => level.is_routed = true,
    }
}

fn level(context: &mut Context, index: usize) -> Option<&mut Level> {
    context.filtering.filters.as_deref_mut()?.levels.get_mut(index)?.as_mut()
}

/// What follows from what they said and changed.
fn follow(
    ran: Ran,
    head: &mut RequestHeader,
    context: &mut Context,
) -> Result<Option<Answer>, Fault> {
    if !matches!(ran.verdict, Verdict::Continue) {
        return judged(ran.verdict);
    }
    if context.filtering.has_changed_fields() {
        // They were made of fields.
        context.memos = Memos::default();
    }
    if ran.changed.any() {
        route::anew(head, ran.changed.site, ran.changed.host, context)?;
    }
    Ok(None)
}

/// The same for a request whose client may be told something meanwhile, and asked for its body. `taken` is that, where it was taken in
/// already.
pub(crate) async fn with_session(
    session: &mut Session,
    context: &mut Context,
    taken: Option<&[Bytes]>,
) -> Passed<Option<Answer>> {
    let mut taking = Taking::new(session, taken, context);
    let talk = Talk::default();
    let at_once = ask_at_once(session.req_header_mut(), context, &talk);
    pass_on(&talk, session).await;
    let answer = match at_once.map_err(|fault| context.fail(fault))? {
        AtOnce::Done(answer) => answer,
        // Apart, because it takes much room.
        AtOnce::Waits => Box::pin(ask_attended(session, context, &talk, &mut taking)).await?,
    };
    if answer.is_none() {
        mirror::take_body(session, &mut taking, context).await?;
    }
    if taking.has_begun {
        let content = taking.finish(session).await.map_err(|fault| context.fail(fault))?;
        context.body_received = content.len() as u64;
        context.content = Some(Box::new(content));
    }
    if answer.is_none() {
        mirror::begin(session.req_header(), context);
    }
    Ok(answer)
}

/// Asks those who may wait, and whoever is due after them.
async fn ask_attended(
    session: &mut Session,
    context: &mut Context,
    talk: &Talk,
    taking: &mut Taking,
) -> Passed<Option<Answer>> {
    // Who reads the body goes by what frames it alone.
    let mut head = framing(session.req_header());
    std::mem::swap(&mut head, session.req_header_mut());
    let asked = attend(ask_with(&mut head, context, Some(talk)), talk, session, taking).await;
    *session.req_header_mut() = head;
    match asked {
        Some(asked) => asked.map_err(|fault| context.fail(fault)),
        None => {
            let gone = Fault::client(Kind::ClientClosed, "the client left while it waited");
            Err(context.fail(gone))
        }
    }
}

/// Sends what the client is to be told before its answer.
async fn pass_on(talk: &Talk, session: &mut Session) {
    for interim in talk.take_interims() {
        // A client that does not take it is noticed when its answer is sent.
        let (Ok(()) | Err(_)) = session.write_response_header(interim, false).await;
    }
}

/// As much of a head as tells where a body ends.
fn framing(head: &RequestHeader) -> RequestHeader {
    let blank = || RequestHeader::from(http::Request::new(()).into_parts().0);
    let mut framing =
        RequestHeader::build_no_case(head.method.clone(), b"/", None).unwrap_or_else(|_| blank());
    framing.set_version(head.version);
    for name in [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::EXPECT,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        if let Some(value) = head.headers.get(&name) {
            // It was a valid value.
            let _ = framing.insert_header(name, value.clone());
        }
    }
    framing
}

/// Waits for `asking`, and does meanwhile what is wanted of the client; `None` if that is gone before the end.
async fn attend<T>(
    asking: impl Future<Output = T> + Send,
    talk: &Talk,
    session: &mut Session,
    taking: &mut Taking,
) -> Option<T> {
    enum Event<T> {
        Done(T),
        Wanted,
    }
    let mut asking = pin!(asking);
    loop {
        let stepping = std::future::poll_fn(|waking| match asking.as_mut().poll(waking) {
            Poll::Ready(done) => Poll::Ready(Event::Done(done)),
            Poll::Pending if talk.is_silent() => Poll::Pending,
            Poll::Pending => Poll::Ready(Event::Wanted),
        });
        let event = tokio::select! {
            biased;
            event = stepping => event,
            () = gone(session, taking) => return None,
        };
        pass_on(talk, session).await;
        if let Event::Done(done) = event {
            return Some(done);
        }
        if let Some(wanted) = talk.take_body() {
            taking.serve(wanted, session).await;
        }
    }
}

/// Waits until the client is seen to be gone: while it has a body to send, that says it.
async fn gone(session: &mut Session, taking: &Taking) {
    if !taking.is_over && !session.downstream_session.is_body_empty() {
        return std::future::pending().await;
    }
    if session.downstream_session.read_body_or_idle(true).await.is_ok() {
        // It has sent what belongs to nobody yet.
        std::future::pending().await
    }
}

/// The body of a request, as far as plugins have wanted it.
pub(super) struct Taking {
    received: BytesMut,
    /// Whether any of it was read here.
    has_begun: bool,
    /// Whether it is all there.
    is_over: bool,
    /// What the route allows.
    most: u64,
}

impl Taking {
    fn new(session: &mut Session, taken: Option<&[Bytes]>, context: &Context) -> Self {
        let known = match (taken, &context.content) {
            (Some(pieces), _) => Some(BytesMut::from(&*pieces.concat())),
            (None, Some(content)) => Some(BytesMut::from(&***content)),
            (None, None) => None,
        };
        let is_empty = known.is_none() && session.downstream_session.is_body_empty();
        Self {
            is_over: known.is_some() || is_empty,
            received: known.unwrap_or_default(),
            has_begun: false,
            most: context.route().and_then(|route| route.body_limit).unwrap_or(u64::MAX),
        }
    }

    /// What was read, if it is all there.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        self.is_over.then_some(&*self.received)
    }

    async fn serve(&mut self, wanted: Wanted, session: &mut Session) {
        let arrived = match self.read(session, wanted.limit as u64).await {
            Ok(()) if !self.is_over || self.received.len() > wanted.limit => {
                Err(OperationError::TooLarge)
            }
            Ok(()) => Ok(Bytes::copy_from_slice(&self.received)),
            Err(_) => Err(OperationError::Failed),
        };
        // Whoever wanted it may have given up.
        let _ = wanted.to.send(arrived);
    }

    /// Reads on until there is more than `limit`, or all.
    pub(super) async fn read(&mut self, session: &mut Session, limit: u64) -> Passed<()> {
        if self.is_over {
            return Ok(());
        }
        let announced = session.req_header().headers.get(header::CONTENT_LENGTH);
        let announced: Option<u64> =
            announced.and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length| length > limit) {
            return Ok(());
        }
        if !self.has_begun && body::expects_continue(session) {
            session.downstream_session.write_continue_response().await?;
        }
        self.has_begun = true;
        while self.received.len() as u64 <= limit.min(self.most) {
            let Some(piece) = session.downstream_session.read_request_body().await? else {
                self.is_over = true;
                return Ok(());
            };
            self.received.extend_from_slice(&piece);
        }
        Ok(())
    }

    /// All of it: what was begun has to be read to its end.
    async fn finish(&mut self, session: &mut Session) -> Result<Bytes, Fault> {
        if let Err(error) = self.read(session, u64::MAX).await {
            return Err(crate::http::fail::judge(&error));
        }
        if self.received.len() as u64 > self.most {
            let reason = "request body larger than `body_limit`";
            return Err(Fault::client(Kind::BodyTooLarge, reason));
        }
        Ok(std::mem::take(&mut self.received).freeze())
    }
}
