//! Operations and what comes of them, as structs of C.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, null};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use switchback_plugin_abi as abi;

use super::exchange::{fields_of, first, nanoseconds};
use super::{bytes, slice, text};
use crate::exchange::Refused;
use crate::operation::{
    HttpRequest, HttpResponse, Operation, OperationError, Outcome, StoreAction, StoreOperation,
};

/// What the host fills.
pub(super) const EMPTY: abi::Outcome = abi::Outcome {
    size: size_of::<abi::Outcome>() as u32,
    kind: abi::OUTCOME_DONE,
    status: 0,
    swapped: 0,
    value: abi::Bytes::ABSENT,
    headers: null(),
    header_count: 0,
    texts: null(),
    text_count: 0,
};

/// Calls `begin` with the number of the operation's kind, and a pointer to its struct.
pub(super) fn with(
    operation: Operation,
    begin: impl FnOnce(u32, *const c_void) -> Result<(), Refused>,
) -> Result<(), Refused> {
    match operation {
        Operation::Http(request) => http(&request, begin),
        Operation::Sleep(time) => {
            let size = size_of::<abi::SleepOperation>() as u32;
            let sleep = abi::SleepOperation { size, reserved: 0, nanoseconds: nanoseconds(time) };
            begin(abi::OPERATION_SLEEP, (&raw const sleep).cast())
        }
        Operation::Store(operation) => store(&operation, begin),
        Operation::Body { limit } => {
            let size = size_of::<abi::BodyOperation>() as u32;
            let body = abi::BodyOperation { size, reserved: 0, limit: limit as u64 };
            begin(abi::OPERATION_BODY, (&raw const body).cast())
        }
        Operation::Blocking(work) => blocking(work, begin),
        Operation::Resolve(name) => resolve(abi::OPERATION_RESOLVE, &name, begin),
        Operation::ResolveAddress(address) => {
            resolve(abi::OPERATION_RESOLVE_ADDRESS, &address.to_string(), begin)
        }
    }
}

fn http(
    request: &HttpRequest,
    begin: impl FnOnce(u32, *const c_void) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let headers = fields_of(&request.headers);
    let http = abi::HttpOperation {
        size: size_of::<abi::HttpOperation>() as u32,
        reserved: 0,
        upstream: bytes(request.upstream.as_bytes()),
        method: bytes(request.method.as_str().as_bytes()),
        target: bytes(request.target.as_bytes()),
        headers: first(&headers),
        header_count: headers.len(),
        body: bytes(&request.body),
        timeout: or_zero(request.timeout),
        body_limit: request.body_limit as u64,
        shard_key: optional(request.shard_key.as_ref()),
    };
    begin(abi::OPERATION_HTTP, (&raw const http).cast())
}

fn store(
    operation: &StoreOperation,
    begin: impl FnOnce(u32, *const c_void) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let mut store = abi::StoreOperation {
        size: size_of::<abi::StoreOperation>() as u32,
        action: abi::STORE_GET,
        store: bytes(operation.store.as_bytes()),
        key: bytes(&operation.key),
        value: abi::Bytes::ABSENT,
        expected: abi::Bytes::ABSENT,
        delta: 0,
        ttl: 0,
    };
    match &operation.action {
        StoreAction::Get => {}
        StoreAction::Put { value, ttl } => {
            store.action = abi::STORE_PUT;
            store.value = bytes(value);
            store.ttl = or_zero(*ttl);
        }
        StoreAction::Swap { expected, value, ttl } => {
            store.action = abi::STORE_SWAP;
            store.expected = optional(expected.as_ref());
            store.value = bytes(value);
            store.ttl = or_zero(*ttl);
        }
        StoreAction::Add { delta, ttl } => {
            store.action = abi::STORE_ADD;
            store.delta = *delta;
            store.ttl = or_zero(*ttl);
        }
        StoreAction::Remove => store.action = abi::STORE_REMOVE,
    }
    begin(abi::OPERATION_STORE, (&raw const store).cast())
}

type Work = Box<dyn FnOnce() + Send>;

