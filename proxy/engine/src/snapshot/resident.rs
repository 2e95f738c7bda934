//! What outlives snapshots, by identity: what a thing is, not how it is tuned.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::Mutex;
use switchback_conf::plan::{ListenAddress, LogTarget, OverloadPlan};
use switchback_upstream::{Address, Endpoint, Learned};
use tokio::sync::Notify;

use super::shards::Epochs;
use super::shards::steps::Taken;
use super::sticky::Secret;
use super::zones::Zones;
use crate::action::Actions;
use crate::encoders::Encoders;
use crate::http::cache::Fills;
use crate::http::cache::dictionaries::Dictionaries;
use crate::http::cache::origins::Origins;
use crate::http::concurrency::Gate;
use crate::http::overload::Service;
use crate::listen::admit::Counts;
use crate::listen::tls;
use crate::log::{LogWriter, Losses};
use crate::metrics::{Metrics, ShardCounters};
use crate::pictures::Pictures;
use crate::plugins::Additions;
use crate::plugins::keeping::Keeping;
use crate::purge::Relay;
use crate::request_id::RequestIds;
use crate::resolve::names::Names;

/// An upstream, or one of its shards.
type PartName = (Box<str>, Option<Box<str>>);

/// The one owner of everything that survives a reload.
#[derive(Debug, Default)]
pub(crate) struct Resident {
    /// What the embedding program has registered.
    pub(crate) actions: Actions,
    /// The same of plugins, and what those keep.
    pub(crate) plugins: Keeping,
    /// Counters of the process.
    pub(crate) metrics: Metrics,
    /// Where request ids come from.
    pub(crate) request_ids: RequestIds,
    /// Certificates and ticket keys.
    pub(crate) tls: tls::Store,
    /// Caches.
    pub(crate) zones: Zones,
    /// Who is told of purges.
    pub(crate) relay: OnceLock<Relay>,
    /// Who encodes beside the way.
    pub(crate) encoders: Encoders,
    /// Who makes smaller forms of pictures.
    pub(crate) pictures: Pictures,
    /// What is being fetched for them.
    pub(crate) fills: Arc<Fills>,
    /// What is kept to encode against.
    pub(crate) dictionaries: Dictionaries,
    /// Which origins are dead, where caches are always online.
    pub(crate) origins: Origins,
    /// The mappings that upstreams with shards have had.
    pub(crate) epochs: Epochs,
    /// Which of them are on their way to others.
    pub(crate) resharding: Taken,
    /// What the names of endpoints stand for.
    pub(crate) names: Names,
    /// There are other endpoints to probe.
    pub(crate) probe_now: Notify,
    /// What cookies are signed with that say which endpoint a visitor has.
    pub(crate) sticky_secret: Secret,
    endpoints: Mutex<HashMap<EndpointKey, Arc<Endpoint>>>,
    /// What they have had to do.
    shards: Mutex<HashMap<ShardKey, Arc<ShardCounters>>>,
    services: Mutex<HashMap<PartName, Arc<Service>>>,
    /// The sessions that endpoints of each service have begun.
    learned: Mutex<HashMap<Box<str>, Arc<Learned>>>,
    log_writers: Mutex<HashMap<LogTarget, Arc<LogWriter>>>,
    gates: Mutex<HashMap<GateKey, Arc<Gate>>>,
    /// Connections of listeners, and of the process.
    counts: Mutex<HashMap<Option<ListenAddress>, Arc<Counts>>>,
    /// Of all access logs there ever were.
    pub(crate) log_losses: Arc<Losses>,
}

/// An endpoint is its upstream and its address.
type EndpointKey = (Box<str>, Address);

/// A shard is its upstream and its name.
type ShardKey = (Box<str>, Box<str>);

/// What a limit of requests in progress is for: a site, or a route of it.
///
/// Names need not be unique: of those with the same name, the first of one snapshot is the first of the next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GateKey {
    /// The site's name, and its number among those of that name.
    pub(crate) site: (Box<str>, u32),
    /// The same of the route.
    pub(crate) route: Option<(Box<str>, u32)>,
}

impl Resident {
    /// Nothing yet but what the embedding program has registered.
    pub(crate) fn new(additions: Additions) -> Self {
        let Additions { actions, plugins } = additions;
        Self { actions, plugins: Keeping::new(plugins), ..Self::default() }
    }

