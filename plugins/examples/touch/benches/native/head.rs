//! A request that has nothing but headers: for this bench and that of Wasm modules.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use switchback_plugin::{
    Endpoint, Exchange, Fact, FieldName, Level, Map, Operation, OperationError, OperationId,
    Outcome, Part, Refused, Steer, Value, fields,
};

/// The head of a request, as browsers send it.
pub(crate) struct Head(HeaderMap);

impl Head {
    /// With one field more, which the plugin is there for.
    pub(crate) fn with(name: &'static str, value: &'static str) -> Self {
        let names =
            ["host", "user-agent", "accept", "accept-encoding", "accept-language", "cookie"];
        let mut headers = HeaderMap::new();
        for usual in names {
            headers.insert(usual, HeaderValue::from_static("a value as long as most are"));
        }
        headers.insert(name, HeaderValue::from_static(value));
        Self(headers)
    }
}

impl Exchange for Head {
    fn field(&self, _: Map, name: FieldName<'_>) -> Option<Value<'_>> {
        fields::first(&self.0, name)
    }

    fn fields(&self, _: Map, visit: &mut dyn FnMut(&str, &[u8])) {
        fields::each(&self.0, visit);
    }

    fn set_field(&mut self, _: Map, name: FieldName<'_>, value: &[u8]) -> Result<(), Refused> {
        fields::set(&mut self.0, name, value)
    }

    fn append_field(&mut self, _: Map, name: FieldName<'_>, value: &[u8]) -> Result<(), Refused> {
        fields::append(&mut self.0, name, value)
    }

    fn remove_field(&mut self, _: Map, name: FieldName<'_>) -> Result<(), Refused> {
        fields::remove(&mut self.0, name)
    }

    fn fact(&self, _: Fact) -> Option<Value<'_>> {
        None
    }

    fn variable(&self, _: &str) -> Option<Value<'_>> {
        None
    }

    fn set_variable(&mut self, _: &str, _: &[u8]) -> Result<(), Refused> {
        Err(Refused::Unsupported)
    }

    fn set_part(&mut self, _: Part, _: &str) -> Result<(), Refused> {
        Err(Refused::Unsupported)
    }

    fn set_status(&mut self, _: u16) -> Result<(), Refused> {
        Err(Refused::Unsupported)
    }

    fn steer(&mut self, _: Steer<'_>) -> Result<(), Refused> {
        Err(Refused::Unsupported)
    }

    fn endpoint_count(&self) -> usize {
        0
    }

    fn endpoint(&self, _: usize) -> Option<Endpoint<'_>> {
        None
    }

    fn prefer(&mut self, _: &[usize]) -> Result<(), Refused> {
        Err(Refused::Unsupported)
    }

    fn piece(&self) -> &[u8] {
        &[]
    }

    fn is_last_piece(&self) -> bool {
        true
    }

    fn set_piece(&mut self, _: Bytes) -> Result<(), Refused> {
        Err(Refused::Unsupported)
    }

    fn hold_piece(&mut self) -> Result<(), Refused> {
        Err(Refused::Unsupported)
    }

    fn inform(&mut self, _: u16, _: &[(&str, &[u8])]) -> Result<(), Refused> {
        Err(Refused::Unsupported)
    }

    fn begin(&mut self, _: Operation) -> Result<OperationId, Refused> {
        Err(Refused::Unsupported)
    }

    fn poll(
        &mut self,
        _: OperationId,
        _: &mut Context<'_>,
    ) -> Poll<Result<Outcome, OperationError>> {
        Poll::Ready(Err(OperationError::Refused))
    }

    fn cancel(&mut self, _: OperationId) {}

    fn now(&self) -> u64 {
        0
    }

    fn log(&self, _: Level, _: &str) {}
}
