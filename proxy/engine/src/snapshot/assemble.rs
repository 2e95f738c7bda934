//! Plan to snapshot: the one place where configuration meets machinery. All findings at once; on any error nothing changes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pingora_core::protocols::tls::CaType;
use pingora_core::utils::tls::{WrappedX509, parse_x509};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use switchback_conf::plan::{
    self, AccessLogPlan, ActionPlan, EndpointAddress, ListenAddress, ListenerId, Plan, RoutePlan,
    SiteId, SitePlan, UpstreamId, UpstreamPlan,
};
use switchback_conf::{Code, Diagnostic, Location, Severity};
use switchback_files::{Autoindex, Coding, Settings, Symlinks, Types};
use switchback_route::{EncodedSlash, HostTable, RouteId, RouteSpec, RouteTable};
use switchback_upstream::Address;
use switchback_value::{Template, Variable};

use super::live::{EndpointsFile, LivePart, Source};
use super::map::LiveMap;
use super::resident::Resident;
use super::shards::Maker;
use super::zones::NamedZone;
use super::{
    Listener, Site, Snapshot, Upstream, caches, dictionaries, encodes, filters, limits, own_actions,
};
use crate::http::concurrency::Limit;
use crate::listen::admit::Limits;
use crate::listen::tls::Tls;
use crate::log::AccessLog;

/// Makes the snapshot of `plan`. Returns it with the warnings.
///
/// # Errors
/// Everything that keeps it from being served.
pub(crate) fn assemble(
    plan: Plan,
    resident: &Resident,
    generation: u64,
) -> Result<(Snapshot, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut found = Vec::new();
    let limits = limits::assemble(&plan, resident);
    let sites = plan.sites.iter().zip(limits.sites);
    let sites: Box<[Site]> =
        sites.map(|(site, limit)| assemble_site((site, limit), &plan, &mut found)).collect();
    let listeners = assemble_listeners(&plan, (resident, generation), &mut found);
    let everywhere = host_table(&plan, |site| site.is_everywhere);
    let files = plan.routes.iter().map(|route| assemble_files(route, &mut found)).collect();
    let upstreams: Box<[Upstream]> = plan
        .upstreams
        .iter()
        .zip((0..).map(UpstreamId))
        .map(|(upstream, id)| {
            assemble_upstream(upstream, (resident, generation), shard_key(&plan, id), &mut found)
        })
        .collect();
    let asks_twice = upstreams.iter().any(asks_twice);
    let filters = filters::assemble(&plan, resident, &mut found);
    let own_actions = own_actions::find(&plan, &resident.actions, &mut found);
    let mut zones: Box<[NamedZone]> =
        plan.zones.iter().map(|zone| resident.zones.find(zone.clone(), &mut found)).collect();
    let site_zones = caches::shapes(&plan, &mut zones);
    let caches = caches::assemble(&plan, &zones);
    let encodes = encodes::assemble(&plan, &mut found);
    let dictionary_room = dictionaries::room(&plan);
    let maps: Box<[LiveMap]> = plan.maps.into_iter().map(LiveMap::new).collect();
    let access_logs = assemble_logs(plan.log.access, resident, &mut found);
    if found.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(found);
    }
    let is_asked_for = |is_sought: fn(&Variable) -> bool| {
        access_logs.iter().any(|log| log.asks_for(is_sought))
            || maps.iter().any(|map| map.asks_for(is_sought))
    };
    let snapshot = Snapshot {
        generation,
        process: plan.process,
        forwarding: plan.forwarding,
        listeners,
        everywhere,
        sites,
        files,
        routes: plan.routes.into_boxed_slice(),
        route_limits: limits.routes.into_boxed_slice(),
        upstreams,
        resolvers: plan.resolvers.into(),
        logs_upstream_headers: is_asked_for(is_upstream_header),
        maps,
        zones,
        site_zones,
        asks_beside: !caches.is_empty() || asks_twice || filters.is_some(),
        caches,
        encodes,
        dictionary_room,
        own_actions,
        filters,
        access_logs,
    };
    Ok((snapshot, found))
}

/// Whether requests of our own are made for those that are here.
fn asks_twice(upstream: &Upstream) -> bool {
    upstream.sharding.is_some() || upstream.plan.overload.hedge.is_some()
}

