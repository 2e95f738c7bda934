//! Plugins on a request's way: who is asked where, and what follows.
//!
//! A request meets up to three chains: that of its listener, of its site and of its route. Each is asked once before the request is
//! answered ([`ask`]), also when the request is led to another route meanwhile: then that one's is. At all other hooks they are asked
//! where that happens, those of the route nearest to the upstream. Requests for which no chain stands anywhere pay for one test.

mod ask;
pub(crate) mod background;
pub(crate) mod bodies;
pub(crate) mod client;
mod endpoints;
mod hooks;
mod mirror;
pub(crate) mod names;
pub(crate) mod operations;
pub(crate) mod steering;
mod talk;
pub(crate) mod variables;
mod view;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Waking, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use switchback_conf::plan::{RouteId, SiteId};
use switchback_plugin::{Hook, Hooks};
use switchback_plugin_host::{Chain, Running, Verdict};
use tokio::sync::oneshot;

use super::answer::Answer;
use super::cache::ahead::Interim;
use super::context::Context;
use bodies::Bodies;
use view::{Changed, Request, Response, View};

pub(crate) use ask::{AtOnce, are_due, ask, in_front, with_session};
use hooks::{ended, judged};
pub(crate) use hooks::{
    log, own_response, own_response_at_once, passing_response, tunnel_request, tunnel_response,
    upstream, upstream_request, upstream_response,
};

/// The plugins of one request, and what follows from what they said.
#[derive(Debug, Default)]
pub(crate) struct Filtering {
    filters: Option<Box<Filters>>,
    /// Where they go when this request, which is part of another, has no use for them any more.
    home: Option<oneshot::Sender<Box<Filters>>>,
    /// Where they come back from such a request.
    away: Option<oneshot::Receiver<Box<Filters>>>,
    /// Whom a plugin would have asked, in the try at hand.
    preferred: Option<Box<[usize]>>,
    /// What a plugin answers while an upstream is being asked, or before the request is where it can be sent.
    answer: Option<Box<Answer>>,
    /// What the client is to be told before its answer.
    told: Vec<Interim>,
    /// Whether the answer at hand has been seen by them.
    has_answered: bool,
    /// Whether the head of the request has other fields than were received.
    has_changed_fields: bool,
    /// Whether nobody is asked: the request is a copy.
    is_off: bool,
}

/// The chains of a request, with what they remember of it.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    place: (Option<SiteId>, Option<RouteId>),
    /// Of the listener, the site and the route.
    levels: [Option<Level>; 3],
    /// The one that there is, where there is no other.
    sole: Option<usize>,
    /// The hooks that any of them has.
    hooks: Hooks,
    /// Those where somebody may wait.
    waiting: Hooks,
    /// Whether somebody may have to be asked before the request is answered. Looked at often, and not so once that was found.
    may_be_due: bool,
    /// What they had to do with bodies.
    bodies: Option<Box<Bodies>>,
}

struct Level {
    chain: Arc<Chain>,
    /// Never locked: it is there because a context must be what threads may share.
    running: Mutex<Running>,
    /// Whether it has been asked before the request is answered.
    is_asked: bool,
    /// Whether it has been asked where the request goes.
    is_routed: bool,
}

impl std::fmt::Debug for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Level").field("hooks", &self.chain.hooks()).finish_non_exhaustive()
    }
}

impl Filtering {
    /// For a copy of a request, which plugins have nothing to do with.
    pub(super) fn off() -> Self {
        let mut off = Self::default();
        off.is_off = true;
        off
    }

    /// The hooks that somebody has.
    fn hooks(&self) -> Hooks {
        self.filters.as_ref().map_or(Hooks::NONE, |filters| filters.hooks)
    }

    /// Whether somebody may wait at this hook.
    fn may_wait(&self, hook: Hook) -> bool {
        self.filters.as_ref().is_some_and(|filters| filters.waiting.contains(hook))
    }

    /// Whether some plugin has this hook.
    pub(super) fn has(&self, hook: Hook) -> bool {
        self.hooks().contains(hook)
    }

    /// A plugin changes fields of the request.
    fn changes_fields(&mut self) {
        self.has_changed_fields = true;
    }

    /// Whether the head of the request has other fields than were received.
    pub(super) fn has_changed_fields(&self) -> bool {
        self.has_changed_fields
    }

    /// Whom a plugin would have asked in this try.
    pub(super) fn preferred(&mut self) -> Option<Box<[usize]>> {
        self.preferred.take()
    }

    /// Whether the exchange with an endpoint ends because of what a plugin said.
    pub(super) fn has_ended(&self) -> bool {
        self.answer.is_some()
    }

    /// Has this be what a plugin answers.
    pub(super) fn answer_with(&mut self, answer: Answer) {
        self.answer = Some(Box::new(answer));
    }

    /// What a plugin answers in place of what an upstream would have.
    pub(super) fn take_answer(&mut self) -> Option<Answer> {
        self.answer.take().map(|answer| *answer)
    }

