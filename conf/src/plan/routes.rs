//! What is done with which request of a site.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use switchback_value::{Condition, PathPattern};

use super::build::{Findings, Names};
use super::rules::{self, RulesPlan};
use super::texts::Captures;
use super::{
    AccessPlan, ActionPlan, BandwidthPlan, CachePlan, ConcurrencyPlan, CookieRule, ErrorRule,
    ErrorsPlan, FilterPlan, HeaderRules, RouteId, RouteTimeouts, SiteId, VariantsPlan, access,
    actions, cache, errors, matchers, shard_keys, variants,
};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{ErrorTarget, Errors, Name, Route, Site};

/// Matcher and action.
#[derive(Clone, Debug)]
pub struct RoutePlan {
    /// `$route`: its name, or its first path pattern.
    pub name: Box<str>,
    /// The site it belongs to.
    pub site: SiteId,
    /// Any of these paths.
    pub paths: Vec<PathPattern>,
    /// And this.
    pub condition: Condition,
    /// Higher first.
    pub priority: i32,
    /// Never matched, only reached from another route.
    pub internal: bool,
    /// What makes the response.
    pub action: ActionPlan,
    /// What is answered instead of errors.
    pub errors: ErrorsPlan,
    /// Who may ask, beside what the site says.
    pub access: Option<AccessPlan>,
    /// How many requests may be in progress at once, beside what the site says.
    pub concurrency: Option<ConcurrencyPlan>,
    /// Deadlines towards the upstream where they differ from its own.
    pub timeouts: RouteTimeouts,
    /// How fast an answer is sent; `None` is as fast as it goes.
    pub bandwidth: Option<BandwidthPlan>,
    /// Changes to what the upstream receives, those of the site first.
    pub request_headers: Vec<Arc<HeaderRules>>,
    /// Changes to what the client receives, those of the site first.
    pub response_headers: Vec<Arc<HeaderRules>>,
    /// Changes to the cookies that the upstream sets, those of the site first.
    pub response_cookies: Vec<Arc<CookieRule>>,
    /// Bytes of request body; beyond it 413. `None` is no limit.
    pub body_limit: Option<u64>,
    /// What is kept of the upstream's answers.
    pub cache: Option<Arc<CachePlan>>,
    /// What is made of the answers for clients that can do more.
    pub variants: VariantsPlan,
    /// What is asked about its requests, after the filters of the site.
    pub filters: Vec<FilterPlan>,
    /// Where it stands in the configuration.
    pub at: Location,
}

/// The routes of one site.
#[derive(Clone, Copy)]
pub(super) struct OfSite<'a> {
    pub(super) site: &'a At<Site>,
    pub(super) id: SiteId,
    pub(super) first_route: u32,
    pub(super) names: &'a Names<'a>,
    /// The rules of the site.
    pub(super) rules: &'a RulesPlan,
    /// What the site keeps.
    pub(super) cache: Option<&'a Arc<CachePlan>>,
    /// What it makes of answers.
    pub(super) variants: &'a VariantsPlan,
}

/// The ids of the routes of a site that have a name.
pub(super) type RouteNames<'a> = HashMap<&'a str, RouteId>;

/// Plans the routes of a site. Returns what is answered instead of errors where there is no route.
pub(super) fn of_site(
    of: OfSite<'_>,
    plans: &mut Vec<RoutePlan>,
    findings: &mut Findings<'_>,
) -> Vec<ErrorRule> {
    if of.site.routes.is_empty() {
        let diagnostic =
            Diagnostic::error(Code::NoRoutes, of.site.at.clone(), "this site has no routes");
        findings.missing(diagnostic.hint("what is answered stands in `[[sites.routes]]`"));
    }
    let route_names = route_names(of, findings);
    let scope = (&route_names, &Captures::default());
    let of_site = errors::errors(&of.site.errors, scope, false, findings);
    for route in &of.site.routes {
        plans.extend(plan(route, of, (&route_names, &of_site), findings));
    }
    check_internal(of.site, findings);
    of_site
}

fn route_names<'a>(of: OfSite<'a>, findings: &mut Findings<'_>) -> RouteNames<'a> {
    let mut names = RouteNames::new();
    for (route, id) in of.site.routes.iter().zip((of.first_route..).map(RouteId)) {
        let Some(name) = &route.name else { continue };
        match names.entry(name) {
            Entry::Vacant(free) => {
                free.insert(id);
            }
            Entry::Occupied(_) => {
                let message = format!("two routes of this site are called `{}`", **name);
                findings.error(Code::Duplicate, &name.at, message);
            }
        }
    }
    names
}

