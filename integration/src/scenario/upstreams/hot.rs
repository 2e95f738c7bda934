//! Keys that are asked for by Zipf's law, over sockets: how evenly the endpoints of a pool are loaded, and how many of them have a key.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use super::keep_alive::Connection;
use crate::config::config;
use crate::grammar::Random;
use crate::proxy::Proxy;

/// What the endpoints of a pool have seen.
#[derive(Clone, Copy, Debug)]
pub struct Heat {
    /// Requests of the endpoint that had most, beside the mean.
    pub max_over_mean: f64,
    /// What the busiest had in progress beside the mean, at the mean of all requests.
    pub in_progress: f64,
    /// At how many endpoints a key was, in the mean of all keys.
    pub copies: f64,
    /// At how many the key was that had most.
    pub most_copies: usize,
    /// Different keys.
    pub keys: usize,
    /// Requests.
    pub requests: usize,
    /// Requests that were not answered with 200.
    pub failed: usize,
}

const ENDPOINTS: usize = 20;
const KEYS: u32 = 100_000;
const EXPONENT: f64 = 1.3;
/// Requests in progress: twenty for each endpoint.
const CLIENTS: usize = 400;
/// The mean that an endpoint takes for a request.
const SERVICE: f64 = 0.1;
/// Until what is hot is known.
const WARM: Duration = Duration::from_secs(3);

/// Asks a pool with these settings for keys by Zipf's law, for `lasting` after it is warm.
///
/// # Panics
/// When something cannot be started.
#[must_use]
pub fn heat(balance: &str, lasting: Duration) -> Heat {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut addresses = Vec::with_capacity(ENDPOINTS);
        for number in 0..ENDPOINTS {
            addresses.push(endpoint(number, Arc::clone(&seen)).await);
        }
        let config = config().web("").site("").route("/*", "proxy = \"app\"");
        let proxy = Proxy::start(&config.endpoints("app", &addresses, balance));
        let law = Arc::new(Zipf::new());
        let warm = Instant::now() + WARM;
        let clients: Vec<_> = (1..=CLIENTS as u64)
            .map(|seed| {
                let ask = ask(proxy.address("web"), Arc::clone(&law), seed, warm + lasting);
                tokio::spawn(ask)
            })
            .collect();
        tokio::time::sleep_until(warm.into()).await;
        seen.lock().is_counting = true;
        let mut failed = 0;
        for client in clients {
            failed += client.await.expect("a client that does not panic");
        }
        let seen = seen.lock();
        seen.told(failed)
    })
}

/// What all endpoints together know.
#[derive(Debug, Default)]
struct Seen {
    is_counting: bool,
    requests: [usize; ENDPOINTS],
    in_progress: [usize; ENDPOINTS],
    /// Keys with their endpoints.
    places: HashSet<(String, usize)>,
    /// The sum of what the busiest had beside the mean, at each request.
    ratios: f64,
}

impl Seen {
    fn begins(&mut self, endpoint: usize, key: &str) {
        self.in_progress[endpoint] += 1;
        if self.is_counting {
            self.requests[endpoint] += 1;
            self.places.insert((key.to_owned(), endpoint));
            self.ratios += max_over_mean(&self.in_progress);
        }
    }

    fn told(&self, failed: usize) -> Heat {
        let mut copies = std::collections::HashMap::<&str, usize>::new();
        for (key, _) in &self.places {
            *copies.entry(key).or_default() += 1;
        }
        let requests: usize = self.requests.iter().sum();
        Heat {
            max_over_mean: max_over_mean(&self.requests),
            in_progress: self.ratios / requests as f64,
            copies: self.places.len() as f64 / copies.len() as f64,
            most_copies: copies.values().copied().max().unwrap_or_default(),
            keys: copies.len(),
            requests,
            failed,
        }
    }
}

fn max_over_mean(counts: &[usize]) -> f64 {
    let most = counts.iter().copied().max().unwrap_or_default();
    most as f64 * counts.len() as f64 / counts.iter().sum::<usize>() as f64
}

/// An endpoint whose answers take times of their own; it goes away with its runtime.
async fn endpoint(number: usize, seen: Arc<Mutex<Seen>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
    let address = listener.local_addr().expect("a bound socket");
    tokio::spawn(async move {
        let mut random = Random::new(1 + number as u64);
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, mut chance) = (Arc::clone(&seen), Random::new(random.number()));
            tokio::spawn(async move {
                let mut connection = Connection::new(stream);
                while let Ok(Some(asked)) = connection.next().await {
                    seen.lock().begins(number, asked.word(1));
                    let took = Duration::from_secs_f64(-SERVICE * (1.0 - unit(&mut chance)).ln());
                    tokio::time::sleep(took).await;
                    seen.lock().in_progress[number] -= 1;
                    let sent = connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                    if sent.await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address.to_string()
}

/// Asks for one key after the other; how often that failed.
async fn ask(proxy: std::net::SocketAddr, law: Arc<Zipf>, seed: u64, end: Instant) -> usize {
    let mut random = Random::new(seed);
    let mut kept = None;
    let mut failed = 0;
    while Instant::now() < end {
        let text = format!("GET /item/{} HTTP/1.1\r\nHost: app\r\n\r\n", law.draw(&mut random));
        let answered = async {
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => Connection::open(proxy).await?,
            };
            connection.send(&text).await?;
            let answer = connection.next().await?;
            std::io::Result::Ok((connection, answer))
        };
        match answered.await {
            Ok((connection, Some(answer))) if answer.status() == 200 => {
                let closes = answer.field("connection") == Some("close");
                kept = (!closes).then_some(connection);
            }
            _ => failed += 1,
        }
    }
    failed
}

/// Keys by Zipf's law: how often the first of them, and each with all before it, is asked for.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new() -> Self {
        let mut total = 0.0;
        let end = |rank: u32| {
            total += f64::from(rank).powf(-EXPONENT);
            total
        };
        Self((1..=KEYS).map(end).collect())
    }

    fn draw(&self, random: &mut Random) -> usize {
        let drawn = unit(random) * self.0.last().copied().unwrap_or_default();
        self.0.partition_point(|end| *end <= drawn)
    }
}

/// From 0 to 1.
fn unit(random: &mut Random) -> f64 {
    (random.number() >> 11) as f64 / (1_u64 << 53) as f64
}
