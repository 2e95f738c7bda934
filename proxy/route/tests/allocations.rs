//! Finding a site and a route takes nothing from the heap.
#![expect(clippy::unwrap_used, reason = "what a test writes itself is right")]

use std::borrow::Cow;
use std::net::IpAddr;

use allocation_counter::measure;
use http::Method;
use switchback_route::{
    Captures, EncodedSlash, HostTable, NormalPath, RouteId, RouteSpec, RouteTable,
};
use switchback_value::{Condition, Facts, HostPattern, PathPattern, Variable};

fn allocations_of<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let mut result = None;
    let asked = measure(|| result = Some(work())).count_total;
    (result.unwrap(), asked)
}

struct Request;

impl Facts for Request {
    fn fact(&self, variable: &Variable) -> Option<Cow<'_, [u8]>> {
        matches!(variable, Variable::Cookie(_)).then_some(Cow::Borrowed(b"yes"))
    }

    fn client_ip(&self) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, 1]))
    }

    fn method(&self) -> &Method {
        &Method::POST
    }
}

fn condition() -> Condition {
    let cookie = Condition::equals(Variable::Cookie("beta".into()), "yes");
    let client = Condition::client(vec!["192.0.2.0/24".parse().unwrap()]);
    Condition::all(vec![Condition::method(vec![Method::POST]), cookie, client])
}

fn routes(paths: &[&str]) -> RouteTable {
    let spec = |(id, path): (u32, &&str)| RouteSpec {
        id: RouteId(id),
        paths: vec![PathPattern::parse(path).unwrap()],
        condition: if id % 2 == 0 { condition() } else { Condition::always() },
        priority: 0,
    };
    RouteTable::new((0..).zip(paths).map(spec).collect())
}

#[test]
fn counting_works() {
    assert_eq!(allocations_of(|| vec![1]).1, 1);
}

#[test]
fn a_host_is_found_without_the_heap() {
    let mut table = HostTable::new();
    for (site, text) in (0..).zip(["shop.example", "*.shop.example", "www.*", "~^cdn\\d+\\.", "_"])
    {
        table.insert(&HostPattern::parse(text).unwrap(), site).unwrap();
    }
    for (host, site) in [
        ("shop.example", 0),
        ("a.b.shop.example", 1),
        ("www.a.test", 2),
        ("cdn7.test", 3),
        ("x.y", 4),
    ] {
        // The regex engine grows its tables in the first search of a thread.
        table.find(host);
        assert_eq!(allocations_of(|| table.find(host)), (Some(site), 0), "{host}");
    }
}

#[test]
fn a_route_is_found_without_the_heap() {
    let table = routes(&[
        "/",
        "/a",
        "/a/*",
        "/a/{x}",
        "/a/{x}/b/{y}/*",
        "~^/re/(\\d+)/(?<rest>.*)$",
        "/img*",
        "/*",
    ]);
    for (path, route) in [
        ("/", Some(0)),
        ("/a", Some(1)),
        ("/a/b/", Some(2)),
        ("/a/b", Some(3)),
        ("/a/1/b/2/", Some(4)),
        ("/re/17/x", Some(5)),
        ("/img7", Some(6)),
        ("/else", Some(7)),
        ("", None),
    ] {
        let mut captures = Captures::default();
        table.find(path, &Request, &mut captures);
        let (found, asked) = allocations_of(|| table.find(path, &Request, &mut captures));
        assert_eq!((found.map(|found| found.0), asked), (route, 0), "{path}");
    }
}

#[test]
fn a_path_that_is_normal_already_stays_where_it_is() {
    for raw in ["/", "/a/b.c", "/é", "/a%2Fb%25%FF", "/a/b/.."] {
        let (path, asked) = allocations_of(|| NormalPath::parse(raw, EncodedSlash::Keep));
        assert!(path.is_ok());
        assert_eq!(asked, 0, "{raw}");
    }
}
