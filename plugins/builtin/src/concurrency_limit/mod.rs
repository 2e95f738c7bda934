//! `concurrency-limit`: so many requests of one key at once, and no more.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::RandomState;
use std::sync::Arc;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{
    Answer, BuildError, Counter, Flow, Level, Operating, Plugin, Request, Setup, hooks,
};

use crate::key::Key;
use crate::option::{positive, refusal};
use crate::units::Time;

/// Lets so many requests of one key through at once, and refuses more. A request counts until it has ended, whichever way.
pub(crate) struct ConcurrencyLimit {
    key: Key,
    limit: u32,
    status: u16,
    retry_after: u64,
    dry_run: bool,
    in_flight: Arc<InFlight>,
    refused: Counter,
}

/// Lets so many requests of one key through at once, and refuses more. A request counts until it has ended, whichever way, also where the
/// options change meanwhile; only with another `key`, the count begins anew.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// How many requests of one key at once, from 1.
    limit: u32,
    /// Which requests belong together: a text with variables. A request for which it is empty is not counted. A word without variables
    /// counts all requests together.
    #[serde(default = "remote_address")]
    key: String,
    /// The status of those that are refused.
    #[serde(default = "unavailable")]
    status: u16,
    /// What `Retry-After` says to them; `"0"` for no such header.
    #[serde(default)]
    retry_after: Time,
    /// Whether nothing is refused, only counted and logged.
    #[serde(default)]
    dry_run: bool,
}

fn remote_address() -> String {
    "$remote_addr".into()
}

const fn unavailable() -> u16 {
    503
}

#[hooks]
impl Plugin for ConcurrencyLimit {
    const NAME: &'static str = "concurrency-limit";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    /// Given back when it is dropped: when the request has ended, or was given up.
    type State = Option<Permit>;

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        positive("limit", options.limit.into())?;
        let refused =
            setup.counter("concurrency_refused_total", "Requests over their limit.", &[])?;
        let key = Key::new("key", &options.key, setup)?;
        let in_flight = setup.carry(&options.key, InFlight::default);
        Ok(Self {
            key: key.with_hasher(&in_flight.hasher),
            limit: options.limit,
            status: refusal("status", options.status)?,
            retry_after: options.retry_after.0.as_millis().div_ceil(1000).try_into().unwrap_or(0),
            dry_run: options.dry_run,
            in_flight,
            refused,
        })
    }

    async fn on_request(&self, permit: &mut Option<Permit>, request: &mut Request<'_>) -> Flow {
        // A request whose route is looked for anew comes by again, and counts once.
        if permit.is_some() {
            return Flow::Continue;
        }
        let Some(key) = self.key.of(request) else { return Flow::Continue };
        *permit = self.in_flight.take(key, self.limit);
        if permit.is_some() {
            return Flow::Continue;
        }
        self.refused.add(1);
        if self.dry_run {
            request.log(Level::Debug, "would be refused: too many requests of its key at once");
            return Flow::Continue;
        }
        let answer = Answer::plain(self.status);
        match self.retry_after {
            0 => answer.into(),
            seconds => answer.with_header("retry-after", seconds.to_string()).into(),
        }
    }
}

/// How many of each key are in flight: never more entries than there are requests.
#[derive(Default)]
struct InFlight {
    /// Makes the same numbers of the same keys, whatever else changes.
    hasher: RandomState,
    shards: [Mutex<HashMap<u64, u32>>; 16],
}

impl InFlight {
    fn take(self: &Arc<Self>, key: u64, limit: u32) -> Option<Permit> {
        let mut shard = self.shard(key).lock();
        let count = shard.entry(key).or_insert(0);
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Permit { key, in_flight: self.clone() })
    }

    fn give_back(&self, key: u64) {
        let mut shard = self.shard(key).lock();
        if let Entry::Occupied(mut entry) = shard.entry(key) {
            match entry.get() {
                0 | 1 => drop(entry.remove()),
                _ => *entry.get_mut() -= 1,
            }
        }
    }

    fn shard(&self, key: u64) -> &Mutex<HashMap<u64, u32>> {
        let [first, ..] = &self.shards;
        // The upper bits: the map uses the lower ones.
        self.shards.get((key >> 60) as usize).unwrap_or(first)
    }
}

/// The place of one request.
pub(crate) struct Permit {
    key: u64,
    in_flight: Arc<InFlight>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.in_flight.give_back(self.key);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use switchback_plugin::Hook;
    use switchback_plugin::testing::Scene;

