//! The hosts answered together.

use std::collections::{HashMap, HashSet};

use switchback_value::HostPattern;

use super::build::{Findings, Names};
use super::routes::{self, OfSite};
use super::texts::Captures;
use super::{
    AccessPlan, CertificatePlan, ConcurrencyPlan, ErrorRule, FilterPlan, ListenerId, RoutePlan,
    SiteId, access, cache, certificates, rules, variants,
};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{Config, Site};

/// The hosts answered together.
#[derive(Clone, Debug)]
pub struct SitePlan {
    /// Which hosts. Never empty: a site without hosts answers [`HostPattern::Any`].
    pub hosts: Vec<HostPattern>,
    /// `$server_name`: the first host as written.
    pub name: Box<str>,
    /// On which listeners.
    pub listeners: Vec<ListenerId>,
    /// Whether that is all of them, because none is named.
    pub is_everywhere: bool,
    /// Whether it answers hosts that no site of its listeners claims.
    pub is_default: bool,
    /// Certificates of its own, for its hosts.
    pub certificates: Vec<CertificatePlan>,
    /// What becomes of `%2f`.
    pub encoded_slash: EncodedSlash,
    /// Who may ask.
    pub access: Option<AccessPlan>,
    /// How many requests may be in progress at once.
    pub concurrency: Option<ConcurrencyPlan>,
    /// What is answered instead of errors where there is no route.
    pub errors: Vec<ErrorRule>,
    /// Whether its pages ask browsers what they have room for (`Accept-CH`): some route of it makes images by that.
    pub client_hints: bool,
    /// What is asked about each of its requests, after the filters of the listener.
    pub filters: Vec<FilterPlan>,
    /// Its routes in written order.
    pub routes: std::ops::Range<u32>,
    /// Where it stands in the configuration.
    pub at: Location,
}

/// What becomes of an encoded slash in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodedSlash {
    /// It stays encoded, distinct from `/`.
    Keep,
    /// It becomes `/`, as in nginx.
    Decode,
    /// The request is refused with 400.
    Refuse,
}

pub(super) fn sites(
    config: &Config,
    names: &Names<'_>,
    findings: &mut Findings<'_>,
) -> (Vec<SitePlan>, Vec<RoutePlan>) {
    let mut plans = Vec::with_capacity(config.sites.len());
    let mut routes = Vec::with_capacity(config.sites.iter().map(|site| site.routes.len()).sum());
    for (site, id) in config.sites.iter().zip((0..).map(SiteId)) {
        let listeners = plan_listeners(config, site, names, findings);
        let first_route = number(&routes);
        let rules = &rules::of_site(site, findings);
        let cache = cache::of_site(site, names, findings);
        let variants = &variants::of_site(site, cache.as_deref(), findings);
        let of = OfSite { site, id, first_route, names, rules, cache: cache.as_ref(), variants };
        let errors = routes::of_site(of, &mut routes, findings);
        plans.push(SitePlan {
            hosts: plan_hosts(site, findings),
            name: site.hosts.first().map_or("_".into(), |host| host.value.clone()),
            listeners,
            is_everywhere: site.listeners.is_empty(),
            is_default: site.is_default.value,
            certificates: certificates::of_site(site, findings),
            encoded_slash: site.encoded_slash,
            access: access::access(site.access.as_ref(), &Captures::default(), findings),
            concurrency: access::concurrency(
                site.concurrency.as_ref(),
                &Captures::default(),
                findings,
            ),
            errors,
            filters: Vec::new(),
            client_hints: routes.iter().skip(first_route as usize).any(asks_for_hints),
            routes: first_route..number(&routes),
            at: site.at.clone(),
        });
    }
    if plans.is_empty() {
        let diagnostic = Diagnostic::error(Code::NoSites, Location::none(), "there are no sites");
        findings.missing(diagnostic.hint("what is answered stands in `[[sites]]`"));
    }
    check_claims(config, &plans, findings);
    check_listeners(config, &plans, findings);
    certificates::check(config, &plans, findings);
    (plans, routes)
}

fn asks_for_hints(route: &RoutePlan) -> bool {
    route.variants.images.as_ref().is_some_and(|images| images.hints)
}

/// Ids count routes in 32 bits; a file of 64 MiB has far fewer.
fn number(routes: &[RoutePlan]) -> u32 {
    u32::try_from(routes.len()).unwrap_or(u32::MAX)
}

