//! Endpoints that change while they serve: because names come to stand for other addresses, or a file lists others.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pingora_core::protocols::tls::CaType;
use switchback_conf::plan::{
    EndpointPlan, EndpointsFilePlan, FileStamp, ResolvePlan, UpstreamPlan,
};
use switchback_upstream::Address;

use super::resident::Resident;
use super::shards::{Maker, Part};
use super::sticky::{self, Sticky};
use crate::resolve::names::name_of;

/// What parts of an upstream have in common, whatever their endpoints.
#[derive(Debug)]
pub(crate) struct Source {
    /// The settings.
    pub(crate) plan: Arc<UpstreamPlan>,
    /// By whom certificates are verified, where that is said.
    pub(crate) authorities: Option<Arc<CaType>>,
    /// By what requests stay, if they do.
    pub(crate) sticky: Option<Sticky>,
}

impl Source {
    /// Of this upstream.
    pub(super) fn new(
        upstream: &UpstreamPlan,
        authorities: Option<Arc<CaType>>,
        resident: &Resident,
    ) -> Arc<Self> {
        let sticky = sticky::assemble(upstream, resident);
        Arc::new(Self { plan: Arc::new(upstream.clone()), authorities, sticky })
    }
}

/// The endpoints of an upstream or of a shard. Each change makes another [`Part`], whole; a request keeps the one that it began
/// with. Which shard has a key is nothing of it, so keys may move and tables change meanwhile.
#[derive(Debug)]
pub(crate) struct LivePart {
    source: Arc<Source>,
    /// As the configuration and a file have them; locked while a part is made of them.
    listed: Mutex<Vec<EndpointPlan>>,
    current: ArcSwap<Part>,
}

impl LivePart {
    /// Of these endpoints, with the addresses that are known of their names.
    pub(super) fn new(listed: Vec<EndpointPlan>, maker: Maker<'_>) -> Self {
        let current = ArcSwap::from_pointee(maker.part(maker.resident.names.expand(&listed)));
        Self { source: Arc::clone(maker.source), listed: Mutex::new(listed), current }
    }

    /// As it is now.
    pub(crate) fn load(&self) -> Arc<Part> {
        self.current.load_full()
    }

    /// By what requests stay with one of them, if they do.
    pub(crate) fn sticky(&self) -> Option<&Sticky> {
        self.source.sticky.as_ref()
    }

    /// The settings that it is made with.
    pub(crate) fn plan(&self) -> &UpstreamPlan {
        &self.source.plan
    }

    /// How long what its names stand for is believed.
    pub(crate) fn bounds(&self) -> ResolvePlan {
        self.source.plan.resolve
    }

    /// Its names.
    pub(crate) fn names(&self) -> Vec<Address> {
        self.listed.lock().iter().filter_map(|endpoint| name_of(&endpoint.address)).collect()
    }

    /// Has other endpoints if its names stand for others. Whether it has. Those that are new begin now, if that is said.
    pub(crate) fn refresh(&self, resident: &Resident, now: Option<Instant>) -> bool {
        self.remake(&self.listed.lock(), resident, now)
    }

    /// Has these endpoints from now on. Whether they are others.
    fn list(&self, endpoints: Vec<EndpointPlan>, resident: &Resident) -> bool {
        let mut listed = self.listed.lock();
        *listed = endpoints;
        self.remake(&listed, resident, Some(Instant::now()))
    }

    /// The caller has the lock: of two changes the later one stays.
    fn remake(&self, listed: &[EndpointPlan], resident: &Resident, now: Option<Instant>) -> bool {
        let next = resident.names.expand(listed);
        let told =
            |plan: &EndpointPlan| (plan.address.clone(), plan.host.clone(), plan.weight, plan.tier);
        let is_same = self.current.load().plans.iter().map(told).eq(next.iter().map(told));
        if !is_same {
            let maker = Maker { source: &self.source, resident, now };
            self.current.store(Arc::new(maker.part(next)));
        }
        !is_same
    }
}

/// The file with endpoints of an upstream.
#[derive(Debug)]
pub(crate) struct EndpointsFile {
    plan: EndpointsFilePlan,
    /// The state in which it was read last; only the watcher asks.
    stamp: Mutex<Option<FileStamp>>,
}

impl EndpointsFile {
    /// The file of an upstream that has one.
    pub(super) fn of(upstream: &UpstreamPlan) -> Option<Self> {
        let (plan, stamp) = upstream.endpoints_file.clone()?;
        Some(Self { plan, stamp: Mutex::new(stamp) })
    }

    /// Reads it again if it has changed, and has `part` have what it lists. Whether those are other endpoints. Blocks.
    pub(super) fn look(&self, part: &LivePart, resident: &Resident) -> bool {
        let mut stamp = self.stamp.lock();
        if FileStamp::of(&self.plan.path) == *stamp {
            return false;
        }
        let read = self.plan.read();
        *stamp = read.stamp;
        let upstream = &*part.source.plan.name;
        let Some(endpoints) = read.endpoints else {
            let reason = read.diagnostics.first().map_or("", |found| &found.message);
            tracing::warn!(upstream, reason, "the endpoints stay as they were");
            return false;
        };
        let count = endpoints.len();
        tracing::info!(upstream, count, "the file of endpoints was read again");
        part.list(endpoints, resident)
    }
}
