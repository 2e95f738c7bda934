//! What the copies of a request share: whom each was given to, which of them still run, and which one answers.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use switchback_upstream::{Attempt, Endpoint};
use tokio::sync::Notify;

use crate::http::context::{Asked, Context};
use crate::http::fault::{Fault, Kind};
use crate::http::outcome;
use crate::http::overload::{self, second};
use crate::http::shard::Chosen;
use crate::http::spill::Spilt;

/// Which copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The request as it would be without another.
    First,
    /// The one that is sent when that is late.
    Second,
}

impl Which {
    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// One of each copy.
#[derive(Debug, Default)]
struct Both<T> {
    first: T,
    second: T,
}

impl<T> Both<T> {
    fn of(&self, which: Which) -> &T {
        match which {
            Which::First => &self.first,
            Which::Second => &self.second,
        }
    }

    fn of_mut(&mut self, which: Which) -> &mut T {
        match which {
            Which::First => &mut self.first,
            Which::Second => &mut self.second,
        }
    }
}

/// What the copies of a request share.
#[derive(Debug)]
pub(super) struct Race {
    /// What is known of asking upstreams: of the request, ...
    outer: Arc<Mutex<Asked>>,
    /// ... and of each copy, until one of them answers.
    asked: Both<Arc<Mutex<Asked>>>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    placed: Both<Option<Placed>>,
    runs: Both<bool>,
    /// What the second copy was taken of, until it is sent.
    taken: Option<second::Taken>,
    winner: Option<Which>,
    /// When the first copy will be late.
    due: Option<Instant>,
}

/// Whom a copy was given to last.
#[derive(Clone, Debug)]
struct Placed {
    chosen: Chosen,
    attempt: Attempt,
    spilt: Spilt,
    endpoint: Arc<Endpoint>,
    began: Instant,
    /// Whether there is an answer, perhaps one that somebody else may better.
    is_answered: bool,
}

/// One of the copies of a request.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    race: Arc<Race>,
    which: Which,
}

/// A copy that runs, until it is dropped.
pub(super) struct Runs {
    race: Arc<Race>,
    which: Which,
}

impl Drop for Runs {
    fn drop(&mut self) {
        let mut state = self.race.state.lock();
        *state.runs.of_mut(self.which) = false;
        let unsent = if self.which == Which::Second { state.taken.take() } else { None };
        drop(state);
        unsent.into_iter().for_each(second::Taken::give_back);
        self.race.changed.notify_waiters();
    }
}

