//! How many requests a second pass through Switchback, nginx and HAProxy, with one worker each, to the same origin.
//!
//! Prints `<proxy>_requests_per_second` for small answers on 32 kept connections. Client, proxy and origin share the
//! machine: the figures compare, they do not promise. With `SWITCHBACK_BENCH_TINY=1` or as a test it runs for a second each.

#![expect(
    clippy::expect_used,
    reason = "what cannot be measured has no figure, and the bench stops"
)]

use std::io::Write;
use std::net::SocketAddr;

use switchback_integration::{Peer, Proxy, Tool, site};

/// How long each is asked.
struct Span {
    seconds: u32,
}

fn main() {
    // Cargo gives `--bench` to benches that are run as such, and nothing to those that it runs as tests.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let is_tiny = !is_bench || std::env::var_os("SWITCHBACK_BENCH_TINY").is_some();
    let span = Span { seconds: if is_tiny { 1 } else { 10 } };
    let answer = "x".repeat(200);
    let Some(origin) = Peer::nginx(&format!("location / {{ return 200 '{answer}'; }}")) else {
        return;
    };
    let origin = origin.address();

    let proxy = Proxy::start(&site().top("workers = 1").route("/*", "proxy = \"app\"").endpoints(
        "app",
        &[origin.to_string()],
        "",
    ));
    span.measure("switchback", proxy.address("web"));
    if let Some(nginx) = nginx(origin) {
        span.measure("nginx", nginx.address());
    }
    if let Some(haproxy) = Peer::haproxy(&format!("server one {origin}")) {
        span.measure("haproxy", haproxy.address());
    }
}

fn nginx(origin: SocketAddr) -> Option<Peer> {
    Peer::nginx_with(
        &format!("upstream app {{ server {origin}; keepalive 64; }}"),
        "location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; }",
    )
}

impl Span {
    fn measure(&self, name: &str, address: SocketAddr) {
        let Some(mut wrk) = Tool::Wrk.command() else { return };
        wrk.args(["-t1", "-c32", &format!("-d{}s", self.seconds), &format!("http://{address}/")]);
        let output = wrk.output().expect("wrk can be started");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            !printed.contains("Non-2xx") && !printed.contains("Socket errors"),
            "{name}: {printed}"
        );
        let line = printed.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
        let rate: f64 = line.and_then(|rate| rate.trim().parse().ok()).expect("wrk prints a rate");
        writeln!(std::io::stdout(), "{name}_requests_per_second: {rate:.0}")
            .expect("standard output is open");
    }
}
