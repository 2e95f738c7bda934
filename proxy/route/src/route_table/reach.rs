//! Which routes can never be chosen.

use std::collections::HashSet;

use super::search::Search;
use super::tree::{Candidate, Level, Tree};
use super::{CAPTURED, RouteId, RouteTable};
use crate::captures::Captures;

pub(super) fn unreachable(table: &RouteTable) -> Vec<(RouteId, RouteId)> {
    let places = places(table);
    let covers: Vec<_> =
        places.iter().map(|place| (place.candidate.route, cover(table, &places, place))).collect();

    let reachable = covers.iter().filter(|(_, cover)| cover.is_none()).map(|(route, _)| *route);
    let mut settled: HashSet<RouteId> = reachable.collect();
    covers
        .into_iter()
        .filter_map(|(route, cover)| Some((route, cover?)))
        .filter(|(route, _)| settled.insert(*route))
        .collect()
}

/// A candidate, and what its pattern matches.
struct Place {
    candidate: Candidate,
    /// The pattern as a path; of a regex its text.
    key: String,
    shape: Shape,
}

#[derive(PartialEq, Eq)]
enum Shape {
    Closed,
    /// Anything may follow.
    Open,
    Regex,
}

/// The places of all candidates, by rank.
fn places(table: &RouteTable) -> Vec<Place> {
    let mut places = Vec::new();
    collect(&table.tree, table.tree.root(), "", &mut places);
    places.extend(table.regexes.iter().map(|(regex, candidate)| Place {
        candidate: *candidate,
        key: regex.source().to_owned(),
        shape: Shape::Regex,
    }));
    places.sort_unstable_by_key(|place| place.candidate.rank);
    places
}

/// Adds what stands at `level`, which is behind `before`, and below it.
fn collect(tree: &Tree, level: Level, before: &str, places: &mut Vec<Place>) {
    for head in tree.heads(level) {
        let key = format!("{before}{}", String::from_utf8_lossy(head.text));
        places.extend(head.closed().map(|candidate| Place {
            candidate,
            key: key.clone(),
            shape: Shape::Closed,
        }));
        places.extend(head.open().map(|candidate| Place {
            candidate,
            key: key.clone(),
            shape: Shape::Open,
        }));
        if let Some(level) = tree.below(&head) {
            collect(tree, level, &format!("{key}{CAPTURED}"), places);
        }
    }
}

/// The route that comes before `place`, has no condition and matches all that it does.
///
/// What stands for a captured segment is matched by captures alone, so that a pattern that matches another's key
/// matches all that the other does. What comes behind an open key is unknown: only open patterns match all of it. Of a
/// regex nothing is known but that every path begins with a slash.
fn cover(table: &RouteTable, places: &[Place], place: &Place) -> Option<RouteId> {
    let covers = |candidate: Candidate| {
        let shape = places.get(super::index(candidate.rank)).map(|place| &place.shape);
        let matches_all = place.shape == Shape::Closed || shape == Some(&Shape::Open);
        matches_all && may_cover(table, candidate, place)
    };
    let key = if place.shape == Shape::Regex { "/" } else { &place.key };
    let mut captures = Captures::default();
    let mut search = Search::new(table, key, covers, &mut captures).below(place.candidate.rank);
    search.descend();
    if place.shape == Shape::Closed && !key.contains(CAPTURED) {
        search.try_regexes();
    }
    let found = search.best().or_else(|| same_regex(table, place));
    found.map(|candidate| candidate.route)
}

/// A regex that comes before `place`, has no condition and has the same text.
fn same_regex(table: &RouteTable, place: &Place) -> Option<Candidate> {
    let mut earlier =
        table.regexes.iter().take_while(|(_, candidate)| candidate.rank < place.candidate.rank);
    let is_same = |regex: &str, candidate| regex == place.key && may_cover(table, candidate, place);
    earlier
        .find(|(regex, candidate)| is_same(regex.source(), *candidate))
        .map(|(_, candidate)| *candidate)
}

fn may_cover(table: &RouteTable, candidate: Candidate, place: &Place) -> bool {
    candidate.route != place.candidate.route && table.condition_of(candidate).is_none()
}

