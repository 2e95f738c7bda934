//! What hooks are given: views of one [`Exchange`], each with what makes sense there.

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

use crate::exchange::{Endpoint, Exchange, Fact, Level, Map, Part, Refused, Value};
use crate::operation::{
    HttpRequest, HttpResponse, Operation, OperationError, OperationId, Outcome, StoreAction,
    StoreOperation,
};
use crate::steer::Steer;

/// The request.
pub struct Request<'a> {
    exchange: &'a mut (dyn Exchange + 'a),
}

impl<'a> Request<'a> {
    pub(crate) fn new(exchange: &'a mut (dyn Exchange + 'a)) -> Self {
        Self { exchange }
    }

    /// The first value of a header, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        text(self.exchange.field(Map::RequestHeaders, name)?)
    }

    /// The first value of a header.
    #[must_use]
    pub fn header_bytes(&self, name: &str) -> Option<Value<'_>> {
        self.exchange.field(Map::RequestHeaders, name)
    }

    /// Calls `visit` with each header, in order; names in lower case.
    pub fn headers(&self, mut visit: impl FnMut(&str, &[u8])) {
        self.exchange.fields(Map::RequestHeaders, &mut visit);
    }

    /// Has `value` take the place of all values of a header.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`]
    pub fn set_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Refused> {
        self.exchange.set_field(Map::RequestHeaders, name, value.as_ref())
    }

    /// The same with a value that was made before, in [`build`](crate::Plugin::build): the fastest way.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`]
    pub fn set_header_value(&mut self, name: &str, value: &HeaderValue) -> Result<(), Refused> {
        self.exchange.set_value(Map::RequestHeaders, name, value)
    }

    /// Adds a value to a header.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`]
    pub fn append_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Refused> {
        self.exchange.append_field(Map::RequestHeaders, name, value.as_ref())
    }

    /// Removes a header.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`]
    pub fn remove_header(&mut self, name: &str) -> Result<(), Refused> {
        self.exchange.remove_field(Map::RequestHeaders, name)
    }

    /// What is known of the request, as text; empty where it is not known.
    #[must_use]
    pub fn fact(&self, fact: Fact) -> Cow<'_, str> {
        self.exchange.fact(fact).and_then(text).unwrap_or_default()
    }

    /// `GET`
    #[must_use]
    pub fn method(&self) -> Cow<'_, str> {
        self.fact(Fact::Method)
    }

    /// The host that is asked for.
    #[must_use]
    pub fn host(&self) -> Cow<'_, str> {
        self.fact(Fact::Host)
    }

    /// The normalised path.
    #[must_use]
    pub fn path(&self) -> Cow<'_, str> {
        self.fact(Fact::Path)
    }

    /// The query without `?`; `None` where there is no `?`.
    #[must_use]
    pub fn query(&self) -> Option<Cow<'_, str>> {
        self.exchange.fact(Fact::Query).and_then(text)
    }

    /// The client's address, behind trusted proxies.
    #[must_use]
    pub fn client_address(&self) -> Option<IpAddr> {
        self.fact(Fact::ClientAddress).parse().ok()
    }

    /// A variable of the configuration (without `$`).
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<Cow<'_, str>> {
        text(self.exchange.variable(name)?)
    }

    /// Sets a variable, for later plugins, templates and logs: `$plugin_NAME`, of small letters, digits and underscores. `name` is that with
    /// `plugin_`, or without.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`] for what is no such name, and for one of the proxy's own (`host`) that is written without `plugin_`.
    pub fn set_variable(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Refused> {
        self.exchange.set_variable(name, value.as_ref())
    }

    /// Changes method, host, path or query; routes are looked for anew.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`], [`Refused::NotNow`]
    pub fn set(&mut self, part: Part, value: &str) -> Result<(), Refused> {
        self.exchange.set_part(part, value)
    }

    /// Decides where the request goes; see [`Steer`].
    ///
    /// # Errors
    ///
    /// [`Refused::NotNow`], [`Refused::Unknown`]
    pub fn steer(&mut self, steer: Steer<'_>) -> Result<(), Refused> {
        self.exchange.steer(steer)
    }

    /// Sends an interim response (103 Early Hints) at once.
    ///
    /// # Errors
    ///
    /// [`Refused::NotNow`], [`Refused::Unsupported`]
    pub fn inform(&mut self, status: u16, fields: &[(&str, &[u8])]) -> Result<(), Refused> {
        self.exchange.inform(status, fields)
    }

    /// All of the request's body, up to `limit` bytes. It is sent on as if nobody had read it.
    ///
    /// # Errors
    ///
    /// [`OperationError::TooLarge`], [`OperationError::Refused`] after [`on_route`](crate::Plugin::on_route)
    pub async fn body(&mut self, limit: usize) -> Result<Bytes, OperationError> {
        value(self.operate(Operation::Body { limit }).await?)
    }

    /// The border itself, for what has no method here.
    pub fn exchange(&mut self) -> &mut (dyn Exchange + 'a) {
        self.exchange
    }
}

