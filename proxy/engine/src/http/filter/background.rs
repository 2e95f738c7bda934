//! What a plugin sees when no request is at hand.

use std::borrow::Cow;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use switchback_plugin::{
    Endpoint, Exchange, Fact, FieldName, Level, Map, Operation, OperationError, OperationId,
    Outcome, Part, Refused, Steer, Value,
};

use super::client::Client;
use super::operations::{Host, Operations};
use crate::plugins;
use crate::snapshot::Snapshot;
use crate::snapshot::resident::Resident;

/// Nothing but what can be awaited.
pub(crate) struct Background {
    name: Arc<str>,
    snapshot: Arc<Snapshot>,
    resident: Arc<Resident>,
    client: Arc<Client>,
    operations: Operations,
}

impl Background {
    /// For the plugin of that name.
    pub(crate) fn new(
        name: Arc<str>,
        snapshot: Arc<Snapshot>,
        resident: Arc<Resident>,
        client: Arc<Client>,
    ) -> Self {
        Self { name, snapshot, resident, client, operations: Operations::default() }
    }
}

/// Nanoseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl Exchange for Background {
    fn abandon(&mut self) {
        self.operations.cancel_all();
    }

    fn field(&self, _map: Map, _name: FieldName<'_>) -> Option<Value<'_>> {
        None
    }

    fn fields(&self, _map: Map, _visit: &mut dyn FnMut(&str, &[u8])) {}

    fn set_field(&mut self, _map: Map, _name: FieldName<'_>, _value: &[u8]) -> Result<(), Refused> {
        Err(Refused::NotNow)
    }

    fn append_field(
        &mut self,
        _map: Map,
        _name: FieldName<'_>,
        _value: &[u8],
    ) -> Result<(), Refused> {
        Err(Refused::NotNow)
    }

    fn remove_field(&mut self, _map: Map, _name: FieldName<'_>) -> Result<(), Refused> {
        Err(Refused::NotNow)
    }

    fn fact(&self, fact: Fact) -> Option<Value<'_>> {
        (fact == Fact::Plugin).then(|| Cow::Borrowed(self.name.as_bytes()))
    }

    fn variable(&self, _name: &str) -> Option<Value<'_>> {
        None
    }

    fn set_variable(&mut self, _name: &str, _value: &[u8]) -> Result<(), Refused> {
        Err(Refused::NotNow)
    }

    fn set_part(&mut self, _part: Part, _value: &str) -> Result<(), Refused> {
        Err(Refused::NotNow)
    }

    fn set_status(&mut self, _status: u16) -> Result<(), Refused> {
        Err(Refused::NotNow)
    }

    fn steer(&mut self, _steer: Steer<'_>) -> Result<(), Refused> {
        Err(Refused::NotNow)
    }

    fn endpoint_count(&self) -> usize {
        0
    }

    fn endpoint(&self, _index: usize) -> Option<Endpoint<'_>> {
        None
    }

    fn prefer(&mut self, _order: &[usize]) -> Result<(), Refused> {
        Err(Refused::NotNow)
    }

    fn piece(&self) -> &[u8] {
        &[]
    }

    fn is_last_piece(&self) -> bool {
        false
    }

    fn set_piece(&mut self, _piece: Bytes) -> Result<(), Refused> {
        Err(Refused::NotNow)
    }

    fn hold_piece(&mut self) -> Result<(), Refused> {
        Err(Refused::NotNow)
    }

    fn inform(&mut self, _status: u16, _fields: &[(&str, &[u8])]) -> Result<(), Refused> {
        Err(Refused::NotNow)
    }

    fn begin(&mut self, operation: Operation) -> Result<OperationId, Refused> {
        let host =
            Host { snapshot: &self.snapshot, resident: &self.resident, client: Some(&self.client) };
        self.operations.begin(operation, &host)
    }

    fn poll(
        &mut self,
        operation: OperationId,
        context: &mut Context<'_>,
    ) -> Poll<Result<Outcome, OperationError>> {
        self.operations.poll(operation, context)
    }

    fn cancel(&mut self, operation: OperationId) {
        self.operations.cancel(operation);
    }

    fn now(&self) -> u64 {
        now()
    }

    fn log(&self, level: Level, message: &str) {
        plugins::log(level, &self.name, None, message);
    }
}