    /// The same for plans that are only looked at.
    pub(crate) fn only_checking(additions: Additions) -> Self {
        Self { zones: Zones::only_checking(), ..Self::new(additions) }
    }

    /// The requests in progress at `key`, new or known already.
    pub(crate) fn gate(&self, key: GateKey) -> Arc<Gate> {
        Arc::clone(self.gates.lock().entry(key).or_default())
    }

    /// The connections of the listener at this address, or of the process, new or counted already.
    pub(crate) fn counts(&self, address: Option<&ListenAddress>) -> Arc<Counts> {
        Arc::clone(self.counts.lock().entry(address.cloned()).or_default())
    }

    /// The endpoint of `upstream` at `address`, new or known already. One that is new begins now, if that is said.
    pub(crate) fn endpoint(
        &self,
        upstream: &str,
        address: Address,
        now: Option<Instant>,
    ) -> Arc<Endpoint> {
        let mut endpoints = self.endpoints.lock();
        let new = |(_, address): &EndpointKey| {
            let endpoint = Endpoint::new(address.clone());
            now.into_iter().for_each(|now| endpoint.load().begins(now));
            Arc::new(endpoint)
        };
        Arc::clone(endpoints.entry((upstream.into(), address)).or_insert_with_key(new))
    }

    /// What the shard of `upstream` called `name` has done, new or known already.
    pub(crate) fn shard(&self, upstream: &str, name: &str) -> Arc<ShardCounters> {
        Arc::clone(self.shards.lock().entry((upstream.into(), name.into())).or_default())
    }

    /// What is known of an upstream, or of one of its shards, as a whole, new or known already.
    pub(crate) fn service(
        &self,
        (upstream, shard): (&str, Option<&str>),
        plan: &OverloadPlan,
    ) -> Arc<Service> {
        let mut services = self.services.lock();
        let service = services.entry((upstream.into(), shard.map(Into::into)));
        Arc::clone(service.or_insert_with(|| Arc::new(Service::new(plan))))
    }

    /// The sessions that endpoints of this service have begun.
    pub(crate) fn learned(&self, upstream: &str) -> Arc<Learned> {
        Arc::clone(self.learned.lock().entry(upstream.into()).or_default())
    }

    /// The writer of `target`, new or open already.
    ///
    /// # Errors
    /// The target cannot be opened.
    pub(crate) fn log_writer(&self, target: &LogTarget) -> std::io::Result<Arc<LogWriter>> {
        let mut writers = self.log_writers.lock();
        if let Some(writer) = writers.get(target) {
            return Ok(Arc::clone(writer));
        }
        let writer = Arc::new(LogWriter::start(target.clone(), Arc::clone(&self.log_losses))?);
        writers.insert(target.clone(), Arc::clone(&writer));
        Ok(writer)
    }

    /// Lets go of what no snapshot refers to any more.
    pub(crate) fn forget_unused(&self) {
        self.forget_endpoints();
        self.shards.lock().retain(|_, counters| Arc::strong_count(counters) > 1);
        self.services.lock().retain(|_, service| Arc::strong_count(service) > 1);
        self.learned.lock().retain(|_, learned| Arc::strong_count(learned) > 1);
        self.plugins.forget_unused();
        self.plugins.forget_modules();
        self.tls.forget_unused();
        self.zones.forget_unused();
        self.counts.lock().retain(|_, counts| Arc::strong_count(counts) > 1);
        self.gates.lock().retain(|_, gate| Arc::strong_count(gate) > 1);
        self.log_writers.lock().retain(|_, writer| Arc::strong_count(writer) > 1);
    }

    /// Lets go of endpoints that nobody refers to any more.
    fn forget_endpoints(&self) {
        self.endpoints.lock().retain(|_, endpoint| Arc::strong_count(endpoint) > 1);
    }

    /// The snapshot in force has other endpoints: those that it has no more are forgotten, new ones are probed.
    pub(crate) fn endpoints_changed(&self) {
        self.forget_endpoints();
        self.probe_now.notify_one();
    }

    /// Opens all log files again; nothing more goes to the old ones.
    pub(crate) fn reopen_logs(&self) {
        for writer in self.log_writers.lock().values() {
            writer.reopen();
        }
        self.flush_logs();
    }

    /// Waits until the lines handed over so far are written.
    pub(crate) fn flush_logs(&self) {
        let writers: Vec<_> = self.log_writers.lock().values().cloned().collect();
        for writer in writers {
            writer.flush();
        }
    }
}
