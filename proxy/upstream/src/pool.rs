//! Interchangeable endpoints, and the tries of one request over them.

use std::sync::Arc;

use crate::endpoint::{Endpoint, Target};
use crate::rotation::Rotation;

/// Interchangeable endpoints with their weights.
#[derive(Debug)]
pub struct Pool {
    endpoints: Box<[Arc<Endpoint>]>,
    rotation: Rotation,
    tries: usize,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Position of the endpoint in its pool.
    pub endpoint: usize,
    /// What to dial.
    pub target: Target,
}

impl Pool {
    /// A pool that gives at most `tries` choices to one request, and never more than 16.
    #[must_use]
    pub fn new(endpoints: Vec<(Arc<Endpoint>, u32)>, tries: u32) -> Self {
        let tries = usize::try_from(tries).map_or(MOST_TRIES, |tries| tries.min(MOST_TRIES));
        let weights: Vec<u32> = endpoints.iter().map(|(_, weight)| *weight).collect();
        let endpoints = endpoints.into_iter().map(|(endpoint, _)| endpoint).collect();
        Self { endpoints, rotation: Rotation::new(&weights), tries }
    }

    /// Its endpoints.
    #[must_use]
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// The next endpoint in turn that this request has not tried.
    ///
    /// When it has tried all of them, those with several addresses are tried again at the next one. `None` when its tries
    /// are used up, every address was tried, or no name has been resolved yet.
    pub fn choose(&self, attempt: &mut Attempt) -> Option<Choice> {
        if attempt.made >= self.tries {
            return None;
        }
        let choice = self.rotation.turn().find_map(|endpoint| self.untried(endpoint, attempt))?;
        *attempt.tried.get_mut(attempt.made)? = u32::try_from(choice.endpoint).ok()?;
        attempt.made += 1;
        Some(choice)
    }

    /// Whether [`Pool::choose`] may give this request another choice.
    #[must_use]
    pub fn has_more(&self, attempt: &Attempt) -> bool {
        attempt.made < self.tries
            && self
                .endpoints
                .iter()
                .enumerate()
                .any(|(index, endpoint)| attempt.times(index) < endpoint.width())
    }

    fn untried(&self, endpoint: usize, attempt: &Attempt) -> Option<Choice> {
        let candidate = self.endpoints.get(endpoint)?;
        let times = attempt.times(endpoint);
        // Others first: a second address of this one only when every endpoint had its turn.
        let everyone_tried = || (0..self.endpoints.len()).all(|index| attempt.times(index) > 0);
        if times >= candidate.width() || (times > 0 && !everyone_tried()) {
            return None;
        }
        candidate.target().map(|target| Choice { endpoint, target })
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
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::endpoint::Address;

    fn endpoint(port: u16) -> Arc<Endpoint> {
        Arc::new(Endpoint::new(Address::Ip(([127, 0, 0, 1], port).into())))
    }

    fn pool(ports: &[u16], tries: u32) -> Pool {
        Pool::new(ports.iter().map(|port| (endpoint(*port), 1)).collect(), tries)
    }

    #[test]
    fn a_request_tries_each_endpoint_once() {
        let pool = pool(&[1, 2, 3], 10);
        let mut attempt = Attempt::default();
        let mut seen = HashSet::new();
        while let Some(choice) = pool.choose(&mut attempt) {
            assert!(pool.has_more(&attempt) || seen.len() == 2);
            assert!(seen.insert(choice.endpoint));
        }
        assert_eq!(seen.len(), 3);
        assert_eq!(attempt.made(), 3);
        assert!(!pool.has_more(&attempt));
    }

    #[test]
    fn tries_are_bounded() {
        let pool = pool(&[1, 2, 3], 2);
        let mut attempt = Attempt::default();
        assert!(pool.choose(&mut attempt).is_some());
        assert!(pool.has_more(&attempt));
        assert!(pool.choose(&mut attempt).is_some());
        assert!(!pool.has_more(&attempt));
        assert_eq!(pool.choose(&mut attempt), None);
    }

    #[test]
    fn a_choice_that_was_taken_back_may_be_given_again() {
        let pool = pool(&[1], 1);
        let mut attempt = Attempt::default();
        attempt.take_back();
        let choice = pool.choose(&mut attempt);
        assert!(choice.is_some());
        attempt.take_back();
        assert!(pool.has_more(&attempt));
        assert_eq!(pool.choose(&mut attempt), choice);
    }

    #[test]
    fn a_second_address_of_a_name_is_tried_after_every_other_endpoint() {
        let name = Arc::new(Endpoint::new(Address::Name { host: "two".into(), port: 80 }));
        name.resolved(["127.0.0.1:80".parse().unwrap(), "127.0.0.2:80".parse().unwrap()]);
        let pool = Pool::new(vec![(name, 5), (endpoint(9), 1)], 10);
        let mut attempt = Attempt::default();
        let order: Vec<usize> = std::iter::from_fn(|| pool.choose(&mut attempt))
            .map(|choice| choice.endpoint)
            .collect();
        assert_eq!(order, [0, 1, 0]);
    }

    #[test]
    fn an_unresolved_name_is_passed_over() {
        let name = Arc::new(Endpoint::new(Address::Name { host: "unknown".into(), port: 80 }));
        let pool = Pool::new(vec![(name, 1), (endpoint(9), 1)], 3);
        let mut attempt = Attempt::default();
        assert_eq!(pool.choose(&mut attempt).map(|choice| choice.endpoint), Some(1));
        assert_eq!(pool.choose(&mut attempt), None);
        assert_eq!(pool.endpoints().len(), 2);
    }
}
