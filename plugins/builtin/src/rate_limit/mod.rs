//! `rate-limit`: so many requests of one key in a time, and no more.

mod gcra;
mod table;

use std::fmt::Write;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use smallvec::SmallVec;
use switchback_plugin::{
    Answer, BuildError, Counter, Flow, Level, Operating, Plugin, Request, Response, Setup, hooks,
};

use crate::key::Key;
use crate::option::{positive, refusal};
use crate::units::Rate;
use gcra::{Decision, Gcra, Quota};
use table::{Seated, Table};

/// Lets so many requests of one key through in a time, and refuses more.
pub(crate) struct RateLimit {
    limits: Vec<Limit>,
    status: u16,
    headers: bool,
    dry_run: bool,
    /// `"default";q=100;w=60`
    policy: String,
    evicted: Counter,
}

/// Lets so many requests of one key through in a time, and refuses more: evenly refilled, exact, with one number per key (GCRA). What is
/// counted is counted by this instance: every proxy for itself. Rates, bursts and what is answered may change while it goes on counting; with
/// another name, key or number of `keys`, a limit begins anew.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// How many requests in what time: `"50/s"`, `"100/m"`, `"5/10s"`. Either this or `limits`.
    rate: Option<Rate>,
    /// How many may come at once, when none came for long; as many as `rate` says before its stroke, unless said otherwise. With 1, they
    /// must be evenly spaced.
    burst: Option<u64>,
    /// Which requests belong together: a text with variables. A request for which it is empty is not counted. A word without variables
    /// counts all requests together.
    key: String,
    /// Several limits, all of which a request must keep. It counts for none of them if it is refused.
    limits: Vec<LimitOptions>,
    /// The status of those that are refused.
    status: u16,
    /// Whether clients are told how they stand: `RateLimit` and `RateLimit-Policy`, as in draft-ietf-httpapi-ratelimit-headers. Who is
    /// refused is told `Retry-After` in any case.
    headers: bool,
    /// Whether nothing is refused, only counted and logged.
    dry_run: bool,
    /// How many keys are known at once, for each limit, with 32 to 72 bytes for each; at least 512. Beyond it, those that owe least are
    /// forgotten.
    keys: usize,
}

/// One of several limits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LimitOptions {
    /// What it is called in headers and metrics; letters, digits, `-` and `_`.
    name: String,
    /// How many requests in what time.
    rate: Rate,
    /// How many may come at once.
    burst: Option<u64>,
    /// Which requests belong together.
    #[serde(default = "remote_address")]
    key: String,
}

fn remote_address() -> String {
    "$remote_addr".into()
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rate: None,
            burst: None,
            key: remote_address(),
            limits: Vec::new(),
            status: 429,
            headers: true,
            dry_run: false,
            keys: 100_000,
        }
    }
}

struct Limit {
    name: String,
    gcra: Gcra,
    key: Key,
    counted: Arc<Counted>,
    refused: Counter,
}

/// What a limit goes on with when its rate changes: with another one, a key's number means the same.
struct Counted {
    /// Makes the same numbers of the same keys.
    hasher: RandomState,
    table: Table,
}

/// How a request stands with each limit that counted it.
#[derive(Default)]
pub(crate) struct Standing {
    decided: bool,
    /// By index of the limit.
    quotas: SmallVec<[(usize, Quota); 2]>,
}

#[hooks]
impl Plugin for RateLimit {
    const NAME: &'static str = "rate-limit";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    type State = Standing;

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        let status = refusal("status", options.status)?;
        let (headers, dry_run) = (options.headers, options.dry_run);
        if !(1..=MOST_KEYS).contains(&options.keys) {
            return Err(BuildError::new("keys", format!("write one of 1 to {MOST_KEYS}")));
        }
        let limits = limits(options, setup)?;
        let policy = written(limits.iter().map(|limit| {
            (limit.name.as_str(), [("q", limit.gcra.burst()), ("w", seconds(limit.gcra.window()))])
        }));
        let help =
            "Keys that were forgotten for want of room although they had a request behind them.";
        let evicted = setup.counter("rate_limit_evicted_total", help, &[])?;
        Ok(Self { limits, status, headers, dry_run, policy, evicted })
    }

    async fn on_request(&self, standing: &mut Standing, request: &mut Request<'_>) -> Flow {
        // A request whose route is looked for anew comes by again, and counts once.
        if std::mem::replace(&mut standing.decided, true) {
            return Flow::Continue;
        }
        let Some(refused) = self.decide(standing, request) else { return Flow::Continue };
        if self.dry_run {
            request.log(Level::Debug, "would be refused: over its rate");
            return Flow::Continue;
        }
        let mut answer = Answer::plain(self.status)
            .with_header("retry-after", seconds(refused).max(1).to_string());
        if self.headers {
            answer = answer
                .with_header("ratelimit-policy", &self.policy)
                .with_header("ratelimit", self.quotas(standing));
        }
        // Told already: not once more when the answer goes out.
        standing.quotas.clear();
        answer.into()
    }

    async fn on_response(&self, standing: &mut Standing, response: &mut Response<'_>) -> Flow {
        if !self.headers || self.dry_run || standing.quotas.is_empty() {
            return Flow::Continue;
        }
        let told = response
            .append_header("ratelimit-policy", &self.policy)
            .and_then(|()| response.append_header("ratelimit", self.quotas(standing)));
        match told {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(format!("header `ratelimit`: {refused}")),
        }
    }
}

