//! Actions of the embedding program, found for the routes that name them.

use std::collections::HashMap;

use switchback_conf::plan::{ActionPlan, OwnActionPlan, Plan, RouteId, RoutePlan};
use switchback_conf::{Code, Diagnostic};
use switchback_value::suggest::nearest;

use crate::action::{Actions, Registered};

/// The action of one route.
pub(crate) struct OwnAction {
    /// Its name, for logs.
    pub(crate) name: Box<str>,
    /// What answers, and how long it may take.
    pub(crate) registered: Registered,
    /// The names of what the route's path pattern captures, in its order.
    pub(crate) captures: Box<[Box<str>]>,
}

impl std::fmt::Debug for OwnAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnAction").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The actions of those routes of `plan` that have one. A name that the program did not register is told.
pub(crate) fn find(
    plan: &Plan,
    actions: &Actions,
    found: &mut Vec<Diagnostic>,
) -> HashMap<RouteId, OwnAction> {
    let mut own = HashMap::new();
    for (id, route) in (0..).map(RouteId).zip(&plan.routes) {
        let ActionPlan::Own(wanted) = &route.action else { continue };
        match actions.find(&wanted.name) {
            Some(action) => drop(own.insert(id, of_route(route, wanted, action.clone()))),
            None => found.push(unknown(wanted, actions)),
        }
    }
    own
}

fn of_route(route: &RoutePlan, wanted: &OwnActionPlan, registered: Registered) -> OwnAction {
    // The plan has refused routes whose paths capture different names.
    let captures = route.paths.first().map(|path| path.capture_names()).unwrap_or_default();
    OwnAction {
        name: wanted.name.clone(),
        registered,
        captures: captures.into_iter().map(String::into_boxed_str).collect(),
    }
}

fn unknown(wanted: &OwnActionPlan, actions: &Actions) -> Diagnostic {
    let message = format!("this program has no action `{}`", wanted.name);
    let registered: Vec<_> = actions.names().map(|name| format!("`{name}`")).collect();
    let hint = match nearest(&wanted.name, actions.names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if registered.is_empty() => {
            "it has none at all; a program that Switchback is built into registers its own with `Server::action`"
                .to_owned()
        }
        None => format!("it has {}", registered.join(", ")),
    };
    Diagnostic::error(Code::UnknownAction, wanted.at.clone(), message).hint(hint)
}