/// The plan of one route, or `None` after having told why there is none.
fn plan(
    route: &At<Route>,
    of: OfSite<'_>,
    (route_names, site_errors): (&RouteNames<'_>, &[ErrorRule]),
    findings: &mut Findings<'_>,
) -> Option<RoutePlan> {
    check_effect(route, findings);
    let matcher = route.matcher.as_ref().filter(|_| !route.internal);
    let (paths, captures) = matchers::paths(matcher, findings);
    let condition = matcher.map_or_else(Condition::always, |matcher| {
        matchers::condition(matcher, &captures, findings)
    });
    let scope = (route_names, &captures);
    let mut errors = errors::errors(&route.errors, scope, route.proxy.is_some(), findings);
    let own = errors.len();
    errors.extend_from_slice(site_errors);
    let access = access::access(route.access.as_ref(), &captures, findings);
    let concurrency = access::concurrency(route.concurrency.as_ref(), &captures, findings);
    let bandwidth = access::bandwidth(route.bandwidth.as_ref(), findings);
    let rules = of.rules.and(rules::of_route(route, &captures, findings));
    let cache_scope = cache::Scope { names: of.names, captures: &captures };
    let cache = cache::of_route(route, (of.site, of.cache), cache_scope, findings);
    let variants = variants::of_route(route, (of.site, of.variants), cache.as_deref(), findings);
    let scope = actions::Scope { names: of.names, routes: route_names, captures: &captures };
    let action = actions::action(route, scope, findings)?;
    let cache = cache.map(|cache| shard_keys::in_cache_key(cache, &action, &route.at, findings));
    Some(RoutePlan {
        name: plan_name(route, &paths),
        site: of.id,
        paths: if route.internal { Vec::new() } else { paths },
        condition,
        priority: route.priority.value,
        internal: route.internal,
        action,
        errors: ErrorsPlan { rules: errors, own },
        access,
        concurrency,
        timeouts: access::timeouts(route.timeouts.as_ref()),
        bandwidth,
        request_headers: rules.request_headers,
        response_headers: rules.response_headers,
        response_cookies: rules.response_cookies,
        body_limit: Some(route.body_limit.unwrap_or(of.site.body_limit).0)
            .filter(|limit| *limit > 0),
        cache,
        variants,
        filters: Vec::new(),
        at: route.at.clone(),
    })
}

fn plan_name(route: &Route, paths: &[PathPattern]) -> Box<str> {
    match (&route.name, paths.first()) {
        (Some(name), _) => (***name).into(),
        (None, Some(path)) => path.to_string().into(),
        (None, None) => Box::default(),
    }
}

/// Nothing is accepted and ignored without a word.
fn check_effect(route: &At<Route>, findings: &mut Findings<'_>) {
    let mut no_effect =
        |at, message: &str| findings.report(Diagnostic::warning(Code::NoEffect, at, message));
    if route.internal {
        if let Some(matcher) = &route.matcher {
            no_effect(
                matcher.at.clone(),
                "`match` has no effect: an internal route is reached through `errors` and `missing` alone",
            );
        }
        if route.priority.value != 0 {
            no_effect(
                route.priority.at.clone(),
                "`priority` has no effect: an internal route is never matched",
            );
        }
    }
    if let Some(concurrency) = route.concurrency.as_ref().filter(|_| route.internal) {
        no_effect(
            concurrency.at.clone(),
            "`concurrency` has no effect: a request is counted where it came in",
        );
    }
    if route.rewrite.is_some() {
        let why = "has no effect: what the rewrite leads to has its own";
        if let Some(rules) = route.response_headers.first() {
            no_effect(rules.at.clone(), &format!("`response_headers` {why}"));
        }
        if let Some(bandwidth) = &route.bandwidth {
            no_effect(bandwidth.at.clone(), &format!("`bandwidth` {why}"));
        }
    }
    if route.proxy.is_some() {
        return;
    }
    if let Some(timeouts) = &route.timeouts {
        no_effect(timeouts.at.clone(), "`timeouts` has no effect: this route has no upstream");
    }
    if let Some(rule) = route.response_cookies.first() {
        no_effect(rule.at.clone(), "`response_cookies` has no effect: this route has no upstream");
    }
    if let Some(rules) = route.request_headers.first() {
        no_effect(rules.at.clone(), "`request_headers` has no effect: this route has no upstream");
    }
}

/// An internal route needs a name, and another route that refers to it.
fn check_internal(site: &Site, findings: &mut Findings<'_>) {
    if !site.routes.iter().any(|route| route.internal) {
        return;
    }
    let of_routes = site.routes.iter().flat_map(|route| {
        let missing = route.files.as_ref().and_then(|files| files.missing.as_ref());
        route_targets(&route.errors).chain(missing.map(|name| &name.value))
    });
    let targets: HashSet<&Name> = of_routes.chain(route_targets(&site.errors)).collect();
    for route in site.routes.iter().filter(|route| route.internal) {
        match &route.name {
            None => {
                let message = "this internal route has no name by which `errors` or `missing` could refer to it";
                findings.error(Code::InternalWithoutName, &route.at, message);
            }
            Some(name) if !targets.contains(&name.value) => {
                let message =
                    format!("no route of this site leads to the internal route `{}`", **name);
                findings.missing(Diagnostic::warning(Code::Unreachable, name.at.clone(), message));
            }
            Some(_) => {}
        }
    }
}

/// The routes that `errors` name.
fn route_targets(errors: &Errors) -> impl Iterator<Item = &Name> {
    errors.iter().filter_map(|(_, answer)| match &answer.route.value {
        ErrorTarget::Route(name) => Some(name),
        ErrorTarget::Path(_) => None,
    })
}
