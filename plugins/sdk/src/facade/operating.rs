//! What every view can ask of the host.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::{Background, Body, Endpoints, Request, Response, Route};
use crate::exchange::{Exchange, Level, Refused};
use crate::operation::{
    HttpRequest, HttpResponse, Operation, OperationError, OperationId, Outcome, StoreAction,
    StoreOperation,
};

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
