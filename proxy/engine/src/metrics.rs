//! Counters of the process, in the Prometheus text format. Labels come from fixed sets, so their number is bounded.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::health::Counters as Health;
use crate::http::encode::counters::Counters as Encoding;
use crate::listen::admit::Refused;
use crate::listen::h2_guard::Excess;
use crate::listen::proxy_protocol::refusal::Refusals;
use crate::listen::tls::Reason;
use crate::log::Losses;

/// The counters that all workers share.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Client connections accepted.
    pub(crate) connections: Counter,
    /// Client connections open now.
    pub(crate) open_connections: Gauge,
    /// Requests in flight now.
    pub(crate) in_flight: Gauge,
    /// Requests answered.
    pub(crate) requests: Counter,
    /// By the first digit of the status; 0 is for those that could not be answered.
    pub(crate) by_class: [Counter; 6],
    /// Heads that the front door refused.
    pub(crate) refused_heads: Counter,
    /// TLS handshakes that failed, by [`Reason`].
    failed_handshakes: [Counter; Reason::ALL.len()],
    /// Connections closed for want of a PROXY header that is allowed and well formed.
    pub(crate) refused_proxy_headers: Refusals,
    /// Tries at upstreams.
    pub(crate) upstream_tries: Counter,
    /// Tries that could not connect.
    pub(crate) upstream_connect_failures: Counter,
    /// Connections to upstreams that were used again.
    pub(crate) upstream_reuses: Counter,
    /// Answers replaced by another route's.
    pub(crate) reentries: Counter,
    /// Copies of requests that were not made, because their body is too large.
    pub(crate) skipped_mirrors: Counter,
    /// Tunnels opened.
    pub(crate) tunnels: Counter,
    /// Configurations put in force by a reload.
    pub(crate) reloads: Counter,
    /// Reloads that were refused.
    pub(crate) failed_reloads: Counter,
    /// Times that accepting failed for want of descriptors or memory.
    pub(crate) accept_failures: Counter,
    /// HTTP/2 connections closed, by what their client overdid.
    pub(crate) h2_excesses: Excesses,
    /// Connections refused for want of descriptors.
    pub(crate) shed_connections: Counter,
    /// Connections refused because there were too many.
    pub(crate) refused_total: Counter,
    /// Connections refused because their client had too many.
    pub(crate) refused_client: Counter,
    /// What is encoded.
    pub(crate) encoding: Encoding,
    /// What is found of endpoints.
    pub(crate) health: Health,
}

/// Counts by what was overdone.
#[derive(Debug, Default)]
pub(crate) struct Excesses([Counter; Excess::ALL.len()]);

impl Excesses {
    /// One more.
    pub(crate) fn add(&self, excess: Excess) {
        if let Some(counter) = self.0.get(excess as usize) {
            counter.add();
        }
    }

    fn render(&self, out: &mut String) {
        let (name, help) =
            ("http2_connections_cut_total", "HTTP/2 connections closed, by what was too much.");
        header(out, (name, help, "counter"));
        for (excess, counter) in Excess::ALL.into_iter().zip(&self.0) {
            let (reason, value) = (excess.name(), counter.value());
            // Writing to a String cannot fail.
            let _ = writeln!(out, "switchback_{name}{{reason=\"{reason}\"}} {value}");
        }
    }
}

/// What a shard has had to do.
#[derive(Debug, Default)]
pub(crate) struct ShardCounters {
    /// Requests that were sent to it.
    pub(crate) requests: Counter,
    /// Those that it has not answered, or with a status from 500 on.
    pub(crate) failures: Counter,
    /// Bytes of bodies that it has answered.
    pub(crate) bytes: Counter,
}

/// Only ever grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

/// Goes up and down.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

/// One of something that is counted while it lives.
#[derive(Debug)]
pub(crate) struct Held<'g>(&'g Gauge);

impl Counter {
    /// One more.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// So many more.
    pub(crate) fn add_many(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// One more, until what is returned is dropped.
    pub(crate) fn hold(&self) -> Held<'_> {
        self.up();
        Held(self)
    }

    /// One more.
    pub(crate) fn up(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// One less; there must have been one.
    pub(crate) fn down(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// How many.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.down();
    }
}

impl Metrics {
    /// Counts an answer by the class of its status.
    pub(crate) fn answered(&self, status: u16) {
        self.requests.add();
        if let Some(class) =
            self.by_class.get(usize::from(status / 100)).or_else(|| self.by_class.first())
        {
            class.add();
        }
    }

    /// Counts a TLS handshake that failed.
    pub(crate) fn failed_handshake(&self, reason: Reason) {
        if let Some(counter) = self.failed_handshakes.get(reason as usize) {
            counter.add();
        }
    }

