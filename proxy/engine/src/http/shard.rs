//! Which part of an upstream has a request: the shard of its key, and in that whoever has what it asks for.

mod key;
mod writes;

use std::sync::Arc;

use pingora_http::{RequestHeader, ResponseHeader};
use switchback_conf::plan::{MissingPlan, UpstreamId};
use switchback_upstream::shard::{KeyForm, Members, Normal};

use super::context::Context;
use super::facts::RequestFacts;
use super::fault::{Fault, Kind};
use crate::snapshot::Upstream;
use crate::snapshot::shards::{Epoch, Group, Shard, Sharding};

/// The shard that a request was given to.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    upstream: UpstreamId,
    /// It, where the upstream has shards.
    shard: Option<Arc<Shard>>,
    /// The number of the mapping that was asked.
    epoch: u64,
    /// Whether replicas have no part in it.
    primaries_only: bool,
}

/// Who may have a request.
pub(super) fn group<'a>(upstream: &'a Upstream, chosen: Option<&'a Chosen>) -> &'a Group {
    let shard = chosen.and_then(|chosen| chosen.shard.as_ref());
    let part = shard.map_or(&upstream.part, |shard| &shard.part);
    part.group(chosen.is_some_and(|chosen| chosen.primaries_only))
}

/// Which of them its tenant has, where that is not all.
pub(super) fn among(
    head: &RequestHeader,
    upstream: &Upstream,
    context: &Context,
) -> Option<Members> {
    let shuffle = group(upstream, context.chosen.as_ref()).shuffle.as_ref()?;
    let template = context.proxy()?.shuffle_key.as_ref()?;
    let facts = RequestFacts::new(head, context);
    let members = key::with(template, &KeyForm::new(Normal::default(), []), &facts, |key| {
        shuffle.members(key)
    });
    // Nobody's requests are together, apart from those of every tenant as far as can be.
    Some(members.unwrap_or_else(|| shuffle.members(b"")))
}

impl Chosen {
    /// The shard, with the number of the mapping.
    pub(super) fn shard(&self) -> Option<(&Arc<Shard>, u64)> {
        Some((self.shard.as_ref()?, self.epoch))
    }
}

/// Finds the shard once; all tries of the request stay in it.
pub(super) fn choose(
    head: &RequestHeader,
    (id, upstream): (UpstreamId, &Upstream),
    context: &mut Context,
) -> Result<(), Fault> {
    let is_divided = upstream.sharding.is_some() || upstream.part.has_replicas();
    if !is_divided {
        context.chosen = None;
        return Ok(());
    }
    if context.chosen.as_ref().is_none_or(|chosen| chosen.upstream != id) {
        let found = upstream.sharding.as_deref().map(|sharding| find(head, sharding, context));
        let (shard, epoch) = match found.transpose()? {
            Some((shard, epoch)) => {
                shard.counters.requests.add();
                (Some(shard), epoch)
            }
            None => (None, 0),
        };
        let part = shard.as_ref().map_or(&upstream.part, |shard| &shard.part);
        let primaries_only =
            part.has_replicas() && (!head.method.is_safe() || writes::is_recent(head, upstream));
        context.chosen = Some(Chosen { upstream: id, shard, epoch, primaries_only });
    }
    Ok(())
}

fn find(
    head: &RequestHeader,
    sharding: &Sharding,
    context: &Context,
) -> Result<(Arc<Shard>, u64), Fault> {
    let epoch = sharding.epoch.load();
    let shard = shard_of(head, sharding, &epoch, context)?;
    let no_shard = || Fault::upstream(Kind::NoShard, "no shard has the key of the request");
    Ok((shard.cloned().ok_or_else(no_shard)?, epoch.number))
}

fn shard_of<'e>(
    head: &RequestHeader,
    sharding: &Sharding,
    epoch: &'e Epoch,
    context: &Context,
) -> Result<Option<&'e Arc<Shard>>, Fault> {
    let template = context.proxy().and_then(|proxy| proxy.shard_key.as_ref());
    let template = template
        .ok_or_else(|| Fault::ours(Kind::Internal, "the route has no key of its shards"))?;
    let facts = RequestFacts::new(head, context);
    let shard = key::with(template, &sharding.form, &facts, |key| epoch.shard(key));
    if let Some(shard) = shard {
        return Ok(shard);
    }
    match sharding.plan.missing {
        MissingPlan::Client => Ok(epoch.shard(facts.client_text())),
        MissingPlan::Refuse => {
            Err(Fault::client(Kind::BadRequest, "the request has no key that tells its shard"))
        }
        MissingPlan::Shard(index) => Ok(epoch.shards.get(index)),
    }
}

/// A shard none of whose endpoints can be reached is out of service for its keys; to the client that is no bad gateway.
pub(super) fn judge(fault: Fault, context: &Context) -> Fault {
    let is_sharded = context.chosen.as_ref().is_some_and(|chosen| chosen.shard.is_some());
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
    let upstream = context.proxy().and_then(|proxy| context.snapshot.upstream(proxy.upstream));
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

/// Counts what the shard has done.
pub(super) fn settle(context: &Context) {
    let Some((shard, _)) = context.chosen.as_ref().and_then(Chosen::shard) else { return };
    let asked = context.asked.lock();
    let Some(last) = asked.tries.last() else { return };
    shard.counters.bytes.add_many(last.received);
    if last.status.is_none_or(|status| status.is_server_error()) {
        shard.counters.failures.add();
    }
}