fn assemble_site(
    (site, concurrency): (&SitePlan, Option<Limit>),
    plan: &Plan,
    found: &mut Vec<Diagnostic>,
) -> Site {
    let ids = site.routes.clone();
    let routes = plan.routes.get(ids.start as usize..ids.end as usize).unwrap_or_default();
    // An internal route is reached by its id alone.
    let specs = ids.zip(routes).filter(|(_, route)| !route.internal).map(|(id, route)| RouteSpec {
        id: RouteId(id),
        paths: route.paths.clone(),
        condition: route.condition.clone(),
        priority: route.priority,
    });
    let table = RouteTable::new(specs.collect());
    for (hidden, by) in table.unreachable() {
        found.extend(unreachable(plan, hidden, by));
    }
    Site {
        name: site.name.clone(),
        encoded_slash: slash(site.encoded_slash),
        access: site.access.clone(),
        concurrency,
        errors: site.errors.clone().into(),
        asks_for_hints: site.client_hints,
        table,
    }
}

pub(super) fn slash(plan: plan::EncodedSlash) -> EncodedSlash {
    match plan {
        plan::EncodedSlash::Keep => EncodedSlash::Keep,
        plan::EncodedSlash::Decode => EncodedSlash::Decode,
        plan::EncodedSlash::Refuse => EncodedSlash::Refuse,
    }
}

fn unreachable(plan: &Plan, hidden: RouteId, by: RouteId) -> Option<Diagnostic> {
    let route = |id: RouteId| plan.routes.get(id.0 as usize);
    let (hidden, by) = (route(hidden)?, route(by)?);
    let message = format!(
        "route `{}` is never reached: route `{}` answers all its requests",
        hidden.name, by.name
    );
    let place =
        by.at.line().map_or_else(String::new, |line| format!(", which stands in line {line}"));
    Some(
        Diagnostic::warning(Code::Unreachable, hidden.at.clone(), message)
            .hint(format!("give it a higher `priority`, or a condition to `{}`{place}", by.name)),
    )
}

fn assemble_listeners(
    plan: &Plan,
    (resident, generation): (&Resident, u64),
    found: &mut Vec<Diagnostic>,
) -> HashMap<ListenAddress, Arc<Listener>> {
    let mut listeners = HashMap::with_capacity(plan.listeners.len());
    for (index, listener) in plan.listeners.iter().enumerate() {
        let id = ListenerId(u32::try_from(index).unwrap_or(u32::MAX));
        let tls = Tls::assemble(plan, (listener, id), &resident.tls).unwrap_or_else(|wrong| {
            found.extend(wrong);
            None
        });
        let (hosts, default) = host_table(plan, |site| site.listeners.contains(&id));
        listeners.insert(
            listener.address.clone(),
            Arc::new(Listener {
                plan: listener.clone(),
                tls,
                limits: [
                    Limits::new(listener.connections, resident.counts(Some(&listener.address))),
                    Limits::new(plan.process.connections, resident.counts(None)),
                ],
                hosts,
                default,
                has_answers: has_answers(plan, id),
                generation,
            }),
        );
    }
    listeners
}

/// Whether any site of a listener has an answer that is made here.
fn has_answers(plan: &Plan, listener: ListenerId) -> bool {
    let mut sites = plan.sites.iter().filter(|site| site.listeners.contains(&listener));
    let routes = |site: &SitePlan| site.routes.start as usize..site.routes.end as usize;
    sites.any(|site| {
        let routes = plan.routes.get(routes(site)).unwrap_or_default();
        let is_made_here = |route: &RoutePlan| {
            !matches!(route.action, ActionPlan::Proxy(_)) || route.cache.is_some()
        };
        routes.iter().any(is_made_here)
    })
}

/// How a route serves files, if it does.
fn assemble_files(route: &RoutePlan, found: &mut Vec<Diagnostic>) -> Option<Box<Settings>> {
    let ActionPlan::Files(plan) = &route.action else { return None };
    let coding = |coding: &plan::Coding| match coding {
        plan::Coding::Br => Coding::Br,
        plan::Coding::Zstd => Coding::Zstd,
        plan::Coding::Gzip => Coding::Gzip,
    };
    let types = plan.types.iter().map(|(extension, kind)| (&**extension, &**kind));
    let types = Types::new(types, Some(&plan.default_type), plan.charset.as_deref());
    let types = types.map_err(|error| {
        found.push(Diagnostic::error(Code::Assemble, route.at.clone(), error.to_string()));
    });
    Some(Box::new(Settings {
        root: plan.anchor.clone().into(),
        symlinks: match plan.symlinks {
            plan::Symlinks::Beneath => Symlinks::Beneath,
            plan::Symlinks::Never => Symlinks::Never,
        },
        index: plan.index.clone().into(),
        autoindex: match plan.autoindex {
            plan::Autoindex::Off => None,
            plan::Autoindex::Html => Some(Autoindex::Html),
            plan::Autoindex::Json => Some(Autoindex::Json),
        },
        precompressed: plan.precompressed.iter().map(coding).collect(),
        etag: plan.etag,
        types: types.ok()?,
        hidden: plan.hidden,
    }))
}

