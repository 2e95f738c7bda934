//! What most hooks are given: the request.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;
use http::HeaderValue;

use super::{Operating as _, text};
use crate::exchange::{Exchange, Fact, FieldName, Map, Part, Refused, Value};
use crate::operation::{Operation, OperationError, Outcome};
use crate::steer::Steer;

/// The request.
pub struct Request<'a> {
    pub(super) exchange: &'a mut (dyn Exchange + 'a),
}

impl<'a> Request<'a> {
    pub(crate) fn new(exchange: &'a mut (dyn Exchange + 'a)) -> Self {
        Self { exchange }
    }

    header_methods!(exchange, Map::RequestHeaders);

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

fn value(outcome: Outcome) -> Result<Bytes, OperationError> {
    match outcome {
        Outcome::Value(value) => Ok(value),
        _ => Err(OperationError::Failed),
    }
}
