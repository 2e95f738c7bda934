//! Interchangeable endpoints, and the tries of one request over them.

mod attempt;
mod choice;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::balance::{Ask, Balance, Member, Outcome, Tier, mix};
use crate::endpoint::Endpoint;
use crate::health::{Ejected, Guard, Now, Sign};
use crate::shard::Members;
pub use attempt::Attempt;
use attempt::MOST_TRIES;
pub use choice::{Choice, InFlight, Look, Nobody};

/// Interchangeable endpoints with their weights.
#[derive(Debug)]
pub struct Pool {
    endpoints: Box<[Arc<Endpoint>]>,
    members: Box<[Member]>,
    /// Those of the first are chosen while they can be.
    tiers: Box<[Tier]>,
    /// How many of these are no backups.
    usual: usize,
    settings: Settings,
    /// Whether breakers are asked.
    breaks: bool,
    guard: Guard,
}

/// How a pool chooses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// By what.
    pub balance: Balance,
    /// The most choices that one request is given; never more than 16.
    pub tries: u32,
    /// The time over which an endpoint that is new comes to its whole share.
    pub slow_start: Duration,
}

/// Which endpoints one look at a tier considers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// Those that the request has not tried, and of those that are new some.
    Warm,
    /// Those that the request has not tried.
    Untried,
    /// Those that have further addresses, too.
    Again,
}

impl Pool {
    /// A pool of these.
    #[must_use]
    pub fn new(settings: Settings, members: Vec<Member>) -> Self {
        let members: Box<[Member]> = members.into();
        let endpoints = members.iter().map(|member| Arc::clone(&member.endpoint)).collect();
        let mut tiers: Vec<u8> = members.iter().map(|member| member.tier).collect();
        tiers.sort_unstable();
        tiers.dedup();
        let tier = |tier: u8| {
            let is_in = |member: &Member| member.tier == tier && !member.is_draining;
            let indexes = (0..).zip(&members).filter(|(_, member)| is_in(member));
            let indexes: Vec<u32> = indexes.map(|(index, _)| index).collect();
            Tier::new(settings.balance, &members, &indexes)
        };
        let usual = tiers.iter().filter(|tier| **tier < Member::BACKUPS).count();
        let tiers = tiers.into_iter().map(tier).collect();
        let guard = Guard::default();
        Self { endpoints, members, tiers, usual, settings, breaks: false, guard }
    }

    /// The same, passing over endpoints whose breaker is open.
    #[must_use]
    pub fn with_breakers(self) -> Self {
        Self { breaks: true, ..self }
    }

    /// The same, passing over whom `guard` says.
    #[must_use]
    pub fn guarded(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }

    /// Takes in what became of a try at one of its endpoints. `Some` when that is ejected for it.
    pub fn told(&self, endpoint: &Arc<Endpoint>, outcome: Outcome, now: Now) -> Option<Ejected> {
        self.guard.told(&self.endpoints, (endpoint, Sign::of(outcome)?), now)
    }

    /// Compares what its endpoints have answered lately, and ejects outliers. To be called about every second.
    pub fn judge(&self, now: Now) -> Vec<Ejected> {
        self.guard.judge(&self.endpoints, now)
    }

    /// How long nobody is there to choose because all breakers are open, if that is so: those of `among` where a client has a few alone.
    #[must_use]
    pub fn closed_for(&self, among: Option<&Members>, now: Instant) -> Option<Duration> {
        let is_own = |index: usize| self.breaks && among.is_none_or(|own| own.contains(index));
        let endpoints = self.endpoints.iter().enumerate().filter(|(index, _)| is_own(*index));
        let times: Option<Vec<Duration>> =
            endpoints.map(|(_, endpoint)| endpoint.breaker().closed_for(now)).collect();
        times?.into_iter().min()
    }

    /// Its endpoints.
    #[must_use]
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// How many requests are at its endpoints, more or less: they come and go meanwhile.
    #[must_use]
    pub fn busy(&self) -> u64 {
        self.endpoints.iter().map(|endpoint| u64::from(endpoint.load().in_flight())).sum()
    }

