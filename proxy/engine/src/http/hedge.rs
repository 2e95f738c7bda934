//! Hedging: what is read of a service that is to be asked so is asked of a second endpoint when the first is late to answer.
//!
//! Each copy of such a request is a request of our own that goes through steps 6 to 9. Which of the two answers is settled between
//! them when the head of an answer is here, in step 9 ([`lane`]): nothing of the other is seen, stored or learnt. Here the copies
//! are started, what the one sends is passed on, and the other is dropped with its exchange.

mod lane;

use std::sync::Arc;
use std::time::Instant;

use http::{Method, header};
use pingora_core::protocols::http::{HttpTask, ServerSession};
use pingora_error::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

pub(super) use lane::{LOST, Lane, better, is_contested, is_second, placed, settle};
use lane::{Race, Which};

use super::cache::fetch::Fetcher;
use super::context::Context;
use super::fault::{Fault, Kind};
use super::inner::Inherited;
use super::{encode, overload, shard};
use crate::h2::Exchange;
use crate::listen::outlet::Outlet;

/// How much of an answer is on its way between a copy and its request.
const TASKS: usize = 4;

/// Whether a request may be sent in two copies: one that changes nothing and has no body, to a service that is to be asked so.
pub(super) fn may_apply(session: &mut Session, context: &Context) -> bool {
    let upstream = context.upstream();
    let hedges = upstream.is_some_and(|upstream| upstream.guard.hedges());
    if !hedges || context.lane.is_some() || shard::is_beside(context) || context.filtering.is_once()
    {
        return false;
    }
    let head = session.req_header();
    let is_read = [Method::GET, Method::HEAD].contains(&head.method);
    is_read
        && !head.headers.contains_key(header::UPGRADE)
        && session.downstream_session.is_body_empty()
}

/// Has a request answered by whichever copy of it is first. `false` where none can be made: it goes on as others do.
pub(super) async fn run(session: &mut Session, context: &mut Context) -> Result<bool> {
    let Some(fetcher) = context.fetcher.clone() else { return Ok(false) };
    let mut head = session.req_header().clone();
    // What ties a client's stream to one of an origin ties it to one only.
    head.extensions_mut().remove::<Exchange>();
    let race = Race::new(&context.asked);
    let mut copies = Copies { race, fetcher, head, first: None, second: None, may_hedge: true };
    let first = copies.context(Which::First, session, context);
    copies.first = copies.start(Which::First, first);
    if copies.first.is_none() {
        return Ok(false);
    }
    let outlet = encode::passing::outlet(session, context);
    let (winner, begun) = copies.settled(session, context).await?;
    pass_on(winner, begun, (session, outlet), context).await.map(|()| true)
}

/// A request's copies. What is dropped of them is given up.
struct Copies {
    race: Arc<Race>,
    fetcher: Arc<Fetcher>,
    head: RequestHeader,
    first: Option<Running>,
    second: Option<Running>,
    /// Whether the second may still come.
    may_hedge: bool,
}

/// A copy on its way.
struct Running {
    tasks: mpsc::Receiver<HttpTask>,
    /// `None` once it may end by itself.
    task: Option<AbortHandle>,
}

/// What happens while nothing is settled.
enum Event {
    Sent(Which, Vec<HttpTask>),
    Changed,
    Late,
    Gone,
}

impl Copies {
    /// What a copy inherits.
    fn context(&self, which: Which, session: &Session, context: &Context) -> Box<Context> {
        let mut head = self.head.clone();
        let filtering = context.filtering.of_copy();
        let mut copy = Inherited::from(session, context, filtering).into_context(&mut head);
        copy.asked = self.race.asked(which);
        copy.fetch.clone_from(&context.fetch);
        copy.lane = Some(Lane::new(&self.race, which));
        Box::new(copy)
    }

    fn start(&self, which: Which, context: Box<Context>) -> Option<Running> {
        let (sender, tasks) = mpsc::channel(TASKS);
        let runs = self.race.runs(which);
        let task = self.fetcher.run(self.head.clone(), context, sender, runs)?;
        Some(Running { tasks, task: Some(task) })
    }