/// The hosts of some of the sites, which claim no host twice.
fn host_table(
    plan: &Plan,
    is_one: impl Fn(&SitePlan) -> bool,
) -> (HostTable<SiteId>, Option<SiteId>) {
    let mut hosts = HostTable::new();
    let mut default = None;
    for (index, site) in plan.sites.iter().enumerate() {
        if !is_one(site) {
            continue;
        }
        let id = SiteId(u32::try_from(index).unwrap_or(u32::MAX));
        for pattern in &site.hosts {
            // The plan has refused hosts that two sites of one listener claim.
            let _ = hosts.insert(pattern, id);
        }
        if site.is_default {
            default = Some(id);
        }
    }
    (hosts, default)
}

fn assemble_upstream(
    upstream: &UpstreamPlan,
    (resident, generation): (&Resident, u64),
    key: Option<&Template>,
    found: &mut Vec<Diagnostic>,
) -> Upstream {
    let authorities = authorities_of(upstream, found);
    let source = Source::new(upstream, authorities, resident);
    // Those that are there from the beginning are as new as one another.
    let now = (generation > 1).then(Instant::now);
    let maker = Maker { source: &source, resident, now };
    Upstream {
        guard: maker.guard(None),
        part: LivePart::new(upstream.endpoints.clone(), maker),
        sharding: maker.sharding(key, found),
        file: EndpointsFile::of(upstream),
        plan: Arc::clone(&source.plan),
    }
}

/// Whom an upstream's certificates are verified by, where it says so.
pub(super) fn authorities_of(
    upstream: &UpstreamPlan,
    found: &mut Vec<Diagnostic>,
) -> Option<Arc<CaType>> {
    let path = upstream.tls.as_ref()?.ca.as_deref()?;
    authorities(path, &upstream.at).map_err(|diagnostic| found.push(diagnostic)).ok()
}

/// The key of an upstream's shards, as one of its routes has it.
fn shard_key(plan: &Plan, upstream: UpstreamId) -> Option<&Template> {
    plan.routes.iter().find_map(|route| match &route.action {
        ActionPlan::Proxy(proxy) if proxy.upstream == upstream => proxy.shard_key.as_ref(),
        _ => None,
    })
}

pub(super) fn address_of(address: &EndpointAddress) -> Address {
    match address {
        EndpointAddress::Ip(address) => Address::Ip(*address),
        EndpointAddress::Name { host, port } => Address::Name { host: host.clone(), port: *port },
        EndpointAddress::Srv(name) => Address::Srv(name.clone()),
        EndpointAddress::Unix(path) => Address::Unix(path.clone()),
    }
}

/// The certificates in a PEM file, each checked: Pingora panics on one that does not parse.
fn authorities(path: &Path, at: &Location) -> Result<Arc<CaType>, Diagnostic> {
    let refuse = |reason: String| {
        Diagnostic::error(
            Code::CertificateAuthority,
            at.clone(),
            format!("authorities `{}`: {reason}", path.display()),
        )
        .hint("a PEM file with the certificates of the authorities to trust")
    };
    let certificates =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|error| refuse(error.to_string()))?;
    if certificates.is_empty() {
        return Err(refuse("it holds no PEM certificate".to_owned()));
    }
    let mut store = rustls::RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|error| refuse(error.to_string()))?;
    }
    let wrapped = certificates
        .into_iter()
        .map(|certificate| WrappedX509::new(certificate.to_vec(), parse_x509));
    Ok(wrapped.collect::<Vec<_>>().into())
}

fn assemble_logs(
    plans: Vec<AccessLogPlan>,
    resident: &Resident,
    found: &mut Vec<Diagnostic>,
) -> Vec<AccessLog> {
    let logs = plans.into_iter().filter_map(|plan| match resident.log_writer(&plan.target) {
        Ok(writer) => {
            if writer.is_absent() {
                let message = format!("nobody listens at access log {}", plan.target);
                let found_one = Diagnostic::warning(Code::LogFile, plan.at.clone(), message);
                found.push(found_one.hint("lines wait for somebody as long as there is room"));
            }
            Some(AccessLog::new(plan, writer))
        }
        Err(error) => {
            let message = format!("access log {} cannot be opened: {error}", plan.target);
            found.push(Diagnostic::error(Code::LogFile, plan.at, message));
            None
        }
    });
    logs.collect()
}

/// Whether `variable` can only be told while the upstream's head is at hand.
fn is_upstream_header(variable: &Variable) -> bool {
    matches!(variable, Variable::UpstreamHeader(_) | Variable::UpstreamCookie(_))
}
