//! A request and what is around it, as a plugin sees them while a hook runs.

use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use crate::exchange::{Endpoint, Exchange, Fact, FieldName, Level, Map, Part, Refused, Value};
use crate::fields;
use crate::hook::Hook;
use crate::operation::{Operation, OperationError, OperationId, Outcome};
use crate::steer::Steer;
use crate::testing::scene::{Line, Scene};
use crate::testing::world::World;

/// The border that a plugin has before it while a hook runs in a test: for those who call a plugin without a [`Harness`](super::Harness).
///
/// No time passes here: what waits, waits for ever.
pub struct Stage<'a> {
    hook: Hook,
    scene: &'a mut Scene,
    world: &'a mut World,
}

impl<'a> Stage<'a> {
    /// For one hook.
    pub fn new(hook: Hook, scene: &'a mut Scene, world: &'a mut World) -> Self {
        Self { hook, scene, world }
    }
}

impl Stage<'_> {
    fn allow(&self, allowed: bool) -> Result<(), Refused> {
        let _ = self;
        if allowed { Ok(()) } else { Err(Refused::NotNow) }
    }

    /// Where there is no response yet, it has no fields.
    fn is_there(&self, map: Map) -> bool {
        match map {
            Map::RequestHeaders => self.hook != Hook::Tick,
            Map::RequestTrailers => self.hook == Hook::RequestBody,
            Map::ResponseHeaders | Map::ResponseTrailers => matches!(
                self.hook,
                Hook::UpstreamResponse | Hook::Response | Hook::ResponseBody | Hook::Log
            ),
        }
    }
}