    /// Sends the second copy, if it may be sent.
    fn hedge(&mut self, session: &Session, context: &Context) {
        self.may_hedge = false;
        let mut copy = self.context(Which::Second, session, context);
        if !self.race.follow(&mut copy) {
            return;
        }
        let Some(second) = overload::second::enter(&copy) else { return };
        copy.permit = Some(second.permit);
        self.race.spend(second.taken);
        self.second = self.start(Which::Second, copy);
    }

    /// The copy that answers, with what it has sent.
    async fn settled(
        &mut self,
        session: &mut Session,
        context: &mut Context,
    ) -> Result<(Running, Vec<HttpTask>)> {
        loop {
            let tasks = match self.event(session).await {
                Event::Changed => continue,
                Event::Late => {
                    self.hedge(session, context);
                    continue;
                }
                Event::Gone => return Err(context.fail(gone_away())),
                Event::Sent(which, tasks) if tasks.is_empty() => {
                    *self.copy(which) = None;
                    if self.first.is_none() && self.second.is_none() {
                        return Err(context.fail(self.race.fault()));
                    }
                    continue;
                }
                Event::Sent(which, tasks) if tasks.iter().any(is_answer) => {
                    let Some(copy) = self.copy(which).take() else { continue };
                    (self.first, self.second) = (None, None);
                    return Ok((copy, tasks));
                }
                Event::Sent(_, tasks) => tasks,
            };
            // What precedes an answer commits to nothing.
            session.write_response_tasks(tasks).await.map_err(Error::into_down)?;
        }
    }

    async fn event(&mut self, session: &mut Session) -> Event {
        let race = Arc::clone(&self.race);
        let changed = race.changed();
        let due = race.due().filter(|_| self.may_hedge);
        tokio::select! {
            biased;
            tasks = next(self.first.as_mut()) => Event::Sent(Which::First, tasks),
            tasks = next(self.second.as_mut()) => Event::Sent(Which::Second, tasks),
            () = changed => Event::Changed,
            () = until(due) => Event::Late,
            () = gone(session) => Event::Gone,
        }
    }

    fn copy(&mut self, which: Which) -> &mut Option<Running> {
        match which {
            Which::First => &mut self.first,
            Which::Second => &mut self.second,
        }
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        self.race.close();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn is_answer(task: &HttpTask) -> bool {
    matches!(task, HttpTask::Header(head, _) if !head.status.is_informational())
}

/// What a copy sends next; nothing at its end, and never anything where there is none.
async fn next(copy: Option<&mut Running>) -> Vec<HttpTask> {
    let Some(copy) = copy else { return std::future::pending().await };
    let mut tasks = Vec::with_capacity(TASKS);
    copy.tasks.recv_many(&mut tasks, TASKS).await;
    tasks
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Until the client has gone. That of an inner request is seen to be by whoever has it.
async fn gone(session: &mut Session) {
    match &mut *session.downstream_session {
        ServerSession::Subrequest(_) => std::future::pending().await,
        // Whatever comes is the end of it: a whole request has nothing more to say.
        session => drop(session.read_body_or_idle(true).await),
    }
}

fn gone_away() -> Fault {
    Fault::client(Kind::ClientClosed, "gone before the answer")
}

/// Passes on what the copy that answers sends, from the head to the end.
async fn pass_on(
    mut copy: Running,
    mut tasks: Vec<HttpTask>,
    (session, outlet): (&mut Session, Option<Outlet>),
    context: &mut Context,
) -> Result<()> {
    loop {
        for task in &tasks {
            if let (HttpTask::Header(head, _), Some(outlet)) = (task, &outlet) {
                outlet.tell(head);
            }
        }
        let ends = tasks.iter().any(HttpTask::is_end);
        session.write_response_tasks(tasks).await.map_err(Error::into_down)?;
        if ends {
            // It has its connection to put away.
            copy.task = None;
            return Ok(());
        }
        tasks = tokio::select! {
            biased;
            tasks = next(Some(&mut copy)) => tasks,
            () = gone(session) => {
                context.fault = Some(gone_away());
                return Err(Error::explain(ErrorType::ConnectionClosed, "gone").into_down());
            }
        };
        if tasks.is_empty() {
            let fault = context.asked.lock().fault.take();
            let fault = fault.unwrap_or_else(|| Fault::upstream(Kind::BadAnswer, "cut short"));
            return Err(context.fail(fault));
        }
    }
}
