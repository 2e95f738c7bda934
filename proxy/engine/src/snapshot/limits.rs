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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use switchback_conf::load_text;

    use super::*;

    /// Two sites that are called the same, and routes that are.
    fn plan(more: &str) -> Plan {
        let route = "[[sites.routes]]\nrespond = {}\nconcurrency = { total = 1 }\n";
        let text = format!(
            "[[listeners]]\nname = \"a\"\naddress = \":80\"\n[[listeners]]\nname = \"b\"\naddress = \":81\"\n\
             [[sites]]\nlisteners = [\"a\"]\nconcurrency = {{ total = 1 }}\n{route}{route}{more}\
             [[sites]]\nlisteners = [\"b\"]\nconcurrency = {{ total = 1 }}\n{route}"
        );
        load_text("switchback.toml", &text, &BTreeMap::new()).value.unwrap().plan
    }

    fn gates(limits: &Limits) -> Vec<*const crate::http::concurrency::Gate> {
        let all = limits.sites.iter().chain(&limits.routes).flatten();
        all.map(|limit| Arc::as_ptr(&limit.gate)).collect()
    }

    #[test]
    fn what_is_called_the_same_is_counted_apart_and_found_again() {
        let resident = Resident::default();
        let first = assemble(&plan(""), &resident);
        let mut apart = gates(&first);
        apart.sort_unstable();
        apart.dedup();
        assert_eq!(apart.len(), 5);
        assert_eq!(gates(&assemble(&plan(""), &resident)), gates(&first));
        let more = assemble(&plan("[[sites.routes]]\nrespond = {}\n"), &resident);
        assert_eq!(gates(&more), gates(&first));
        assert!(more.routes.iter().any(Option::is_none));
    }

    #[test]
    fn counts_that_nobody_needs_are_forgotten() {
        let resident = Resident::default();
        let limits = assemble(&plan(""), &resident);
        let before: Vec<_> =
            limits.sites.iter().flatten().map(|limit| Arc::downgrade(&limit.gate)).collect();
        resident.forget_unused();
        assert!(before.iter().all(|gate| gate.strong_count() > 0));
        drop(limits);
        resident.forget_unused();
        assert!(before.iter().all(|gate| gate.strong_count() == 0));
    }
}
