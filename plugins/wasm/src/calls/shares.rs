//! Data and queues that instances share, and metrics.

use switchback_plugin::MetricKind;

use crate::call::{self, Answered, Call, Out, Span};
use crate::plan::Definition;
use crate::status::Status;

pub(super) fn value(call: &mut Call<'_>, key: Span, out: Out, number: u32) -> Answered {
    call.check(number)?;
    let mut found = 0;
    call.give(out, |memory, host, into| {
        let key = call::bytes(memory, key)?;
        let (value, number) =
            host.plan.shared.value(&host.plan.owner, key).ok_or(Status::NotFound)?;
        into.extend_from_slice(&value);
        found = number;
        Ok(())
    })?;
    call.write_number(number, found)?;
    Ok(())
}

pub(super) fn put(call: &mut Call<'_>, key: Span, value: Span, expected: u32) -> Answered {
    let (memory, host) = call.split();
    let (key, value) = (call::bytes(memory, key)?, call::bytes(memory, value)?);
    Ok(host.plan.shared.put(&host.plan.owner, key, value, expected)?)
}

/// How many queues an instance may want to be told of.
const MAX_QUEUES: usize = 64;

pub(super) fn register(call: &mut Call<'_>, name: Span, id: u32) -> Answered {
    call.check(id)?;
    let (memory, host) = call.split();
    let queue = host.plan.shared.register(&host.plan.owner, call::bytes(memory, name)?)?;
    if !host.queues.contains(&queue) {
        if host.queues.len() >= MAX_QUEUES {
            return Err(Status::InternalFailure.into());
        }
        host.queues.push(queue);
    }
    call.write_number(id, queue)?;
    Ok(())
}

pub(super) fn resolve(call: &mut Call<'_>, owner: Span, name: Span, id: u32) -> Answered {
    call.check(id)?;
    let (memory, host) = call.split();
    let owner = match call::name(memory, owner)? {
        "" => &host.plan.owner,
        owner => owner,
    };
    let queue = host.plan.shared.queue(owner, call::bytes(memory, name)?);
    call.write_number(id, queue.ok_or(Status::NotFound)?)?;
    Ok(())
}

pub(super) fn enqueue(call: &mut Call<'_>, queue: u32, item: Span) -> Answered {
    let (memory, host) = call.split();
    Ok(host.plan.shared.enqueue(queue, call::bytes(memory, item)?)?)
}

pub(super) fn dequeue(call: &mut Call<'_>, queue: u32, out: Out) -> Answered {
    // What cannot be handed over is not lost.
    call.check(out.0)?;
    call.check(out.1)?;
    call.give(out, |_, host, into| {
        into.extend_from_slice(&host.plan.shared.dequeue(queue)?);
        Ok(())
    })
}

pub(super) fn define(call: &mut Call<'_>, kind: u32, name: Span, id: u32) -> Answered {
    call.check(id)?;
    let kind = match kind {
        0 => MetricKind::Counter,
        1 => MetricKind::Gauge,
        2 => MetricKind::Histogram,
        _ => return Err(Status::BadArgument.into()),
    };
    let (memory, host) = call.split();
    let name = readable(call::name(memory, name)?);
    let plan = std::sync::Arc::clone(&host.plan);
    let definition = Definition { kind, name: &name, help: "Of a Wasm module.", labels: &[] };
    let metric = plan.define(host.services(), &definition)?;
    call.write_number(id, metric)?;
    Ok(())
}

/// Names for Envoy have points and dashes in them, which those of metrics here must not.
fn readable(name: &str) -> String {
    name.chars().map(|sign| if sign.is_ascii_alphanumeric() { sign } else { '_' }).collect()
}

pub(super) fn record(call: &mut Call<'_>, id: u32, value: u64) -> Answered {
    let metric = call.host().plan.meter(id).ok_or(Status::NotFound)?;
    let value = i64::try_from(value).map_err(|_| Status::BadArgument)?;
    match metric.kind {
        MetricKind::Gauge => metric.set(value),
        // As Envoy has it: one value more of a histogram, so many more of a counter.
        MetricKind::Counter | MetricKind::Histogram => metric.add(value),
    }
    Ok(())
}

pub(super) fn increment(call: &mut Call<'_>, id: u32, delta: i64) -> Answered {
    let metric = call.host().plan.meter(id).ok_or(Status::NotFound)?;
    match metric.kind {
        MetricKind::Counter if delta < 0 => return Err(Status::BadArgument.into()),
        MetricKind::Histogram => return Err(Status::BadArgument.into()),
        MetricKind::Counter | MetricKind::Gauge => metric.add(delta),
    }
    Ok(())
}

pub(super) fn metric(call: &mut Call<'_>, id: u32, out: u32) -> Answered {
    let value = call.host().plan.meter(id).ok_or(Status::NotFound)?.value();
    call.write(out, &value.to_le_bytes())?;
    Ok(())
}