    /// Appends everything in the Prometheus text format.
    pub(crate) fn render(&self, out: &mut String) {
        for (name, help, counter) in [
            ("connections_total", "Client connections accepted.", &self.connections),
            (
                "refused_heads_total",
                "Request heads refused by the front door.",
                &self.refused_heads,
            ),
            (
                "accept_failures_total",
                "Accepts that failed for want of descriptors or memory.",
                &self.accept_failures,
            ),
            ("upstream_tries_total", "Tries at upstreams.", &self.upstream_tries),
            (
                "upstream_connect_failures_total",
                "Tries that could not connect.",
                &self.upstream_connect_failures,
            ),
            ("upstream_reuses_total", "Upstream connections used again.", &self.upstream_reuses),
            ("reentries_total", "Answers replaced by another route's.", &self.reentries),
            (
                "mirrors_skipped_total",
                "Copies of requests that were not made, because their body is larger than the mirror's `body`.",
                &self.skipped_mirrors,
            ),
            ("tunnels_total", "Tunnels opened.", &self.tunnels),
            ("reloads_total", "Configurations put in force by a reload.", &self.reloads),
            ("failed_reloads_total", "Reloads that were refused.", &self.failed_reloads),
        ] {
            sample(out, (name, help, "counter"), counter.value());
        }
        for (name, help, gauge) in [
            ("open_connections", "Client connections open now.", &self.open_connections),
            ("requests_in_flight", "Requests in flight now.", &self.in_flight),
        ] {
            sample(out, (name, help, "gauge"), gauge.value());
        }
        self.render_refused(out);
        self.render_classes(out);
        self.render_handshakes(out);
        self.render_proxy_headers(out);
        self.h2_excesses.render(out);
        self.encoding.render(out);
        self.health.render(out);
    }

    fn render_handshakes(&self, out: &mut String) {
        let name = "failed_tls_handshakes_total";
        header(out, (name, "TLS handshakes that failed, by reason.", "counter"));
        for (reason, counter) in Reason::ALL.into_iter().zip(&self.failed_handshakes) {
            let (reason, count) = (reason.label(), counter.value());
            let _ = writeln!(out, "switchback_{name}{{reason=\"{reason}\"}} {count}");
        }
    }

    fn render_proxy_headers(&self, out: &mut String) {
        let (name, help) = (
            "refused_proxy_headers_total",
            "Connections closed for their PROXY header, by reason.",
        );
        header(out, (name, help, "counter"));
        for (reason, count) in self.refused_proxy_headers.counts() {
            let _ = writeln!(out, "switchback_{name}{{reason=\"{reason}\"}} {count}");
        }
    }

    /// Counts a connection that was not taken.
    pub(crate) fn refused_connection(&self, reason: Refused) {
        match reason {
            Refused::Total => self.refused_total.add(),
            Refused::Client => self.refused_client.add(),
        }
    }

    fn render_refused(&self, out: &mut String) {
        let help = "Client connections refused as soon as they were accepted, by reason.";
        header(out, ("refused_connections_total", help, "counter"));
        for (reason, counter) in [
            ("total", &self.refused_total),
            ("client", &self.refused_client),
            ("descriptors", &self.shed_connections),
        ] {
            let count = counter.value();
            let _ = writeln!(
                out,
                "switchback_refused_connections_total{{reason=\"{reason}\"}} {count}"
            );
        }
    }

    fn render_classes(&self, out: &mut String) {
        header(out, ("requests_total", "Requests answered, by class of status.", "counter"));
        for (class, counter) in self.by_class.iter().enumerate().skip(1) {
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "switchback_requests_total{{class=\"{class}xx\"}} {}",
                counter.value()
            );
        }
    }
}

/// Appends what access logs have lost.
pub(crate) fn log_losses(out: &mut String, losses: &Losses) {
    let (lines, failures) = ("access_log_lines_dropped_total", "access_log_failures_total");
    let help = "Access log lines lost to a log that cannot keep up.";
    sample(out, (lines, help, "counter"), losses.lines());
    let help = "Times that an access log could not be opened or written.";
    sample(out, (failures, help, "counter"), losses.failures());
}

/// Appends one metric with one sample: name without prefix, help, type.
pub(crate) fn sample(out: &mut String, metric: (&str, &str, &str), value: u64) {
    header(out, metric);
    let _ = writeln!(out, "switchback_{} {value}", metric.0);
}

/// Appends what stands before the samples of a metric.
pub(crate) fn header(out: &mut String, (name, help, kind): (&str, &str, &str)) {
    let _ = writeln!(out, "# HELP switchback_{name} {help}\n# TYPE switchback_{name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_class() {
        let metrics = Metrics::default();
        metrics.answered(204);
        metrics.answered(502);
        metrics.answered(999);
        let held = metrics.in_flight.hold();
        let mut text = String::new();
        metrics.render(&mut text);
        drop(held);
        assert!(text.contains("switchback_requests_total{class=\"2xx\"} 1\n"), "{text}");
        assert!(text.contains("switchback_requests_total{class=\"5xx\"} 1\n"), "{text}");
        assert!(
            text.contains(
                "# TYPE switchback_requests_in_flight gauge\nswitchback_requests_in_flight 1\n"
            ),
            "{text}"
        );
        assert_eq!((metrics.requests.value(), metrics.in_flight.value()), (3, 0));
    }
}