#[cfg(test)]
mod tests {
    use crate::route_table::sample::{posts, route, with_priority};
    use crate::{RouteSpec, RouteTable};

    #[track_caller]
    fn check_unreachable(specs: Vec<RouteSpec>, expected: &[(u32, u32)]) {
        let unreachable = RouteTable::new(specs).unreachable();
        let unreachable: Vec<_> =
            unreachable.into_iter().map(|(route, by)| (route.0, by.0)).collect();
        assert_eq!(unreachable, expected);
    }

    #[test]
    fn what_comes_behind_an_unconditional_cover_is_unreachable() {
        check_unreachable(vec![route(1, "/a"), route(2, "/a")], &[(2, 1)]);
        check_unreachable(
            vec![with_priority(1, route(1, "/a/*")), route(2, "/a/b"), route(3, "/b")],
            &[(2, 1)],
        );
        check_unreachable(
            vec![with_priority(1, route(1, "/*")), posts(route(2, "~a")), route(3, "/{x}")],
            &[(2, 1), (3, 1)],
        );
        check_unreachable(vec![route(1, "/{x}/*"), route(2, "/{y}/*")], &[(2, 1)]);
        check_unreachable(
            vec![with_priority(1, route(1, "/a/{x}")), route(2, "/a/b"), route(3, "/{x}/b")],
            &[(2, 1)],
        );
        check_unreachable(
            vec![with_priority(1, route(1, "/{x}/*")), route(2, "/a/b*"), route(3, "/a*")],
            &[(2, 1)],
        );
        check_unreachable(
            vec![with_priority(1, route(1, "/a*")), route(2, "/a/{x}/*"), route(3, "/a/{x}")],
            &[(3, 1), (2, 1)],
        );
    }

    #[test]
    fn what_is_more_general_is_reachable() {
        check_unreachable(
            vec![
                route(1, "/a"),
                route(2, "/a/*"),
                route(3, "/{x}"),
                route(4, "/a*"),
                route(5, "/*"),
            ],
            &[],
        );
        check_unreachable(
            vec![with_priority(1, route(1, "/{x}")), route(2, "/a/*"), route(3, "/a*")],
            &[],
        );
        check_unreachable(vec![with_priority(1, route(1, "/u/7")), route(2, "/u/{x}")], &[]);
    }

    #[test]
    fn what_has_a_condition_covers_nothing() {
        check_unreachable(vec![posts(route(1, "/a")), route(2, "/a")], &[]);
        check_unreachable(
            vec![with_priority(1, posts(route(1, "/*"))), route(2, "/a"), posts(route(3, "~a"))],
            &[],
        );
        check_unreachable(vec![posts(route(1, "~a")), route(2, "~a")], &[]);
        check_unreachable(
            vec![route(1, "/a"), with_priority(-1, posts(route(2, "/a")))],
            &[(2, 1)],
        );
    }

    #[test]
    fn a_route_is_unreachable_only_with_all_its_paths() {
        check_unreachable(vec![route(1, "/a"), route(2, "/a /b")], &[]);
        check_unreachable(vec![route(1, "/a"), route(2, "/b"), route(3, "/a /b")], &[(3, 1)]);
        check_unreachable(vec![route(1, "/a /a")], &[]);
        check_unreachable(vec![with_priority(1, route(1, "/*")), route(1, "/a")], &[]);
    }

    #[test]
    fn a_regex_covers_its_own_text_and_single_paths() {
        check_unreachable(vec![route(1, "~a"), route(2, "~b"), route(3, "~a")], &[(3, 1)]);
        check_unreachable(
            vec![with_priority(1, route(1, "~^/a")), route(2, "/a/b"), route(3, "/b")],
            &[(2, 1)],
        );
        check_unreachable(vec![route(1, "~."), route(2, "/a/*"), route(3, "/{x}")], &[]);
        check_unreachable(vec![route(1, "~a ~a"), route(2, "~ab")], &[]);
        check_unreachable(vec![with_priority(1, route(1, "/a*")), route(2, "~^/a")], &[]);
    }
}
