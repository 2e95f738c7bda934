//! Operations that a module begins, and what came of them. See `exchange` for what `unsafe` rests on.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use switchback_plugin::{
    HttpRequest, Operation, OperationId, Outcome, Refused, StoreAction, StoreOperation,
};
use switchback_plugin_abi as abi;

use super::border::{Kept, asked};
use super::read;

pub(super) unsafe extern "C" fn begin(
    exchange: *mut abi::Exchange,
    kind: u32,
    operation: *const c_void,
    id: *mut u32,
) -> i32 {
    // SAFETY: see `exchange`; `operation` points to the struct that `kind` names.
    unsafe {
        asked(exchange, |border| {
            let operation = read_operation(kind, operation)?;
            if id.is_null() {
                return Err(Refused::Invalid);
            }
            let OperationId(begun) = border.change(|exchange, _| exchange.begin(operation))?;
            id.write(begun);
            Ok(abi::OK)
        })
    }
}

/// # Safety
///
/// As [`begin`].
unsafe fn read_operation(kind: u32, from: *const c_void) -> Result<Operation, Refused> {
    // SAFETY: as whoever called says.
    unsafe {
        Ok(match kind {
            abi::OPERATION_HTTP => Operation::Http(Box::new(http(&read::sized(from)?)?)),
            abi::OPERATION_SLEEP => {
                let sleep: abi::SleepOperation = read::sized(from)?;
                Operation::Sleep(Duration::from_nanos(sleep.nanoseconds))
            }
            abi::OPERATION_STORE => Operation::Store(store(&read::sized(from)?)?),
            abi::OPERATION_BODY => {
                let body: abi::BodyOperation = read::sized(from)?;
                Operation::Body { limit: at_most(body.limit) }
            }
            abi::OPERATION_BLOCKING => blocking(&read::sized(from)?)?,
            abi::OPERATION_RESOLVE => {
                let resolve: abi::ResolveOperation = read::sized(from)?;
                Operation::Resolve(read::text(resolve.name)?.to_owned())
            }
            abi::OPERATION_RESOLVE_ADDRESS => {
                let resolve: abi::ResolveOperation = read::sized(from)?;
                let address = read::text(resolve.name)?.parse();
                Operation::ResolveAddress(address.map_err(|_| Refused::Invalid)?)
            }
            _ => return Err(Refused::Unsupported),
        })
    }
}

