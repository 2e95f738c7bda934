//! Interchangeable endpoints, and the tries of one request over them.

use std::sync::Arc;
use std::time::Instant;

use crate::balance::{Ask, Balance, Member, Outcome, Tier};
use crate::endpoint::{Endpoint, Target};
use crate::health::{Ejected, Guard, Now, Sign};

/// Interchangeable endpoints with their weights.
#[derive(Debug)]
pub struct Pool {
    endpoints: Box<[Arc<Endpoint>]>,
    members: Box<[Member]>,
    tiers: Box<[Tier]>,
    tries: usize,
    guard: Guard,
}

/// The tries of one request. Lives on the stack: choosing does not allocate.
#[derive(Debug, Default)]
pub struct Attempt {
    made: usize,
    tried: [u32; MOST_TRIES],
}

/// The most tries that one request may be given, whatever a pool allows.
const MOST_TRIES: usize = 16;

/// Whom one try goes to.
#[derive(Debug)]
pub struct Choice {
    /// Position of the endpoint in its pool.
    pub endpoint: usize,
    /// What to dial.
    pub target: Target,
    /// What counts the request at the endpoint.
    pub in_flight: InFlight,
}

/// One request at an endpoint, until it is dropped: whichever way the try ends.
#[derive(Debug)]
pub struct InFlight(Arc<Endpoint>);

impl InFlight {
    /// Where.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.load().leave();
    }
}

/// Why there is no choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nobody {
    /// The request has had all its tries.
    TriesUsed,
    /// Every address was tried, or no name has been resolved yet.
    NoneLeft,
}

/// Which endpoints one look at a tier considers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// Those that the request has not tried.
    Untried,
    /// Those that have further addresses, too.
    Again,
}

impl Pool {
    /// A pool that gives at most `tries` choices to one request, and never more than 16.
    #[must_use]
    pub fn new(balance: Balance, endpoints: Vec<(Arc<Endpoint>, u32)>, tries: u32) -> Self {
        let tries = usize::try_from(tries).map_or(MOST_TRIES, |tries| tries.min(MOST_TRIES));
        let member = |(endpoint, weight)| Member { endpoint, weight };
        let members: Box<[Member]> = endpoints.into_iter().map(member).collect();
        let endpoints = members.iter().map(|member| Arc::clone(&member.endpoint)).collect();
        let indexes: Vec<u32> = (0..).zip(&members).map(|(index, _)| index).collect();
        let tiers = Box::new([Tier::new(balance, &members, &indexes)]);
        Self { endpoints, members, tiers, tries, guard: Guard::default() }
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

    /// Its endpoints.
    #[must_use]
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// An endpoint that this request has not tried.
    ///
    /// When it has tried all of them, those with several addresses are tried again at the next one. The choice counts as in
    /// flight until its guard is dropped.
    ///
    /// # Errors
    /// There is nobody to choose.
    pub fn choose(&self, attempt: &mut Attempt, ask: &Ask<'_>) -> Result<Choice, Nobody> {
        if attempt.made >= self.tries {
            return Err(Nobody::TriesUsed);
        }
        let rounds = [Round::Untried, Round::Again];
        let found = rounds.into_iter().find_map(|round| {
            self.tiers.iter().find_map(|tier| self.choose_in(tier, round, attempt, ask))
        });
        let choice = found.ok_or(Nobody::NoneLeft)?;
        if let Some(tried) = attempt.tried.get_mut(attempt.made) {
            *tried = u32::try_from(choice.endpoint).unwrap_or(u32::MAX);
        }
        attempt.made += 1;
        Ok(choice)
    }

    /// Whether [`Pool::choose`] may give this request another choice.
    #[must_use]
    pub fn has_more(&self, attempt: &Attempt, now: Instant) -> bool {
        let is_left = |(index, member): (usize, &Member)| {
            member.weight > 0
                && attempt.times(index) < member.endpoint.width()
                && self.guard.admits(&self.endpoints, index, now)
        };
        attempt.made < self.tries && self.members.iter().enumerate().any(is_left)
    }

    fn choose_in(
        &self,
        tier: &Tier,
        round: Round,
        attempt: &Attempt,
        ask: &Ask<'_>,
    ) -> Option<Choice> {
        let index = tier.pick(&self.members, ask, |index| {
            self.may(index, round, attempt) && self.guard.admits(&self.endpoints, index, ask.now)
        })?;
        let endpoint = &self.members.get(index)?.endpoint;
        let target = endpoint.target()?;
        endpoint.load().enter(u32::MAX);
        Some(Choice { endpoint: index, target, in_flight: InFlight(Arc::clone(endpoint)) })
    }

    /// Whether an endpoint may be chosen.
    fn may(&self, index: usize, round: Round, attempt: &Attempt) -> bool {
        let Some(member) = self.members.get(index) else { return false };
        let times = attempt.times(index);
        times < member.endpoint.width() && (times == 0 || round == Round::Again)
    }
}

impl Attempt {
    /// How many choices were given.
    #[must_use]
    pub fn made(&self) -> usize {
        self.made
    }

    /// Takes the last choice back, because it came to nothing that was the endpoint's fault: a pooled connection that the
    /// endpoint had closed meanwhile. The endpoint may be chosen again.
    pub fn take_back(&mut self) {
        self.made = self.made.saturating_sub(1);
    }

    fn times(&self, endpoint: usize) -> usize {
        self.tried.iter().take(self.made).filter(|tried| **tried as usize == endpoint).count()
    }
}

#[cfg(test)]
impl Pool {
    /// A request at this endpoint.
    fn in_flight(&self, index: usize) -> InFlight {
        let endpoint = Arc::clone(&self.endpoints[index]);
        endpoint.load().enter(u32::MAX);
        InFlight(endpoint)
    }
}

#[cfg(test)]
mod tests;