/// The response, and the request that it answers.
pub struct Response<'a> {
    request: Request<'a>,
}

impl<'a> Response<'a> {
    pub(crate) fn new(exchange: &'a mut (dyn Exchange + 'a)) -> Self {
        Self { request: Request::new(exchange) }
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request<'a> {
        &self.request
    }

    /// The request, for its operations and variables.
    pub fn request_mut(&mut self) -> &mut Request<'a> {
        &mut self.request
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.request.fact(Fact::Status).parse().unwrap_or(0)
    }

    /// Changes the status.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`]
    pub fn set_status(&mut self, status: u16) -> Result<(), Refused> {
        self.request.exchange.set_status(status)
    }

    /// The first value of a header, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        text(self.request.exchange.field(Map::ResponseHeaders, name)?)
    }

    /// The first value of a header.
    #[must_use]
    pub fn header_bytes(&self, name: &str) -> Option<Value<'_>> {
        self.request.exchange.field(Map::ResponseHeaders, name)
    }

    /// Calls `visit` with each header, in order; names in lower case.
    pub fn headers(&self, mut visit: impl FnMut(&str, &[u8])) {
        self.request.exchange.fields(Map::ResponseHeaders, &mut visit);
    }

    /// Has `value` take the place of all values of a header.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`]
    pub fn set_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Refused> {
        self.request.exchange.set_field(Map::ResponseHeaders, name, value.as_ref())
    }

    /// The same with a value that was made before, in [`build`](crate::Plugin::build): the fastest way.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`]
    pub fn set_header_value(&mut self, name: &str, value: &HeaderValue) -> Result<(), Refused> {
        self.request.exchange.set_value(Map::ResponseHeaders, name, value)
    }

    /// Adds a value to a header.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`]
    pub fn append_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Refused> {
        self.request.exchange.append_field(Map::ResponseHeaders, name, value.as_ref())
    }

    /// Removes a header.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`]
    pub fn remove_header(&mut self, name: &str) -> Result<(), Refused> {
        self.request.exchange.remove_field(Map::ResponseHeaders, name)
    }
}

/// Where the request goes.
pub struct Route<'a> {
    request: Request<'a>,
}

impl<'a> Route<'a> {
    pub(crate) fn new(exchange: &'a mut (dyn Exchange + 'a)) -> Self {
        Self { request: Request::new(exchange) }
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request<'a> {
        &self.request
    }

    /// The request, for its operations and variables.
    pub fn request_mut(&mut self) -> &mut Request<'a> {
        &mut self.request
    }

    /// Decides; see [`Steer`].
    ///
    /// # Errors
    ///
    /// [`Refused::Unknown`]
    pub fn steer(&mut self, steer: Steer<'_>) -> Result<(), Refused> {
        self.request.exchange.steer(steer)
    }

    /// Has the upstream of that name answer.
    ///
    /// # Errors
    ///
    /// [`Refused::Unknown`]
    pub fn upstream(&mut self, name: &str) -> Result<(), Refused> {
        self.steer(Steer::Upstream(name))
    }

    /// Has the shard found by `key`.
    ///
    /// # Errors
    ///
    /// [`Refused::NotNow`]
    pub fn shard_key(&mut self, key: impl AsRef<[u8]>) -> Result<(), Refused> {
        self.steer(Steer::ShardKey(key.as_ref()))
    }
}

/// Who may be asked.
pub struct Endpoints<'a> {
    request: Request<'a>,
}

