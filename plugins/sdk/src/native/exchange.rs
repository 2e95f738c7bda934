//! One request, as the host's functions tell of it.

use std::borrow::Cow;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use switchback_plugin_abi as abi;

use super::link::{Link, nanoseconds};
use super::{bytes, operation, slice, text};
use crate::exchange::{Endpoint, Exchange, Fact, FieldName, Level, Map, Part, Refused, Value};
use crate::operation::{Operation, OperationError, OperationId, Outcome};
use crate::steer::Steer;

/// The border that a plugin's hooks are given.
pub(super) struct Shim {
    link: NonNull<Link>,
}

// SAFETY: a hook runs on one thread at a time, whichever, and nothing of a link is used between two hooks.
unsafe impl Send for Shim {}

impl Shim {
    /// `link` must stay where it is as long as the shim is used. Whoever keeps the shim makes sure of it.
    pub(super) fn new(link: NonNull<Link>) -> Self {
        Self { link }
    }

    fn link(&self) -> &Link {
        // SAFETY: it stays where it is, and is only ever shared.
        unsafe { self.link.as_ref() }
    }

    /// The host's functions, and the exchange to call them with; none where a future is dropped after its request has ended.
    fn host(&self) -> Option<(&'static abi::Host, *mut abi::Exchange)> {
        self.link().host()
    }

    /// Has the host do something.
    fn ask(
        &self,
        call: impl FnOnce(&'static abi::Host, *mut abi::Exchange) -> i32,
    ) -> Result<(), Refused> {
        let (host, exchange) = self.host().ok_or(Refused::NotNow)?;
        done(call(host, exchange))
    }

    /// Has the host find bytes.
    fn find(
        &self,
        call: impl FnOnce(&'static abi::Host, *mut abi::Exchange, *mut abi::Bytes) -> i32,
    ) -> Option<Value<'_>> {
        let (host, exchange) = self.host()?;
        let mut value = abi::Bytes::ABSENT;
        if call(host, exchange, &raw mut value) != abi::OK {
            return None;
        }
        // SAFETY: valid until something is changed, which borrows the shim anew, or the hook returns.
        unsafe { slice(value) }.map(Cow::Borrowed)
    }
}

fn done(code: i32) -> Result<(), Refused> {
    match code {
        abi::OK => Ok(()),
        code => Err(Refused::from_number(code).unwrap_or(Refused::Unsupported)),
    }
}

/// Each call of this block is the host's own function with the exchange of the call at hand; bytes and fields are valid for it, and what
/// is to be filled is on the stack.
impl Exchange for Shim {
    fn field(&self, map: Map, name: FieldName<'_>) -> Option<Value<'_>> {
        let name = bytes(name.as_str().as_bytes());
        // SAFETY: see the block.
        self.find(|host, exchange, value| unsafe {
            (host.field)(exchange, map as u32, name, value)
        })
    }

    fn fields(&self, map: Map, visit: &mut dyn FnMut(&str, &[u8])) {
        let Some((host, exchange)) = self.host() else { return };
        let mut visiting = Visiting { visit, panic: None };
        // SAFETY: see the block; `visiting` is used by the host during the call only.
        unsafe {
            (host.fields)(exchange, map as u32, visit_field, (&raw mut visiting).cast::<c_void>());
        }
        if let Some(panic) = visiting.panic {
            resume_unwind(panic);
        }
    }

    fn set_field(&mut self, map: Map, name: FieldName<'_>, value: &[u8]) -> Result<(), Refused> {
        self.change(map, abi::CHANGE_SET, name, bytes(value))
    }

    fn append_field(&mut self, map: Map, name: FieldName<'_>, value: &[u8]) -> Result<(), Refused> {
        self.change(map, abi::CHANGE_APPEND, name, bytes(value))
    }

    fn remove_field(&mut self, map: Map, name: FieldName<'_>) -> Result<(), Refused> {
        self.change(map, abi::CHANGE_REMOVE, name, abi::Bytes::ABSENT)
    }

    fn fact(&self, fact: Fact) -> Option<Value<'_>> {
        // SAFETY: see the block.
        self.find(|host, exchange, value| unsafe { (host.fact)(exchange, fact as u32, value) })
    }

    fn variable(&self, name: &str) -> Option<Value<'_>> {
        let name = bytes(name.as_bytes());
        // SAFETY: see the block.
        self.find(|host, exchange, value| unsafe { (host.variable)(exchange, name, value) })
    }

