//! What it costs to find site and route: 10,000 hosts with 20 routes each, asked in random order, so that little of the
//! tables is in the caches when it is needed.
//!
//! Prints the lowest mean of five rounds, in nanoseconds, and how often the heap was asked in all of them. With `--tiny`,
//! with `SWITCHBACK_BENCH_TINY=1` or as a test it runs with little input, and fails where the heap was asked.
#![expect(clippy::print_stdout, reason = "the figures are read from standard output")]
#![expect(
    clippy::expect_used,
    reason = "what is built here is right, or the bench is wrong and stops"
)]

use std::borrow::Cow;
use std::hint::black_box;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use http::Method;
use switchback_route::{Captures, HostTable, RouteId, RouteSpec, RouteTable};
use switchback_value::{Condition, Facts, HostPattern, PathPattern, Variable};

const ROUNDS: usize = 5;

/// The routes of every site, each with a request that it answers.
const ROUTES: [(&str, &str); 20] = [
    ("/", "/"),
    ("/login", "/login"),
    ("/about", "/about"),
    ("/health", "/health"),
    ("/robots.txt", "/robots.txt"),
    ("/favicon.ico", "/favicon.ico"),
    ("/search", "/search"),
    ("/api/v1/users", "/api/v1/users"),
    ("/static/*", "/static/css/site.3f2a9c.css"),
    ("/assets/img/*", "/assets/img/2026/hero.webp"),
    ("/api/v1/*", "/api/v1/orders/17/items"),
    ("/checkout/*", "/checkout/address"),
    ("/admin/*", "/admin/users/7/edit"),
    ("/.well-known/*", "/.well-known/security.txt"),
    ("/api/v1/users/{id}", "/api/v1/users/81237"),
    ("/api/v1/users/{id}/posts/{post}", "/api/v1/users/81237/posts/42"),
    ("/api/v2/orders/{order}/*", "/api/v2/orders/5512/lines/3"),
    ("/blog/{year}/{slug}", "/blog/2026/how-routes-are-found"),
    ("/{language}/help", "/de/help"),
    ("/*", "/somewhere/else.html"),
];

fn main() -> ExitCode {
    // Cargo gives `--bench` to benches that are run as such, and nothing to those that it runs as tests.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let wants_tiny = std::env::args().any(|argument| argument == "--tiny");
    let is_tiny = wants_tiny
        || !is_bench
        || std::env::var("SWITCHBACK_BENCH_TINY").is_ok_and(|tiny| tiny == "1");
    let (hosts, requests) = if is_tiny { (20, 100) } else { (10_000, 10_000) };

    let sites = Sites::of(hosts);
    let rounds = requests_for(hosts, ROUNDS * requests);
    let mut best = f64::INFINITY;
    let time_all = || {
        for round in rounds.chunks(requests) {
            best = best.min(sites.time_of(round).as_nanos() as f64 / round.len() as f64);
        }
    };
    let asked = measure(time_all).count_total;

    println!("route_ns: {best:.1}");
    println!("route_allocations: {asked}");
    let is_right = rounds.iter().all(|request| sites.find(request) == Some(request.expected));
    match is_right && (asked == 0 || !is_tiny) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// What a server with many customers holds.
struct Sites {
    hosts: HostTable<u32>,
    tables: Vec<RouteTable>,
}

impl Sites {
    fn of(count: usize) -> Self {
        let specs: Vec<Vec<RouteSpec>> = (0..count).map(|_| route_specs()).collect();
        let start = Instant::now();
        let tables: Vec<RouteTable> = specs.into_iter().map(RouteTable::new).collect();
        eprintln!("{count} tables built in {:.1?}", start.elapsed());

        let mut hosts = HostTable::new();
        for (site, _) in (0..).zip(&tables) {
            let pattern = HostPattern::parse(&host_of(site)).expect("a host");
            hosts.insert(&pattern, site).expect("a new host");
        }
        Self { hosts, tables }
    }

    /// How long it takes to answer `requests`. What a client asks for was just read when a server routes it: it is in the
    /// caches, as nothing of the tables is.
    fn time_of(&self, requests: &[Request]) -> Duration {
        let mut time = Duration::ZERO;
        for received in requests.chunks(50) {
            for Request { host, path, .. } in received {
                black_box(host.bytes().chain(path.bytes()).fold(0, |all, byte| all ^ byte));
            }
            let start = Instant::now();
            for request in received {
                black_box(self.find(black_box(request)));
            }
            time += start.elapsed();
        }
        time
    }

    fn find(&self, request: &Request) -> Option<RouteId> {
        let site = self.hosts.find(&request.host)?;
        let mut captures = Captures::default();
        let route = self.tables.get(site as usize)?.find(&request.path, request, &mut captures);
        black_box(&captures);
        route
    }
}

fn host_of(site: u32) -> String {
    format!("www.customer-{site}.shop.example")
}

fn route_specs() -> Vec<RouteSpec> {
    let spec = |(id, (path, _)): (u32, &(&str, &str))| RouteSpec {
        id: RouteId(id),
        paths: vec![PathPattern::parse(path).expect("a pattern")],
        condition: Condition::always(),
        priority: 0,
    };
    (0..).zip(&ROUTES).map(spec).collect()
}

/// A request that one route of one site answers.
struct Request {
    host: Box<str>,
    path: Box<str>,
    expected: RouteId,
}

impl Facts for Request {
    fn fact(&self, _: &Variable) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn client_ip(&self) -> Option<IpAddr> {
        None
    }

    fn method(&self) -> &Method {
        &Method::GET
    }
}

fn requests_for(hosts: usize, count: usize) -> Vec<Request> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) as usize % limit
    };
    let request = |_| {
        let (site, route) = (below(hosts), below(ROUTES.len()));
        let (host, path) = (host_of(site as u32).into(), ROUTES[route].1.into());
        Request { host, path, expected: RouteId(route as u32) }
    };
    (0..count).map(request).collect()
}
