//! What routes keep, and by which rules.

use std::ops::Deref;
use std::sync::Arc;

use http::HeaderName;
use switchback_cache::policy::{Rules, Storable};
use switchback_conf::plan::{
    ActionPlan, CachePlan, KeyPlan, Plan, RoutePlan, UpstreamPlan, ZoneId,
};
use switchback_value::Variable;

use super::assemble::slash;
use super::zones::{LiveZone, NamedZone};
use crate::http::cache::place::Shape;

/// What a route keeps, and by which rules. What only the engine asks is the plan's own.
#[derive(Debug)]
pub(crate) struct CacheSettings {
    /// Where it is kept.
    pub(crate) zone: Arc<LiveZone>,
    /// What may be stored and used.
    pub(crate) rules: Rules,
    /// Whose answers they are: routes with different upstreams share nothing.
    pub(crate) upstream: Box<str>,
    /// Request fields that the key holds, and that are passed on therefore.
    pub(crate) keyed_fields: Box<[HeaderName]>,
    /// How many bytes of a body are held in memory while it arrives.
    pub(crate) held: u64,
    plan: Arc<CachePlan>,
}

impl Deref for CacheSettings {
    type Target = CachePlan;

    fn deref(&self) -> &CachePlan {
        &self.plan
    }
}

impl CacheSettings {
    /// The fields that select a response, those that the route names included.
    pub(crate) fn selecting(&self, storable: &Storable) -> Box<[HeaderName]> {
        if self.vary.is_empty() {
            return storable.vary.clone();
        }
        let mut vary: Vec<_> = storable.vary.iter().chain(&self.vary).cloned().collect();
        vary.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        vary.dedup();
        vary.into()
    }
}

/// No body takes more than this part of a zone's memory while it arrives.
const HELD_PART: u64 = 8;

/// What keys of each zone's routes hold, and which zones each site has.
pub(super) fn shapes(plan: &Plan, zones: &mut [NamedZone]) -> Box<[Box<[ZoneId]>]> {
    if plan.zones.is_empty() {
        return Box::default();
    }
    let mut of_sites = vec![Vec::new(); plan.sites.len()];
    for route in &plan.routes {
        let (Some(cache), Some(site)) = (&route.cache, plan.sites.get(route.site.0 as usize))
        else {
            continue;
        };
        if let Some(own) =
            of_sites.get_mut(route.site.0 as usize).filter(|own| !own.contains(&cache.zone))
        {
            own.push(cache.zone);
        }
        let shape = Shape::new(&cache.key, slash(site.encoded_slash));
        if let Some(zone) =
            zones.get_mut(cache.zone.0 as usize).filter(|zone| !zone.shapes.contains(&shape))
        {
            zone.shapes.push(shape);
        }
    }
    of_sites.into_iter().map(Vec::into_boxed_slice).collect()
}

/// Those of each route, in order.
pub(super) fn assemble(plan: &Plan, zones: &[NamedZone]) -> Box<[Option<Arc<CacheSettings>>]> {
    if plan.zones.is_empty() {
        return Box::default();
    }
    plan.routes.iter().map(|route| of_route(route, &plan.upstreams, zones).map(Arc::new)).collect()
}

fn of_route(
    route: &RoutePlan,
    upstreams: &[UpstreamPlan],
    zones: &[NamedZone],
) -> Option<CacheSettings> {
    let cache = route.cache.as_ref()?;
    let ActionPlan::Proxy(proxy) = &route.action else { return None };
    let upstream = upstreams.get(proxy.upstream.0 as usize)?;
    let zone = zones.get(cache.zone.0 as usize)?;
    Some(CacheSettings {
        zone: Arc::clone(&zone.live),
        rules: rules(cache),
        upstream: upstream.name.clone(),
        keyed_fields: keyed_fields(cache).collect(),
        held: cache.max_object.min((zone.plan.memory / HELD_PART).max(1)),
        plan: Arc::clone(cache),
    })
}

fn rules(plan: &CachePlan) -> Rules {
    Rules {
        targeted: plan.targeted.clone().into(),
        ttl: plan.ttl.clone().into(),
        ttl_of_others: plan.ttl_of_others,
        overrides_origin: plan.overrides_origin,
        ignored: plan.ignored.clone().into(),
        stores_cookies: plan.stores_cookies,
        obeys_client: plan.obeys_client,
        heuristic_percent: plan.heuristic_percent,
        stale_while_revalidate: plan.stale_while_revalidate,
        stale_if_error: plan.stale_if_error,
        always_online: plan.always_online,
        matches_language: plan.matches_language,
        query: plan.query,
        ..Rules::default()
    }
}

fn keyed_fields(plan: &CachePlan) -> impl Iterator<Item = HeaderName> {
    let templates = match &plan.key {
        KeyPlan::Whole(whole) => std::slice::from_ref(whole),
        KeyPlan::Parts(parts) => &parts.parts,
    };
    let in_key = templates.iter().flat_map(|template| template.variables());
    let in_key = in_key.filter_map(|variable| match variable {
        Variable::Header(name) => Some(name.clone()),
        _ => None,
    });
    in_key.chain(plan.vary.iter().cloned())
}
