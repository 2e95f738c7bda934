//! What a call of a hook has to do with the host, apart from what the plugin sees of it.

use std::cell::{Cell, OnceCell, RefCell};
use std::ptr::{null, null_mut};
use std::task::Waker;
use std::time::Duration;

use http::HeaderMap;
use switchback_plugin_abi as abi;

use super::bytes;
use crate::flow::{Answer, Flow};

/// The host, and the exchange of the call at hand: null between calls.
pub(super) struct Link {
    host: &'static abi::Host,
    exchange: Cell<*mut abi::Exchange>,
    /// Whom to wake when a hook is called again: plugins that poll several things at once hand out wakers of their own. Few do.
    wakers: OnceCell<Box<RefCell<Vec<Waker>>>>,
}

/// Takes the exchange away from a [`Link`] when the call has ended.
pub(super) struct At<'a>(&'a Link);

impl Drop for At<'_> {
    fn drop(&mut self) {
        self.0.exchange.set(null_mut());
    }
}

impl Link {
    pub(super) fn new(host: &'static abi::Host, exchange: *mut abi::Exchange) -> Self {
        Self { host, exchange: Cell::new(exchange), wakers: OnceCell::new() }
    }

    /// Has `exchange` be that of the call at hand, as long as what is returned is kept.
    pub(super) fn at(&self, exchange: *mut abi::Exchange) -> At<'_> {
        self.exchange.set(exchange);
        At(self)
    }

    pub(super) fn exchange(&self) -> *mut abi::Exchange {
        self.exchange.get()
    }

    /// The host's functions, and the exchange to call them with; none between calls.
    pub(super) fn host(&self) -> Option<(&'static abi::Host, *mut abi::Exchange)> {
        let exchange = self.exchange.get();
        (!exchange.is_null()).then_some((self.host, exchange))
    }

    /// Has `waker` be woken when the hook is called again.
    pub(super) fn wake_later(&self, waker: &Waker) {
        self.wakers.get_or_init(Box::default).borrow_mut().push(waker.clone());
    }

    /// Wakes whoever polled something that was not there yet.
    pub(super) fn wake(&self) {
        for waker in self.wakers.get().map(|wakers| wakers.take()).unwrap_or_default() {
            waker.wake();
        }
    }

    /// Tells the host why the plugin could not do its work.
    pub(super) fn fail(&self, message: &str) -> i32 {
        let exchange = self.exchange.get();
        if !exchange.is_null() {
            // SAFETY: the exchange is that of the call at hand, and the bytes are valid for this one.
            unsafe { (self.host.fail)(exchange, bytes(message.as_bytes())) };
        }
        abi::FAIL
    }

    pub(super) fn broken(&self) -> i32 {
        self.fail("panicked before, at this request");
        abi::PANICKED
    }

    /// Tells the host what a hook said.
    pub(super) fn settle(&self, flow: Flow) -> i32 {
        match flow {
            Flow::Continue => abi::CONTINUE,
            Flow::Answer(answer) => self.answer(&answer),
            Flow::Fail(failure) => self.fail(&failure.message),
        }
    }

    fn answer(&self, answer: &Answer) -> i32 {
        let fields = fields_of(&answer.headers);
        let status = u32::from(answer.status.as_u16());
        let body = bytes(&answer.body);
        // SAFETY: the exchange is that of the call at hand, and fields and bytes are valid for this one.
        let code = unsafe {
            (self.host.answer)(self.exchange.get(), status, fields.as_ptr(), fields.len(), body)
        };
        match code {
            abi::OK => abi::ANSWER,
            _ => self.fail("the host did not take the plugin's answer"),
        }
    }
}

/// Headers as pairs of bytes.
pub(super) fn fields_of(headers: &HeaderMap) -> Vec<abi::Field> {
    let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| abi::Field {
        name: bytes(name.as_str().as_bytes()),
        value: bytes(value.as_bytes()),
    };
    headers.iter().map(pair).collect()
}

/// Nanoseconds as the interface has them: as many as it can say.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A pointer to fields, which is null where there are none.
pub(super) fn first<T>(list: &[T]) -> *const T {
    if list.is_empty() { null() } else { list.as_ptr() }
}