    /// What the client is to be told before its answer, once.
    pub(crate) fn take_told(&mut self) -> Vec<Interim> {
        std::mem::take(&mut self.told)
    }

    /// Whether a try may be followed by another: not once plugins have seen some of the body, which they would see again.
    pub(super) fn allows_another_try(&self) -> bool {
        let bodies = self.filters.as_ref().and_then(|filters| filters.bodies.as_ref());
        bodies.is_none_or(|bodies| !bodies.have_begun())
    }

    /// For an inner request, which has them until it has no use for them any more.
    pub(super) fn lend(&mut self) -> Self {
        let (home, away) = oneshot::channel();
        let mut lent = Self::default();
        (lent.filters, lent.home) = (self.filters.take(), Some(home));
        (lent.has_changed_fields, lent.is_off) = (self.has_changed_fields, self.is_off);
        self.away = Some(away);
        lent
    }

    /// Whether plugins look at how the request is answered, which they can do of one try at a time: what they remember is of a request.
    pub(super) fn is_once(&self) -> bool {
        let elsewhere = Hooks::of(&[Hook::Request, Hook::Route, Hook::Log]);
        self.hooks().bits() & !elsewhere.bits() != 0
    }

    /// For one of two copies of a request, at which nobody is asked: see [`is_once`](Self::is_once).
    pub(super) fn of_copy(&self) -> Self {
        let mut copy = Self::off();
        copy.has_changed_fields = self.has_changed_fields;
        copy
    }

    /// Waits until the inner request has no use for them any more.
    pub(super) async fn come_back(&mut self) {
        if let Some(away) = self.away.take() {
            // It has ended, or is about to.
            let back = tokio::time::timeout(PATIENCE, away).await;
            self.filters = back.ok().and_then(Result::ok);
        }
    }

    /// Lets whoever has lent them have them back.
    pub(super) fn give_back(&mut self) {
        if let (Some(home), Some(filters)) = (self.home.take(), self.filters.take()) {
            // If nobody waits, the whole request is over.
            let _ = home.send(filters);
        }
    }
}

/// How long an inner request may take to end when it is over for its client.
const PATIENCE: Duration = Duration::from_secs(1);

impl Drop for Filtering {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Has the chains be those of the place that the request has come to. Returns whether there are any.
#[inline]
pub(crate) fn settle(context: &mut Context) -> bool {
    if context.snapshot.filters.is_none() || context.filtering.is_off {
        return false;
    }
    let place = (context.place.site, context.place.route);
    let is_there = |filters: &Filters| filters.place == place;
    context.filtering.filters.as_deref().is_some_and(is_there) || settle_anew(context)
}

/// The same where it has come to another place.
#[inline(never)]
fn settle_anew(context: &mut Context) -> bool {
    let snapshot = &context.snapshot;
    let Some(table) = snapshot.filters.as_deref() else { return false };
    let place = (context.place.site, context.place.route);
    let listener = if table.has_listeners() {
        let listener = snapshot.listener_of(&context.connection);
        listener.and_then(|listener| table.of_listener(&listener.plan.address))
    } else {
        None
    };
    let site = place.0.and_then(|site| table.of_site(site));
    let route = place.1.and_then(|route| table.of_route(route));
    let chains = [listener, site, route];
    if context.filtering.filters.is_none() && chains.iter().all(Option::is_none) {
        return false;
    }
    let filters = context.filtering.filters.get_or_insert_with(Box::default);
    (filters.place, filters.may_be_due) = (place, true);
    (filters.hooks, filters.waiting) = (Hooks::NONE, Hooks::NONE);
    for (level, chain) in filters.levels.iter_mut().zip(chains) {
        if let Some(chain) = chain {
            filters.hooks = filters.hooks.union(chain.hooks());
            filters.waiting = filters.waiting.union(chain.waiting());
        }
        let is_same = match (&level, chain) {
            (Some(level), Some(chain)) => Arc::ptr_eq(&level.chain, chain),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            *level = chain.map(Level::new);
        }
    }
    filters.sole = match &filters.levels {
        [Some(_), None, None] => Some(0),
        [None, Some(_), None] => Some(1),
        [None, None, Some(_)] => Some(2),
        _ => None,
    };
    true
}

/// Whether an answer can be sent without waiting for a plugin, and without showing any its body.
pub(crate) fn may_answer_at_once(context: &mut Context) -> bool {
    !settle(context)
        || !context.filtering.has(Hook::ResponseBody) && !context.filtering.may_wait(Hook::Response)
}

impl Level {
    fn new(chain: &Arc<Chain>) -> Self {
        Self {
            running: Mutex::new(chain.start()),
            chain: Arc::clone(chain),
            is_asked: false,
            is_routed: false,
        }
    }
}

/// The chains while they are asked. They are the context's again, whichever way that ends.
struct Taken<'c> {
    context: &'c mut Context,
    filters: Option<Box<Filters>>,
}

