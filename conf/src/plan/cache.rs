//! What of an upstream's answers is kept, and for what it is used.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode, header};
use switchback_value::{Condition, Variable};

use super::build::{Findings, Names};
use super::cache_key::{self, KeyPlan};
use super::matchers::is_of_answer;
use super::texts::Captures;
use super::{ZoneId, ZonePlan};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{Cache, OrOff, Route, Site, StaleOn, TtlKey};
use crate::native::listed;
use crate::units::Bytes;

/// What a route keeps, and for what it is used.
#[derive(Clone, Debug)]
pub struct CachePlan {
    /// Where it is kept.
    pub zone: ZoneId,
    /// What it is found by.
    pub key: KeyPlan,
    /// Lifetimes of responses without their own, by status.
    pub ttl: Vec<(StatusCode, Duration)>,
    /// The same for every other status.
    pub ttl_of_others: Option<Duration>,
    /// Whether `ttl` rules over what a response says.
    pub overrides_origin: bool,
    /// Response fields that are as if they were not there.
    pub ignored: Vec<HeaderName>,
    /// Whether responses are stored with their `Set-Cookie`.
    pub stores_cookies: bool,
    /// Whether `Cache-Control` and `Pragma` of requests count.
    pub obeys_client: bool,
    /// Heuristic lifetime in hundredths of the time since `Last-Modified`; 0 is none.
    pub heuristic_percent: u8,
    /// How often something is asked for before it is stored.
    pub min_uses: u32,
    /// Requests that are not answered from the cache.
    pub bypass: Option<Condition>,
    /// What is not stored; asked when the head of the answer is there.
    pub no_store: Option<Condition>,
    /// Ranges that begin beyond this are passed on.
    pub max_range_offset: Option<u64>,
    /// How requests wait for the one that fetches; `None` has each fetch.
    pub lock: Option<CacheLockPlan>,
    /// How long a stale response may be sent while it is fetched anew.
    pub stale_while_revalidate: Duration,
    /// How long a stale response may stand in for an error.
    pub stale_if_error: Duration,
    /// What counts as error.
    pub stale_on: StaleOnPlan,
    /// Whether the first that finds something stale gets that, too.
    pub background_update: bool,
    /// Whether what is stored is sent for as long as the upstream is dead.
    pub always_online: bool,
    /// Bytes of a slice.
    pub slice: Option<u64>,
    /// Request fields by which responses differ, beside those of their `Vary`.
    pub vary: Vec<HeaderName>,
    /// Whether a response goes to everybody who wants its language most.
    pub matches_language: bool,
    /// Whether HEAD is answered from the cache.
    pub head: bool,
    /// Whether QUERY is.
    pub query: bool,
    /// Whether `Link: rel=preload` becomes 103.
    pub early_hints: bool,
    /// Whether answers have `Cache-Status`.
    pub status_header: bool,
    /// Fields that speak to this cache before `Cache-Control`.
    pub targeted: Vec<HeaderName>,
    /// Larger bodies are not stored; at most as many bytes as the zone has it.
    pub max_object: u64,
    /// Whether cache groups count.
    pub groups: bool,
}

/// How requests wait for one that fetches the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLockPlan {
    /// How long they wait for the head of its answer.
    pub wait: Duration,
    /// After how long without a head one more may fetch.
    pub age: Duration,
}

/// What a stale response may stand in for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaleOnPlan {
    /// No usable answer.
    pub error: bool,
    /// None in time.
    pub timeout: bool,
    /// An answer with one of these, ascending.
    pub statuses: Vec<StatusCode>,
}

/// What a cache may refer to.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) names: &'a Names<'a>,
    pub(super) captures: &'a Captures,
}

/// What the routes of a site keep that do not say so themselves.
pub(super) fn of_site(
    site: &At<Site>,
    names: &Names<'_>,
    findings: &mut Findings<'_>,
) -> Option<Arc<CachePlan>> {
    let cache = site.cache.as_ref()?;
    let inherits = |route: &At<Route>| route.proxy.is_some() && route.cache.is_none();
    let no_effect = match &cache.value {
        OrOff::Off => Some("`cache` has no effect: without it, nothing is kept either"),
        OrOff::On(_) if !site.routes.iter().any(inherits) => {
            Some("`cache` has no effect: every route has its own, or no upstream")
        }
        OrOff::On(_) => None,
    };
    if let Some(message) = no_effect {
        findings.missing(Diagnostic::warning(Code::NoEffect, cache.at.clone(), message));
    }
    let scope = Scope { names, captures: &Captures::default() };
    plan(cache.value.on()?, scope, findings).map(Arc::new)
}