impl Race {
    /// Of a request of which this is known.
    pub(super) fn new(outer: &Arc<Mutex<Asked>>) -> Arc<Self> {
        Arc::new(Self {
            outer: Arc::clone(outer),
            asked: Both::default(),
            state: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// What becomes of a copy.
    pub(super) fn asked(&self, which: Which) -> Arc<Mutex<Asked>> {
        Arc::clone(self.asked.of(which))
    }

    /// A copy is on its way.
    pub(super) fn runs(self: &Arc<Self>, which: Which) -> Runs {
        *self.state.lock().runs.of_mut(which) = true;
        Runs { race: Arc::clone(self), which }
    }

    /// Waits for the next change, from now on.
    pub(super) fn changed(&self) -> impl Future<Output = ()> + '_ {
        self.changed.notified()
    }

    /// When the first copy will be late.
    pub(super) fn due(&self) -> Option<Instant> {
        self.state.lock().due
    }

    /// Has the second copy, whose context this is, go where the first went, but to another endpoint. `false` where the first is
    /// nowhere, or not any more.
    pub(super) fn follow(&self, second: &mut Context) -> bool {
        let state = self.state.lock();
        let Some(Placed { chosen, attempt, spilt, .. }) =
            state.placed.first.clone().filter(|placed| !placed.is_answered && state.runs.first)
        else {
            return false;
        };
        (second.chosen, second.attempt, second.spilt) = (Some(chosen), attempt, spilt);
        true
    }

    /// The second copy was taken of this.
    pub(super) fn spend(&self, taken: second::Taken) {
        self.state.lock().taken = Some(taken);
    }

    /// Why there is no answer: what happened to the first copy is what would have happened without another.
    pub(super) fn fault(&self) -> Fault {
        let fault = |which| self.asked.of(which).lock().fault.take();
        let fault = fault(Which::First).or_else(|| fault(Which::Second));
        fault.unwrap_or_else(|| Fault::upstream(Kind::BadAnswer, "no answer"))
    }

    /// Nobody waits for the copies any more. Where none of them has answered, the request tells what became of both.
    pub(super) fn close(&self) {
        if self.state.lock().winner.is_none() {
            self.tell(Which::First);
            self.tell(Which::Second);
        }
    }

    /// Adds what became of a copy to what is known of the request.
    fn tell(&self, which: Which) {
        let Asked { mut tries, upstream, epoch, .. } =
            std::mem::take(&mut *self.asked.of(which).lock());
        if let Some(last) = tries.last_mut() {
            last.ended.get_or_insert_with(|| last.began.elapsed());
        }
        let mut outer = self.outer.lock();
        outer.tries.append(&mut tries);
        if upstream.is_some() {
            (outer.upstream, outer.epoch) = (upstream, epoch);
        }
    }
}

impl Lane {
    /// One of the copies that share `race`.
    pub(super) fn new(race: &Arc<Race>, which: Which) -> Self {
        Self { race: Arc::clone(race), which }
    }

    /// Whom the other copy has tried counts as tried, where it is among those that this one may have.
    pub(in crate::http) fn join(&self, chosen: &Chosen, attempt: &mut Attempt) {
        let state = self.race.state.lock();
        if let Some(other) = state.placed.of(self.which.other())
            && other.chosen.is_same(chosen)
        {
            attempt.join(&other.attempt);
        }
    }

    /// Whether the other copy may still answer.
    fn is_contested(&self) -> bool {
        let state = self.race.state.lock();
        state.winner.is_none() && *state.runs.of(self.which.other())
    }

    /// Whom it goes to; the answer will be late at `due`.
    fn placed(&self, placed: Placed, due: Option<Instant>) {
        let mut state = self.race.state.lock();
        *state.placed.of_mut(self.which) = Some(placed);
        match self.which {
            Which::First => state.due = due,
            // It is sent.
            Which::Second => state.taken = None,
        }
        drop(state);
        self.race.changed.notify_waiters();
    }

    fn is_placed(&self) -> bool {
        self.race.state.lock().placed.of(self.which).is_some()
    }

    /// There is an answer; since when its endpoint had the request.
    fn answered(&self) -> Option<Instant> {
        let mut state = self.race.state.lock();
        let placed = state.placed.of_mut(self.which).as_mut()?;
        let is_new = !std::mem::replace(&mut placed.is_answered, true);
        is_new.then_some(placed.began)
    }

    /// Settles which copy answers: this one, unless that is settled.
    fn settle(&self) -> Settled {
        let mut state = self.race.state.lock();
        match state.winner {
            Some(winner) if winner == self.which => return Settled::Before,
            Some(_) => return Settled::Lost,
            None => state.winner = Some(self.which),
        }
        let runs = *state.runs.of(self.which.other());
        let other = state.placed.of(self.which.other()).clone().filter(|_| runs);
        drop(state);
        self.race.changed.notify_waiters();
        Settled::Won(other.filter(|other| !other.is_answered).map(Box::new))
    }
}

/// Which copy answers, as one of them sees it.
enum Settled {
    /// This one, from now on; the other has this endpoint, and no answer.
    Won(Option<Box<Placed>>),
    /// This one, as was settled before: it has changed endpoints since.
    Before,
    /// The other.
    Lost,
}

/// Whether the request is a copy that was sent because the first was late.
pub(in crate::http) fn is_second(context: &Context) -> bool {
    context.lane.as_ref().is_some_and(|lane| lane.which == Which::Second)
}

/// Whether another copy of the request runs that may still answer it.
pub(in crate::http) fn is_contested(context: &Context) -> bool {
    context.lane.as_ref().is_some_and(Lane::is_contested)
}

/// A copy goes to an endpoint; `is_held` is whether it is to stay with that one.
pub(in crate::http) fn placed(is_held: bool, now: Instant, context: &Context) {
    let Some(lane) = &context.lane else { return };
    let (Some(chosen), Some(trying)) = (&context.chosen, &context.trying) else { return };
    let is_first = lane.which == Which::First;
    if !lane.is_placed() {
        if is_first { second::may_come(context) } else { second::is_sent(context) }
    }
    let due = if is_first && !is_held { second::late(context) } else { None };
    let placed = Placed {
        chosen: chosen.clone(),
        attempt: context.attempt.clone(),
        spilt: context.spilt,
        endpoint: Arc::clone(trying.in_flight.endpoint()),
        began: now,
        is_answered: false,
    };
    lane.placed(placed, due.and_then(|due| now.checked_add(due)));
}

/// Why an exchange ends whose request was answered by the other copy.
pub(in crate::http) const LOST: ErrorType = ErrorType::Custom("AnsweredByTheOtherCopy");

fn lost<T>() -> Result<T> {
    Error::e_explain(LOST, "the other copy was answered first")
}

/// Keeps an answer that might be followed by another try back, while the other copy may bring a better one.
///
/// # Errors
/// It has.
pub(in crate::http) async fn better(head: &ResponseHeader, context: &mut Context) -> Result<()> {
    let Some(lane) = context.lane.clone() else { return Ok(()) };
    let status = head.status;
    if status.is_informational() {
        return Ok(());
    }
    let now = Instant::now();
    if let Some(began) = lane.answered()
        && lane.which == Which::First
        && !status.is_server_error()
    {
        second::took(now.saturating_duration_since(began), now, context);
    }
    if !overload::is_named(status.as_u16(), context) || !lane.is_contested() {
        return Ok(());
    }
    outcome::answered(status.as_u16(), now, context);
    context.asked.lock().current(|tried| {
        tried.status = Some(status);
        tried.answered = Some(now.saturating_duration_since(tried.began));
    });
    loop {
        let changed = lane.race.changed();
        if !lane.is_contested() {
            break;
        }
        changed.await;
    }
    if lane.race.state.lock().winner.is_some() { lost() } else { Ok(()) }
}

/// Settles that this copy answers.
///
/// # Errors
/// The other does.
pub(in crate::http) fn settle(head: &ResponseHeader, context: &mut Context) -> Result<()> {
    let Some(lane) = context.lane.clone() else { return Ok(()) };
    if head.status.is_informational() {
        return Ok(());
    }
    let other = match lane.settle() {
        Settled::Won(other) => other,
        Settled::Before => return Ok(()),
        Settled::Lost => {
            outcome::answered(head.status.as_u16(), Instant::now(), context);
            return lost();
        }
    };
    if lane.which == Which::Second {
        second::has_won(context);
    }
    if let Some(other) = other {
        given_up(&other, lane.which.other(), context);
    }
    // The last of the tries is the one that answers.
    lane.race.tell(lane.which.other());
    lane.race.tell(lane.which);
    context.asked = Arc::clone(&lane.race.outer);
    Ok(())
}

/// What is known of a copy that is not waited for any more: it would have taken longer than it had.
fn given_up(placed: &Placed, which: Which, context: &Context) {
    let now = Instant::now();
    let time = now.saturating_duration_since(placed.began);
    placed.endpoint.load().waited(time, now);
    if which == Which::First {
        second::took(time, now, context);
    }
}
