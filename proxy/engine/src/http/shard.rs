//! Which part of an upstream has a request: the shard of its key, and in that whoever has what it asks for.

mod compare;
mod key;
mod writes;

use std::sync::Arc;
use std::time::Instant;

use http::{StatusCode, header};
use pingora_error::ErrorType;
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_conf::plan::{MissingPlan, UpstreamId};
use switchback_upstream::shard::{KeyForm, Members, Normal};

use super::context::Context;
use super::facts::RequestFacts;
use super::fault::{Fault, Kind};
use super::{outcome, sticky};
use crate::snapshot::Upstream;
use crate::snapshot::shards::moving::{Otherwise, Placed};
use crate::snapshot::shards::{Epoch, Group, Part, Shard, Sharding};
pub(crate) use compare::{Comparisons, Half};
pub(super) use compare::{begin as compare, end as compared, is_beside};

/// The part of an upstream that a request was given to.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    upstream: UpstreamId,
    /// Its endpoints, as they were when it was chosen.
    part: Arc<Part>,
    /// The shard, where the upstream has shards.
    placed: Option<Placed>,
    /// Whether replicas have no part in it.
    primaries_only: bool,
    /// Whether the try in hand is given up for one in the other shard.
    is_turning: bool,
}

/// The shard that has the request, if that is so.
pub(super) fn placed(context: &Context) -> Option<&Placed> {
    context.chosen.as_ref()?.placed.as_ref()
}

/// Whether the client may be told to stay where its request is: not while its key moves, nor where only primaries may have it.
pub(super) fn settles(context: &Context) -> bool {
    context.chosen.as_ref().is_none_or(|chosen| {
        let moves = chosen.placed.as_ref().is_some_and(|placed| placed.otherwise.is_some());
        !moves && !chosen.primaries_only
    })
}

/// Who may have a request.
pub(super) fn group(chosen: Option<&Chosen>) -> Option<&Group> {
    chosen.map(|chosen| chosen.part.group(chosen.primaries_only))
}

/// Which of them its tenant has, where that is not all.
pub(super) fn among(head: &RequestHeader, context: &Context) -> Option<Members> {
    let shuffle = group(context.chosen.as_ref())?.shuffle.as_ref()?;
    let template = context.proxy()?.shuffle_key.as_ref()?;
    let facts = RequestFacts::new(head, context);
    let members = key::with(template, &KeyForm::new(Normal::default(), []), &facts, |key| {
        shuffle.members(key)
    });
    // Nobody's requests are together, apart from those of every tenant as far as can be.
    Some(members.unwrap_or_else(|| shuffle.members(b"")))
}

impl Chosen {
    /// The shard, if it is one of this upstream.
    pub(super) fn shard_of(&self, upstream: UpstreamId) -> Option<&Arc<Shard>> {
        self.placed.as_ref().filter(|_| self.upstream == upstream).map(|placed| &placed.shard)
    }

    /// Whether `other` chooses among the same endpoints.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.part, &other.part) && self.primaries_only == other.primaries_only
    }

    /// The shard, with the number of the mapping.
    pub(super) fn shard(&self) -> Option<(&Arc<Shard>, u64)> {
        self.placed.as_ref().map(|placed| (&placed.shard, placed.epoch))
    }
}

/// Finds the part before anybody is chosen of it, for those who want to know.
pub(super) fn choose_for(head: &RequestHeader, context: &mut Context) -> Result<(), Fault> {
    let snapshot = Arc::clone(&context.snapshot);
    let id = context.upstream_id();
    let upstream = id.and_then(|id| Some((id, snapshot.upstream(id)?)));
    let upstream =
        upstream.ok_or_else(|| Fault::ours(Kind::Internal, "the route has no upstream"))?;
    // Whoever had it before has it no more.
    outcome::end(context);
    choose(head, upstream, context)
}

/// Finds the part once; all tries of the request stay in it, as it is now.
pub(super) fn choose(
    head: &RequestHeader,
    (id, upstream): (UpstreamId, &Upstream),
    context: &mut Context,
) -> Result<(), Fault> {
    if context.chosen.as_ref().is_some_and(|chosen| chosen.upstream == id) {
        return Ok(());
    }
    let sharding = upstream.sharding.as_deref();
    let found = sharding.map(|sharding| find(head, (upstream, sharding), context));
    let placed = found.transpose()?;
    if let Some(placed) = &placed {
        placed.shard.counters.requests.add();
    }
    let part = placed.as_ref().map_or(&upstream.part, |placed| &placed.shard.part).load();
    let primaries_only =
        part.has_replicas() && (!head.method.is_safe() || writes::is_recent(head, upstream));
    context.chosen = Some(Chosen { upstream: id, part, placed, primaries_only, is_turning: false });
    Ok(())
}

fn find(
    head: &RequestHeader,
    (upstream, sharding): (&Upstream, &Sharding),
    context: &Context,
) -> Result<Placed, Fault> {
    let epoch = sharding.epoch.load();
    let stays = |before_key| sticky::shard((upstream, &epoch), before_key, head, context);
    if let Some(shard) = stays(true) {
        return Ok(epoch.stay(shard));
    }
    let placed = place(head, (sharding, &epoch), || stays(false), context)?;
    placed.ok_or_else(|| Fault::upstream(Kind::NoShard, "no shard has the key of the request"))
}