impl<'a> Endpoints<'a> {
    pub(crate) fn new(exchange: &'a mut (dyn Exchange + 'a)) -> Self {
        Self { request: Request::new(exchange) }
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request<'a> {
        &self.request
    }

    /// The request, for its operations and variables.
    pub fn request_mut(&mut self) -> &mut Request<'a> {
        &mut self.request
    }

    /// Number of the try, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.request.fact(Fact::Attempt).parse().unwrap_or(1)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.request.exchange.endpoint_count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<Endpoint<'_>> {
        self.request.exchange.endpoint(index)
    }

    /// Asks this one, and nobody else in this try.
    ///
    /// # Errors
    ///
    /// [`Refused::Unknown`]
    pub fn choose(&mut self, index: usize) -> Result<(), Refused> {
        self.prefer(&[index])
    }

    /// Asks the first of these that can be asked.
    ///
    /// # Errors
    ///
    /// [`Refused::Unknown`]
    pub fn prefer(&mut self, order: &[usize]) -> Result<(), Refused> {
        self.request.exchange.prefer(order)
    }
}

/// A piece of a body.
pub struct Body<'a> {
    request: Request<'a>,
}

impl<'a> Body<'a> {
    pub(crate) fn new(exchange: &'a mut (dyn Exchange + 'a)) -> Self {
        Self { request: Request::new(exchange) }
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request<'a> {
        &self.request
    }

    /// The request, for its operations and variables.
    pub fn request_mut(&mut self) -> &mut Request<'a> {
        &mut self.request
    }

    /// The piece.
    #[must_use]
    pub fn piece(&self) -> &[u8] {
        self.request.exchange.piece()
    }

    /// Whether it is the last one; it may be empty then.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.request.exchange.is_last_piece()
    }

    /// Sends `piece` instead.
    ///
    /// # Errors
    ///
    /// [`Refused::NotNow`]
    pub fn set(&mut self, piece: impl Into<Bytes>) -> Result<(), Refused> {
        self.request.exchange.set_piece(piece.into())
    }

    /// Has the piece wait for the next one, which begins with it then.
    ///
    /// # Errors
    ///
    /// [`Refused::Full`] when more waits than the proxy keeps; the piece is sent.
    pub fn hold(&mut self) -> Result<(), Refused> {
        self.request.exchange.hold_piece()
    }
}

/// A request that has ended.
pub struct Done<'a> {
    exchange: &'a (dyn Exchange + 'a),
    wanted: RefCell<Vec<StoreOperation>>,
}

impl<'a> Done<'a> {
    pub(crate) fn new(exchange: &'a (dyn Exchange + 'a)) -> Self {
        Self { exchange, wanted: RefCell::default() }
    }

    /// What is to be done with stores.
    pub(crate) fn into_wanted(self) -> Vec<StoreOperation> {
        self.wanted.into_inner()
    }

    /// Does something with a key of a store, as soon as the hook has returned: nobody is told what comes of it. To count requests, by what became
    /// of them.
    pub fn store(&self, store: &str, key: impl Into<Bytes>, action: StoreAction) {
        let operation = StoreOperation { store: store.to_owned(), key: key.into(), action };
        self.wanted.borrow_mut().push(operation);
    }

    /// What is known of it.
    #[must_use]
    pub fn fact(&self, fact: Fact) -> Cow<'_, str> {
        self.exchange.fact(fact).and_then(text).unwrap_or_default()
    }

    /// The status that was sent; 0 if none was.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.fact(Fact::Status).parse().unwrap_or(0)
    }

    /// How long it took.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.fact(Fact::Elapsed).parse().unwrap_or(0))
    }

    /// A header of the request.
    #[must_use]
    pub fn request_header(&self, name: &str) -> Option<Cow<'_, str>> {
        text(self.exchange.field(Map::RequestHeaders, name)?)
    }

    /// A header of the response.
    #[must_use]
    pub fn response_header(&self, name: &str) -> Option<Cow<'_, str>> {
        text(self.exchange.field(Map::ResponseHeaders, name)?)
    }

    /// A variable (without `$`).
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<Cow<'_, str>> {
        text(self.exchange.variable(name)?)
    }

    /// Writes a line to the error log.
    pub fn log(&self, level: Level, message: &str) {
        self.exchange.log(level, message);
    }
}

/// Time that has passed, without a request.
pub struct Background<'a> {
    request: Request<'a>,
}

impl<'a> Background<'a> {
    pub(crate) fn new(exchange: &'a mut (dyn Exchange + 'a)) -> Self {
        Self { request: Request::new(exchange) }
    }
}

/// What every view can ask of the host. Each waits for one operation; two at once are begun with [`begin`](Self::begin).
pub trait Operating {
    /// The border to the host.
    fn border(&mut self) -> &mut dyn Exchange;

    /// The same, to look at.
    fn view(&self) -> &dyn Exchange;

    /// Begins an operation; [`finish`](Self::finish) waits for it.
    ///
    /// # Errors
    ///
    /// As [`Exchange::begin`].
    fn begin(&mut self, operation: Operation) -> Result<OperationId, Refused> {
        self.border().begin(operation)
    }

