//! Reloads and upgrades under load, each of which is seen to act, while no request may fail.

mod features;
mod upgrades;
mod world;

use std::time::{Duration, Instant};

use super::traffic::{Tally, Traffic};
use crate::patience::Deadline;
use crate::peer::announce;
use crate::proxy::Proxy;

pub use features::Feature;
pub use upgrades::Successor;
use upgrades::{Line, place_binary};
pub use world::Change;
use world::World;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct ChangePlan {
    /// Requests in all.
    pub requests: u64,
    /// Reloads.
    pub reloads: usize,
    /// Upgrades; every third must fail.
    pub upgrades: usize,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// What the clients saw.
    pub tally: Tally,
    /// Changes that were made and seen to act.
    pub acted: Vec<Change>,
    /// Upgrades, good and bad, that came out as they must.
    pub upgrades: Vec<Successor>,
    /// What this binary cannot do, and so was not tried, each with what a probe found.
    pub missing: Vec<(Feature, String)>,
    /// Changes that did not act and upgrades that came out otherwise.
    pub faults: Vec<String>,
    /// How long it took.
    pub lasted: Duration,
}

/// One step of the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Reload(Change),
    Upgrade(Successor),
}

/// Plays it.
///
/// # Panics
/// When the proxy does not start, or stops answering altogether.
#[must_use]
#[track_caller]
pub fn changes(plan: &ChangePlan) -> Changes {
    let missing = Feature::missing();
    for (feature, found) in &missing {
        announce(&format!("SKIPPED: this binary lacks {feature:?}: {found}"));
    }
    let lacks = |feature| missing.iter().any(|(lacking, _)| *lacking == feature);
    let kinds: Vec<Change> = Change::ALL
        .into_iter()
        .filter(|&change| !Feature::needed_for(change).is_some_and(lacks))
        .collect();
    let upgrades = if lacks(Feature::Upgrade) { 0 } else { plan.upgrades };
    let steps = steps(&kinds, plan.reloads, upgrades);
    let mut player = Player::start(upgrades > 0, !lacks(Feature::KeptConnections));
    let began = Instant::now();
    let share = plan.requests / (steps.len() as u64 + 1);
    for (number, step) in (1..).zip(steps) {
        player.traffic.wait_for(share * number, Deadline::after(LONG));
        player.play(step);
    }
    player.traffic.wait_for(plan.requests, Deadline::after(LONG));
    let mut played = player.end();
    (played.missing, played.lasted) = (missing, began.elapsed());
    played
}

/// For requests to be answered between two steps.
const LONG: Duration = Duration::from_secs(300);

/// Changes in turn, upgrades evenly among them, every third of them one that must fail.
fn steps(kinds: &[Change], reloads: usize, upgrades: usize) -> Vec<Step> {
    let mut bad = Successor::BAD.into_iter().cycle();
    let mut upgrade = |number: usize| match number % 3 {
        2 => bad.next().map(Step::Upgrade),
        _ => Some(Step::Upgrade(Successor::Good)),
    };
    let mut steps = Vec::new();
    let mut upgraded = 0;
    for (number, &change) in kinds.iter().cycle().take(reloads).enumerate() {
        steps.push(Step::Reload(change));
        while upgraded < upgrades * (number + 1) / reloads.max(1) {
            steps.extend(upgrade(upgraded));
            upgraded += 1;
        }
    }
    steps
}

/// Dropped from the top: the clients first, then the successors, then the first process and its folder.
struct Player {
    traffic: Traffic,
    line: Line,
    proxy: Proxy,
    world: World,
    /// Whether guests stay on the connections of a listener that goes.
    may_stay: bool,
    played: Changes,
}

impl Player {
    fn start(upgrades: bool, may_stay: bool) -> Self {
        let mut traffic = Traffic::start();
        let world = World::new(traffic.origin(), upgrades);
        let proxy = Proxy::start_placed(&world.config(), place_binary);
        let line = Line::of(&proxy, proxy.folder().join("switchback"));
        traffic.begin(world.plain, world.tls);
        Self { traffic, line, proxy, world, may_stay, played: Changes::default() }
    }

    fn play(&mut self, step: Step) {
        let outcome = match step {
            Step::Reload(change) => self.reload(change),
            Step::Upgrade(successor) => self.upgrade(successor),
        };
        match (outcome, step) {
            (Err(fault), _) => self.played.faults.push(format!("{step:?}: {fault}")),
            (Ok(()), Step::Reload(change)) => self.played.acted.push(change),
            (Ok(()), Step::Upgrade(successor)) => self.played.upgrades.push(successor),
        }
    }

    fn upgrade(&mut self, successor: Successor) -> Result<(), String> {
        let hangs = successor == Successor::Hangs;
        if hangs {
            self.world.be_patient(false, &self.proxy)?;
        }
        let outcome = self.line.upgrade(&self.proxy, successor, &self.world.config());
        if hangs {
            self.world.be_patient(true, &self.proxy)?;
        }
        outcome
    }

    fn reload(&mut self, change: Change) -> Result<(), String> {
        let leaves = matches!(change, Change::ListenerMoved | Change::ListenerRemoved);
        if leaves {
            // Whoever is there stays and may not be cut; nobody new may come to an address that is about to go.
            if self.may_stay {
                self.traffic.let_guests_stay();
            } else {
                self.traffic.send_guests_home();
            }
        }
        let outcome = self.world.change(change, &self.proxy);
        let arrives = matches!(change, Change::ListenerAdded | Change::ListenerMoved);
        if let Some(guest) = self.world.guest.filter(|_| arrives && outcome.is_ok()) {
            self.traffic.send_guests(guest);
        }
        outcome
    }

    fn end(self) -> Changes {
        let Self { traffic, line, proxy, mut played, .. } = self;
        played.tally = traffic.stop();
        drop((line, proxy));
        played
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Step, Successor, steps};

    #[test]
    fn ten_of_thirty_upgrades_must_fail_each_way_twice() {
        let steps = steps(&Change::ALL, 100, 30);
        let count = |wanted: Step| steps.iter().filter(|step| **step == wanted).count();
        assert_eq!(steps.len(), 130);
        assert_eq!(count(Step::Upgrade(Successor::Good)), 20);
        for bad in Successor::BAD {
            assert_eq!(count(Step::Upgrade(bad)), 2, "{bad:?}");
        }
        assert_eq!(count(Step::Reload(Change::Routes)), 13);
    }

    #[test]
    fn without_upgrades_there_are_reloads_alone() {
        let steps = steps(&[Change::Routes, Change::Workers], 3, 0);
        let wanted = [Change::Routes, Change::Workers, Change::Routes].map(Step::Reload);
        assert_eq!(steps, wanted);
    }
}
