//! How soon a small answer leaves once the origin has it ready.

use std::time::{Duration, Instant};

use crate::config::site;
use crate::message::{Reply, get, pattern};
use crate::origin::Origin;
use crate::proxy::Proxy;

/// Times from the origin's write to the client's last byte.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Half of the answers came sooner.
    pub median: Duration,
    /// All but one in a hundred came sooner.
    pub p99: Duration,
    /// The latest.
    pub worst: Duration,
}

/// Of `count` answers of 200 bytes, 500 on each connection.
///
/// # Panics
/// When the proxy does not start or an answer is wrong.
#[must_use]
#[track_caller]
pub fn latency(count: usize) -> Latency {
    let body = pattern(200);
    let origin = Origin::start().serve("/small", Reply::ok(body.clone()));
    let proxy = Proxy::start(&site().proxy_to(&origin));
    let mut client = proxy.client();
    client.ask(&get("/small")).expect_body(&body);
    let mut arrived = Vec::with_capacity(count);
    for number in 1..=count {
        if number % 500 == 0 {
            // A connection ends after its thousandth request; a new one comes long before.
            client = proxy.client();
        }
        client.ask(&get("/small")).expect_status(200).expect_body(&body);
        arrived.push(Instant::now());
    }
    let ready = origin.answer_times();
    let mut times: Vec<Duration> =
        arrived.iter().zip(&ready[1..]).map(|(end, start)| *end - *start).collect();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Latency { median: at(0.5), p99: at(0.99), worst: at(1.0) }
}