    fn set_variable(&mut self, name: &str, value: &[u8]) -> Result<(), Refused> {
        let (name, value) = (bytes(name.as_bytes()), bytes(value));
        // SAFETY: see the block.
        self.ask(|host, exchange| unsafe { (host.set_variable)(exchange, name, value) })
    }

    fn set_part(&mut self, part: Part, value: &str) -> Result<(), Refused> {
        let value = bytes(value.as_bytes());
        // SAFETY: see the block.
        self.ask(|host, exchange| unsafe { (host.set_part)(exchange, part as u32, value) })
    }

    fn set_status(&mut self, status: u16) -> Result<(), Refused> {
        // SAFETY: see the block.
        self.ask(|host, exchange| unsafe { (host.set_status)(exchange, status.into()) })
    }

    fn steer(&mut self, steer: Steer<'_>) -> Result<(), Refused> {
        let steer = steer_of(steer);
        // SAFETY: see the block.
        self.ask(|host, exchange| unsafe { (host.steer)(exchange, &raw const steer) })
    }

    fn endpoint_count(&self) -> usize {
        // SAFETY: see the block.
        self.host().map_or(0, |(host, exchange)| unsafe { (host.endpoint_count)(exchange) })
    }

    fn endpoint(&self, index: usize) -> Option<Endpoint<'_>> {
        let (host, exchange) = self.host()?;
        let mut endpoint = abi::Endpoint {
            size: size_of::<abi::Endpoint>() as u32,
            weight: 0,
            in_flight: 0,
            ready: 0,
            latency: 0,
            address: abi::Bytes::ABSENT,
        };
        // SAFETY: see the block.
        if unsafe { (host.endpoint)(exchange, index, &raw mut endpoint) } != abi::OK {
            return None;
        }
        Some(Endpoint {
            // SAFETY: as in `find`.
            address: unsafe { text(endpoint.address) }?,
            weight: endpoint.weight,
            in_flight: endpoint.in_flight,
            latency: endpoint.latency,
            ready: endpoint.ready != 0,
        })
    }

    fn prefer(&mut self, order: &[usize]) -> Result<(), Refused> {
        // SAFETY: see the block.
        self.ask(|host, exchange| unsafe { (host.prefer)(exchange, order.as_ptr(), order.len()) })
    }

    fn piece(&self) -> &[u8] {
        self.piece_at_hand().0
    }

    fn is_last_piece(&self) -> bool {
        self.piece_at_hand().1
    }

    fn set_piece(&mut self, piece: Bytes) -> Result<(), Refused> {
        // SAFETY: see the block.
        self.ask(|host, exchange| unsafe { (host.set_piece)(exchange, bytes(&piece)) })
    }

    fn hold_piece(&mut self) -> Result<(), Refused> {
        // SAFETY: see the block.
        self.ask(|host, exchange| unsafe { (host.hold_piece)(exchange) })
    }

    fn inform(&mut self, status: u16, fields: &[(&str, &[u8])]) -> Result<(), Refused> {
        let pair = |(name, value): &(&str, &[u8])| abi::Field {
            name: bytes(name.as_bytes()),
            value: bytes(value),
        };
        let fields: Vec<_> = fields.iter().map(pair).collect();
        // SAFETY: see the block.
        self.ask(|host, exchange| unsafe {
            (host.inform)(exchange, status.into(), fields.as_ptr(), fields.len())
        })
    }

    fn begin(&mut self, operation: Operation) -> Result<OperationId, Refused> {
        let (host, exchange) = self.host().ok_or(Refused::NotNow)?;
        let mut id = 0;
        operation::with(operation, |kind, operation| {
            // SAFETY: see the block; `operation` points to the struct of that kind.
            done(unsafe { (host.begin)(exchange, kind, operation, &raw mut id) })
        })?;
        Ok(OperationId(id))
    }

    fn poll(
        &mut self,
        operation: OperationId,
        context: &mut Context<'_>,
    ) -> Poll<Result<Outcome, OperationError>> {
        let Some((host, exchange)) = self.host() else {
            return Poll::Ready(Err(OperationError::Cancelled));
        };
        let mut outcome = operation::EMPTY;
        // SAFETY: see the block.
        match unsafe { (host.poll)(exchange, operation.0, &raw mut outcome) } {
            abi::PENDING => {
                if !context.waker().will_wake(Waker::noop()) {
                    self.link().wake_later(context.waker());
                }
                Poll::Pending
            }
            // SAFETY: what the host filled is valid until something is changed.
            abi::OK => Poll::Ready(unsafe { operation::outcome(&outcome) }),
            code => {
                let error = OperationError::from_number(code);
                Poll::Ready(Err(error.unwrap_or(OperationError::Failed)))
            }
        }
    }

    fn cancel(&mut self, operation: OperationId) {
        if let Some((host, exchange)) = self.host() {
            // SAFETY: see the block.
            unsafe { (host.cancel)(exchange, operation.0) };
        }
    }

    fn now(&self) -> u64 {
        // SAFETY: see the block.
        self.host().map_or(0, |(host, exchange)| unsafe { (host.now)(exchange) })
    }

    fn log(&self, level: Level, message: &str) {
        if let Some((host, exchange)) = self.host() {
            // SAFETY: see the block.
            unsafe { (host.log)(exchange, level as u32, bytes(message.as_bytes())) };
        }
    }
}

