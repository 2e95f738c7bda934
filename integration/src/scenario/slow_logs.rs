//! Access logs that do not take what is written to them.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::config::site;
use crate::message::get;
use crate::proxy::Proxy;

/// How soon requests are answered while the access log goes somewhere: 99 of 100 sooner, in the best of all rounds.
#[derive(Clone, Copy, Debug)]
pub struct SlowLogs {
    /// To a file.
    pub file: Duration,
    /// To a device that is full.
    pub full: Duration,
    /// To a FIFO that nobody reads.
    pub fifo: Duration,
    /// How many lines the full device lost, as the metrics say.
    pub lost_to_full: u64,
    /// How many lines the FIFO lost.
    pub lost_to_fifo: u64,
}

/// Measures all three in turn, `rounds` times `count` requests each.
///
/// # Panics
/// When a proxy does not start or an answer is wrong.
#[must_use]
#[track_caller]
pub fn slow_logs(rounds: usize, count: usize) -> SlowLogs {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fifo = folder.path().join("fifo");
    let _reader = stopped_reader(&fifo);
    let file = folder.path().join("access.log");
    let proxies = [&*file, Path::new("/dev/full"), &*fifo].map(logging_to);
    let mut lowest = [Duration::MAX; 3];
    for _ in 0..rounds {
        for (proxy, lowest) in proxies.iter().zip(&mut lowest) {
            *lowest = (*lowest).min(p99(proxy, count));
        }
    }
    let [file, full, fifo] = lowest;
    let [_, lost_to_full, lost_to_fifo] = proxies.each_ref().map(lost);
    SlowLogs { file, full, fifo, lost_to_full, lost_to_fifo }
}

fn logging_to(target: &Path) -> Proxy {
    let target = serde_json::Value::from(target.to_string_lossy());
    Proxy::start(
        &site().respond("/*", "hello").toml(format_args!("[[log.access]]\nfile = {target}\n")),
    )
}

/// Opens both ends, so that neither side waits for the other, and reads nothing.
fn stopped_reader(fifo: &Path) -> File {
    let made = Command::new("mkfifo").arg(fifo).status();
    assert!(made.is_ok_and(|status| status.success()), "a FIFO can be made");
    OpenOptions::new().read(true).write(true).open(fifo).expect("a FIFO of our own")
}

fn p99(proxy: &Proxy, count: usize) -> Duration {
    // Long lines, so that what waits for a log that takes nothing soon is all that may wait: 8 MiB.
    let asked = get(&format!("/{}", "long".repeat(1000)));
    let mut client = proxy.client();
    let mut times = Vec::with_capacity(count);
    for number in 1..=count {
        if number % 500 == 0 {
            // A connection ends after its thousandth request; a new one comes long before.
            client = proxy.client();
        }
        let began = Instant::now();
        client.ask(&asked).expect_status(200);
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times.get(count * 99 / 100).copied().unwrap_or_default()
}

fn lost(proxy: &Proxy) -> u64 {
    let metrics = proxy.control("GET", "/metrics", None).expect_status(200).text();
    let line = metrics
        .lines()
        .find(|line| line.contains("access_log_lines_dropped_total") && !line.starts_with('#'));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}
