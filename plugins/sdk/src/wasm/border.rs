//! The border of a guest: each question goes to the host.
#![expect(unsafe_code, reason = "what the host gives is read where it landed")]

use std::cell::OnceCell;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::exchange::{Endpoint, Exchange, Fact, FieldName, Level, Map, Part, Refused, Value};
use crate::hook::Hook;
use crate::operation::{Operation, OperationError, OperationId, Outcome};
use crate::steer::Steer;
use crate::wasm::landing::Hold;
use crate::wasm::plain;
use crate::wasm::system::{self, Change};
use crate::wasm::wire::{self, Reader, Writer};

/// Numbers of operations that a guest does itself: the host's are smaller.
const OWN: u32 = 1 << 31;

/// One request, in a module.
pub(super) struct Border {
    pub(super) hook: Hook,
    pub(super) is_last: bool,
    /// Whether the host is a Switchback, or has only proxy-wasm.
    pub(super) is_known: bool,
    piece: OnceCell<Bytes>,
    endpoints: OnceCell<Vec<Placed>>,
    /// Operations that the guest does itself, and what came of them.
    own: Vec<(u32, Option<Result<Outcome, OperationError>>)>,
    /// Requests of its own, by the number that the host has given them.
    calls: Vec<(u32, u32)>,
    last: u32,
    hold: Hold,
}

struct Placed {
    address: String,
    weight: u32,
    in_flight: u32,
    latency: u64,
    ready: bool,
}

impl Border {
    /// # Safety
    ///
    /// As of [`Hold::new`]: what the border gives is gone when the next hook begins, unless the hook that has it waits.
    pub(super) unsafe fn new(is_known: bool) -> Self {
        // SAFETY: promised by who calls.
        let hold = unsafe { Hold::new() };
        Self {
            hook: Hook::Request,
            is_last: false,
            is_known,
            piece: OnceCell::new(),
            endpoints: OnceCell::new(),
            own: Vec::new(),
            calls: Vec::new(),
            last: 0,
            hold,
        }
    }

    /// Another hook begins.
    pub(super) fn begin_hook(&mut self, hook: Hook, is_last: bool) {
        self.hook = hook;
        self.is_last = is_last;
        self.piece.take();
        self.endpoints.take();
    }

    /// Takes the response to one of its own requests; whether it was one.
    pub(super) fn called(&mut self, call: u32, outcome: &Result<Outcome, OperationError>) -> bool {
        let Some(at) = self.calls.iter().position(|(known, _)| *known == call) else {
            return false;
        };
        let (_, id) = self.calls.swap_remove(at);
        if let Some((_, done)) = self.own.iter_mut().find(|(own, _)| *own == id) {
            *done = Some(outcome.clone());
        }
        true
    }

    fn body(&self) -> u32 {
        u32::from(self.hook == Hook::ResponseBody)
    }

    fn own(&mut self, outcome: Option<Result<Outcome, OperationError>>) -> OperationId {
        self.last = (self.last + 1) & (OWN - 1);
        self.own.push((OWN | self.last, outcome));
        OperationId(OWN | self.last)
    }

    /// On a host that has only proxy-wasm.
    fn begin_plainly(&mut self, operation: Operation) -> Result<OperationId, Refused> {
        match operation {
            Operation::Http(request) => {
                let call = plain::http(&request)?;
                let id = self.own(None);
                self.calls.push((call, id.0));
                Ok(id)
            }
            Operation::Store(operation) => {
                let outcome = plain::store(&operation);
                Ok(self.own(Some(outcome)))
            }
            _ => Err(Refused::Unsupported),
        }
    }

    fn placed(&self) -> &[Placed] {
        self.endpoints.get_or_init(|| {
            let list = system::beyond("switchback.endpoints", &[]).unwrap_or_default();
            let placed = Reader::new(&list).list(|reader| {
                Some(Placed {
                    address: reader.text()?.to_owned(),
                    weight: reader.small()?,
                    in_flight: reader.small()?,
                    latency: reader.number()?,
                    ready: reader.byte()? != 0,
                })
            });
            placed.unwrap_or_default()
        })
    }
}

impl Exchange for Border {
    fn field(&self, map: Map, name: FieldName<'_>) -> Option<Value<'_>> {
        system::field(&self.hold, map as u32, name.as_str())
    }

    fn fields(&self, map: Map, visit: &mut dyn FnMut(&str, &[u8])) {
        plain::each_pair(&system::pairs(map as u32), |name, value| match name {
            ":authority" if map == Map::RequestHeaders => visit("host", value),
            name if name.starts_with(':') => {}
            name => visit(name, value),
        });
    }

    fn set_field(&mut self, map: Map, name: FieldName<'_>, value: &[u8]) -> Result<(), Refused> {
        system::change(map as u32, name.as_str(), &Change::Set(value))
    }

    fn append_field(&mut self, map: Map, name: FieldName<'_>, value: &[u8]) -> Result<(), Refused> {
        system::change(map as u32, name.as_str(), &Change::Append(value))
    }

    fn remove_field(&mut self, map: Map, name: FieldName<'_>) -> Result<(), Refused> {
        system::change(map as u32, name.as_str(), &Change::Remove)
    }

    fn fact(&self, fact: Fact) -> Option<Value<'_>> {
        if !self.is_known {
            return plain::fact(&self.hold, fact);
        }
        let number = fact as u8;
        let mut path = *b"switchback\0fact\x0000";
        let [.., tens, ones] = &mut path;
        *tens += number / 10;
        *ones += number % 10;
        system::property(&self.hold, path)
    }

