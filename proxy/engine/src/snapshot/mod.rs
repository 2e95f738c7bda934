//! What runs: live objects made from a plan, swapped whole.

pub(crate) mod assemble;
pub(crate) mod caches;
mod choices;
pub(crate) mod dictionaries;
pub(crate) mod encodes;
pub(crate) mod filters;
pub(crate) mod images;
mod limits;
pub(crate) mod live;
pub(crate) mod map;
pub(crate) mod own_actions;
mod pools;
pub(crate) mod resident;
pub(crate) mod shards;
pub(crate) mod sticky;
pub(crate) mod zones;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use switchback_conf::plan::{
    AccessPlan, ErrorRule, ForwardingPlan, ListenAddress, ListenerPlan, ProcessPlan, RouteId,
    RoutePlan, SiteId, UpstreamId, UpstreamPlan, ZoneId,
};
use switchback_route::{EncodedSlash, HostTable, RouteTable};
use switchback_upstream::{Endpoint, Pool};

use crate::http::concurrency::Limit;
use crate::http::overload::Guard;
use crate::listen::admit::Limits;
use crate::listen::connection::Connection;
use crate::listen::tls::Tls;
use crate::log::AccessLog;
use crate::plugins::keeping::Kept;
use caches::CacheSettings;
use encodes::EncodeSettings;
use filters::FilterTable;
use live::{EndpointsFile, LivePart};
use map::LiveMap;
use own_actions::OwnAction;
use resident::Resident;
use shards::Sharding;
use sticky::Sticky;
use zones::NamedZone;

/// Everything that a request is judged by. A request sees exactly one.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// How many snapshots there have been, this one included.
    pub(crate) generation: u64,
    /// Threads, files and time-outs of the process.
    pub(crate) process: ProcessPlan,
    /// Who is believed and what is told about the client.
    pub(crate) forwarding: ForwardingPlan,
    /// By what they bind.
    pub(crate) listeners: HashMap<ListenAddress, Arc<Listener>>,
    /// The sites that are on every listener: hosts, and who answers what nobody claims. They answer the last requests of
    /// connections whose listener is gone.
    pub(crate) everywhere: (HostTable<SiteId>, Option<SiteId>),
    /// Indexed by [`SiteId`].
    pub(crate) sites: Box<[Site]>,
    /// Indexed by [`RouteId`].
    pub(crate) routes: Box<[RoutePlan]>,
    /// How files are served; indexed by [`RouteId`].
    pub(crate) files: Box<[Option<Box<switchback_files::Settings>>]>,
    /// How many requests may be in progress at once, indexed by [`RouteId`].
    pub(crate) route_limits: Box<[Option<Limit>]>,
    /// Indexed by [`UpstreamId`].
    pub(crate) upstreams: Box<[Upstream]>,
    /// Where host names are looked up; empty is where the system does.
    pub(crate) resolvers: Arc<[SocketAddr]>,
    /// Indexed as in [`Variable::Map`](switchback_value::Variable::Map).
    pub(crate) maps: Box<[LiveMap]>,
    /// The caches, indexed by [`ZoneId`](switchback_conf::plan::ZoneId).
    pub(crate) zones: Box<[NamedZone]>,
    /// Those of each site, indexed by [`SiteId`]; empty when there are no caches.
    pub(crate) site_zones: Box<[Box<[ZoneId]>]>,
    /// What routes keep, indexed by [`RouteId`]; empty when there are no caches.
    pub(crate) caches: Box<[Option<Arc<CacheSettings>>]>,
    /// Whether something may be asked beside a request: for a cache, of another shard, or of another endpoint.
    pub(crate) asks_beside: bool,
    /// How routes encode, indexed by [`RouteId`]; empty when none does.
    pub(crate) encodes: Box<[Option<Arc<EncodeSettings>>]>,
    /// How many bytes are kept to encode against.
    pub(crate) dictionary_room: usize,
    /// The embedding program's actions, for the routes that name one.
    pub(crate) own_actions: HashMap<RouteId, OwnAction>,
    /// Which plugins are asked, if any are.
    pub(crate) filters: Option<Box<FilterTable>>,
    /// Each gets a line per request.
    pub(crate) access_logs: Vec<AccessLog>,
    /// Whether any template refers to `$upstream_http_*` after the answer, so that the head must be kept.
    pub(crate) logs_upstream_headers: bool,
}

/// A listener with the hosts it answers.
pub(crate) struct Listener {
    /// Its settings.
    pub(crate) plan: ListenerPlan,
    /// TLS, or plain text.
    pub(crate) tls: Option<Arc<Tls>>,
    /// How many connections it takes, and the process.
    pub(crate) limits: [Limits; 2],
    /// Whose hosts they are.
    pub(crate) hosts: HostTable<SiteId>,
    /// Who answers hosts that nobody claims.
    pub(crate) default: Option<SiteId>,
    /// Whether any of its sites has an answer that is made here.
    pub(crate) has_answers: bool,
    /// The snapshot that it is part of.
    pub(crate) generation: u64,
}

