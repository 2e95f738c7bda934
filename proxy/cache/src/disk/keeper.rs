//! What goes on in the background: learning what is in the directory, and keeping to the limits.

use std::sync::Weak;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::directory::{Listed, Seen};
use super::health::Action;
use super::name::{Name, Shard};
use super::tier::{Tier, count};

/// How often limits and free room are looked at.
const ROUND: Duration = Duration::from_secs(10);
/// How often the directory is compared with the index: another process may have written and removed.
const COMPARE: Duration = Duration::from_hours(1);
/// Entries evicted between two looks at whether anybody still wants the tier.
const BATCH: usize = 256;

/// Wakes the keeper.
#[derive(Debug, Default)]
pub(super) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    is_rung: bool,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.state.lock().is_rung = true;
        self.rung.notify_all();
    }

    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.rung.notify_all();
    }

    /// Until it is rung, or so long. Whether to go on.
    fn wait(&self, most: Duration) -> bool {
        let until = Instant::now() + most;
        let mut state = self.state.lock();
        while !state.is_closed && !state.is_rung {
            if self.rung.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        state.is_rung = false;
        !state.is_closed
    }

    /// As long as a step took: half of the disk and of a processor is for others.
    fn rest(&self, step: Instant) -> bool {
        let until = Instant::now() + step.elapsed();
        let mut state = self.state.lock();
        while !state.is_closed && !self.rung.wait_until(&mut state, until).timed_out() {}
        !state.is_closed
    }
}

/// Runs on a thread of its own until the tier is gone.
pub(super) fn keep(tier: &Weak<Tier>, bell: &Bell) {
    let mut compared = Instant::now();
    if learn_all(tier, bell).is_none() {
        return;
    }
    loop {
        if compared.elapsed() >= COMPARE {
            compared = Instant::now();
            if compare_all(tier, bell).is_none() {
                return;
            }
        }
        if keep_limits(tier).is_none() || !bell.wait(ROUND) {
            return;
        }
    }
}

/// Names first, then lengths, then what was used when. `None` when the tier is gone.
fn learn_all(tier: &Weak<Tier>, bell: &Bell) -> Option<()> {
    for shard in Shard::all() {
        tier.upgrade()?.learn(shard);
    }
    let mut found = Vec::new();
    for shard in Shard::all() {
        let step = Instant::now();
        tier.upgrade()?.measure(shard, &mut found);
        if !bell.rest(step) {
            return None;
        }
    }
    let tier = tier.upgrade()?;
    found.sort_unstable();
    tier.index.queue_found(found.into_iter().map(|(_, name)| name));
    if let Some(dropped) = tier.noted(Action::Write, tier.directory.drop_older()) {
        tier.counts.old.fetch_add(dropped.entries, std::sync::atomic::Ordering::Relaxed);
        tier.counts.foreign.fetch_add(dropped.foreign, std::sync::atomic::Ordering::Relaxed);
    }
    Some(())
}

fn compare_all(tier: &Weak<Tier>, bell: &Bell) -> Option<()> {
    let mut found = Vec::new();
    for shard in Shard::all() {
        let step = Instant::now();
        tier.upgrade()?.compare(shard, &mut found);
        if !bell.rest(step) {
            return None;
        }
    }
    found.sort_unstable();
    tier.upgrade()?.index.queue_found(found.into_iter().map(|(_, name)| name));
    Some(())
}

fn keep_limits(tier: &Weak<Tier>) -> Option<()> {
    loop {
        let tier = tier.upgrade()?;
        for _ in 0..BATCH {
            if !tier.is_over() || !tier.evict() {
                return Some(());
            }
        }
    }
}

impl Tier {
    #[cfg(test)]
    pub(super) fn compare_now(&self) {
        let mut found = Vec::new();
        Shard::all().for_each(|shard| self.compare(shard, &mut found));
        self.index.queue_found(found.into_iter().map(|(_, name)| name));
    }

    /// Finds out how long the files are whose length is not known; adds to `found` what was used when.
    fn measure(&self, shard: Shard, found: &mut Vec<(i64, Name)>) {
        for name in self.index.without_length(shard) {
            match self.noted(Action::Read, self.directory.look(name)) {
                Some(Seen::File { length, used }) => {
                    self.index.set_length(name, length);
                    found.push((used, name));
                }
                Some(Seen::Nothing) | None => {
                    self.index.remove(name);
                }
                Some(Seen::Foreign) => {
                    count(&self.counts.foreign);
                    self.index.remove(name);
                }
            }
        }
    }

    /// Learns what other processes wrote and removed, and removes what they left half written when they died.
    fn compare(&self, shard: Shard, found: &mut Vec<(i64, Name)>) {
        let mut listed = Vec::new();
        let outcome = self.directory.list(shard, |entry| match entry {
            Listed::Entry(name) => listed.push(name),
            Listed::Temporary(name) => {
                self.noted(Action::Write, self.directory.remove_litter(shard, name));
            }
            Listed::Foreign => {}
        });
        if self.noted(Action::Read, outcome).is_none() {
            return;
        }
        listed.iter().for_each(|name| self.index.add_name(*name));
        self.measure(shard, found);
        listed.sort_unstable();
        let unlisted = self.index.names(shard);
        for name in unlisted.into_iter().filter(|name| listed.binary_search(name).is_err()) {
            // It may have been written since.
            if matches!(self.directory.look(name), Ok(Seen::Nothing)) {
                self.index.remove(name);
            }
        }
    }
}