/// What a route keeps: as it says itself, or else its site.
pub(super) fn of_route(
    route: &At<Route>,
    (site, of_site): (&Site, Option<&Arc<CachePlan>>),
    scope: Scope<'_>,
    findings: &mut Findings<'_>,
) -> Option<Arc<CachePlan>> {
    let has_upstream = route.proxy.is_some();
    let Some(own) = &route.cache else { return of_site.filter(|_| has_upstream).cloned() };
    let site_has_one = site.cache.as_ref().is_some_and(|cache| cache.value != OrOff::Off);
    if !has_upstream {
        let message = "`cache` has no effect: this route has no upstream";
        findings.report(Diagnostic::warning(Code::NoEffect, own.at.clone(), message));
    } else if own.value == OrOff::Off && !site_has_one {
        let message = "`cache` has no effect: without it, nothing is kept either";
        findings.report(Diagnostic::warning(Code::NoEffect, own.at.clone(), message));
    }
    own.value.on().and_then(|own| plan(own, scope, findings)).map(Arc::new)
}

fn plan(cache: &Cache, scope: Scope<'_>, findings: &mut Findings<'_>) -> Option<CachePlan> {
    let zone = scope.names.zones.get(&**cache.zone).copied();
    if zone.is_none() {
        let defined = scope.names.zones.keys().copied();
        findings.unknown_name(Code::UnknownZone, &cache.zone, ("zone", "zones"), defined);
    }
    let max_object = max_object(cache, zone, scope.names, findings);
    check_slice(cache, max_object, findings);
    let (ttl, ttl_of_others) = lifetimes(cache, findings);
    let (head, query) = methods(cache, findings);
    let heuristic = cache.heuristic.on().map_or(0, |heuristic| heuristic.value());
    Some(CachePlan {
        key: cache_key::plan(cache.key.as_ref(), scope.captures, findings)?,
        ttl,
        ttl_of_others,
        overrides_origin: cache.override_origin.value,
        ignored: ignored(cache, findings),
        stores_cookies: cache.store_cookies.value,
        obeys_client: cache.obey_client,
        heuristic_percent: heuristic,
        min_uses: cache.min_uses.value(),
        bypass: bypass(cache.bypass.as_ref(), scope.captures, findings),
        no_store: no_store(cache.no_store.as_ref(), scope.captures, findings),
        max_range_offset: cache.max_range_offset.as_ref().map(|size| size.bytes()),
        lock: cache
            .lock
            .on()
            .map(|lock| CacheLockPlan { wait: lock.wait.std(), age: lock.age.std() }),
        stale_while_revalidate: cache.stale_while_revalidate.std(),
        stale_if_error: cache.stale_if_error.std(),
        stale_on: stale_on(cache, findings),
        background_update: cache.background_update,
        always_online: cache.always_online,
        slice: cache.slice.as_ref().map(|size| size.bytes()),
        vary: vary(cache, findings),
        matches_language: cache.match_language,
        head,
        query,
        early_hints: cache.early_hints,
        status_header: cache.status_header,
        targeted: cache.targeted.clone(),
        max_object,
        groups: cache.groups,
        zone: zone?,
    })
}

fn max_object(
    cache: &Cache,
    zone: Option<ZoneId>,
    names: &Names<'_>,
    findings: &mut Findings<'_>,
) -> u64 {
    let zone = zone.and_then(|ZoneId(id)| names.zone_plans.get(id as usize));
    let most = zone.map_or(u64::MAX, |zone: &ZonePlan| zone.max_object);
    let Some(own) = &cache.max_object else { return most };
    if own.bytes() > most {
        let message =
            format!("`max_object` has no effect: its zone stores no body over {}", Bytes(most));
        findings.report(Diagnostic::warning(Code::NoEffect, own.at.clone(), message));
    }
    own.bytes().min(most)
}

fn check_slice(cache: &Cache, max_object: u64, findings: &mut Findings<'_>) {
    const LEAST: u64 = 4096;
    let Some(slice) = &cache.slice else { return };
    if slice.bytes() > max_object {
        let message = format!("a slice is larger than what may be stored: {}", Bytes(max_object));
        let diagnostic = Diagnostic::error(Code::CacheUnfit, slice.at.clone(), message);
        findings.report(diagnostic.hint("a smaller `slice`, or a larger `max_object`"));
    }
    if slice.bytes() < LEAST {
        let message = "a slice has at least 4KiB: each is stored with a head of its own";
        findings.error(Code::OutOfRange, &slice.at, message);
    }
    if let Some(offset) = &cache.max_range_offset {
        let message =
            "`max_range_offset` has no effect: with `slice`, nothing before a range is fetched";
        findings.report(Diagnostic::warning(Code::NoEffect, offset.at.clone(), message));
    }
}

/// Lifetimes by status, and of all others.
fn lifetimes(
    cache: &Cache,
    findings: &mut Findings<'_>,
) -> (Vec<(StatusCode, Duration)>, Option<Duration>) {
    let mut of = Vec::with_capacity(cache.ttl.len());
    let mut others = None;
    for (key, time) in cache.ttl.entries() {
        match key.value {
            TtlKey::Any => others = Some(time.std()),
            TtlKey::Status(StatusCode::NOT_MODIFIED) => {
                let message = "304 is never stored: it renews what is";
                findings.error(Code::CacheUnfit, &key.at, message);
            }
            TtlKey::Status(status) => of.push((status, time.std())),
        }
    }
    if cache.override_origin.value && cache.ttl.is_empty() {
        let message = "`override_origin` has no effect: there is no `ttl` that could override";
        let at = cache.override_origin.at.clone();
        findings.report(Diagnostic::warning(Code::NoEffect, at, message));
    }
    (of, others)
}

