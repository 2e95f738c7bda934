//! Upstreams whose endpoints change while they serve: by names that stand for other addresses, and by files.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pingora_core::protocols::tls::CaType;
use switchback_conf::plan::{
    EndpointPlan, EndpointsFilePlan, FileStamp, ResolvePlan, UpstreamPlan,
};
use switchback_upstream::Address;

use super::Upstream;
use super::assemble::upstream_of;
use super::resident::Resident;
use crate::resolve::names::name_of;

/// An upstream, and what it is made of. Each change makes another, whole; requests keep the one that they began with.
#[derive(Debug)]
pub(crate) struct LiveUpstream {
    /// But for the endpoints, which are in `listed`.
    plan: UpstreamPlan,
    authorities: Option<Arc<CaType>>,
    /// The endpoints as the configuration and the file have them; nothing else is locked for long.
    listed: Mutex<Vec<EndpointPlan>>,
    file: Option<Watched>,
    current: ArcSwap<Upstream>,
}

/// The file with endpoints.
#[derive(Debug)]
struct Watched {
    plan: EndpointsFilePlan,
    /// The state in which it was read last; only the watcher asks.
    stamp: Mutex<Option<FileStamp>>,
}

impl LiveUpstream {
    /// With the addresses that are known of its names.
    pub(crate) fn new(
        mut plan: UpstreamPlan,
        authorities: Option<Arc<CaType>>,
        resident: &Resident,
    ) -> Self {
        let file = plan.endpoints_file.take();
        let file = file.map(|(plan, stamp)| Watched { plan, stamp: Mutex::new(stamp) });
        let listed = std::mem::take(&mut plan.endpoints);
        let current = made(&plan, &authorities, &listed, resident);
        let current = ArcSwap::from_pointee(current);
        Self { plan, authorities, listed: Mutex::new(listed), file, current }
    }

    /// As it is now.
    pub(crate) fn load(&self) -> Arc<Upstream> {
        self.current.load_full()
    }

    /// How long what its names stand for is believed.
    pub(crate) fn bounds(&self) -> ResolvePlan {
        self.plan.resolve
    }

    /// Its names.
    pub(crate) fn names(&self) -> Vec<Address> {
        self.listed.lock().iter().filter_map(|endpoint| name_of(&endpoint.address)).collect()
    }

    /// Has other endpoints if its names stand for others. Whether it has.
    pub(crate) fn refresh(&self, resident: &Resident) -> bool {
        let listed = self.listed.lock();
        let next = resident.names.expand(&listed);
        let is_same = {
            let now = self.current.load();
            let told = |plan: &EndpointPlan| (plan.address.clone(), plan.host.clone(), plan.weight);
            now.plan.endpoints.iter().map(told).eq(next.iter().map(told))
        };
        if !is_same {
            self.current.store(Arc::new(made(&self.plan, &self.authorities, &listed, resident)));
        }
        !is_same
    }

    /// Whether it has a file.
    pub(crate) fn is_watched(&self) -> bool {
        self.file.is_some()
    }

    /// Reads its file again if that has changed. Blocks.
    pub(crate) fn look(&self, resident: &Resident) {
        let Some(Watched { plan, stamp }) = &self.file else { return };
        let mut stamp = stamp.lock();
        if FileStamp::of(&plan.path) == *stamp {
            return;
        }
        let read = plan.read();
        *stamp = read.stamp;
        let upstream = &*self.plan.name;
        let Some(endpoints) = read.endpoints else {
            let reason = read.diagnostics.first().map_or("", |found| &found.message);
            tracing::warn!(upstream, reason, "the endpoints stay as they were");
            return;
        };
        let count = endpoints.len();
        tracing::info!(upstream, count, "the file of endpoints was read again");
        *self.listed.lock() = endpoints;
        if self.refresh(resident) {
            resident.probe_now.notify_one();
        }
    }
}

fn made(
    plan: &UpstreamPlan,
    authorities: &Option<Arc<CaType>>,
    listed: &[EndpointPlan],
    resident: &Resident,
) -> Upstream {
    let plan = UpstreamPlan { endpoints: resident.names.expand(listed), ..plan.clone() };
    upstream_of(plan, authorities.as_ref(), resident)
}
