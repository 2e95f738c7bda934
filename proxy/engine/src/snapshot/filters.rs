//! Which plugins are asked about which requests.

use std::collections::HashMap;
use std::sync::Arc;

use switchback_conf::Diagnostic;
use switchback_conf::plan::{ListenAddress, Plan, RouteId, SiteId};
use switchback_plugin_host::Chain;

use super::resident::Resident;
use crate::plugins::keeping::{Kept, chain};

/// The filters of all listeners, sites and routes.
pub(crate) struct FilterTable {
    listeners: HashMap<ListenAddress, Arc<Chain>>,
    /// Indexed by [`SiteId`].
    sites: Box<[Option<Arc<Chain>>]>,
    /// Indexed by [`RouteId`].
    routes: Box<[Option<Arc<Chain>>]>,
    /// All that these ask, which keeps them in use.
    plugins: Box<[Arc<Kept>]>,
}

/// The filters of `plan`; `None` where it has none. All plugins are made, so that what is wrong with any is told.
pub(super) fn assemble(
    plan: &Plan,
    resident: &Resident,
    found: &mut Vec<Diagnostic>,
) -> Option<Box<FilterTable>> {
    if plan.plugins.is_empty() {
        return None;
    }
    let plugins = resident.plugins.find(plan, found);
    let of_listener = |listener: &switchback_conf::plan::ListenerPlan| {
        Some((listener.address.clone(), chain(&listener.filters, &plugins)?))
    };
    let used = plan.plugins.iter().zip(&plugins).filter(|(plan, _)| plan.is_used);
    let table = FilterTable {
        listeners: plan.listeners.iter().filter_map(of_listener).collect(),
        sites: plan.sites.iter().map(|site| chain(&site.filters, &plugins)).collect(),
        routes: plan.routes.iter().map(|route| chain(&route.filters, &plugins)).collect(),
        plugins: used.filter_map(|(_, kept)| kept.clone()).collect(),
    };
    let has_any =
        !table.listeners.is_empty() || table.sites.iter().chain(&table.routes).any(Option::is_some);
    has_any.then(|| Box::new(table))
}

impl FilterTable {
    /// All plugins that are asked, in the order of the configuration.
    pub(crate) fn plugins(&self) -> &[Arc<Kept>] {
        &self.plugins
    }

    /// Those of a listener.
    pub(crate) fn of_listener(&self, address: &ListenAddress) -> Option<&Arc<Chain>> {
        self.listeners.get(address)
    }

    /// Whether any listener has some.
    pub(crate) fn has_listeners(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Those of a site.
    pub(crate) fn of_site(&self, id: SiteId) -> Option<&Arc<Chain>> {
        self.sites.get(id.0 as usize)?.as_ref()
    }

    /// Those of a route.
    pub(crate) fn of_route(&self, id: RouteId) -> Option<&Arc<Chain>> {
        self.routes.get(id.0 as usize)?.as_ref()
    }
}

impl std::fmt::Debug for FilterTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilterTable").finish_non_exhaustive()
    }
}