    /// Waits for an operation that was begun.
    fn finish(&mut self, operation: OperationId) -> Operated<'_> {
        Operated { exchange: self.border(), operation: Some(operation) }
    }

    /// Begins an operation and waits for it.
    fn operate(&mut self, operation: Operation) -> Operated<'_> {
        let operation = self.border().begin(operation).ok();
        Operated { exchange: self.border(), operation }
    }

    /// A request of the plugin's own.
    fn http(
        &mut self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<HttpResponse, OperationError>> + Send {
        let operated = self.operate(Operation::Http(Box::new(request)));
        async move {
            match operated.await? {
                Outcome::Http(response) => Ok(*response),
                _ => Err(OperationError::Failed),
            }
        }
    }

    /// Waits.
    fn sleep(&mut self, time: Duration) -> impl Future<Output = Result<(), OperationError>> + Send {
        let operated = self.operate(Operation::Sleep(time));
        async move { operated.await.map(drop) }
    }

    /// Does something with a key of a store.
    fn store(&mut self, store: &str, key: impl Into<Bytes>, action: StoreAction) -> Operated<'_> {
        let operation = StoreOperation { store: store.to_owned(), key: key.into(), action };
        self.operate(Operation::Store(operation))
    }

    /// The same where nobody can wait, as in [`on_response_body`](crate::Plugin::on_response_body): stores of this process answer at once.
    ///
    /// # Errors
    ///
    /// [`OperationError::Refused`] where they are elsewhere.
    fn store_now(
        &mut self,
        store: &str,
        key: impl Into<Bytes>,
        action: StoreAction,
    ) -> Result<Outcome, OperationError> {
        let mut operated = pin!(self.store(store, key, action));
        match operated.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => Err(OperationError::Refused),
        }
    }

    /// The value of a key; `None` if there is none.
    fn stored(
        &mut self,
        store: &str,
        key: impl Into<Bytes>,
    ) -> impl Future<Output = Result<Option<Bytes>, OperationError>> + Send {
        let operated = self.store(store, key, StoreAction::Get);
        async move {
            match operated.await? {
                Outcome::Value(value) => Ok(Some(value)),
                _ => Ok(None),
            }
        }
    }

    /// Work that takes long, beside the way.
    fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, OperationError>> + Send {
        let (give, take) = std::sync::mpsc::sync_channel(1);
        let work = move || {
            // Nobody waits any more: what came of it is of no use.
            let _ = give.send(work());
        };
        let operated = self.operate(Operation::Blocking(Box::new(work)));
        // The receiver stays where it is, because it cannot be shared between threads.
        async move {
            operated.await?;
            take.try_recv().map_err(|_| OperationError::Failed)
        }
    }

    /// Nanoseconds since 1970.
    fn now(&self) -> u64 {
        self.view().now()
    }

    /// Writes a line to the error log, with the plugin's name and the request's id.
    fn log(&self, level: Level, message: &str) {
        self.view().log(level, message);
    }
}

macro_rules! operating {
    ($($facade:ident: $($field:ident).+;)*) => {$(
        impl Operating for $facade<'_> {
            fn border(&mut self) -> &mut dyn Exchange {
                &mut *self.$($field).+
            }

            fn view(&self) -> &dyn Exchange {
                &*self.$($field).+
            }
        }
    )*};
}

operating! {
    Request: exchange;
    Response: request.exchange;
    Route: request.exchange;
    Endpoints: request.exchange;
    Body: request.exchange;
    Background: request.exchange;
}

/// An operation that is waited for; given up when dropped.
#[must_use]
pub struct Operated<'a> {
    exchange: &'a mut (dyn Exchange + 'a),
    operation: Option<OperationId>,
}

impl Future for Operated<'_> {
    type Output = Result<Outcome, OperationError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(operation) = self.operation else {
            return Poll::Ready(Err(OperationError::Refused));
        };
        let polled = self.exchange.poll(operation, context);
        if polled.is_ready() {
            self.operation = None;
        }
        polled
    }
}

impl Drop for Operated<'_> {
    fn drop(&mut self) {
        if let Some(operation) = self.operation.take() {
            self.exchange.cancel(operation);
        }
    }
}

fn text(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

fn value(outcome: Outcome) -> Result<Bytes, OperationError> {
    match outcome {
        Outcome::Value(value) => Ok(value),
        _ => Err(OperationError::Failed),
    }
}
