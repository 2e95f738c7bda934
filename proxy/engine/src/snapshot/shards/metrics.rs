//! What shards have had to do, in the Prometheus text format.

use std::fmt::Write as _;

use crate::metrics::{Counter, ShardCounters, header};
use crate::snapshot::Upstream;

/// Appends what shards have had to do. Of more than some hundred, the rest is one.
pub(crate) fn render(out: &mut String, upstreams: &[Upstream]) {
    let sharded =
        || upstreams.iter().filter_map(|upstream| Some((upstream, upstream.sharding.as_ref()?)));
    if sharded().next().is_none() {
        return;
    }
    type Count = fn(&ShardCounters) -> &Counter;
    const ALL: [(&str, &str, Count); 3] = [
        ("shard_requests_total", "Requests that were sent to a shard.", |shard| &shard.requests),
        (
            "shard_failures_total",
            "Those that it has not answered, or with a status from 500 on.",
            |shard| &shard.failures,
        ),
        ("shard_received_bytes_total", "Bytes of bodies that it has answered.", |shard| {
            &shard.bytes
        }),
    ];
    for (name, help, count) in ALL {
        header(out, (name, help, "counter"));
        let (mut shown, mut rest) = (0, None);
        for (upstream, sharding) in sharded() {
            for shard in sharding.epoch.load().shards.iter() {
                let value = count(&shard.counters).value();
                if shown == MOST_SERIES {
                    rest = Some(rest.unwrap_or(0) + value);
                    continue;
                }
                shown += 1;
                let labels =
                    format_args!("upstream={:?},shard=\"{}\"", &*upstream.plan.name, shard.name);
                // Writing to a String cannot fail.
                let _ = writeln!(out, "switchback_{name}{{{labels}}} {value}");
            }
        }
        if let Some(rest) = rest {
            let _ = writeln!(out, "switchback_{name}{{upstream=\"\",shard=\"\"}} {rest}");
        }
    }
    compared(out, upstreams);
    header(out, ("shard_epoch", "The number of the mapping in force.", "gauge"));
    for (upstream, sharding) in sharded().take(MOST_SERIES) {
        let number = sharding.epoch.load().number;
        let _ =
            writeln!(out, "switchback_shard_epoch{{upstream={:?}}} {number}", &*upstream.plan.name);
    }
}

/// Of upstreams whose answers are compared while keys move.
fn compared(out: &mut String, upstreams: &[Upstream]) {
    let mut is_first = true;
    for upstream in upstreams.iter().take(MOST_SERIES) {
        let Some(epoch) = upstream.sharding.as_ref().map(|sharding| sharding.epoch.load()) else {
            continue;
        };
        let Some(found) = epoch.moving.as_ref().map(|moving| &moving.comparisons) else { continue };
        if found.share() <= 0.0 {
            continue;
        }
        if std::mem::take(&mut is_first) {
            let help = "Reads of keys that move whose answers by both shards were compared.";
            header(out, ("shard_compared_total", help, "counter"));
        }
        for (outcome, count) in [
            ("equal", &found.equal),
            ("different", &found.different),
            ("failed", &found.failed),
            ("skipped", &found.skipped),
        ] {
            let (name, value) = (&*upstream.plan.name, count.value());
            let _ = writeln!(
                out,
                "switchback_shard_compared_total{{upstream={name:?},outcome=\"{outcome}\"}} {value}"
            );
        }
    }
}

/// Series of one metric.
const MOST_SERIES: usize = 500;