#[cfg(test)]
impl Listener {
    /// One that answers no host.
    pub(crate) fn bare(plan: ListenerPlan) -> Arc<Self> {
        let hosts = HostTable::new();
        let limits = || Limits::new(plan.connections, Arc::default());
        let limits = [limits(), limits()];
        Arc::new(Self {
            plan,
            tls: None,
            limits,
            hosts,
            default: None,
            has_answers: false,
            generation: 0,
        })
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("name", &self.plan.name).finish_non_exhaustive()
    }
}

/// The hosts answered together.
pub(crate) struct Site {
    /// `$server_name`.
    pub(crate) name: Box<str>,
    /// What becomes of `%2f`.
    pub(crate) encoded_slash: EncodedSlash,
    /// Who may ask.
    pub(crate) access: Option<AccessPlan>,
    /// How many requests may be in progress at once.
    pub(crate) concurrency: Option<Limit>,
    /// What is answered instead of errors where there is no route.
    pub(crate) errors: Box<[ErrorRule]>,
    /// Whether its pages ask browsers to tell how wide images will be shown.
    pub(crate) asks_for_hints: bool,
    /// Its routes in final order.
    pub(crate) table: RouteTable,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A named service with its live endpoints.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Its settings.
    pub(crate) plan: Arc<UpstreamPlan>,
    /// Its endpoints where it has no shards, else nobody.
    pub(crate) part: LivePart,
    /// Its shards, where it has them.
    pub(crate) sharding: Option<Box<Sharding>>,
    /// The file that lists endpoints of it, if there is one.
    pub(crate) file: Option<EndpointsFile>,
    /// What keeps it from being asked for more than it can do.
    pub(crate) guard: Arc<Guard>,
}

impl Upstream {
    /// By what requests stay with an endpoint, if they do.
    pub(crate) fn sticky(&self) -> Option<&Sticky> {
        self.part.sticky()
    }

    /// Shows each of its parts: itself or its shards, those that keys move to included.
    pub(crate) fn each_part(&self, mut see: impl FnMut(&LivePart)) {
        see(&self.part);
        if let Some(sharding) = &self.sharding {
            sharding.epoch.load().parts().for_each(see);
        }
    }

    /// Shows each of its pools.
    pub(crate) fn each_pool(&self, mut see: impl FnMut(&Pool)) {
        self.each_part(|part| part.load().pools().for_each(&mut see));
    }

    /// The endpoints of all its parts, each once.
    pub(crate) fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        let mut endpoints = Vec::new();
        self.each_part(|part| endpoints.extend_from_slice(part.load().all().pool.endpoints()));
        let mut seen = HashSet::new();
        endpoints.retain(|endpoint| seen.insert(Arc::as_ptr(endpoint)));
        endpoints
    }

    /// Whether it has a file to look at.
    pub(crate) fn is_watched(&self) -> bool {
        self.file.is_some() || self.sharding.as_ref().is_some_and(|sharding| sharding.is_watched())
    }

    /// Reads its files again if they have changed; one that is wrong changes nothing. Blocks.
    pub(crate) fn look(&self, resident: &Resident) {
        if let Some(sharding) = &self.sharding {
            sharding.look(resident);
        }
        if self.file.as_ref().is_some_and(|file| file.look(&self.part, resident)) {
            resident.endpoints_changed();
        }
    }
}

impl Snapshot {
    /// The route of that id. Ids are made with the snapshot, so it is there.
    pub(crate) fn route(&self, id: RouteId) -> Option<&RoutePlan> {
        self.routes.get(id.0 as usize)
    }

    /// How that route serves files, if it does.
    pub(crate) fn files(&self, id: RouteId) -> Option<&switchback_files::Settings> {
        self.files.get(id.0 as usize)?.as_deref()
    }

    /// How many requests of that route may be in progress at once.
    pub(crate) fn route_limit(&self, id: RouteId) -> Option<&Limit> {
        self.route_limits.get(id.0 as usize)?.as_ref()
    }

    /// What that route keeps, if it does.
    pub(crate) fn cache(&self, id: RouteId) -> Option<&Arc<CacheSettings>> {
        self.caches.get(id.0 as usize)?.as_ref()
    }

    /// How that route encodes its answers, if it does.
    pub(crate) fn encode(&self, id: RouteId) -> Option<&Arc<EncodeSettings>> {
        self.encodes.get(id.0 as usize)?.as_ref()
    }

    /// The caches that routes of that site have.
    pub(crate) fn zones_of(&self, id: SiteId) -> &[ZoneId] {
        self.site_zones.get(id.0 as usize).map_or(&[], |zones| zones)
    }

