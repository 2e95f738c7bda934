//! The limits of requests in progress, each with its living counts.

use std::collections::HashMap;

use switchback_conf::plan::{ConcurrencyPlan, Plan};

use super::resident::{GateKey, Resident};
use crate::http::concurrency::Limit;

/// The limits of a plan.
pub(super) struct Limits {
    /// Of sites, in their order.
    pub(super) sites: Vec<Option<Limit>>,
    /// Of routes, in their order; empty when there are none.
    pub(super) routes: Vec<Option<Limit>>,
}

/// Puts the counts that outlive snapshots beside what the plan says.
pub(super) fn assemble(plan: &Plan, resident: &Resident) -> Limits {
    let limit = |plan: &Option<ConcurrencyPlan>, key: GateKey| {
        plan.as_ref().map(|plan| Limit { plan: plan.clone(), gate: resident.gate(key) })
    };
    let mut sites = Vec::with_capacity(plan.sites.len());
    let mut routes = Vec::new();
    let has_routes = plan.routes.iter().any(|route| route.concurrency.is_some());
    let mut site_names = HashMap::new();
    for site in &plan.sites {
        let name = numbered(&site.name, &mut site_names);
        sites.push(limit(&site.concurrency, GateKey { site: name.clone(), route: None }));
        if !has_routes {
            continue;
        }
        let mut route_names = HashMap::new();
        let range = site.routes.start as usize..site.routes.end as usize;
        for route in plan.routes.get(range).unwrap_or_default() {
            let route_name = Some(numbered(&route.name, &mut route_names));
            routes
                .push(limit(&route.concurrency, GateKey { site: name.clone(), route: route_name }));
        }
    }
    Limits { sites, routes }
}

/// `name` and how many had it before.
fn numbered<'n>(name: &'n str, seen: &mut HashMap<&'n str, u32>) -> (Box<str>, u32) {
    let count = seen.entry(name).or_default();
    let number = *count;
    *count += 1;
    (name.into(), number)
}
