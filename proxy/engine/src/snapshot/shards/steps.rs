//! The steps of a resharding, one at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use switchback_conf::plan::UpstreamPlan;

use super::moving::Moving;
use super::sketches::Counts;
use super::{Epoch, Made, Maker, Shard, Sharding};
use crate::http::Comparisons;
use crate::reshard::{Compared, ReshardError, ReshardStatus, ShardStatus, Step};
use crate::snapshot::Upstream;
use crate::snapshot::assemble::authorities_of;
use crate::snapshot::live::Source;
use crate::snapshot::resident::Resident;

/// What steps have been taken, by upstream: they outlive a reload.
#[derive(Debug, Default)]
pub(crate) struct Taken(Mutex<HashMap<Box<str>, Progress>>);

/// How far one is.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// What the configuration said when it began.
    pub(super) from: Arc<Made>,
    /// What it is to say when it has ended.
    pub(super) to: Arc<Made>,
    /// What is in force.
    pub(super) epoch: Arc<Epoch>,
}

/// What becomes of a configuration while keys move.
pub(super) enum Kept {
    /// It decides.
    No,
    /// This stays in force.
    Yes(Arc<Epoch>),
    /// It says a third thing.
    Never,
}

impl Taken {
    /// What a configuration that says `made` finds.
    pub(super) fn kept(&self, upstream: &str, made: &Made) -> Kept {
        let all = self.0.lock();
        let Some(progress) = all.get(upstream) else { return Kept::No };
        let is_moving = progress.epoch.moving.is_some();
        match (*progress.from == *made, *progress.to == *made) {
            (true, _) => Kept::Yes(Arc::clone(&progress.epoch)),
            (false, true) if is_moving => Kept::Yes(Arc::clone(&progress.epoch)),
            (false, false) if is_moving => Kept::Never,
            _ => Kept::No,
        }
    }

    /// Forgets what the configuration in force says by itself.
    pub(super) fn settle(&self, upstream: &str, made: &Made) {
        if matches!(self.kept(upstream, made), Kept::No) {
            self.0.lock().remove(upstream);
        }
    }

    /// Whether anything but the configuration decides.
    pub(super) fn is_under_way(&self, upstream: &str) -> bool {
        self.0.lock().contains_key(upstream)
    }

    fn find(&self, upstream: &str) -> Option<Progress> {
        self.0.lock().get(upstream).cloned()
    }
}

/// Takes a step, and tells how things stand then. The caller sees to it that nobody reloads meanwhile.
pub(crate) fn take(
    upstream: &Upstream,
    step: &Step,
    resident: &Resident,
) -> Result<ReshardStatus, ReshardError> {
    let name = || upstream.plan.name.to_string();
    let sharding = upstream.sharding.as_ref().ok_or_else(|| ReshardError::NoShards(name()))?;
    let now = sharding.epoch.load_full();
    let taken = &resident.resharding;
    match step {
        Step::Status => {}
        Step::Plan(to) => {
            let next = next(sharding, &now, to, resident)?;
            return Ok(status(&name(), &now, Some(&next), taken));
        }
        Step::Start { to, compare } => {
            if now.moving.is_some() {
                return Err(ReshardError::InProgress(name()));
            }
            if !(0.0..=1.0).contains(compare) {
                return Err(ReshardError::NoPart(*compare));
            }
            let next = Arc::new(next(sharding, &now, to, resident)?);
            resident.epochs.announce(&upstream.plan.name, next.number);
            let from = taken.find(&upstream.plan.name).map(|progress| progress.from);
            let progress = Progress {
                from: from.unwrap_or_else(|| Arc::clone(&now.made)),
                to: Arc::clone(&next.made),
                epoch: Arc::new(now.with(Some(Arc::new(Moving::new(&now, next, *compare))))),
            };
            sharding.epoch.store(Arc::clone(&progress.epoch));
            taken.0.lock().insert(upstream.plan.name.clone(), progress);
        }
        Step::Cutover => {
            let moving = now.moving.as_ref().ok_or_else(|| ReshardError::NotStarted(name()))?;
            resident.epochs.begin(&upstream.plan.name, moving.to.number, &moving.to.made);
            sharding.epoch.store(Arc::clone(&moving.to));
            if let Some(progress) = taken.0.lock().get_mut(&upstream.plan.name) {
                progress.epoch = Arc::clone(&moving.to);
            }
        }
        Step::Abort => {
            if now.moving.is_none() {
                return Err(ReshardError::NotStarted(name()));
            }
            let back = Arc::new(now.with(None));
            sharding.epoch.store(Arc::clone(&back));
            go_back(&upstream.plan.name, back, taken);
        }
    }
    Ok(status(&name(), &sharding.epoch.load(), None, taken))
}

/// What was in force before stays so, whether the configuration says it or an earlier resharding has brought it.
fn go_back(upstream: &str, back: Arc<Epoch>, taken: &Taken) {
    let mut all = taken.0.lock();
    let Some(progress) = all.get_mut(upstream) else { return };
    if *progress.from == *back.made {
        all.remove(upstream);
    } else {
        progress.to = Arc::clone(&back.made);
        progress.epoch = back;
    }
}