/// 72 bytes each: 288 MiB per limit.
const MOST_KEYS: usize = 1 << 22;

impl RateLimit {
    /// How long the request has to wait, if any limit refuses it.
    fn decide(&self, standing: &mut Standing, request: &Request<'_>) -> Option<Duration> {
        let now = request.now();
        let mut charged: SmallVec<[(&Limit, u64); 2]> = SmallVec::new();
        for (index, limit) in self.limits.iter().enumerate() {
            let Some(key) = limit.key.of(request) else { continue };
            let (decision, seated) =
                limit.counted.table.with(key, now, |until| limit.gcra.decide(until, now));
            if seated == Seated::Evicted {
                self.evicted.add(1);
            }
            match decision {
                Decision::Passes(quota) => {
                    standing.quotas.push((index, quota));
                    charged.push((limit, key));
                }
                Decision::Refused { retry_after, quota } => {
                    limit.refused.add(1);
                    standing.quotas.push((index, quota));
                    for (limit, key) in charged {
                        limit.counted.table.with(key, now, |until| limit.gcra.refund(until));
                    }
                    return Some(retry_after);
                }
            }
        }
        None
    }

    /// `"default";r=49;t=1`
    fn quotas(&self, standing: &Standing) -> String {
        let named = standing.quotas.iter().filter_map(|(index, quota)| {
            let limit = self.limits.get(*index)?;
            Some((limit.name.as_str(), [("r", quota.remaining), ("t", seconds(quota.reset))]))
        });
        written(named)
    }
}

/// A list of strings with parameters, as in RFC 9651.
fn written<'a>(items: impl Iterator<Item = (&'a str, [(&'a str, u64); 2])>) -> String {
    let mut list = String::with_capacity(32);
    for (name, parameters) in items {
        let comma = if list.is_empty() { "" } else { ", " };
        let [(first, one), (second, two)] = parameters;
        // Writing to a string does not fail.
        let _ = write!(list, "{comma}\"{name}\";{first}={one};{second}={two}");
    }
    list
}

/// Rounded up: who waits as long as this has waited long enough.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn limits(options: Options, setup: &mut Setup<'_>) -> Result<Vec<Limit>, BuildError> {
    let keys = options.keys;
    if let Some(rate) = options.rate {
        if !options.limits.is_empty() {
            return Err(BuildError::new("limits", "either `rate` or `limits`, not both"));
        }
        let only =
            LimitOptions { name: "default".into(), rate, burst: options.burst, key: options.key };
        return Ok(vec![limit("", only, keys, setup)?]);
    }
    if options.limits.is_empty() {
        return Err(BuildError::new("rate", "no rate is given").with_help("rate = \"50/s\""));
    }
    if options.burst.is_some() {
        return Err(BuildError::new("burst", "each of `limits` has a burst of its own"));
    }
    let mut limits: Vec<Limit> = Vec::new();
    for (index, one) in options.limits.into_iter().enumerate() {
        let path = format!("limits[{index}].");
        let known = limits.iter().any(|before| before.name == one.name);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if known || one.name.is_empty() || !one.name.bytes().all(is_name) {
            let message = if known { "is the name of two limits" } else { "is no name of a limit" };
            return Err(BuildError::new(
                format!("{path}name"),
                format!("`{}` {message}", one.name),
            ));
        }
        limits.push(limit(&path, one, keys, setup)?);
    }
    Ok(limits)
}

fn limit(
    path: &str,
    options: LimitOptions,
    keys: usize,
    setup: &mut Setup<'_>,
) -> Result<Limit, BuildError> {
    let burst = options.burst.unwrap_or(options.rate.count);
    positive(&format!("{path}burst"), burst)?;
    let gcra = Gcra::new(options.rate, burst).ok_or_else(|| {
        let message =
            "beyond a request per nanosecond, or a burst that takes more than a year to refill";
        BuildError::new(format!("{path}rate"), message)
    })?;
    let help = "Requests over their rate.";
    let labels = [("limit", options.name.as_str())];
    let key = Key::new(&format!("{path}key"), &options.key, setup)?;
    let counted = setup.carry(&format!("{} {keys} {}", options.name, options.key), || Counted {
        hasher: RandomState::new(),
        table: Table::new(keys),
    });
    Ok(Limit {
        gcra,
        key: key.with_hasher(&counted.hasher),
        counted,
        refused: setup.counter("rate_limit_refused_total", help, &labels)?,
        name: options.name,
    })
}

#[cfg(test)]
mod tests;