impl Shim {
    fn change(
        &mut self,
        map: Map,
        change: u32,
        name: FieldName<'_>,
        value: abi::Bytes,
    ) -> Result<(), Refused> {
        let name = bytes(name.as_str().as_bytes());
        // SAFETY: as in the block above.
        self.ask(|host, exchange| unsafe {
            (host.change_field)(exchange, map as u32, change, name, value)
        })
    }

    fn piece_at_hand(&self) -> (&[u8], bool) {
        let Some((host, exchange)) = self.host() else { return (&[], true) };
        let (mut piece, mut is_last) = (abi::Bytes::ABSENT, 0);
        // SAFETY: as in the block above.
        let code = unsafe { (host.piece)(exchange, &raw mut piece, &raw mut is_last) };
        if code != abi::OK {
            return (&[], false);
        }
        // SAFETY: as in `find`.
        (unsafe { slice(piece) }.unwrap_or_default(), is_last != 0)
    }
}

/// What [`visit_field`] is called with.
struct Visiting<'a> {
    visit: &'a mut dyn FnMut(&str, &[u8]),
    panic: Option<Box<dyn std::any::Any + Send>>,
}

unsafe extern "C" fn visit_field(visiting: *mut c_void, name: abi::Bytes, value: abi::Bytes) {
    // SAFETY: the host gives back what it was given, during the call.
    let visiting = unsafe { &mut *visiting.cast::<Visiting<'_>>() };
    if visiting.panic.is_some() {
        return;
    }
    // SAFETY: valid during this call.
    let (name, value) = unsafe { (text(name), slice(value)) };
    let (Some(name), Some(value)) = (name, value) else { return };
    let visited = catch_unwind(AssertUnwindSafe(|| (visiting.visit)(name, value)));
    visiting.panic = visited.err();
}

fn steer_of(steer: Steer<'_>) -> abi::Steer {
    let (kind, text, number) = match steer {
        Steer::Site(name) => (abi::STEER_SITE, bytes(name.as_bytes()), 0),
        Steer::Upstream(name) => (abi::STEER_UPSTREAM, bytes(name.as_bytes()), 0),
        Steer::ShardKey(key) => (abi::STEER_SHARD_KEY, bytes(key), 0),
        Steer::CacheKey(key) => (abi::STEER_CACHE_KEY, bytes(key), 0),
        Steer::BypassCache => (abi::STEER_BYPASS_CACHE, abi::Bytes::ABSENT, 0),
        Steer::ConnectTimeout(time) => timeout(abi::STEER_CONNECT_TIMEOUT, time),
        Steer::ReadTimeout(time) => timeout(abi::STEER_READ_TIMEOUT, time),
        Steer::SendTimeout(time) => timeout(abi::STEER_SEND_TIMEOUT, time),
        Steer::Tries(tries) => (abi::STEER_TRIES, abi::Bytes::ABSENT, tries.into()),
        Steer::Mirror(name) => (abi::STEER_MIRROR, bytes(name.as_bytes()), 0),
        Steer::MirrorBody(size) => (abi::STEER_MIRROR_BODY, abi::Bytes::ABSENT, size),
    };
    abi::Steer { size: size_of::<abi::Steer>() as u32, kind, text, number }
}

fn timeout(kind: u32, time: Duration) -> (u32, abi::Bytes, u64) {
    (kind, abi::Bytes::ABSENT, nanoseconds(time))
}