    fn variable(&self, name: &str) -> Option<Value<'_>> {
        system::property(&self.hold, format!("switchback\0variable\0{name}"))
    }

    fn set_variable(&mut self, name: &str, value: &[u8]) -> Result<(), Refused> {
        system::set_property(&format!("switchback\0variable\0{name}"), value)
    }

    fn set_part(&mut self, part: Part, value: &str) -> Result<(), Refused> {
        let message = Writer::default().number(part as u64).text(value).bytes();
        system::beyond("switchback.part", &message).map(drop)
    }

    fn set_status(&mut self, status: u16) -> Result<(), Refused> {
        let status = status.to_string();
        system::change(Map::ResponseHeaders as u32, ":status", &Change::Set(status.as_bytes()))
    }

    fn steer(&mut self, steer: Steer<'_>) -> Result<(), Refused> {
        let message = Writer::default().text(wire::write_steer(steer)).bytes();
        system::beyond("switchback.steer", &message).map(drop)
    }

    fn endpoint_count(&self) -> usize {
        self.placed().len()
    }

    fn endpoint(&self, index: usize) -> Option<Endpoint<'_>> {
        let Placed { address, weight, in_flight, latency, ready } = self.placed().get(index)?;
        Some(Endpoint {
            address,
            weight: *weight,
            in_flight: *in_flight,
            latency: *latency,
            ready: *ready,
        })
    }

    fn prefer(&mut self, order: &[usize]) -> Result<(), Refused> {
        let mut writer = Writer::default();
        writer.number(order.len() as u64);
        for index in order {
            writer.number(*index as u64);
        }
        system::beyond("switchback.prefer", &writer.bytes()).map(drop)
    }

    fn piece(&self) -> &[u8] {
        self.piece.get_or_init(|| system::buffer(self.body(), usize::MAX).into())
    }

    fn is_last_piece(&self) -> bool {
        self.is_last
    }

    fn set_piece(&mut self, piece: Bytes) -> Result<(), Refused> {
        system::set_buffer(self.body(), &piece)?;
        self.piece = OnceCell::from(piece);
        Ok(())
    }

    fn hold_piece(&mut self) -> Result<(), Refused> {
        system::beyond("switchback.hold", &[]).map(drop)
    }

    fn inform(&mut self, status: u16, fields: &[(&str, &[u8])]) -> Result<(), Refused> {
        let mut writer = Writer::default();
        writer.number(u64::from(status)).number(fields.len() as u64);
        for (name, value) in fields {
            writer.text(name).text(value);
        }
        system::beyond("switchback.inform", &writer.bytes()).map(drop)
    }

    fn begin(&mut self, operation: Operation) -> Result<OperationId, Refused> {
        let Some(message) = wire::write_operation(&operation) else {
            // There is one thread, and nobody else to do it.
            if let Operation::Blocking(work) = operation {
                work();
            }
            return Ok(self.own(Some(Ok(Outcome::Done))));
        };
        if !self.is_known {
            return self.begin_plainly(operation);
        }
        let id = system::beyond("switchback.begin", &Writer::default().text(message).bytes())?;
        let id = id.try_into().map_err(|_| Refused::Unsupported)?;
        Ok(OperationId(u32::from_le_bytes(id)))
    }

    fn poll(
        &mut self,
        operation: OperationId,
        _context: &mut Context<'_>,
    ) -> Poll<Result<Outcome, OperationError>> {
        if let Some(at) = self.own.iter().position(|(own, _)| *own == operation.0) {
            let done = self.own.get_mut(at).and_then(|(_, done)| done.take());
            let Some(done) = done else { return Poll::Pending };
            self.own.swap_remove(at);
            return Poll::Ready(done);
        }
        let message = Writer::default().number(u64::from(operation.0)).bytes();
        // Nobody is woken here: the host calls again when there is something to see.
        match system::beyond("switchback.poll", &message) {
            Err(_) => Poll::Ready(Err(OperationError::Cancelled)),
            Ok(outcome) if outcome.is_empty() => Poll::Pending,
            Ok(outcome) => {
                Poll::Ready(wire::read_outcome(&outcome).unwrap_or(Err(OperationError::Failed)))
            }
        }
    }

    fn cancel(&mut self, operation: OperationId) {
        if operation.0 & OWN != 0 {
            self.own.retain(|(own, _)| *own != operation.0);
            self.calls.retain(|(_, own)| *own != operation.0);
            return;
        }
        let message = Writer::default().number(u64::from(operation.0)).bytes();
        // What is over already need not be given up.
        let _ = system::beyond("switchback.cancel", &message);
    }

    fn now(&self) -> u64 {
        system::now()
    }

    fn log(&self, level: Level, message: &str) {
        system::log(level as u32, message);
    }
}
