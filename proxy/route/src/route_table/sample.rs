//! Routes and requests for the tests of this module.

use std::borrow::Cow;
use std::net::IpAddr;

use http::Method;
use switchback_value::{Condition, Facts, PathPattern, Variable};

use super::{RouteId, RouteSpec, RouteTable};
use crate::captures::Captures;

/// A request of which only the method is known.
pub(super) struct Request(pub(super) Method);

impl Facts for Request {
    fn fact(&self, _: &Variable) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn client_ip(&self) -> Option<IpAddr> {
        None
    }

    fn method(&self) -> &Method {
        &self.0
    }
}

/// A route as in a configuration: its paths, parted by blanks.
pub(super) fn route(id: u32, paths: &str) -> RouteSpec {
    let paths = paths.split_whitespace().map(|path| PathPattern::parse(path).unwrap()).collect();
    RouteSpec { id: RouteId(id), paths, condition: Condition::always(), priority: 0 }
}

pub(super) fn posts(spec: RouteSpec) -> RouteSpec {
    RouteSpec { condition: Condition::method(vec![Method::POST]), ..spec }
}

/// The same requests as [`posts`], said with one test more.
pub(super) fn posts_twice(spec: RouteSpec) -> RouteSpec {
    let post = || Condition::method(vec![Method::POST]);
    RouteSpec { condition: Condition::all(vec![post(), post()]), ..spec }
}

pub(super) fn with_priority(priority: i32, spec: RouteSpec) -> RouteSpec {
    RouteSpec { priority, ..spec }
}

/// The route that answers, with what was captured.
pub(super) fn found(
    table: &RouteTable,
    method: Method,
    path: &str,
) -> Option<(u32, Vec<Option<String>>)> {
    let mut captures = Captures::default();
    captures.push(Some((0, 1)));
    let RouteId(id) = table.find(path, &Request(method), &mut captures)?;
    let captured =
        (0..).take(captures.len()).map(|index| captures.get(path, index).map(str::to_owned));
    Some((id, captured.collect()))
}

#[track_caller]
pub(super) fn check(specs: Vec<RouteSpec>, cases: &[(&str, Option<u32>)]) {
    let table = RouteTable::new(specs);
    for (path, expected) in cases {
        let id = found(&table, Method::GET, path).map(|(id, _)| id);
        assert_eq!(id, *expected, "{path}");
    }
}
