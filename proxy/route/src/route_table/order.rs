//! The order of routes, as [`RouteTable`](super::RouteTable) documents it.

use std::cmp::{Ordering, Reverse};

use super::CAPTURED;
use super::build::Shape;

/// What places a path in the order, as far as it is compared without looking at the path.
pub(super) struct Order {
    priority: Reverse<i32>,
    class: Class,
    /// The length of the literal head; all regexes are equal in it.
    head_len: Reverse<usize>,
    weight: Reverse<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Exact,
    Regex,
    Other,
}

impl Order {
    pub(super) fn of(shape: &Shape, priority: i32, weight: usize) -> Self {
        let (class, head_len, weight) = match shape {
            Shape::Regex(_) => (Class::Regex, 0, 0),
            Shape::Tree { key, open } => match key.find(CAPTURED) {
                None if !open => (Class::Exact, key.len(), weight),
                head_len => (Class::Other, head_len.unwrap_or(key.len()), weight),
            },
        };
        Self {
            priority: Reverse(priority),
            class,
            head_len: Reverse(head_len),
            weight: Reverse(weight),
        }
    }

    /// What is compared before the segments behind the head are.
    fn first(&self) -> impl Ord {
        (self.priority, self.class, self.head_len)
    }
}

/// How one path stands to another; equal ones stay as written.
pub(super) fn compare((a, a_shape): (&Order, &Shape), (b, b_shape): (&Order, &Shape)) -> Ordering {
    let by_segments = || kinds(a_shape, a.head_len.0).cmp(kinds(b_shape, b.head_len.0));
    a.first().cmp(&b.first()).then_with(by_segments).then(a.weight.cmp(&b.weight))
}

/// Of each segment behind the head whether it is a literal, a capture, or anything: what is more specific is less.
fn kinds(shape: &Shape, head_len: usize) -> impl Iterator<Item = u8> {
    let (behind_head, open) = match shape {
        Shape::Tree { key, open } => (key.get(head_len..).unwrap_or_default(), *open),
        Shape::Regex(_) => ("", false),
    };
    behind_head.split('/').map(move |segment| match segment {
        // Only the last segment is empty, and it is where an open pattern goes on.
        "" if open => 2,
        _ if segment.starts_with(CAPTURED) => 1,
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use http::Method;

    use crate::RouteTable;
    use crate::route_table::sample::{check, found, posts, posts_twice, route, with_priority};

    #[test]
    fn exact_comes_before_regex_before_the_rest() {
        check(
            vec![
                route(1, "/a/*"),
                route(2, "/{x}/b"),
                route(3, "~b"),
                route(4, "/a/b"),
                route(5, "~^/a"),
            ],
            &[("/a/b", Some(4)), ("/a/bc", Some(3)), ("/c/b", Some(3)), ("/a/c", Some(5))],
        );
    }

    #[test]
    fn regexes_are_tried_as_they_were_written() {
        check(
            vec![route(1, "~a"), posts_twice(route(3, "~b")), route(2, "~b")],
            &[("/ab", Some(1)), ("/b", Some(2))],
        );
        check(vec![route(2, "~b"), route(1, "~a")], &[("/ab", Some(2))]);
        let table = RouteTable::new(vec![route(1, "~a"), posts(route(2, "~a"))]);
        assert_eq!(found(&table, Method::POST, "/a").unwrap().0, 1);
    }

    #[test]
    fn the_longer_head_comes_first() {
        check(
            vec![
                route(1, "/*"),
                route(2, "/a/*"),
                route(3, "/a/b*"),
                route(4, "/a/{x}"),
                route(5, "/a/b/{x}/*"),
            ],
            &[
                ("/x", Some(1)),
                ("/a", Some(1)),
                ("/a/c/d", Some(2)),
                ("/a/bc", Some(3)),
                ("/a/c", Some(4)),
                ("/a/b/c", Some(3)),
                ("/a/b/c/", Some(5)),
            ],
        );
    }

    #[test]
    fn a_literal_comes_before_a_capture_before_anything() {
        check(
            vec![
                route(1, "/a/{x}/*"),
                route(2, "/a/{x}/{y}"),
                route(3, "/a/{x}/c"),
                route(4, "/a/{x}/"),
                route(5, "/a/*"),
                route(6, "/a/{x}/{y}/*"),
                route(7, "/a/{x}/c/*"),
            ],
            &[
                ("/a/b/c", Some(3)),
                ("/a/b/d", Some(2)),
                ("/a/b/", Some(4)),
                ("/a/b", Some(5)),
                ("/a/b/d/e", Some(6)),
                ("/a/b/c/e", Some(7)),
                ("/a/", Some(5)),
            ],
        );
    }

    #[test]
    fn at_the_same_path_the_condition_with_more_tests_comes_first() {
        for path in ["/a", "/a/*", "/{x}/*"] {
            let specs = vec![
                route(1, path),
                posts(route(2, path)),
                posts_twice(route(3, path)),
                posts(route(4, path)),
            ];
            let table = RouteTable::new(specs);
            assert_eq!(
                found(&table, Method::POST, "/a/").or(found(&table, Method::POST, "/a")).unwrap().0,
                3
            );
            assert_eq!(
                found(&table, Method::GET, "/a/").or(found(&table, Method::GET, "/a")).unwrap().0,
                1
            );
        }
    }

    #[test]
    fn of_routes_that_differ_in_nothing_the_first_written_answers() {
        check(
            vec![route(1, "/a"), route(2, "/a"), route(3, "/b*"), route(4, "/b*")],
            &[("/a", Some(1)), ("/b", Some(3))],
        );
        let table = RouteTable::new(vec![
            posts(route(1, "/{x}")),
            posts(route(2, "/{y}")),
            route(3, "/{z}"),
        ]);
        assert_eq!(found(&table, Method::POST, "/a").unwrap().0, 1);
        assert_eq!(found(&table, Method::GET, "/a").unwrap().0, 3);
    }

    #[test]
    fn priority_stands_above_all_else() {
        check(
            vec![
                route(1, "/a/b"),
                with_priority(2, route(2, "/a/*")),
                with_priority(1, route(3, "~^/(a|c)/b$")),
                with_priority(-1, route(4, "/c/b")),
                route(5, "/c/*"),
                with_priority(3, route(6, "/{x}/z")),
            ],
            &[("/a/b", Some(2)), ("/c/b", Some(3)), ("/c/d", Some(5)), ("/a/z", Some(6))],
        );
    }

    #[test]
    fn each_path_of_a_route_has_its_own_place() {
        check(
            vec![route(1, "/a /b/*"), route(2, "/a/* /b/c")],
            &[("/a", Some(1)), ("/b/c", Some(2)), ("/b/d", Some(1))],
        );
    }
}
