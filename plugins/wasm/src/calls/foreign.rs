//! What proxy-wasm has no words for: functions by name, for modules that were made with our own SDK.

use std::task::{Context, Poll};
use std::time::Duration;

use switchback_plugin::wasm::wire::{self, Reader, Writer};
use switchback_plugin::{BuildError, Exchange, MetricKind, OperationId, Part, Refused};

use crate::call::{self, Answered, Call, Out, Span};
use crate::host::Host;
use crate::plan::Definition;
use crate::status::{Failed, Status};

pub(super) fn call(call: &mut Call<'_>, name: Span, arguments: Span, out: Out) -> Answered {
    call.give(out, |memory, host, into| {
        let name = call::name(memory, name)?;
        let reader = Reader::new(call::bytes(memory, arguments)?);
        let name = name.strip_prefix("switchback.").ok_or(Status::NotFound)?;
        match of_request(host, name, reader, into) {
            Some(done) => host.noted(done),
            None => of_plugin(host, name, reader, into).unwrap_or(Err(Status::NotFound)),
        }
    })
}

type Done = Result<(), Failed>;

const MALFORMED: Failed = Failed::Says(Status::ParseFailure);

/// What needs a request, or a tick; `None` for another name.
fn of_request(
    host: &mut Host,
    name: &str,
    mut reader: Reader<'_>,
    into: &mut Vec<u8>,
) -> Option<Done> {
    let waker = host.lent.waker();
    let known =
        ["begin", "poll", "cancel", "steer", "part", "inform", "hold", "prefer", "endpoints"];
    if !known.contains(&name) {
        return None;
    }
    let Some(exchange) = host.exchange() else { return Some(Err(Refused::NotNow.into())) };
    Some(match name {
        "begin" => begin(exchange, reader, into),
        "poll" => poll(exchange, reader, &waker, into),
        "cancel" => match reader.small() {
            Some(id) => {
                exchange.cancel(OperationId(id));
                Ok(())
            }
            None => Err(MALFORMED),
        },
        "part" => part(exchange, reader),
        "inform" => inform(exchange, reader),
        "hold" => exchange.hold_piece().map_err(Failed::from),
        "prefer" => {
            let order = reader.list(|reader| usize::try_from(reader.number()?).ok());
            order.ok_or(MALFORMED).and_then(|order| Ok(exchange.prefer(&order)?))
        }
        "endpoints" => {
            endpoints(exchange, into);
            Ok(())
        }
        _ => {
            let steer = reader.bytes().and_then(wire::read_steer).ok_or(MALFORMED);
            steer.and_then(|steer| Ok(exchange.steer(steer)?))
        }
    })
}

fn begin(exchange: &mut dyn Exchange, mut reader: Reader<'_>, into: &mut Vec<u8>) -> Done {
    let operation = reader.bytes().and_then(wire::read_operation).ok_or(MALFORMED)?;
    let id = exchange.begin(operation)?;
    into.extend(id.0.to_le_bytes());
    Ok(())
}

fn poll(
    exchange: &mut dyn Exchange,
    mut reader: Reader<'_>,
    waker: &std::task::Waker,
    into: &mut Vec<u8>,
) -> Done {
    let id = OperationId(reader.small().ok_or(MALFORMED)?);
    match exchange.poll(id, &mut Context::from_waker(waker)) {
        Poll::Pending => {}
        Poll::Ready(outcome) => into.extend(wire::write_outcome(&outcome)),
    }
    Ok(())
}

fn part(exchange: &mut dyn Exchange, mut reader: Reader<'_>) -> Done {
    let part = match reader.small() {
        Some(0) => Part::Method,
        Some(1) => Part::Host,
        Some(2) => Part::Path,
        Some(3) => Part::Query,
        _ => return Err(MALFORMED),
    };
    Ok(exchange.set_part(part, reader.text().ok_or(MALFORMED)?)?)
}

fn inform(exchange: &mut dyn Exchange, mut reader: Reader<'_>) -> Done {
    let status = reader.number().and_then(|status| u16::try_from(status).ok()).ok_or(MALFORMED)?;
    let fields = reader.list(|reader| Some((reader.text()?, reader.bytes()?)));
    Ok(exchange.inform(status, &fields.ok_or(MALFORMED)?)?)
}