impl<'c> Taken<'c> {
    fn from(context: &'c mut Context) -> Self {
        let filters = context.filtering.filters.take();
        Self { context, filters }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.context.filtering.filters = self.filters.take();
    }
}

/// What came of a hook.
struct Ran {
    verdict: Verdict,
    changed: Changed,
    preferred: Option<Box<[usize]>>,
}

impl Default for Ran {
    fn default() -> Self {
        Self { verdict: Verdict::Continue, changed: Changed::default(), preferred: None }
    }
}

impl Ran {
    /// With what plugins have left there.
    fn with(self, mut view: View<'_>) -> Self {
        Self { changed: view.changed, preferred: view.preferred.take(), ..self }
    }
}

/// The heads at hand.
struct Sides<'s> {
    request: Request<'s>,
    response: Response<'s>,
    talk: Option<&'s talk::Talk>,
}

impl<'s> Sides<'s> {
    fn of(request: Request<'s>) -> Self {
        Self { request, response: Response::None, talk: None }
    }

    fn with(self, response: Response<'s>) -> Self {
        Self { response, ..self }
    }
}

/// The levels in the order in which they are asked.
fn ordered(levels: &mut [Option<Level>; 3], hook: Hook) -> [(usize, &mut Option<Level>); 3] {
    let [listener, site, route] = levels;
    let (first, last) = ((0, listener), (2, route));
    if matches!(hook, Hook::UpstreamResponse | Hook::Response | Hook::ResponseBody | Hook::Log) {
        [last, (1, site), first]
    } else {
        [first, (1, site), last]
    }
}

/// Asks one level, or all of them.
fn run<'a>(
    hook: Hook,
    only: Option<usize>,
    context: &'a mut Context,
    sides: Sides<'a>,
    piece: Option<&'a mut bodies::Piece>,
) -> Run<'a> {
    if context.filtering.may_wait(hook) {
        Run::Waits(Box::pin(run_waiting(hook, only, context, sides, piece)))
    } else {
        Run::Done(run_now(hook, only, context, sides, piece))
    }
}

/// A hook on its way.
enum Run<'a> {
    /// It has ended.
    Done(Ran),
    /// Somebody may wait. Apart, because it takes much room.
    Waits(Pin<Box<dyn Future<Output = Ran> + Send + 'a>>),
}

impl Future for Run<'_> {
    type Output = Ran;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, waking: &mut Waking<'_>) -> Poll<Ran> {
        match &mut *self {
            Self::Done(ran) => Poll::Ready(std::mem::take(ran)),
            Self::Waits(future) => future.as_mut().poll(waking),
        }
    }
}

/// The same where somebody may wait.
async fn run_waiting(
    hook: Hook,
    only: Option<usize>,
    context: &mut Context,
    sides: Sides<'_>,
    piece: Option<&mut bodies::Piece>,
) -> Ran {
    let mut taken = Taken::from(context);
    let mut ran = Ran::default();
    let Some(filters) = taken.filters.as_deref_mut() else { return ran };
    let mut view = View::new(hook, &mut *taken.context, sides, piece);
    for (index, level) in ordered(&mut filters.levels, hook) {
        let Some(Level { chain, running, .. }) = level else { continue };
        if only.is_some_and(|only| only != index) || !chain.hooks().contains(hook) {
            continue;
        }
        (view.chain, view.level) = (Some(&**chain), index);
        ran.verdict = chain.run(hook, running.get_mut(), &mut view).await;
        if !matches!(ran.verdict, Verdict::Continue) {
            break;
        }
    }
    ran.with(view)
}

/// The same where nobody waits.
fn run_now(
    hook: Hook,
    only: Option<usize>,
    context: &mut Context,
    sides: Sides<'_>,
    piece: Option<&mut bodies::Piece>,
) -> Ran {
    let mut taken = Taken::from(context);
    let mut ran = Ran::default();
    let Some(filters) = taken.filters.as_deref_mut() else { return ran };
    let mut view = View::new(hook, &mut *taken.context, sides, piece);
    if let Some(index) = only.or(filters.sole) {
        // As a rule: at once, and not three times.
        if let Some(Some(Level { chain, running, .. })) = filters.levels.get_mut(index) {
            (view.chain, view.level) = (Some(&**chain), index);
            ran.verdict = chain.run_now(hook, running.get_mut(), &mut view);
        }
        return ran.with(view);
    }
    for (index, level) in ordered(&mut filters.levels, hook) {
        let Some(Level { chain, running, .. }) = level else { continue };
        (view.chain, view.level) = (Some(&**chain), index);
        ran.verdict = chain.run_now(hook, running.get_mut(), &mut view);
        // Whoever else wants to know of the end of a request is told.
        if !matches!(ran.verdict, Verdict::Continue) && hook != Hook::Log {
            break;
        }
    }
    ran.with(view)
}