/// Whether HEAD and QUERY are answered from the cache.
fn methods(cache: &Cache, findings: &mut Findings<'_>) -> (bool, bool) {
    let methods = &cache.methods;
    let has = |method: &str| methods.value.iter().any(|own| own.as_str() == method);
    if let Some(other) =
        methods.value.iter().find(|own| !["GET", "HEAD", "QUERY"].contains(&own.as_str()))
    {
        let message = format!("answers to {other} cannot be kept");
        let diagnostic = Diagnostic::error(Code::CacheUnfit, methods.at.clone(), message);
        findings.report(diagnostic.hint("only those to GET, HEAD and QUERY can"));
    } else if !methods.value.contains(&Method::GET) {
        let message = "without GET nothing is kept that HEAD could be answered with";
        let diagnostic = Diagnostic::error(Code::CacheUnfit, methods.at.clone(), message);
        findings.report(diagnostic.hint("`\"GET\"` belongs into `methods`"));
    }
    (has("HEAD"), has("QUERY"))
}

fn ignored(cache: &Cache, findings: &mut Findings<'_>) -> Vec<HeaderName> {
    const KNOWN: [&str; 6] =
        ["cache-control", "expires", "no-vary-search", "pragma", "set-cookie", "vary"];
    let counts =
        |name: &HeaderName| KNOWN.contains(&name.as_str()) || cache.targeted.contains(name);
    for name in cache.ignore.iter().filter(|name| !counts(name)) {
        let message = format!("`{}` has no effect on what is kept", name.value);
        let diagnostic = Diagnostic::warning(Code::NoEffect, name.at.clone(), message);
        let known = listed(KNOWN);
        findings.report(diagnostic.hint(format!("these have: {known}")));
    }
    if cache.store_cookies.value && cache.ignore.iter().any(|name| name.value == header::SET_COOKIE)
    {
        let message = "`ignore` leaves out `Set-Cookie`, and `store_cookies` keeps it";
        let at = &cache.store_cookies.at;
        findings.error(Code::CacheUnfit, at, message);
    }
    cache.ignore.iter().map(|name| name.value.clone()).filter(counts).collect()
}

fn vary(cache: &Cache, findings: &mut Findings<'_>) -> Vec<HeaderName> {
    for name in &cache.vary {
        if name.value == header::COOKIE || name.value == header::AUTHORIZATION {
            let message = format!("`{}` has as many values as there are users", name.value);
            let diagnostic = Diagnostic::warning(Code::CacheUnfit, name.at.clone(), message);
            findings.report(
                diagnostic.hint("say in `key.parts` which part of it counts, as in `$cookie_lang`"),
            );
        }
    }
    let mut names: Vec<_> = cache.vary.iter().map(|name| name.value.clone()).collect();
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names
}

fn stale_on(cache: &Cache, findings: &mut Findings<'_>) -> StaleOnPlan {
    let mut plan = StaleOnPlan::default();
    for on in &cache.stale_on {
        match on.value {
            StaleOn::Error => plan.error = true,
            StaleOn::Timeout => plan.timeout = true,
            StaleOn::Status(status) => plan.statuses.push(status),
        }
    }
    plan.statuses.sort();
    plan.statuses.dedup();
    if cache.stale_on.is_empty() && cache.stale_if_error.std() > Duration::ZERO {
        let message = "`stale_if_error` has no effect: `stale_on` names nothing";
        let at = cache.stale_if_error.at.clone();
        findings.report(Diagnostic::warning(Code::NoEffect, at, message));
    }
    plan
}

fn bypass(
    text: Option<&At<Box<str>>>,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<Condition> {
    let text = text?;
    let condition = findings.condition(text, captures)?;
    for variable in condition.variables() {
        findings.known_before_answer(variable, &text.at, Code::Condition);
    }
    Some(condition)
}

fn no_store(
    text: Option<&At<Box<str>>>,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<Condition> {
    let text = text?;
    let condition = findings.condition(text, captures)?;
    let comes_later = |variable: &Variable| {
        is_of_answer(variable)
            && !matches!(variable, Variable::UpstreamHeader(_) | Variable::UpstreamCookie(_))
            && variable.name() != "upstream_status"
    };
    for variable in condition.variables() {
        if findings.maps.reached(variable, comes_later).is_some() {
            let message = format!("`{variable}` is not known yet when it is decided what is kept");
            let diagnostic = Diagnostic::error(Code::Condition, text.at.clone(), message);
            findings.report(
                diagnostic.hint("of answers, `$upstream_status` and `$upstream_http_*` are"),
            );
        }
    }
    Some(condition)
}