fn endpoints(exchange: &dyn Exchange, into: &mut Vec<u8>) {
    let all: Vec<_> =
        (0..exchange.endpoint_count()).filter_map(|index| exchange.endpoint(index)).collect();
    let mut writer = Writer::default();
    writer.number(all.len() as u64);
    for endpoint in all {
        writer
            .text(endpoint.address)
            .number(u64::from(endpoint.weight))
            .number(u64::from(endpoint.in_flight))
            .number(endpoint.latency)
            .byte(u8::from(endpoint.ready));
    }
    into.extend(writer.bytes());
}

/// What concerns the plugin itself; `None` for another name.
fn of_plugin(
    host: &mut Host,
    name: &str,
    mut reader: Reader<'_>,
    into: &mut Vec<u8>,
) -> Option<Result<(), Status>> {
    let done = match name {
        // Why the exchange refused what was wanted last.
        "refused" => {
            let number = host.refused.map_or(0, |refused| refused as i32);
            into.extend(number.to_le_bytes());
            Some(())
        }
        "fail" => reader.text().map(|message| host.failure = Some(message.to_owned())),
        "panic" => reader.text().map(|message| host.panic = Some(message.to_owned())),
        "refuse" => refuse(host, &mut reader),
        "define" => return Some(define(host, reader, into)),
        "add" | "set" => return Some(measure(host, name == "add", reader)),
        "every" => reader.time().map(|period| host.period = Some(period)),
        "timeout" => timeout(host, &mut reader),
        "has_upstream" | "has_variable" => has(host, name, &mut reader, into),
        "folder" => {
            into.extend_from_slice(host.plan.folder.as_deref().unwrap_or("").as_bytes());
            Some(())
        }
        _ => return None,
    };
    Some(done.ok_or(Status::ParseFailure))
}

fn refuse(host: &mut Host, reader: &mut Reader<'_>) -> Option<()> {
    let error = BuildError::new(reader.text()?, reader.text()?);
    host.refusal = Some(match reader.maybe()? {
        Some(help) => error.with_help(String::from_utf8_lossy(help)),
        None => error,
    });
    Some(())
}

fn timeout(host: &mut Host, reader: &mut Reader<'_>) -> Option<()> {
    let timeout: Duration = reader.time()?;
    if let Some(services) = host.services() {
        services.timeout(timeout);
    }
    Some(())
}

fn has(host: &mut Host, name: &str, reader: &mut Reader<'_>, into: &mut Vec<u8>) -> Option<()> {
    let asked = reader.text()?;
    let plan = std::sync::Arc::clone(&host.plan);
    let question = format!("{name} {asked}");
    let answer = plan.answer(host.services(), &question, |services| match name {
        "has_upstream" => services.has_upstream(asked),
        _ => services.has_variable(asked),
    });
    into.push(u8::from(answer));
    Some(())
}

fn define(host: &mut Host, mut reader: Reader<'_>, into: &mut Vec<u8>) -> Result<(), Status> {
    let kind = match reader.small() {
        Some(0) => MetricKind::Counter,
        Some(1) => MetricKind::Gauge,
        Some(2) => MetricKind::Histogram,
        _ => return Err(Status::ParseFailure),
    };
    let name = reader.text().ok_or(Status::ParseFailure)?;
    let help = reader.text().ok_or(Status::ParseFailure)?;
    let labels = reader.list(|reader| Some((reader.text()?, reader.text()?)));
    let labels = labels.ok_or(Status::ParseFailure)?;
    let plan = std::sync::Arc::clone(&host.plan);
    let definition = Definition { kind, name, help, labels: &labels };
    let metric = plan.define(host.services(), &definition)?;
    into.extend(metric.to_le_bytes());
    Ok(())
}

fn measure(host: &Host, adds: bool, mut reader: Reader<'_>) -> Result<(), Status> {
    let id = reader.small().ok_or(Status::ParseFailure)?;
    let value = f64::from_bits(reader.number().ok_or(Status::ParseFailure)?);
    let metric = host.plan.meter(id).ok_or(Status::NotFound)?;
    if adds {
        metric.meter.add(value)
    } else {
        metric.meter.set(value)
    }
    Ok(())
}
