//! How long a large configuration takes from text to plan: prints `config_to_plan_ms`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

use switchback_conf::{plan, read_text};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Routes of each site.
const ROUTES: usize = 20;

fn main() {
    let is_tiny = std::env::var_os("SWITCHBACK_BENCH_TINY").is_some();
    let (sites, rounds) = if is_tiny { (10, 1) } else { (10_000, 5) };
    let text = configuration(sites, ROUTES);
    let mut fastest = f64::MAX;
    for _ in 0..rounds {
        let start = Instant::now();
        let config = read_text("bench.toml", &text, &BTreeMap::new());
        let read = start.elapsed();
        assert!(!config.has_errors(), "{}", config.report());
        let planned = config.value.as_ref().map(plan);
        let elapsed = start.elapsed();
        let plan = planned.and_then(|outcome| outcome.value);
        let routes = plan.map_or(0, |plan| plan.routes.len());
        assert_eq!(routes, sites * ROUTES, "all routes are planned");
        let (read, elapsed) = (read.as_secs_f64() * 1e3, elapsed.as_secs_f64() * 1e3);
        say(&format!(
            "{} bytes, {routes} routes: read {read:.1} ms, in all {elapsed:.1} ms",
            text.len()
        ));
        fastest = fastest.min(elapsed);
    }
    say(&format!("config_to_plan_ms: {fastest:.1}"));
}

fn say(line: &str) {
    let written = writeln!(std::io::stdout(), "{line}");
    assert!(written.is_ok(), "standard output is closed");
}

/// So many sites with so many routes each, as somebody who generates configurations would write them.
fn configuration(sites: usize, routes: usize) -> String {
    let mut text =
        "[[listeners]]\naddress = \":8080\"\n\n[upstreams.app]\nendpoints = [\"127.0.0.1:3000\"]\n"
            .to_owned();
    for site in 0..sites {
        let _ = writeln!(
            text,
            "\n[[sites]]\nhosts = [\"site{site}.example\", \"*.site{site}.example\"]"
        );
        for route in 0..routes {
            let (matched, action) = match route % 4 {
                0 => (
                    format!("{{ path = \"/v{route}/users/{{id}}\" }}"),
                    "proxy = \"app\"".to_owned(),
                ),
                1 => (
                    format!("{{ path = \"/static{route}/*\", method = \"GET\" }}"),
                    "respond = { status = 200, body = \"hello $remote_addr\" }".to_owned(),
                ),
                2 => (
                    format!("{{ path = \"/r{route}/*\" }}"),
                    "proxy = { upstream = \"app\", rewrite = \"/x$uri\" }".to_owned(),
                ),
                _ => (
                    format!("{{ path = \"/h{route}\", headers = {{ x-version = \"{route}\" }} }}"),
                    "proxy = \"app\"\nresponse_headers = { set = { x-frame-options = \"DENY\" } }"
                        .to_owned(),
                ),
            };
            let _ = writeln!(text, "[[sites.routes]]\nmatch = {matched}\n{action}");
        }
    }
    text
}