fn plan_listeners(
    config: &Config,
    site: &Site,
    names: &Names<'_>,
    findings: &mut Findings<'_>,
) -> Vec<ListenerId> {
    if site.listeners.is_empty() {
        return (0..).map(ListenerId).take(config.listeners.len()).collect();
    }
    let mut ids = Vec::with_capacity(site.listeners.len());
    for name in &site.listeners {
        match names.listeners.get(&***name) {
            None => {
                let defined = names.listeners.keys().copied();
                findings.unknown_name(
                    Code::UnknownListener,
                    name,
                    ("listener", "listeners"),
                    defined,
                );
            }
            Some(id) if ids.contains(id) => {
                findings.error(
                    Code::Duplicate,
                    &name.at,
                    format!("the listener `{}` is named twice", **name),
                );
            }
            Some(id) => ids.push(*id),
        }
    }
    ids
}

/// As many as the site has hosts, or one for any host.
fn plan_hosts(site: &Site, findings: &mut Findings<'_>) -> Vec<HostPattern> {
    if site.hosts.is_empty() {
        return vec![HostPattern::Any];
    }
    let plan = |host: &At<Box<str>>| match HostPattern::parse(host) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            findings.error(Code::HostPattern, &host.at, error.to_string());
            None
        }
    };
    site.hosts.iter().filter_map(plan).collect()
}

/// A host as one site of a listener claims it; no other may.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Claim<'a> {
    Exact(&'a str),
    Suffix(&'a str),
    Prefix(&'a str),
    Regex(&'a str),
    Any,
    /// What nobody else claims.
    Default,
}

impl<'a> From<&'a HostPattern> for Claim<'a> {
    fn from(pattern: &'a HostPattern) -> Self {
        match pattern {
            HostPattern::Exact(host) => Self::Exact(host),
            HostPattern::Suffix(domain) => Self::Suffix(domain),
            HostPattern::Prefix(labels) => Self::Prefix(labels),
            HostPattern::Regex(regex) => Self::Regex(regex.as_str()),
            HostPattern::Any => Self::Any,
        }
    }
}

impl Claim<'_> {
    fn taken(self, at: &Location, other: &Location) -> Diagnostic {
        let (code, message) = match self {
            Self::Default => {
                (Code::DefaultTaken, "another site is the default of the same listener")
            }
            Self::Any => (Code::HostTaken, "another site of the same listener answers any host"),
            _ => (Code::HostTaken, "this host is claimed already on the same listener"),
        };
        let diagnostic = Diagnostic::error(code, at.clone(), message);
        diagnostic
            .maybe_hint(other.file().is_some().then(|| format!("the other claim is at {other}")))
    }
}

fn check_claims(config: &Config, plans: &[SitePlan], findings: &mut Findings<'_>) {
    let mut claims: HashMap<(ListenerId, Claim<'_>), &Location> = HashMap::new();
    for (site, plan) in config.sites.iter().zip(plans) {
        // Where a host did not parse, places and patterns do not match up; but then there is no plan anyway.
        let places = site.hosts.iter().map(|host| &host.at).chain(std::iter::repeat(&site.at));
        let hosts = plan.hosts.iter().map(Claim::from).zip(places);
        let default = plan.is_default.then_some((Claim::Default, &site.is_default.at));
        for (claim, at) in hosts.chain(default) {
            let others =
                plan.listeners.iter().map(|listener| claims.insert((*listener, claim), at));
            // One complaint is enough, however many listeners the two sites share.
            if let Some(other) = others.fold(None, Option::or) {
                findings.report(claim.taken(at, other));
            }
        }
    }
}

/// A listener on which nobody answers is probably forgotten.
fn check_listeners(config: &Config, plans: &[SitePlan], findings: &mut Findings<'_>) {
    let answered: HashSet<_> = plans.iter().flat_map(|plan| &plan.listeners).copied().collect();
    for (listener, id) in config.listeners.iter().zip((0..).map(ListenerId)) {
        if !plans.is_empty() && !answered.contains(&id) {
            let at = listener.at.clone();
            findings.missing(Diagnostic::warning(
                Code::NoSites,
                at,
                "no site answers on this listener",
            ));
        }
    }
}
