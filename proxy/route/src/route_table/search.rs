//! The search for the first candidate in order that fits.

use switchback_value::PathRegex;

use super::tree::{Candidate, Head, Level};
use super::{NONE, RouteTable};
use crate::captures::Captures;

/// A search for the lowest rank whose pattern matches a path and which `accepts` takes.
///
/// It visits the most specific places first, though any order would do: a place, and all below and above it, is passed
/// over as soon as the best rank found is lower than its lowest.
pub(super) struct Search<'s, A> {
    table: &'s RouteTable,
    path: &'s str,
    accepts: A,
    best: Option<Candidate>,
    /// Only lower ranks are of interest.
    limit: u32,
    /// What was captured on the way to the current place.
    trail: Captures,
    /// What the best captured.
    captures: &'s mut Captures,
}

impl<'s, A: FnMut(Candidate) -> bool> Search<'s, A> {
    pub(super) fn new(
        table: &'s RouteTable,
        path: &'s str,
        accepts: A,
        captures: &'s mut Captures,
    ) -> Self {
        Self { table, path, accepts, best: None, limit: NONE, trail: Captures::default(), captures }
    }

    /// Finds only ranks lower than `rank`.
    pub(super) fn below(self, rank: u32) -> Self {
        Self { limit: rank, ..self }
    }

    /// The best that was found.
    pub(super) fn best(&self) -> Option<Candidate> {
        self.best
    }

    /// Searches the tree, from its root.
    pub(super) fn descend(&mut self) {
        self.descend_to(self.table.tree.root(), 0);
    }

    /// Tries the regexes that come before the best.
    pub(super) fn try_regexes(&mut self) {
        for (regex, candidate) in &self.table.regexes {
            if candidate.rank >= self.limit {
                return;
            }
            if (self.accepts)(*candidate) && self.captures_of(regex) {
                self.take(*candidate);
            }
        }
    }

    /// Whether the path has a match of `regex`, whose groups it then takes.
    fn captures_of(&mut self, regex: &PathRegex) -> bool {
        let groups_len = regex.groups_len();
        if groups_len == 0 {
            let is_match = regex.is_match(self.path);
            if is_match {
                self.captures.clear();
            }
            return is_match;
        }
        let Some(groups) = regex.groups(self.path) else { return false };
        self.captures.clear();
        for group in groups.into_iter().take(groups_len) {
            self.captures.push(group.map(|range| (range.start, range.end)));
        }
        true
    }

    /// Searches a level, which says what may follow the first `from` bytes of the path.
    fn descend_to(&mut self, level: Level, from: usize) {
        if level.least >= self.limit {
            return;
        }
        let (table, rest) = (self.table, self.path.get(from..).unwrap_or_default());
        for head in table.tree.matching(level, rest) {
            self.visit(&head, from + head.text.len());
            if head.above >= self.limit {
                return;
            }
        }
    }

    /// Looks at what `head` leads to, when `from` bytes of the path are matched with it.
    fn visit(&mut self, head: &Head<'_>, from: usize) {
        let rest = self.path.get(from..).unwrap_or_default();
        if rest.is_empty() {
            self.choose(head.closed());
        }
        if let Some(level) = self.table.tree.below(head) {
            let end = memchr::memchr(b'/', rest.as_bytes()).unwrap_or(rest.len());
            if end > 0 {
                self.trail.push(Some((from, from + end)));
                self.descend_to(level, from + end);
                self.trail.pop();
            }
        }
        self.choose(head.open());
    }

    /// Takes the first of the candidates, which ascend in rank, that is better than the best and accepted.
    fn choose(&mut self, candidates: impl Iterator<Item = Candidate>) {
        let limit = self.limit;
        for candidate in candidates.take_while(|candidate| candidate.rank < limit) {
            if (self.accepts)(candidate) {
                self.captures.copy_from(&self.trail);
                self.take(candidate);
                return;
            }
        }
    }

