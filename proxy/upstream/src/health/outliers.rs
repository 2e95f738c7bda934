//! Who answers worse than the others of a pool.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::window::Paced;
use super::{Health, Standing, millis};
use crate::endpoint::Endpoint;

/// When endpoints are ejected, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Outliers {
    /// Gateway errors in a row that are enough; 0 is never.
    pub errors: u32,
    /// How many standard deviations below the mean a success rate is an outlier; 0 is never.
    pub deviations: f64,
    /// How many times slower than the pool's median an outlier is; 0 is never.
    pub slowness: f64,
    /// Requests that an endpoint's success rate is judged by, at least.
    pub requests: u32,
    /// Over how long.
    pub window: Duration,
    /// The first ejection; each further one is longer by as much.
    pub base: Duration,
    /// The longest ejection.
    pub longest: Duration,
    /// The most endpoints of a pool that are ejected at once, of a hundred.
    pub share: u32,
}

/// Why an endpoint is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Gateway errors in a row.
    Errors,
    /// Its success rate is far below the others'.
    SuccessRate,
    /// It is far slower than the others.
    Latency,
}

impl Cause {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Errors, Self::SuccessRate, Self::Latency];

    /// For logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::SuccessRate => "success_rate",
            Self::Latency => "latency",
        }
    }
}

/// Success rates are compared among so many endpoints at least.
const RATED: usize = 5;
/// Success rates this close to the mean are no outliers, however alike the others are.
const LEAST_GAP: f64 = 0.05;
/// Paces are compared among so many endpoints at least.
const PACED: usize = 3;
/// This many microseconds more are no outlier, however fast the others are.
const LEAST_SLOWER: f64 = 20_000.0;

impl Default for Outliers {
    fn default() -> Self {
        Self {
            errors: 5,
            deviations: 1.9,
            slowness: 5.0,
            requests: 100,
            window: Duration::from_secs(10),
            base: Duration::from_secs(30),
            longest: Duration::from_secs(300),
            share: 50,
        }
    }
}

impl Outliers {
    /// Who is to go for what was answered lately, worst causes first. Windows that are over begin again.
    pub(super) fn judge(&self, endpoints: &[Arc<Endpoint>], now: Instant) -> Vec<(usize, Cause)> {
        let mut found = Vec::new();
        self.unsuccessful(endpoints, now, &mut found);
        self.slow(endpoints, now, &mut found);
        for endpoint in endpoints {
            endpoint.health().begin_window_again(self.window, now);
        }
        found
    }

    fn unsuccessful(
        &self,
        endpoints: &[Arc<Endpoint>],
        now: Instant,
        found: &mut Vec<(usize, Cause)>,
    ) {
        let rate = |health: &Health| health.window.success_rate(self.requests);
        let rates = of_those_asked(endpoints, now, rate);
        if self.deviations <= 0.0 || rates.len() < RATED {
            return;
        }
        let mean = mean(rates.iter().map(|(_, rate)| *rate));
        let deviation = mean_of_squares(rates.iter().map(|(_, rate)| rate - mean)).sqrt();
        let limit = (mean - self.deviations * deviation).min(mean - LEAST_GAP);
        let far_below = rates.into_iter().filter(|(_, rate)| *rate < limit);
        found.extend(far_below.map(|(index, _)| (index, Cause::SuccessRate)));
    }

    /// Both its median and its mean must be far off: a median alone jumps where answers are of two kinds. Those whose pace is
    /// new are judged, beside what is known of all.
    fn slow(&self, endpoints: &[Arc<Endpoint>], now: Instant, found: &mut Vec<(usize, Cause)>) {
        let most = millis(self.window);
        let pace = |health: &Health| health.window.pace(health.moment(now), most);
        let paces = of_those_asked(endpoints, now, pace);
        if self.slowness <= 0.0 || paces.len() < PACED {
            return;
        }
        let usual = median(paces.iter().map(|(_, paced)| paced.pace.median).collect());
        let usual_mean = median(paces.iter().map(|(_, paced)| paced.pace.mean).collect());
        let limit = (usual * self.slowness).max(usual + LEAST_SLOWER);
        for (index, Paced { pace, is_new }) in paces {
            if is_new && pace.median > limit && pace.mean > usual_mean * self.slowness {
                if let Some(endpoint) = endpoints.get(index) {
                    endpoint.health().set_too_slow(limit);
                }
                found.push((index, Cause::Latency));
            }
        }
    }
}

fn of_those_asked<T>(
    endpoints: &[Arc<Endpoint>],
    now: Instant,
    what: impl Fn(&Health) -> Option<T>,
) -> Vec<(usize, T)> {
    let healths = endpoints.iter().map(|endpoint| endpoint.health()).enumerate();
    let is_asked =
        |health: &Health| matches!(health.standing(now), Standing::Ready | Standing::Returning);
    let asked = healths.filter(|(_, health)| is_asked(health));
    asked.filter_map(|(index, health)| what(health).map(|what| (index, what))).collect()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX)).max(1.0);
    values.sum::<f64>() / count
}

fn mean_of_squares(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    mean(values.map(|value| value * value))
}

/// The lower one of two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

impl Health {
    fn begin_window_again(&self, window: Duration, now: Instant) {
        let now = self.moment(now);
        let began = self.window.began.load(Ordering::Relaxed);
        if now.saturating_sub(began) >= millis(window) {
            self.window.began.store(now, Ordering::Relaxed);
            self.window.clear();
        }
    }

    fn set_too_slow(&self, micros: f64) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates"
        )]
        self.too_slow.store(micros as u64, Ordering::Relaxed);
    }
}
