//! Finding a site and a route takes nothing from the heap.
#![expect(unsafe_code, reason = "an allocator that counts cannot be written without")]
#![expect(clippy::unwrap_used, reason = "what a test writes itself is right")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::borrow::Cow;
use std::cell::Cell;
use std::net::IpAddr;

use http::Method;
use switchback_route::{
    Captures, EncodedSlash, HostTable, NormalPath, RouteId, RouteSpec, RouteTable,
};
use switchback_value::{Condition, Facts, HostPattern, PathPattern, Variable};

#[global_allocator]
static HEAP: CountingHeap = CountingHeap;

thread_local! {
    /// How often this thread asked for memory.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

/// The system's heap, with a count for each thread.
struct CountingHeap;

// SAFETY: every call goes on to the system's allocator with the arguments unchanged; counting takes no memory.
unsafe impl GlobalAlloc for CountingHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `dealloc`, and the memory came from this allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: the caller keeps the promises of `realloc`, and the memory came from this allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn allocations_of<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = ASKED.get();
    let result = work();
    (result, ASKED.get() - before)
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
