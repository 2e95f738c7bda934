//! How an upstream chooses among its endpoints.

use std::collections::HashMap;
use std::time::Duration;

use switchback_value::Template;

use super::build::Findings;
use super::texts::Captures;
use super::upstreams::all_endpoints;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{Endpoint, OrText, Upstream};

/// By what an upstream chooses among its endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BalanceBy {
    /// The better of two drawn at random.
    P2c,
    /// In turn.
    RoundRobin,
    /// The fewest requests in flight.
    LeastRequests,
    /// The least product of requests in flight and time to the first byte.
    LeastTime,
    /// At random.
    Random,
    /// By the client's address.
    IpHash,
    /// By a key.
    Hash,
}

/// How an upstream chooses among its endpoints.
#[derive(Clone, Debug)]
pub struct BalancePlan {
    /// By what.
    pub by: BalanceBy,
    /// What requests are held together by; `None` where it does not matter.
    pub key: Option<Template>,
    /// Whether only the keys of an endpoint that comes or goes move.
    pub is_consistent: bool,
    /// How much an endpoint may have in flight, in hundredths of its share; `None` is no bound.
    pub bound: Option<u32>,
    /// The most endpoints that a key has while it is hot; `None` is one.
    pub hot_keys: Option<u32>,
    /// The time over which an endpoint that is new or back comes to its whole share; zero is at once.
    pub slow_start: Duration,
}

pub(super) fn plan(upstream: &At<Upstream>, findings: &mut Findings<'_>) -> BalancePlan {
    let balance = &upstream.balance;
    let is_hash = balance.by.value == BalanceBy::Hash;
    let is_consistent = balance.consistent.as_ref().is_none_or(|consistent| consistent.value);
    let mut no_effect = |at: &Location, message: &str| {
        findings.report(Diagnostic::warning(Code::NoEffect, at.clone(), message));
    };
    if !is_hash {
        let key = balance.key.as_ref().map(|key| ("key", &key.at));
        let consistent = balance.consistent.as_ref().map(|one| ("consistent", &one.at));
        let bound = balance.bound.as_ref().map(|bound| ("bound", &bound.at));
        let hot_keys = upstream.hot_keys.on().map(|hot| ("hot_keys", &hot.at));
        for (key, at) in [key, consistent, bound, hot_keys].into_iter().flatten() {
            no_effect(at, &format!("`{key}` has no effect: it is for `by = \"hash\"`"));
        }
    } else if let Some(bound) = balance.bound.as_ref().filter(|_| !is_consistent) {
        no_effect(&bound.at, "`bound` has no effect: it is for a consistent hash");
    }
    if is_hash && balance.key.is_none() {
        let message = "a hash needs a `key`";
        let diagnostic = Diagnostic::error(Code::MissingKey, balance.by.at.clone(), message);
        findings.report(diagnostic.hint("as in { by = \"hash\", key = \"$uri\" }"));
    }
    if is_hash {
        check_weights(upstream, is_consistent, findings);
    }
    let key = balance.key.as_ref().filter(|_| is_hash);
    BalancePlan {
        by: balance.by.value,
        key: key.and_then(|key| findings.template(key, &Captures::default())),
        is_consistent,
        bound: balance.bound.as_ref().filter(|_| is_hash && is_consistent).map(|one| one.value()),
        hot_keys: upstream.hot_keys.on().filter(|_| is_hash).map(|hot| hot.most.value()),
        slow_start: upstream.slow_start.as_ref().map_or(Duration::ZERO, |time| time.std()),
    }
}

/// The most that weights may come to together: a consistent hash has 160 points for each of them, and nginx's plain one has fifteen bits.
const CONSISTENT_WEIGHT: u32 = 10_000;
const PLAIN_WEIGHT: u32 = 1 << 15;

fn check_weights(upstream: &At<Upstream>, is_consistent: bool, findings: &mut Findings<'_>) {
    let most = if is_consistent { CONSISTENT_WEIGHT } else { PLAIN_WEIGHT };
    let shards = upstream.shards.iter().map(|shard| &shard.endpoints);
    for endpoints in std::iter::once(&upstream.endpoints).chain(shards) {
        let total: u32 = endpoints.iter().map(|endpoint| endpoint.weight.value()).sum();
        if total > most {
            let message = format!("the weights come to {total}: for a hash, to {most} at most");
            let found = Diagnostic::error(Code::BadValue, upstream.balance.by.at.clone(), message);
            findings.report(found.hint("smaller weights in the same proportion do the same"));
        }
    }
}

/// What endpoints say of one another that cannot be, or has no effect.
pub(super) fn check_endpoints(
    endpoints: &[OrText<Endpoint>],
    at: &Location,
    findings: &mut Findings<'_>,
) {
    let none = |is_one: fn(&OrText<Endpoint>) -> bool| !endpoints.iter().any(is_one);
    if !endpoints.is_empty() && none(|one| one.weight.value() > 0 && !one.drain) {
        let message = "no endpoint takes new requests: each has weight 0 or is drained";
        findings.error(Code::Empty, at, message);
    } else if !endpoints.is_empty() && none(|one| !one.backup && one.weight.value() > 0) {
        findings.error(Code::Empty, at, "every endpoint is a backup: of what?");
    }
    let mut seen: HashMap<&str, ()> = HashMap::new();
    for id in endpoints.iter().filter_map(|endpoint| endpoint.id.as_ref()) {
        if seen.insert(id, ()).is_some() {
            let message = format!("two endpoints have the id `{}`", **id);
            findings.error(Code::Duplicate, &id.at, message);
        }
    }
}

/// What zones say that has no effect.
pub(super) fn check_zones(upstream: &At<Upstream>, findings: &mut Findings<'_>) {
    let zones = || all_endpoints(upstream).filter_map(|endpoint| endpoint.zone.as_ref());
    let message = match (&upstream.zone, zones().next()) {
        (None, Some(zone)) => {
            let message = "`zone` has no effect: the upstream does not say where this process is";
            Some((zone.at.clone(), message, "write `zone` beside `endpoints`, too"))
        }
        (Some(own), _) if !zones().any(|zone| zone.value == own.value) => {
            let message = "`zone` has no effect: no endpoint is in that zone";
            Some((own.at.clone(), message, "give those that are a `zone` of that name"))
        }
        _ => None,
    };
    if let Some((at, message, hint)) = message {
        findings.report(Diagnostic::warning(Code::NoEffect, at, message).hint(hint));
    }
}