/// The epoch that `to` would bring.
fn next(
    sharding: &Sharding,
    now: &Epoch,
    to: &UpstreamPlan,
    resident: &Resident,
) -> Result<Epoch, ReshardError> {
    let name = || to.name.to_string();
    let plan = to.shards.as_ref().ok_or_else(|| ReshardError::NoShards(name()))?;
    let own = &sharding.plan;
    if (&plan.key, plan.lowercase, plan.decode) != (&own.key, own.lowercase, own.decode) {
        return Err(ReshardError::OtherKey(name()));
    }
    let mut found = Vec::new();
    let authorities = authorities_of(to, &mut found);
    let source = Source::new(to, authorities, resident);
    let maker = Maker { source: &source, resident, now: Some(Instant::now()) };
    let Some((next, _)) = maker.epoch(&mut found) else { return Err(ReshardError::Wrong(found)) };
    if next.made == now.made {
        return Err(ReshardError::NothingChanges(name()));
    }
    Ok(next)
}

/// Keys that are tried to tell shares.
const SAMPLE: u32 = 100_000;

fn status(name: &str, now: &Epoch, next: Option<&Epoch>, taken: &Taken) -> ReshardStatus {
    let moving = now.moving.as_deref();
    let next = next.or(moving.map(|moving| &*moving.to));
    let mut told = ReshardStatus {
        upstream: name.to_owned(),
        epoch: now.number,
        next_epoch: next.map(|next| next.number),
        is_ahead_of_configuration: moving.is_none()
            && taken.find(name).is_some_and(|progress| *progress.from != *now.made),
        ..ReshardStatus::default()
    };
    // That takes longest: whatever is counted is read afterwards, so that it is of one moment.
    shares(now, next, &mut told);
    let Some(moving) = moving else { return told };
    ReshardStatus {
        keys_seen: moving.seen.estimate(),
        keys_moved: moving.moved.estimate(),
        reads: moving.reads.value(),
        misses: moving.misses.value(),
        kept: moving.kept.value(),
        bytes: moving.bytes.value(),
        compared: compared(&moving.comparisons),
        ..told
    }
}

fn compared(found: &Comparisons) -> Option<Compared> {
    let share = found.share();
    (share > 0.0).then(|| Compared {
        share,
        equal: found.equal.value(),
        different: found.different.value(),
        failed: found.failed.value(),
        skipped: found.skipped.value(),
    })
}

fn shares(now: &Epoch, next: Option<&Epoch>, told: &mut ReshardStatus) {
    let mut had = vec![0_u32; now.shards.len()];
    let mut to_have = vec![0_u32; next.map_or(0, |next| next.shards.len())];
    let mut moved = 0_u32;
    for key in 0..SAMPLE {
        let key = key.to_string();
        let (old, at) = (now.map.shard(key.as_bytes()), |place: usize| now.map.name(place));
        old.and_then(|place| had.get_mut(place)).into_iter().for_each(|count| *count += 1);
        let Some(next) = next else { continue };
        let new = next.map.shard(key.as_bytes());
        new.and_then(|place| to_have.get_mut(place)).into_iter().for_each(|count| *count += 1);
        moved += u32::from(new.and_then(|place| next.map.name(place)) != old.and_then(at));
    }
    let part = |count: u32| f64::from(count) / f64::from(SAMPLE);
    told.moved = part(moved);
    let moving = now.moving.as_deref();
    let place =
        |epoch: &Epoch, shard: &Shard| epoch.shards.iter().position(|own| own.name == shard.name);
    let mut all: Vec<&Arc<Shard>> = now.shards.iter().collect();
    let is_new = |shard: &&Arc<Shard>| place(now, shard).is_none();
    all.extend(next.into_iter().flat_map(|next| next.shards.iter()).filter(is_new));
    for shard in all {
        let (old, new) = (place(now, shard), next.and_then(|next| place(next, shard)));
        let count = |of: &[u32], at: Option<usize>| {
            part(at.and_then(|at| of.get(at)).copied().unwrap_or_default())
        };
        let seen = |of: fn(&Moving) -> &Counts, at: Option<usize>| {
            moving.map(|moving| at.map_or(0, |at| of(moving).estimate(at)))
        };
        let (share, next_share) = (count(&had, old), next.map(|_| count(&to_have, new)));
        told.ideal += next_share.map_or(0.0, |next| (next - share).max(0.0));
        told.shards.push(ShardStatus {
            name: shard.name.to_string(),
            share,
            next_share,
            keys_seen: seen(|moving| &moving.had, old),
            next_keys_seen: seen(|moving| &moving.to_have, new),
            requests: shard.counters.requests.value(),
            failures: shard.counters.failures.value(),
            bytes: shard.counters.bytes.value(),
        });
    }
}