    fn take(&mut self, candidate: Candidate) {
        self.limit = candidate.rank;
        self.best = Some(candidate);
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::route_table::sample::{Request, check, found, posts, route, with_priority};

    #[track_caller]
    fn check_captures(path: &str, pattern: &str, expected: &[Option<&str>]) {
        let table = RouteTable::new(vec![route(1, pattern)]);
        let (_, captured) = found(&table, Method::GET, path).unwrap();
        assert_eq!(
            captured.iter().map(Option::as_deref).collect::<Vec<_>>(),
            expected,
            "{pattern}"
        );
    }

    #[test]
    fn no_routes_answer_nothing() {
        check(Vec::new(), &[("/", None), ("", None)]);
    }

    #[test]
    fn an_exact_path_matches_itself_alone() {
        check(
            vec![route(1, "/a"), route(2, "/a/b")],
            &[
                ("/a", Some(1)),
                ("/a/b", Some(2)),
                ("/", None),
                ("/a/", None),
                ("/ab", None),
                ("/a/b/c", None),
            ],
        );
    }

    #[test]
    fn a_prefix_matches_all_that_begins_so() {
        check(
            vec![route(1, "/a/*")],
            &[("/a/", Some(1)), ("/a/b/c", Some(1)), ("/a", None), ("/b/a/", None)],
        );
        check(
            vec![route(1, "/a*")],
            &[("/a", Some(1)), ("/ab", Some(1)), ("/", None), ("/b", None)],
        );
        check(vec![route(1, "/*")], &[("/", Some(1)), ("/a", Some(1)), ("", None)]);
    }

    #[test]
    fn a_route_without_paths_matches_every_path() {
        check(
            vec![route(1, ""), route(2, "/a")],
            &[("/", Some(1)), ("/b", Some(1)), ("/a", Some(2))],
        );
    }

    #[test]
    fn a_capture_matches_one_segment_that_is_not_empty() {
        check(
            vec![
                route(1, "/u/{id}"),
                route(2, "/u/{id}/p"),
                route(3, "/u/{id}/q/{x}/*"),
                route(4, "/v/{id}/"),
            ],
            &[
                ("/u/7", Some(1)),
                ("/u/", None),
                ("/u", None),
                ("/u/7/", None),
                ("/u/7/p", Some(2)),
                ("/u/7/px", None),
                ("/u//p", None),
                ("/u/7/q/8", None),
                ("/u/7/q/8/", Some(3)),
                ("/u/7/q/8/9/0", Some(3)),
                ("/u/7/q//", None),
                ("/v/7/", Some(4)),
                ("/v/7", None),
                ("/v/7/x", None),
            ],
        );
    }

    #[test]
    fn captures_are_told_with_the_route() {
        check_captures("/a", "/a", &[]);
        check_captures("/a/b", "/a/*", &[]);
        check_captures("/u/7/p/häuser", "/u/{id}/p/{post}", &[Some("7"), Some("häuser")]);
        check_captures("/7/x/y", "/{id}/*", &[Some("7")]);
        check_captures("/7/x/y", "~^/(?<id>[0-9]+)/(?:x|(z))/(.*)", &[Some("7"), None, Some("y")]);
        check_captures("/7", "~^/[0-9]$", &[]);
    }

    #[test]
    fn captures_of_places_that_were_left_again_are_forgotten() {
        let table = RouteTable::new(vec![
            route(1, "/{a}/x/{b}/y"),
            route(2, "/{c}/*"),
            posts(route(3, "/{a}/x/{b}/z")),
        ]);
        assert_eq!(found(&table, Method::GET, "/7/x/8/z"), Some((2, vec![Some("7".to_owned())])));
        let both = vec![Some("7".to_owned()), Some("8".to_owned())];
        assert_eq!(found(&table, Method::POST, "/7/x/8/z"), Some((3, both)));
        let none = RouteTable::new(vec![route(1, "/{a}/x")]);
        let mut captures = Captures::default();
        captures.push(Some((0, 1)));
        assert_eq!(none.find("/7/y", &Request(Method::GET), &mut captures), None);
        assert!(captures.is_empty());
    }

    #[test]
    fn captures_of_a_better_route_replace_those_found_before() {
        let table = RouteTable::new(vec![
            with_priority(1, route(1, "/a*")),
            with_priority(2, route(2, "/{x}/{y}")),
        ]);
        assert_eq!(found(&table, Method::GET, "/a/b").unwrap().1.len(), 2);
        let table = RouteTable::new(vec![
            with_priority(2, route(1, "/a*")),
            with_priority(1, route(2, "/{x}/{y}")),
        ]);
        assert_eq!(found(&table, Method::GET, "/a/b"), Some((1, Vec::new())));
        for regex in ["~^/a/b$", "~^/a/(b)$"] {
            let table = RouteTable::new(vec![route(1, "/{x}/{y}"), route(2, regex)]);
            assert_eq!(found(&table, Method::GET, "/a/b").unwrap().0, 2);
            assert_eq!(
                found(&table, Method::GET, "/a/b").unwrap().1.len(),
                usize::from(regex.contains('('))
            );
        }
    }

    #[test]
    fn a_dead_end_leads_back_to_what_is_less_specific() {
        check(
            vec![
                route(1, "/a/{x}/b"),
                route(2, "/{y}/c/{z}"),
                route(3, "/a/c/d/*"),
                route(4, "/*"),
            ],
            &[
                ("/a/c/b", Some(1)),
                ("/a/c/e", Some(2)),
                ("/a/c/d", Some(2)),
                ("/a/c/d/", Some(3)),
                ("/a/e/c", Some(4)),
            ],
        );
    }

    #[test]
    fn a_route_whose_condition_fails_makes_way_for_the_next() {
        let specs = vec![
            posts(route(1, "/a")),
            posts(route(2, "~a")),
            posts(route(3, "/{x}")),
            route(4, "/*"),
        ];
        let table = RouteTable::new(specs);
        assert_eq!(found(&table, Method::POST, "/a").unwrap().0, 1);
        assert_eq!(found(&table, Method::POST, "/ba").unwrap().0, 2);
        assert_eq!(found(&table, Method::POST, "/b").unwrap().0, 3);
        assert_eq!(found(&table, Method::GET, "/a").unwrap().0, 4);
    }
}
