//! What a pool does about endpoints that fail.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Cause, Outliers, Sign, Standing};
use crate::endpoint::Endpoint;

/// Whom a pool passes over. The default passes over those that probes find dead, unless that would be more than half.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// When answers are a reason to eject; `None` is never.
    pub outliers: Option<Outliers>,
    /// With fewer available of a hundred, all are used as if nothing was known of them; 0 is never.
    pub panic: u32,
}

/// A moment, and a random number for what is to be spread.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The moment.
    pub at: Instant,
    /// The number.
    pub dice: u32,
}

/// An ejection that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejected {
    /// The endpoint's position in its pool.
    pub endpoint: usize,
    /// Why.
    pub cause: Cause,
    /// For how long.
    pub length: Duration,
}

impl Default for Guard {
    fn default() -> Self {
        Self { outliers: None, panic: 50 }
    }
}

impl Guard {
    /// Whether so few are available that all are used.
    #[must_use]
    pub fn is_panic<'e>(
        &self,
        endpoints: impl IntoIterator<Item = &'e Arc<Endpoint>>,
        now: Instant,
    ) -> bool {
        let standings = endpoints.into_iter().map(|endpoint| endpoint.health().standing(now));
        let (mut all, mut available) = (0_usize, 0_usize);
        for standing in standings {
            all += 1;
            available += usize::from(matches!(standing, Standing::Ready | Standing::Returning));
        }
        available * 100 < all * self.panic as usize
    }

    /// Takes in what a try at one of the endpoints told.
    pub fn told(
        &self,
        endpoints: &[Arc<Endpoint>],
        (endpoint, sign): (&Arc<Endpoint>, Sign),
        now: Now,
    ) -> Option<Ejected> {
        let outliers = self.outliers.as_ref()?;
        let cause = endpoint.health().told(sign, outliers, now.at)?;
        let index = endpoints.iter().position(|one| Arc::ptr_eq(one, endpoint))?;
        self.eject(endpoints, (index, cause), now)
    }

    /// Compares what endpoints have answered lately. To be called about every second.
    pub fn judge(&self, endpoints: &[Arc<Endpoint>], now: Now) -> Vec<Ejected> {
        let Some(outliers) = &self.outliers else { return Vec::new() };
        let causes = outliers.judge(endpoints, now.at).into_iter();
        causes.filter_map(|cause| self.eject(endpoints, cause, now)).collect()
    }

    /// Ejects it, if the pool can do without. One of several may always go.
    fn eject(
        &self,
        endpoints: &[Arc<Endpoint>],
        (endpoint, cause): (usize, Cause),
        now: Now,
    ) -> Option<Ejected> {
        let outliers = self.outliers.as_ref()?;
        let most = (endpoints.len() * outliers.share as usize / 100).max(1);
        let away = endpoints.iter().map(|endpoint| endpoint.health().standing(now.at));
        let away = away.filter(|standing| *standing == Standing::Ejected).count();
        if outliers.share == 0 || endpoints.len() < 2 || away >= most {
            return None;
        }
        let length = endpoints.get(endpoint)?.health().eject(cause, outliers, now)?;
        Some(Ejected { endpoint, cause, length })
    }
}

#[cfg(test)]
impl Guard {
    /// Whether the endpoint at `index` may be chosen now: what a pool with one tier asks.
    pub(super) fn admits(&self, endpoints: &[Arc<Endpoint>], index: usize, now: Instant) -> bool {
        endpoints[index].health().is_available(now) || self.is_panic(endpoints, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Address;
    use crate::health::Thresholds;

    const ONCE: Thresholds = Thresholds { rise: 1, fall: 1 };

    fn endpoints(count: u16) -> Vec<Arc<Endpoint>> {
        let endpoint = |port| Endpoint::new(Address::Ip(([127, 0, 0, 1], port).into()));
        (1..=count).map(|port| Arc::new(endpoint(port))).collect()
    }

    fn guard(share: u32) -> Guard {
        Guard { outliers: Some(Outliers { share, ..Outliers::default() }), panic: 50 }
    }

    fn now() -> Now {
        Now { at: Instant::now(), dice: 7 }
    }

    /// How many of them go when all fail.
    fn gone(count: u16, share: u32) -> usize {
        let (endpoints, guard, now) = (endpoints(count), guard(share), now());
        let fail = |index| {
            (0..9).any(|_| {
                guard.told(&endpoints, (&endpoints[index], Sign::GatewayError), now).is_some()
            })
        };
        (0..endpoints.len()).filter(|index| fail(*index)).count()
    }

    #[test]
    fn no_more_than_the_share_is_ejected_but_one_of_two_may_be() {
        assert_eq!([gone(1, 50), gone(2, 50), gone(3, 50), gone(10, 50)], [0, 1, 1, 5]);
        assert_eq!([gone(2, 10), gone(10, 10), gone(10, 0), gone(4, 100)], [1, 1, 0, 4]);
    }

    #[test]
    fn below_the_panic_threshold_all_are_used() {
        let (endpoints, guard, now) = (endpoints(4), Guard::default(), now().at);
        let admitted = || (0..4).filter(|index| guard.admits(&endpoints, *index, now)).count();
        endpoints[0].health().probed(false, ONCE, now);
        assert_eq!(admitted(), 3);
        endpoints[1].health().probed(false, ONCE, now);
        assert_eq!(admitted(), 2);
        endpoints[2].health().probed(false, ONCE, now);
        assert_eq!(admitted(), 4);
        let never = Guard { panic: 0, ..Guard::default() };
        let left: Vec<_> = (0..4).filter(|index| never.admits(&endpoints, *index, now)).collect();
        assert_eq!(left, [3]);
    }

    #[test]
    fn without_outliers_answers_are_no_reason() {
        let (endpoints, guard) = (endpoints(4), Guard::default());
        for _ in 0..20 {
            assert_eq!(guard.told(&endpoints, (&endpoints[0], Sign::GatewayError), now()), None);
        }
        assert!(guard.judge(&endpoints, now()).is_empty());
    }
}