    use super::*;
    use crate::testing::{plugin, refused};

    #[test]
    fn places_are_given_back_and_nothing_is_left() {
        let in_flight = Arc::new(InFlight::default());
        let first = in_flight.take(7, 2);
        let second = in_flight.take(7, 2);
        assert!(first.is_some() && second.is_some());
        assert!(in_flight.take(7, 2).is_none());
        assert!(in_flight.take(u64::MAX, 2).is_some(), "another key has places of its own");
        drop(first);
        assert!(in_flight.take(7, 2).is_some());
        drop(second);
        assert!(in_flight.shards.iter().all(|shard| shard.lock().is_empty()));
    }

    fn scene(address: &str) -> Scene {
        Scene::get("/").with_variable("remote_addr", address)
    }

    #[test]
    fn one_more_than_the_limit_is_refused_until_one_has_ended() {
        let mut limit = plugin::<ConcurrencyLimit>(json!({ "limit": 2, "retry_after": "1500ms" }));
        let (mut first, mut second) = (scene("a"), scene("a"));
        assert_eq!(limit.request(&mut first).status, 200);
        assert_eq!(limit.request(&mut second).status, 200);
        let refused = limit.request(&mut scene("a"));
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")));
        assert_eq!(limit.metric("concurrency_refused_total", &[]), Some(1.0));
        assert_eq!(limit.request(&mut scene("b")).status, 200, "another key");
        // Its route is looked for anew: it counts once.
        assert!(matches!(limit.call(Hook::Request, &mut second), Flow::Continue));
        drop(first);
        assert_eq!(limit.request(&mut scene("a")).status, 200);
    }

    #[test]
    fn who_has_no_key_is_not_counted_and_a_word_counts_all() {
        let mut limit = plugin::<ConcurrencyLimit>(json!({ "limit": 1 }));
        let scenes = [(); 3].map(|()| scene(""));
        for mut scene in scenes {
            assert_eq!(limit.request(&mut scene).status, 200);
        }
        let mut limit =
            plugin::<ConcurrencyLimit>(json!({ "limit": 1, "key": "all", "status": 429 }));
        let mut held = scene("a");
        assert_eq!(limit.request(&mut held).status, 200);
        assert_eq!(limit.request(&mut scene("b")).status, 429);
    }

    #[test]
    fn a_dry_run_refuses_nobody_and_counts() {
        let mut limit = plugin::<ConcurrencyLimit>(json!({ "limit": 1, "dry_run": true }));
        let (mut held, mut over) = (scene("a"), scene("a"));
        assert_eq!(limit.request(&mut held).status, 200);
        assert_eq!(limit.request(&mut over).status, 200);
        assert_eq!(limit.metric("concurrency_refused_total", &[]), Some(1.0));
        assert_eq!(over.lines().len(), 1);
    }

    #[test]
    fn requests_that_are_under_way_count_when_the_limit_changes() {
        let mut limit = plugin::<ConcurrencyLimit>(json!({ "limit": 1 }));
        let (mut first, mut second, mut third) = (scene("a"), scene("a"), scene("a"));
        assert_eq!(limit.request(&mut first).status, 200);
        limit.reconfigure(&json!({ "limit": 2 }).to_string()).unwrap();
        assert_eq!(limit.request(&mut second).status, 200);
        assert_eq!(limit.request(&mut third).status, 503);
        drop((first, third));
        assert_eq!(limit.request(&mut scene("a")).status, 200);
        limit.reconfigure(&json!({ "limit": 1, "key": "all" }).to_string()).unwrap();
        assert_eq!(limit.request(&mut scene("a")).status, 200, "another key begins anew");
        drop(second);
    }

    #[test]
    fn bad_options_are_refused_where_they_are() {
        refused::<ConcurrencyLimit>([
            (json!({}), ""),
            (json!({ "limit": 0 }), "limit"),
            (json!({ "limit": -1 }), "limit"),
            (json!({ "limit": 1, "key": "" }), "key"),
            (json!({ "limit": 1, "key": "$nobody" }), "key"),
            (json!({ "limit": 1, "status": 200 }), "status"),
            (json!({ "limit": 1, "retry_after": "1" }), "retry_after"),
            (json!({ "limit": 1, "burst": 1 }), "burst"),
        ]);
    }
}
