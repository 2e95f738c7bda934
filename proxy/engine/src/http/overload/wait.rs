//! A request that waits to be let in: it holds no thread, has a deadline, and goes when its client does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora_proxy::Session;
use switchback_upstream::limit::{Left, Waiting};
use tokio::sync::oneshot;

use super::{Guard, Permit, class, later};
use crate::http::context::Context;
use crate::http::fault::{Fault, Kind};
use crate::http::shard::Chosen;

/// What those are told who are sent away.
const COME_BACK: Duration = Duration::from_secs(1);

/// Waits in the queue of a service that has enough to do.
pub(super) async fn wait(
    session: &mut Session,
    guard: &Arc<Guard>,
    context: &Context,
) -> Result<Permit, Fault> {
    let counters = &guard.service.counters;
    let (tell, told) = oneshot::channel();
    let now = Instant::now();
    let deadline = now + guard.queue.wait;
    let waiting = Waiting { class: class(session, context), who: tell, now, deadline };
    let ticket = match guard.service.gate.wait(waiting, guard.ceiling, guard.queue) {
        Left::Entered(in_flight, _) => return Ok(guard.admitted(in_flight)),
        Left::Waits(ticket, gone) => {
            // It learns so by the loss of its sender.
            drop(gone);
            ticket
        }
        Left::Shed(_) => {
            counters.shed.add();
            return Err(shed(context, "its queue is full"));
        }
    };
    let mut place = Place { guard, ticket: Some(ticket) };
    counters.waited.add();
    // Room may have been made between the look and the queue.
    guard.let_in();
    let outcome = tokio::select! {
        permit = told => {
            // Whoever told has taken it out.
            place.ticket = None;
            permit.map_err(|_| shed(context, "others wait who came later"))
        }
        () = tokio::time::sleep_until(deadline.into()) => {
            if guard.service.gate.is_on_trial(guard.ceiling) {
                return Ok(guard.admitted(guard.service.gate.come()));
            }
            Err(shed(context, "it had no room within `queue.wait`"))
        }
        () = gone(session, context.inner) => {
            return Err(Fault::client(Kind::ClientClosed, "gone while waiting for the upstream"));
        }
    };
    if outcome.is_err() {
        counters.shed.add();
    }
    outcome
}

/// A place in the queue, until it is dropped.
struct Place<'g> {
    guard: &'g Guard,
    /// `None` once it is out of the queue.
    ticket: Option<u64>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.guard.service.gate.remove(ticket);
        }
    }
}

/// Until the client has gone. One whose request has a body may still be sending that, and is not listened to; nor is one that
/// is served by an outer request, or many.
async fn gone(session: &mut Session, is_inner: bool) {
    if is_inner || !session.downstream_session.is_body_empty() {
        return std::future::pending().await;
    }
    // Whatever comes is the end of it: a whole request has nothing more to say.
    drop(session.downstream_session.read_body_or_idle(true).await);
}

pub(super) fn shed(context: &Context, why: &str) -> Fault {
    let upstream = context.upstream();
    let name = upstream.map_or("-", |upstream| &*upstream.plan.name);
    let shard = context.chosen.as_ref().and_then(Chosen::shard);
    let whose = shard.map(|(shard, _)| format!("shard `{}` of ", shard.name)).unwrap_or_default();
    let reason = format!("{whose}upstream `{name}` has as many requests as it can work at: {why}");
    later(reason, COME_BACK)
}