fn at_most(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// # Safety
///
/// What it points to is valid for the call.
unsafe fn http(http: &abi::HttpOperation) -> Result<HttpRequest, Refused> {
    // SAFETY: as whoever called says.
    unsafe {
        let method = match read::bytes(http.method)? {
            b"" => Method::GET,
            method => Method::from_bytes(method).map_err(|_| Refused::Invalid)?,
        };
        Ok(HttpRequest {
            upstream: read::text(http.upstream)?.to_owned(),
            method,
            target: read::text(http.target)?.to_owned(),
            headers: read::headers(http.headers, http.header_count)?,
            body: Bytes::copy_from_slice(read::bytes(http.body)?),
            timeout: read::time(http.timeout),
            body_limit: at_most(http.body_limit),
            shard_key: read::optional(http.shard_key)?.map(Bytes::copy_from_slice),
        })
    }
}

/// # Safety
///
/// What it points to is valid for the call.
unsafe fn store(store: &abi::StoreOperation) -> Result<StoreOperation, Refused> {
    // SAFETY: as whoever called says.
    unsafe {
        let value = || read::bytes(store.value).map(Bytes::copy_from_slice);
        let ttl = read::time(store.ttl);
        let action = match store.action {
            abi::STORE_GET => StoreAction::Get,
            abi::STORE_PUT => StoreAction::Put { value: value()?, ttl },
            abi::STORE_SWAP => {
                let expected = read::optional(store.expected)?.map(Bytes::copy_from_slice);
                StoreAction::Swap { expected, value: value()?, ttl }
            }
            abi::STORE_ADD => StoreAction::Add { delta: store.delta, ttl },
            abi::STORE_REMOVE => StoreAction::Remove,
            _ => return Err(Refused::Unsupported),
        };
        let name = read::text(store.store)?.to_owned();
        let key = Bytes::copy_from_slice(read::bytes(store.key)?);
        Ok(StoreOperation { store: name, key, action })
    }
}

/// Work of a module: run once, or discarded.
struct Work {
    run: unsafe extern "C" fn(*mut c_void),
    discard: Option<unsafe extern "C" fn(*mut c_void)>,
    work: *mut c_void,
}

// SAFETY: the header says that both functions may be called on any thread; modules are never unloaded.
unsafe impl Send for Work {}

impl Work {
    fn run(mut self) {
        let work = std::mem::replace(&mut self.work, null_mut());
        self.discard = None;
        // SAFETY: the module's own function with its own data, once.
        unsafe { (self.run)(work) };
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(discard) = self.discard {
            // SAFETY: as in `run`, which takes `discard` away.
            unsafe { discard(self.work) };
        }
    }
}

fn blocking(blocking: &abi::BlockingOperation) -> Result<Operation, Refused> {
    let Some(run) = blocking.run else { return Err(Refused::Invalid) };
    let work = Work { run, discard: blocking.discard, work: blocking.work };
    Ok(Operation::Blocking(Box::new(move || work.run())))
}

pub(super) unsafe extern "C" fn poll(
    exchange: *mut abi::Exchange,
    id: u32,
    outcome: *mut abi::Outcome,
) -> i32 {
    // SAFETY: see `exchange`.
    unsafe {
        asked(exchange, |border| {
            // What came of it is given once: not into nowhere.
            read::sized::<abi::Outcome>(outcome.cast_const().cast())?;
            let polled =
                border.change(|exchange, context| Ok(exchange.poll(OperationId(id), context)))?;
            let given = match polled {
                Poll::Pending => {
                    border.note_waiting();
                    return Ok(abi::PENDING);
                }
                Poll::Ready(Err(error)) => return Ok(error as i32),
                Poll::Ready(Ok(given)) => Given::new(given),
            };
            read::fill(outcome, &given.filled())?;
            border.keep(Kept::Outcome(given));
            Ok(abi::OK)
        })
    }
}

pub(super) unsafe extern "C" fn cancel(exchange: *mut abi::Exchange, id: u32) {
    // SAFETY: see `exchange`.
    unsafe {
        asked(exchange, |border| {
            border.change(|exchange, _| {
                exchange.cancel(OperationId(id));
                Ok(())
            })?;
            Ok(abi::OK)
        });
    }
}

/// What came of an operation, as long as the module looks at it.
pub(super) struct Given {
    kind: u32,
    status: u32,
    swapped: u32,
    value: Option<Bytes>,
    headers: HeaderMap,
    texts: Vec<String>,
    /// What points into the headers.
    fields: Vec<abi::Field>,
    /// What points into the texts.
    list: Vec<abi::Bytes>,
}

impl Given {
    fn new(outcome: Outcome) -> Box<Self> {
        let mut given = Box::new(Self::of(outcome));
        let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| abi::Field {
            name: abi::Bytes::of(name.as_str().as_bytes()),
            value: abi::Bytes::of(value.as_bytes()),
        };
        given.fields = given.headers.iter().map(pair).collect();
        given.list = given.texts.iter().map(|text| abi::Bytes::of(text.as_bytes())).collect();
        given
    }

    fn of(outcome: Outcome) -> Self {
        let mut given = Self {
            kind: abi::OUTCOME_DONE,
            status: 0,
            swapped: 0,
            value: None,
            headers: HeaderMap::new(),
            texts: Vec::new(),
            fields: Vec::new(),
            list: Vec::new(),
        };
        match outcome {
            Outcome::Http(response) => {
                given.kind = abi::OUTCOME_HTTP;
                given.status = response.status.as_u16().into();
                given.headers = response.headers;
                given.value = Some(response.body);
            }
            Outcome::Value(value) => {
                given.kind = abi::OUTCOME_VALUE;
                given.value = Some(value);
            }
            Outcome::Swapped { done, now } => {
                given.kind = abi::OUTCOME_SWAPPED;
                given.swapped = done.into();
                given.value = now;
            }
            Outcome::Addresses(addresses) => {
                given.kind = abi::OUTCOME_ADDRESSES;
                given.texts = addresses.iter().map(ToString::to_string).collect();
            }
            Outcome::Names(names) => {
                given.kind = abi::OUTCOME_NAMES;
                given.texts = names;
            }
            // `Done`, and what later versions of the SDK may add: the interface has no words for it yet.
            _ => {}
        }
        given
    }

    fn filled(&self) -> abi::Outcome {
        abi::Outcome {
            size: 0,
            kind: self.kind,
            status: self.status,
            swapped: self.swapped,
            value: self.value.as_ref().map_or(abi::Bytes::ABSENT, |value| abi::Bytes::of(value)),
            headers: self.fields.as_ptr(),
            header_count: self.fields.len(),
            texts: self.list.as_ptr(),
            text_count: self.list.len(),
        }
    }
}