fn blocking(
    work: Work,
    begin: impl FnOnce(u32, *const c_void) -> Result<(), Refused>,
) -> Result<(), Refused> {
    // Boxed twice, because a pointer to a trait object does not fit into one of C.
    let work = Box::into_raw(Box::new(work));
    let blocking = abi::BlockingOperation {
        size: size_of::<abi::BlockingOperation>() as u32,
        reserved: 0,
        run: Some(run),
        discard: Some(discard),
        work: work.cast(),
    };
    // The host runs or discards it, also where it refuses.
    begin(abi::OPERATION_BLOCKING, (&raw const blocking).cast())
}

unsafe extern "C" fn run(work: *mut c_void) {
    // SAFETY: made of a box in `blocking`; the host gives it back once.
    let work = unsafe { Box::from_raw(work.cast::<Work>()) };
    // Who waits for what the work gives sees that nothing was given.
    let _ = catch_unwind(AssertUnwindSafe(work));
}

unsafe extern "C" fn discard(work: *mut c_void) {
    // SAFETY: as in `run`.
    let work = unsafe { Box::from_raw(work.cast::<Work>()) };
    let _ = catch_unwind(AssertUnwindSafe(|| drop(work)));
}

fn resolve(
    kind: u32,
    name: &str,
    begin: impl FnOnce(u32, *const c_void) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let size = size_of::<abi::ResolveOperation>() as u32;
    let resolve = abi::ResolveOperation { size, reserved: 0, name: bytes(name.as_bytes()) };
    begin(kind, (&raw const resolve).cast())
}

fn optional(value: Option<&Bytes>) -> abi::Bytes {
    value.map_or(abi::Bytes::ABSENT, |value| bytes(value))
}

/// Nanoseconds; 0 where there is no time. No time at all is the shortest there is.
fn or_zero(time: Option<Duration>) -> u64 {
    time.map_or(0, |time| nanoseconds(time).max(1))
}

/// A copy of what the host filled.
///
/// # Safety
///
/// The outcome is as the host filled it, and valid.
pub(super) unsafe fn outcome(outcome: &abi::Outcome) -> Result<Outcome, OperationError> {
    // SAFETY: as whoever called says.
    let value = unsafe { slice(outcome.value) }.map(Bytes::copy_from_slice);
    // SAFETY: likewise.
    let texts = unsafe { list(outcome.texts, outcome.text_count) };
    // SAFETY: likewise.
    let texts = || texts.iter().filter_map(|bytes| unsafe { text(*bytes) });
    Ok(match outcome.kind {
        abi::OUTCOME_DONE => Outcome::Done,
        abi::OUTCOME_HTTP => {
            let status = u16::try_from(outcome.status).ok().map(StatusCode::from_u16);
            let Some(Ok(status)) = status else { return Err(OperationError::Failed) };
            // SAFETY: likewise.
            let headers = unsafe { headers(outcome) };
            Outcome::Http(Box::new(HttpResponse {
                status,
                headers,
                body: value.unwrap_or_default(),
            }))
        }
        abi::OUTCOME_VALUE => Outcome::Value(value.unwrap_or_default()),
        abi::OUTCOME_SWAPPED => Outcome::Swapped { done: outcome.swapped != 0, now: value },
        abi::OUTCOME_ADDRESSES => {
            Outcome::Addresses(texts().filter_map(|text| text.parse().ok()).collect())
        }
        abi::OUTCOME_NAMES => Outcome::Names(texts().map(str::to_owned).collect()),
        _ => return Err(OperationError::Failed),
    })
}

/// # Safety
///
/// As [`outcome`].
unsafe fn headers(outcome: &abi::Outcome) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(outcome.header_count);
    // SAFETY: as whoever called says.
    for field in unsafe { list(outcome.headers, outcome.header_count) } {
        // SAFETY: likewise.
        let (name, value) = unsafe { (slice(field.name), slice(field.value)) };
        let name = HeaderName::from_bytes(name.unwrap_or_default());
        let value = HeaderValue::from_bytes(value.unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// # Safety
///
/// `first` points to so many of them, valid for `'a`, or is null.
unsafe fn list<'a, T>(first: *const T, count: usize) -> &'a [T] {
    if first.is_null() {
        return &[];
    }
    // SAFETY: as whoever called says.
    unsafe { &*ptr::slice_from_raw_parts(first, count) }
}
