//! From a path and the facts of a request to the route that answers.

mod build;
mod order;
mod reach;
#[cfg(test)]
mod sample;
mod search;
mod tree;

use switchback_value::{Condition, Facts, PathPattern, PathRegex};

use crate::captures::Captures;
use search::Search;
use tree::{Candidate, Tree};

/// A route, by the number that its owner gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u32);

/// What leads to a route: one of its paths, and the condition. A route may have several of these.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// The route that it leads to.
    pub id: RouteId,
    /// Any of them; none means every path.
    pub paths: Vec<PathPattern>,
    /// What else must hold: method, headers, query, cookies, client, all in one.
    pub condition: Condition,
    /// Above all else in the order; 0 where nothing was said.
    pub priority: i32,
}

/// The routes of one site in final order. The first whose path matches and whose condition holds answers.
///
/// Every path of a route has its own place in the order, by the first of these that tells two apart:
///
/// 1. the higher priority;
/// 2. exact paths, then regexes, then prefixes and paths with captures; regexes stay as written, and of the others
/// 3. the longer literal head, which is the text before the first capture or `*`;
/// 4. from left to right, a literal segment before a capture before `*`, and what is closed before what goes on;
/// 5. the condition of more tests;
/// 6. the place where it was written.
///
/// However many routes there are, a search looks only at those whose literal head the path begins with, and stops at
/// the first that none can precede. Regexes alone are tried one by one, those that come before the best without them.
#[derive(Clone, Debug)]
pub struct RouteTable {
    /// Every path but the regexes.
    tree: Tree,
    /// The regexes, in final order.
    regexes: Box<[(PathRegex, Candidate)]>,
    /// The conditions that do not always hold.
    conditions: Box<[Condition]>,
}

impl RouteTable {
    /// Puts routes into their order.
    pub fn new(specs: Vec<RouteSpec>) -> Self {
        build::table(specs)
    }

    /// The route that answers for `path`, a [`NormalPath`](crate::NormalPath), and what its pattern captured of it.
    ///
    /// Takes nothing from the heap, but for what a regex engine grows in a thread's first searches. Asks `facts` only
    /// for conditions of routes whose path matches.
    pub fn find(&self, path: &str, facts: &dyn Facts, captures: &mut Captures) -> Option<RouteId> {
        self.tree.fetch();
        captures.clear();
        let holds = |candidate: Candidate| match self.condition_of(candidate) {
            Some(condition) => condition.holds(facts),
            None => true,
        };
        let mut search = Search::new(self, path, holds, captures);
        search.descend();
        search.try_regexes();
        search.best().map(|best| best.route)
    }

    /// The routes that can never be chosen, each with one that comes before it, has no condition and matches all that
    /// the route's first path does; in the order of the table.
    ///
    /// What a regex matches is known for single paths only: no other pattern counts as covered by a regex.
    pub fn unreachable(&self) -> Vec<(RouteId, RouteId)> {
        reach::unreachable(self)
    }

    /// `None` where there is nothing to ask.
    fn condition_of(&self, candidate: Candidate) -> Option<&Condition> {
        self.conditions.get(index(candidate.condition))
    }
}

/// No index and no rank: a table of four thousand million routes does not fit into memory.
const NONE: u32 = u32::MAX;

/// Stands for a captured segment where a pattern is written as a path: no normal path holds it.
const CAPTURED: char = '\0';

fn index(narrow: u32) -> usize {
    usize::try_from(narrow).unwrap_or(usize::MAX)
}

/// The index or rank `wide`, which is below [`NONE`] as explained there.
fn narrow(wide: usize) -> u32 {
    u32::try_from(wide).unwrap_or(NONE)
}
