//! Ten thousand sites from text to traffic.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::config::{Config, config};
use crate::message::get;
use crate::proxy::Proxy;

/// What many sites cost.
#[derive(Clone, Copy, Debug)]
pub struct Sites {
    /// From asking for a reload to its verdict: reading, planning, assembling and swapping.
    pub reload: Duration,
    /// Resident memory afterwards, in KiB.
    pub resident_kib: u64,
    /// Whether the first, the last and an unknown site answered as they should.
    pub answers: bool,
}

/// `count` sites with a name, an alias and this many routes each.
#[must_use]
pub fn many_sites_config(count: usize, routes: usize) -> Config {
    let mut sites = String::new();
    for number in 0..count {
        write!(
            sites,
            "[[sites]]\nhosts = [\"s{number}.example\", \"*.s{number}.example\"]\n\
             [[sites.routes]]\nmatch = {{ path = \"/\" }}\n\
             respond = {{ status = 200, body = \"site {number}\" }}\n"
        )
        .expect("a String takes text");
        for route in 1..routes {
            let lines = "[[sites.routes]]\nmatch = { path = \"/app";
            write!(sites, "{lines}{route}/{{id}}/*\" }}\nproxy = \"app\"\n")
                .expect("a String takes text");
        }
    }
    config().web("").endpoints("app", &["127.0.0.1:9"], "").toml(sites)
}

/// Starts with one, reloads to `count` sites with `routes` routes each and takes the time.
///
/// # Panics
/// When the proxy does not start or refuses them.
#[must_use]
#[track_caller]
pub fn many_sites(count: usize, routes: usize) -> Sites {
    let proxy = Proxy::start(&many_sites_config(1, routes));
    let config = many_sites_config(count, routes);
    // The second of two: the first also pays for a heap that has never been this large.
    proxy.reload(&config).expect_accepted();
    proxy.write(&config.respond("/changed", "changed"));
    let start = Instant::now();
    proxy.reload_as_written().expect_accepted();
    let reload = start.elapsed();
    let body = |host: &str| proxy.ask(&get("/").host(host)).text();
    let last = count - 1;
    let answers = body("s0.example") == "site 0"
        && body(&format!("www.s{last}.example")) == format!("site {last}")
        && proxy.ask(&get("/").host("unknown.example")).status != 200;
    Sites { reload, resident_kib: proxy.stats().resident_kib, answers }
}