impl Exchange for Stage<'_> {
    fn field(&self, map: Map, name: FieldName<'_>) -> Option<Value<'_>> {
        if self.is_there(map) { fields::first(self.scene.fields(map), name) } else { None }
    }

    fn fields(&self, map: Map, visit: &mut dyn FnMut(&str, &[u8])) {
        if self.is_there(map) {
            fields::each(self.scene.fields(map), visit);
        }
    }

    fn set_field(&mut self, map: Map, name: FieldName<'_>, value: &[u8]) -> Result<(), Refused> {
        self.allow(self.hook.may_change(map))?;
        fields::set(self.scene.fields_mut(map), name, value)
    }

    fn set_value(
        &mut self,
        map: Map,
        name: FieldName<'_>,
        value: &HeaderValue,
    ) -> Result<(), Refused> {
        self.allow(self.hook.may_change(map))?;
        fields::set_value(self.scene.fields_mut(map), name, value)
    }

    fn append_field(&mut self, map: Map, name: FieldName<'_>, value: &[u8]) -> Result<(), Refused> {
        self.allow(self.hook.may_change(map))?;
        fields::append(self.scene.fields_mut(map), name, value)
    }

    fn remove_field(&mut self, map: Map, name: FieldName<'_>) -> Result<(), Refused> {
        self.allow(self.hook.may_change(map))?;
        fields::remove(self.scene.fields_mut(map), name)
    }

    fn fact(&self, fact: Fact) -> Option<Value<'_>> {
        match fact {
            Fact::Plugin => self.world.around.name.as_deref().map(|name| name.as_bytes().into()),
            Fact::Status if !self.is_there(Map::ResponseHeaders) => None,
            _ if self.hook == Hook::Tick => None,
            _ => self.scene.fact(fact),
        }
    }

    fn variable(&self, name: &str) -> Option<Value<'_>> {
        self.scene.variable(name).map(Into::into)
    }

    fn set_variable(&mut self, name: &str, value: &[u8]) -> Result<(), Refused> {
        if name.is_empty() {
            return Err(Refused::Invalid);
        }
        self.scene.variables.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    fn set_part(&mut self, part: Part, value: &str) -> Result<(), Refused> {
        self.allow(self.hook.may_change_target())?;
        let (place, valid) = match part {
            Part::Method => (&mut self.scene.method, is_token(value)),
            Part::Host => (&mut self.scene.host, !value.is_empty() && is_visible(value)),
            Part::Path => (&mut self.scene.path, value.starts_with('/') && is_path(value)),
            Part::Query => {
                if !is_visible(value) {
                    return Err(Refused::Invalid);
                }
                self.scene.query = (!value.is_empty()).then(|| value.to_owned());
                return Ok(());
            }
        };
        if !valid {
            return Err(Refused::Invalid);
        }
        value.clone_into(place);
        Ok(())
    }

    fn set_status(&mut self, status: u16) -> Result<(), Refused> {
        self.allow(self.hook.may_change(Map::ResponseHeaders))?;
        if !(200..600).contains(&status) {
            return Err(Refused::Invalid);
        }
        self.scene.status = Some(status.to_string());
        Ok(())
    }

    fn steer(&mut self, steer: Steer<'_>) -> Result<(), Refused> {
        self.allow(self.hook.may_steer())?;
        if let Steer::Upstream(name) | Steer::Mirror(name) = steer
            && !self.world.around.has_upstream(name)
        {
            return Err(Refused::Unknown);
        }
        self.scene.steering.take(steer);
        Ok(())
    }

    fn endpoint_count(&self) -> usize {
        if self.hook == Hook::Upstream { self.scene.endpoints.len() } else { 0 }
    }

    fn endpoint(&self, index: usize) -> Option<Endpoint<'_>> {
        if self.hook != Hook::Upstream {
            return None;
        }
        let placed = self.scene.endpoints.get(index)?;
        Some(Endpoint {
            address: &placed.address,
            weight: placed.weight,
            in_flight: placed.in_flight,
            latency: placed.latency,
            ready: placed.ready,
        })
    }

    fn prefer(&mut self, order: &[usize]) -> Result<(), Refused> {
        self.allow(self.hook == Hook::Upstream)?;
        if order.is_empty() || order.iter().any(|index| *index >= self.scene.endpoints.len()) {
            return Err(Refused::Unknown);
        }
        self.scene.preferred = Some(order.to_owned());
        Ok(())
    }

    fn piece(&self) -> &[u8] {
        if self.hook.has_piece() { &self.scene.piece } else { &[] }
    }

    fn is_last_piece(&self) -> bool {
        self.hook.has_piece() && self.scene.is_last
    }

    fn set_piece(&mut self, piece: Bytes) -> Result<(), Refused> {
        self.allow(self.hook.has_piece())?;
        self.scene.piece = piece;
        self.scene.held = None;
        Ok(())
    }

    fn hold_piece(&mut self) -> Result<(), Refused> {
        self.allow(self.hook.has_piece() && !self.scene.is_last)?;
        self.scene.held = Some(self.scene.piece.clone());
        Ok(())
    }

    fn inform(&mut self, status: u16, added: &[(&str, &[u8])]) -> Result<(), Refused> {
        self.allow(self.hook.may_inform())?;
        if !(102..200).contains(&status) {
            return Err(Refused::Invalid);
        }
        let mut map = HeaderMap::new();
        for (name, value) in added {
            fields::append(&mut map, *name, value)?;
        }
        self.scene.informed.push((status, map));
        Ok(())
    }

    fn begin(&mut self, operation: Operation) -> Result<OperationId, Refused> {
        if matches!(operation, Operation::Body { .. }) {
            self.allow(self.hook.may_steer())?;
        }
        self.world.begin(operation, &self.scene.request_body).map(OperationId)
    }

    fn poll(
        &mut self,
        operation: OperationId,
        _context: &mut Context<'_>,
    ) -> Poll<Result<Outcome, OperationError>> {
        let Some(under_way) = self.world.under_way.get(&operation.0) else {
            return Poll::Ready(Err(OperationError::Cancelled));
        };
        if under_way.due > self.world.now() {
            self.world.clock.due.fetch_min(under_way.due, Ordering::Relaxed);
            return Poll::Pending;
        }
        let result = self.world.under_way.remove(&operation.0).map(|under_way| under_way.result);
        Poll::Ready(result.unwrap_or(Err(OperationError::Cancelled)))
    }

    fn cancel(&mut self, operation: OperationId) {
        if self.world.under_way.remove(&operation.0).is_some() {
            self.world.given_up += 1;
        }
    }

    fn abandon(&mut self) {
        self.world.given_up += self.world.under_way.len();
        self.world.under_way.clear();
    }

    fn now(&self) -> u64 {
        self.world.now()
    }

    fn log(&self, level: Level, message: &str) {
        self.scene.lines.borrow_mut().push(Line { level, message: message.to_owned() });
    }
}

fn is_token(text: &str) -> bool {
    http::Method::from_bytes(text.as_bytes()).is_ok()
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

fn is_path(text: &str) -> bool {
    is_visible(text) && !text.contains('?')
}