    /// The plugins that are asked, in the order of the configuration.
    pub(crate) fn plugins(&self) -> &[Arc<Kept>] {
        self.filters.as_deref().map_or(&[], FilterTable::plugins)
    }

    /// Has what outlives snapshots obey this one.
    pub(crate) fn take_over(&self, resident: &Resident) {
        resident.dictionaries.set_limit(self.dictionary_room);
        resident.plugins.put_in_force(self.plugins());
        self.access_logs.iter().for_each(AccessLog::take_over);
        self.zones.iter().for_each(NamedZone::take_over);
        let shardings = self.upstreams.iter().filter_map(|upstream| upstream.sharding.as_ref());
        shardings.for_each(|sharding| sharding.take_over(resident));
    }

    /// The site of that id.
    pub(crate) fn site(&self, id: SiteId) -> Option<&Site> {
        self.sites.get(id.0 as usize)
    }

    /// The listeners at these addresses.
    pub(crate) fn listeners_in(&self, order: &[ListenAddress]) -> Vec<Arc<Listener>> {
        order.iter().filter_map(|address| self.listeners.get(address).cloned()).collect()
    }

    /// The listener that answers on this connection: the one that it was accepted by, or, when a reload bound that one
    /// elsewhere, the one of its name or the one that would accept it now.
    pub(crate) fn listener_of(&self, connection: &Connection) -> Option<&Arc<Listener>> {
        let plan = &connection.listener.plan;
        self.listeners.get(&plan.address).or_else(|| self.heir(plan, connection.local?))
    }

    /// Whether a reload removed the listener of this connection, so that the next answer is its last.
    pub(crate) fn has_removed_listener_of(&self, connection: &Connection) -> bool {
        connection.listener.generation != self.generation && self.listener_of(connection).is_none()
    }

    /// The site of `host` for a connection whose listener is gone: one that is on every listener, if the connection would be
    /// good enough for one of those that there are.
    pub(crate) fn site_everywhere(&self, connection: &Connection, host: &str) -> Option<SiteId> {
        let (hosts, default) = &self.everywhere;
        let serves = |listener: &Arc<Listener>| {
            listener.tls.as_ref().is_none_or(|tls| tls.serves(connection, host))
        };
        let site = hosts.find(host).or(*default);
        site.filter(|_| self.listeners.values().any(serves))
    }

    fn heir(&self, plan: &ListenerPlan, local: SocketAddr) -> Option<&Arc<Listener>> {
        let alike = |listener: &&Arc<Listener>| listener.plan.tls.is_some() == plan.tls.is_some();
        let bound_to = |ip: IpAddr, needs_dual_stack: bool| {
            move |listener: &&Arc<Listener>| match listener.plan.address {
                ListenAddress::Tcp { address, dual_stack } => {
                    address == SocketAddr::new(ip, local.port())
                        && (dual_stack || !needs_dual_stack)
                }
                ListenAddress::Unix { .. } => false,
            }
        };
        let ip = local.ip().to_canonical();
        let any: IpAddr =
            if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let mut all = self.listeners.values();
        let named = all.find(|listener| listener.plan.name == plan.name).filter(alike);
        let find = |ip, dual| self.listeners.values().find(bound_to(ip, dual)).filter(alike);
        named
            .or_else(|| find(ip, false))
            .or_else(|| find(any, false))
            .or_else(|| find(Ipv6Addr::UNSPECIFIED.into(), ip.is_ipv4()))
    }

    /// Has upstreams have the endpoints that their names stand for by now. Those that are new begin now, if that is said.
    pub(crate) fn refresh(&self, resident: &Resident, now: Option<Instant>) {
        let mut has_changed = false;
        for upstream in &self.upstreams {
            upstream.each_part(|part| has_changed |= part.refresh(resident, now));
        }
        if has_changed {
            resident.endpoints_changed();
        }
    }

    /// The upstream of that id.
    pub(crate) fn upstream(&self, id: UpstreamId) -> Option<&Upstream> {
        self.upstreams.get(id.0 as usize)
    }
}

/// Where the snapshot in force is found, and swapped.
#[derive(Debug)]
pub(crate) struct SnapshotCell {
    current: ArcSwap<Snapshot>,
    generation: AtomicU64,
}

impl SnapshotCell {
    /// A cell with its first snapshot.
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        let generation = AtomicU64::new(snapshot.generation);
        Self { current: ArcSwap::from_pointee(snapshot), generation }
    }

    /// The snapshot in force, for one request or one accept.
    pub(crate) fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Puts another in force and gives back the old one, which ends with its last request.
    pub(crate) fn swap(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        self.generation.store(snapshot.generation, Ordering::Release);
        self.current.swap(Arc::new(snapshot))
    }

    /// How many snapshots there have been.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}
