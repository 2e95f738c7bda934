//! A crowd that comes whatever becomes of it, before origins that can do so much: overload, and all of them failing.

mod origin;
mod people;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;

use crate::config::config;
use crate::proxy::Proxy;
use origin::{Mood, Simulated};
use people::Answered;

/// What came of five times as many requests as can be answered.
#[derive(Clone, Copy, Debug)]
pub struct Overloaded {
    /// Answers in a second while it lasts, for each that the origins can give.
    pub goodput: f64,
    /// 99 of 100 good answers took no longer than this, when there was enough room.
    pub calm: Duration,
    /// The same while it lasts.
    pub crowded: Duration,
    /// Requests that were sent away at once.
    pub shed: usize,
    /// Requests with a unique id that origins had more than once.
    pub twice: usize,
}

/// What came of all origins failing for a while.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    /// Requests at the origins while they failed, for each of the crowd's.
    pub load: f64,
    /// How long it took from their return until 95 of 100 were answered well again, over half a second.
    pub recovery: Option<Duration>,
    /// The worst half second after that: answered well, of those that came.
    pub worst_after: f64,
    /// Requests that are not idempotent, by unique id, that origins had more than once.
    pub twice: usize,
}

/// Requests that each origin works at, at once, and how long at each: 200 in a second.
const AT_ONCE: usize = 10;
const SERVICE: Duration = Duration::from_millis(50);
const CAPACITY: f64 = 200.0;

/// Plays overload at five times the capacity for `lasting`, without a limit that anybody has set: it is found.
///
/// # Panics
/// When something cannot be started.
#[must_use]
pub fn overload(lasting: Duration) -> Overloaded {
    let calm = Duration::from_secs(4);
    let settled = calm + Duration::from_secs(4);
    let end = settled + lasting;
    let rate = move |now: Duration| if now < calm { CAPACITY / 2.0 } else { CAPACITY * 5.0 };
    let (answers, origins) = play(1, "concurrency = \"adaptive\"", end, rate, |_, _| ());
    let p99 = |from, to| percentile(&good(&answers, from, to));
    let during = good(&answers, settled, end);
    Overloaded {
        goodput: during.len() as f64 / lasting.as_secs_f64() / CAPACITY,
        calm: p99(Duration::from_secs(1), calm),
        crowded: percentile(&during),
        shed: answers.iter().filter(|answer| answer.status == 503).count(),
        twice: twice(&origins),
    }
}

/// Plays the failure of all origins for `lasting`; what may be repeated is.
///
/// # Panics
/// When something cannot be started.
#[must_use]
pub fn storm(lasting: Duration) -> Storm {
    let begins = Duration::from_secs(3);
    let ends = begins + lasting;
    let end = ends + Duration::from_secs(8);
    let retry = "concurrency = \"adaptive\"\nretry = { on = [\"connect\", \"refused_stream\", \"reset\", \"timeout\", \"502\", \"503\", \"504\"] }";
    let change = move |origins: &[Simulated], now: Duration| {
        let mood = if (begins..ends).contains(&now) { Mood::Fails } else { Mood::Works };
        origins.iter().for_each(|origin| origin.is_now(mood));
    };
    let (answers, origins) = play(3, retry, end, |_| CAPACITY * 3.0 * 0.6, change);
    let came = |from, to| answers.iter().filter(|one| (from..to).contains(&one.came)).count();
    let tries: usize = origins.iter().map(Simulated::failed).sum();
    let half = Duration::from_millis(500);
    let share = |from: Duration| {
        good(&answers, from, from + half).len() as f64 / came(from, from + half).max(1) as f64
    };
    let step = Duration::from_millis(100);
    let starts = (0..60).map(|number| ends + step * number).take_while(|from| *from + half < end);
    let recovered = starts.clone().find(|from| share(*from) >= 0.95);
    let after = recovered.map(|recovered| starts.filter(move |from| *from >= recovered));
    Storm {
        load: tries as f64 / came(begins, ends).max(1) as f64,
        recovery: recovered.map(|recovered| recovered.saturating_sub(ends)),
        worst_after: after.map_or(0.0, |after| after.map(share).fold(1.0, f64::min)),
        twice: twice(&origins),
    }
}

/// Has the crowd come to a proxy before so many origins, which `change` as time passes.
fn play(
    origins: usize,
    lines: &str,
    end: Duration,
    rate: impl Fn(Duration) -> f64,
    change: impl Fn(&[Simulated], Duration),
) -> (Vec<Answered>, Vec<Simulated>) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut simulated = Vec::with_capacity(origins);
        for _ in 0..origins {
            simulated.push(Simulated::start(AT_ONCE, SERVICE).await);
        }
        let addresses: Vec<String> =
            simulated.iter().map(|origin| origin.address().to_string()).collect();
        let config = config()
            .top("workers = 1")
            .web("")
            .site("")
            .route("/*", "proxy = \"app\"")
            .endpoints("app", &addresses, lines);
        let proxy = Proxy::start(&config);
        let began = Instant::now();
        let address = proxy.address("web");
        let answers = people::come(address, began, end, rate, |now| change(&simulated, now)).await;
        (answers, simulated)
    })
}

/// How long the good answers took of those who came in this time.
fn good(answers: &[Answered], from: Duration, to: Duration) -> Vec<Duration> {
    let came = answers.iter().filter(|answer| (from..to).contains(&answer.came));
    came.filter(|answer| answer.status == 200).map(|answer| answer.took).collect()
}

fn percentile(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or(Duration::MAX)
}

fn twice(origins: &[Simulated]) -> usize {
    let mut posts: HashMap<String, usize> = HashMap::new();
    for id in origins.iter().flat_map(Simulated::posts) {
        *posts.entry(id).or_default() += 1;
    }
    posts.values().filter(|count| **count > 1).count()
}