fn place<'e>(
    head: &RequestHeader,
    (sharding, epoch): (&Sharding, &Epoch),
    stays: impl FnOnce() -> Option<&'e Arc<Shard>>,
    context: &Context,
) -> Result<Option<Placed>, Fault> {
    let facts = RequestFacts::new(head, context);
    // What is tunnelled may be anything.
    let only_reads = head.method.is_safe() && !head.headers.contains_key(header::UPGRADE);
    let of_key = |key: &[u8]| epoch.place(key, only_reads);
    let steering = context.steering.as_deref();
    if let Some(said) = steering.and_then(|steering| steering.shard_key.as_deref()) {
        let mut key = Vec::with_capacity(said.len());
        sharding.form.append(said, &mut key);
        return Ok(of_key(&key));
    }
    // The key of a route is that of its own upstream.
    let is_steered = steering.is_some_and(|steering| steering.upstream.is_some());
    let template = context.proxy().and_then(|proxy| proxy.shard_key.as_ref());
    let template = template.filter(|_| !is_steered);
    if template.is_none() && !is_steered {
        return Err(Fault::ours(Kind::Internal, "the route has no key of its shards"));
    }
    let of_template = |template| key::with(template, &sharding.form, &facts, of_key);
    if let Some(placed) = template.and_then(of_template) {
        return Ok(placed);
    }
    if let Some(shard) = stays() {
        return Ok(Some(epoch.stay(shard)));
    }
    match sharding.plan.missing {
        MissingPlan::Client => Ok(of_key(facts.client_text())),
        MissingPlan::Refuse => {
            Err(Fault::client(Kind::BadRequest, "the request has no key that tells its shard"))
        }
        MissingPlan::Shard(index) => {
            let name = sharding.plan.shards.get(index).map(|shard| &*shard.name);
            let shard = epoch.shards.iter().find(|shard| Some(&*shard.name) == name);
            Ok(shard.map(|shard| epoch.stay(shard)))
        }
    }
}

/// Why a try ends when the next shard does not have the key yet.
pub(super) const MISSED: ErrorType = ErrorType::Custom("MissedInNextShard");

/// Whether the answer to a read of a key that moves says that the next shard does not have it yet; the old one is asked then.
pub(super) fn is_missed(status: StatusCode, context: &mut Context) -> bool {
    let has_turn =
        |chosen: &Chosen| chosen.placed.as_ref().is_some_and(|placed| placed.otherwise.is_some());
    let is_miss = matches!(status.as_u16(), 404 | 502..=504);
    if !is_miss || !context.chosen.as_ref().is_some_and(has_turn) {
        return false;
    }
    // While the part of whoever answered is still the chosen one.
    outcome::answered(status.as_u16(), Instant::now(), context);
    turn(context)
}

/// Has the shard that still owns the key have the request, if the one that is to have it was asked.
pub(super) fn turn(context: &mut Context) -> bool {
    let Some(chosen) = &mut context.chosen else { return false };
    let Some(placed) = &mut chosen.placed else { return false };
    let Some(Otherwise { shard, epoch, moving, .. }) = placed.otherwise.take() else {
        return false;
    };
    moving.misses.add();
    shard.counters.requests.add();
    chosen.part = shard.part.load();
    *placed = Placed { shard, epoch, otherwise: None };
    context.comparing = None;
    chosen.is_turning = true;
    context.attempt = context.attempt.anew();
    true
}

/// Whether the request is on its way to the other shard.
pub(super) fn takes_turn(context: &mut Context) -> bool {
    context.chosen.as_mut().is_some_and(|chosen| std::mem::take(&mut chosen.is_turning))
}

/// A shard none of whose endpoints can be reached is out of service for its keys; to the client that is no bad gateway.
pub(super) fn judge(fault: Fault, context: &Context) -> Fault {
    let is_sharded = context.chosen.as_ref().is_some_and(|chosen| chosen.placed.is_some());
    match fault.kind() {
        Kind::ConnectFailed | Kind::NoEndpoint if is_sharded => fault.of_kind(Kind::NoShard),
        _ => fault,
    }
}

/// Tells the client who has answered, where that is asked for, and remembers that it has written.
pub(super) fn tell(
    head: &mut ResponseHeader,
    request: &RequestHeader,
    context: &Context,
) -> Result<(), Fault> {
    let upstream = context.upstream();
    let Some(upstream) = upstream else { return Ok(()) };
    writes::tell(head, request, upstream)?;
    if !upstream.sharding.as_ref().is_some_and(|sharding| sharding.plan.header) {
        return Ok(());
    }
    let who = {
        let asked = context.asked.lock();
        let shard = asked.tries.last().and_then(|tried| tried.shard.clone());
        shard.zip(asked.epoch)
    };
    let Some((shard, epoch)) = who else { return Ok(()) };
    head.insert_header("X-Shard", format!("{shard} {epoch}")).map_err(Fault::internal)
}

/// Whether there may be something that [`tell`] tells.
pub(super) fn may_tell(request: &RequestHeader, context: &Context) -> bool {
    let Some(upstream) = context.upstream() else { return false };
    let tells_who = upstream.sharding.as_ref().is_some_and(|sharding| sharding.plan.header);
    // As a rule nobody was asked for an answer that is stored.
    let was_asked = || !context.asked.lock().tries.is_empty();
    tells_who && was_asked() || writes::are_told(request, upstream)
}

/// Counts what the shard has done.
pub(super) fn settle(context: &Context) {
    let placed = context.chosen.as_ref().and_then(|chosen| chosen.placed.as_ref());
    let Some(Placed { shard, otherwise, .. }) = placed else { return };
    let asked = context.asked.lock();
    let Some(last) = asked.tries.last() else { return };
    shard.counters.bytes.add_many(last.received);
    if let Some(Otherwise { moving, .. }) = otherwise {
        moving.bytes.add_many(last.received);
    }
    if last.status.is_none_or(|status| status.is_server_error()) {
        shard.counters.failures.add();
    }
}
