//! What [`on_log`](crate::Plugin::on_log) is given.

use std::borrow::Cow;
use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;

use super::text;
use crate::exchange::{Exchange, Fact, FieldName, Level, Map};
use crate::operation::{StoreAction, StoreOperation};

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
    pub fn request_header<'n>(&self, name: impl Into<FieldName<'n>>) -> Option<Cow<'_, str>> {
        text(self.exchange.field(Map::RequestHeaders, name.into())?)
    }

    /// A header of the response.
    #[must_use]
    pub fn response_header<'n>(&self, name: impl Into<FieldName<'n>>) -> Option<Cow<'_, str>> {
        text(self.exchange.field(Map::ResponseHeaders, name.into())?)
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