    /// Whether any of its endpoints is well, as far as is known.
    #[must_use]
    pub fn is_well(&self, now: Instant) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.health().is_available(now))
    }

    /// An endpoint that this request has not tried.
    ///
    /// When it has tried all of them, those with several addresses are tried again at the next one. The choice counts as in
    /// flight until its guard is dropped. Who stays with an endpoint has it, drained or not, while it can be had; with a backup,
    /// only while nobody else can be had.
    ///
    /// # Errors
    /// There is nobody to choose.
    pub fn choose(&self, attempt: &mut Attempt, ask: &Ask<'_>) -> Result<Choice, Nobody> {
        if attempt.made >= self.tries(attempt) {
            return Err(Nobody::TriesUsed);
        }
        let found = self.choose_stuck(attempt, ask).or_else(|| self.choose_anew(attempt, ask));
        self.chosen(found, attempt, ask)
    }

    /// The first of `order`, positions in the pool, that may be chosen, whichever tier it is of; nobody else is.
    ///
    /// # Errors
    /// There is nobody to choose.
    pub fn choose_first(
        &self,
        order: &[usize],
        attempt: &mut Attempt,
        ask: &Ask<'_>,
    ) -> Result<Choice, Nobody> {
        if attempt.made >= self.tries(attempt) {
            return Err(Nobody::TriesUsed);
        }
        let may = |index: &&usize| self.may(**index, Round::Again, attempt, ask);
        let found = order.iter().filter(may).find_map(|index| self.enter(*index, ask.now));
        self.chosen(found, attempt, ask)
    }

    /// How the endpoint at this position looks; `None` where there is none.
    #[must_use]
    pub fn look(&self, index: usize, now: Instant) -> Option<Look<'_>> {
        let member = self.members.get(index)?;
        let load = member.endpoint.load();
        let first = self.members.iter().map(|member| member.tier).min();
        let is_ready = Some(member.tier) == first
            && !member.is_draining
            && member.has_room()
            && self.admits(&member.endpoint, None, now)
            && !(self.breaks && member.endpoint.breaker().closed_for(now).is_some());
        Some(Look {
            endpoint: &member.endpoint,
            weight: member.weight,
            in_flight: load.in_flight(),
            latency: load.latency(now).map(|micros| Duration::from_micros(micros.into())),
            is_ready,
        })
    }

    fn chosen(
        &self,
        found: Option<Choice>,
        attempt: &mut Attempt,
        ask: &Ask<'_>,
    ) -> Result<Choice, Nobody> {
        attempt.among = ask.among;
        let choice = found.ok_or_else(|| self.why_nobody(attempt, ask.now))?;
        if let Some(tried) = attempt.tried.get_mut(attempt.made) {
            *tried = u32::try_from(choice.endpoint).unwrap_or(u32::MAX);
        }
        attempt.made += 1;
        Ok(choice)
    }

    /// The endpoint that the request is to stay with. From a backup, it goes back to the others once there is one of them.
    fn choose_stuck(&self, attempt: &Attempt, ask: &Ask<'_>) -> Option<Choice> {
        let index = ask.stuck.filter(|index| self.may(*index, Round::Untried, attempt, ask))?;
        let is_backup = self.members.get(index).is_some_and(Member::is_backup);
        let usual = self.tiers.iter().take(if is_backup { self.usual } else { 0 });
        let back = usual.into_iter().find_map(|tier| self.choose_in(tier, attempt, ask));
        back.or_else(|| self.enter(index, ask.now))
    }

    fn choose_anew(&self, attempt: &Attempt, ask: &Ask<'_>) -> Option<Choice> {
        let found = self.tiers.iter().find_map(|tier| self.choose_in(tier, attempt, ask));
        let again =
            || self.tiers.iter().find_map(|tier| self.pick(tier, Round::Again, attempt, ask));
        found.or_else(again)
    }

    /// Puts together what threads have counted of hot keys: ten times a second, off the request path.
    pub fn merge_hot_keys(&self) {
        self.tiers.iter().for_each(Tier::merge_hot_keys);
    }

    /// Whether it has hot keys to put together.
    #[must_use]
    pub fn has_hot_keys(&self) -> bool {
        self.tiers.iter().any(Tier::has_hot_keys)
    }

    /// Whether [`Pool::choose`] may give this request another choice, of those that it was given the last one of.
    #[must_use]
    pub fn has_more(&self, attempt: &Attempt, now: Instant) -> bool {
        attempt.made < self.tries(attempt) && self.left(attempt, now).next().is_some()
    }

    /// Whether one of its endpoints is not passed over for its health. Costs a look at all of them only where it would be.
    fn admits(&self, endpoint: &Endpoint, among: Option<&Members>, now: Instant) -> bool {
        endpoint.health().is_available(now) || self.is_panic(among, now)
    }

    /// Whether so few can be asked that all are, whatever is known of them. Not while those of a later tier can stand in.
    /// A client that has a few of all is in a panic for those alone.
    fn is_panic(&self, among: Option<&Members>, now: Instant) -> bool {
        let is_own = |index: &usize| among.is_none_or(|among| among.contains(*index));
        // One whose endpoints are all to become idle stands in for nobody.
        let mut tiers = self.tiers.iter().filter(|tier| tier.indexes().any(|index| is_own(&index)));
        tiers.all(|tier| {
            let own = tier.indexes().filter(is_own);
            let members = own.filter_map(|index| self.members.get(index));
            self.guard.is_panic(members.map(|member| &member.endpoint), now)
        })
    }

    fn tries(&self, attempt: &Attempt) -> usize {
        let tries = attempt.most.unwrap_or(self.settings.tries);
        usize::try_from(tries).map_or(MOST_TRIES, |tries| tries.min(MOST_TRIES))
    }

    /// Those that the request may have, are well and have addresses which it has not tried.
    fn left(&self, attempt: &Attempt, now: Instant) -> impl Iterator<Item = &Member> {
        let among = attempt.among.as_ref();
        let is_left = move |(index, member): &(usize, &Member)| {
            let is_own = among.is_none_or(|among| among.contains(*index));
            let is_open = is_own && member.weight > 0 && !member.is_draining;
            let is_there = is_open && attempt.times(*index) < member.endpoint.width();
            is_there && self.admits(&member.endpoint, among, now)
        };
        self.members.iter().enumerate().filter(is_left).map(|(_, member)| member)
    }

    fn why_nobody(&self, attempt: &Attempt, now: Instant) -> Nobody {
        let is_full = self.left(attempt, now).any(|member| !member.has_room());
        if is_full { Nobody::Full } else { Nobody::NoneLeft }
    }

    /// One of a tier that the request has not tried; those that are new have their share of that.
    fn choose_in(&self, tier: &Tier, attempt: &Attempt, ask: &Ask<'_>) -> Option<Choice> {
        let warm = || self.pick(tier, Round::Warm, attempt, ask);
        let is_slow = !self.settings.slow_start.is_zero();
        let chosen = if is_slow { warm() } else { None };
        chosen.or_else(|| self.pick(tier, Round::Untried, attempt, ask))
    }

    fn pick(&self, tier: &Tier, round: Round, attempt: &Attempt, ask: &Ask<'_>) -> Option<Choice> {
        // Whoever is full by the time that it is chosen is passed over the next time.
        (0..MOST_RACES).find_map(|_| {
            let may = |index| self.may(index, round, attempt, ask);
            let index = tier.pick(&self.members, ask, may)?;
            self.enter(index, ask.now)
        })
    }

    fn enter(&self, index: usize, now: Instant) -> Option<Choice> {
        let member = self.members.get(index)?;
        let target = member.endpoint.target()?;
        // Of several that would be the one to probe, one is.
        let breaker = member.endpoint.breaker();
        let pass = if self.breaks { Some(breaker.pass(now)?) } else { None };
        if !member.endpoint.load().enter(member.most, now) {
            pass.into_iter().for_each(|pass| breaker.forget(pass));
            return None;
        }
        let in_flight = InFlight { endpoint: Arc::clone(&member.endpoint), pass };
        Some(Choice { endpoint: index, target, in_flight })
    }

    /// Whether an endpoint may be chosen.
    fn may(&self, index: usize, round: Round, attempt: &Attempt, ask: &Ask<'_>) -> bool {
        let Some(member) = self.members.get(index) else { return false };
        let times = attempt.times(index);
        let is_new_here = times == 0 || round == Round::Again;
        let is_there = is_new_here && times < member.endpoint.width();
        let is_among = ask.among.is_none_or(|among| among.contains(index));
        let is_broken = || self.breaks && member.endpoint.breaker().closed_for(ask.now).is_some();
        is_there
            && is_among
            && !is_broken()
            && member.has_room()
            && (round != Round::Warm || self.is_warm(index, member, ask))
            && self.admits(&member.endpoint, ask.among.as_ref(), ask.now)
    }

    /// Whether an endpoint that is new has a share in this request.
    fn is_warm(&self, index: usize, member: &Member, ask: &Ask<'_>) -> bool {
        let warmth = member.endpoint.load().warmth(self.settings.slow_start, ask.now);
        mix(ask.random ^ mix(index as u64)) >> 32 < warmth
    }
}

/// Races for the last place at an endpoint that one choice may lose.
const MOST_RACES: usize = 8;

#[cfg(test)]
impl Pool {
    /// A request at this endpoint.
    fn in_flight(&self, index: usize) -> InFlight {
        let endpoint = Arc::clone(&self.endpoints[index]);
        endpoint.load().enter(u32::MAX, Instant::now());
        InFlight { endpoint, pass: None }
    }
}

#[cfg(test)]
mod tests;
