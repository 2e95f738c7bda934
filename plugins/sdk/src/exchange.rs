//! The border between a plugin and what runs it: one object-safe trait, which the proxy, the harness for tests and the glue of modules
//! implement. Plugins use what is made of it: [`Request`](crate::Request), [`Response`](crate::Response) and their kin.

use std::borrow::Cow;
use std::fmt;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::operation::{Operation, OperationError, OperationId, Outcome};
use crate::steer::Steer;

/// Bytes that are borrowed where they can be: those of a Wasm module are copies.
pub type Value<'a> = Cow<'a, [u8]>;

/// The name of a field.
#[derive(Clone, Copy, Debug)]
pub enum FieldName<'a> {
    /// As text, in any case.
    Text(&'a str),
    /// As a name that was made before, in [`build`](crate::Plugin::build) or as a constant: the fastest way, as nothing is to be read.
    Made(&'a HeaderName),
}

impl<'a> FieldName<'a> {
    /// The text: of one that was made, in lower case.
    #[must_use]
    #[inline]
    pub fn as_str(self) -> &'a str {
        match self {
            Self::Text(text) => text,
            Self::Made(name) => name.as_str(),
        }
    }
}

impl<'a> From<&'a str> for FieldName<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for FieldName<'a> {
    #[inline]
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a HeaderName> for FieldName<'a> {
    #[inline]
    fn from(name: &'a HeaderName) -> Self {
        Self::Made(name)
    }
}

/// A list of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Map {
    /// Headers of the request. In [`Hook::UpstreamRequest`](crate::Hook), as they go to the endpoint.
    RequestHeaders = 0,
    /// Trailers of the request.
    RequestTrailers = 1,
    /// Headers of the response, from [`Hook::UpstreamResponse`](crate::Hook) on.
    ResponseHeaders = 2,
    /// Trailers of the response.
    ResponseTrailers = 3,
}

/// What is known of a request beside its fields. The numbers are those of the C interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Fact {
    /// `GET`
    Method = 0,
    /// `http` or `https`, as the client sees it.
    Scheme = 1,
    /// The host that is asked for, in lower case, without the port.
    Host = 2,
    /// The normalised path, decoded once; what routes were matched by.
    Path = 3,
    /// Behind `?`, as it was sent; absent where there is no `?`.
    Query = 4,
    /// The path and query as they were sent.
    Target = 5,
    /// `HTTP/1.1`, `HTTP/2.0`
    Protocol = 6,
    /// The address of the client, without its port, behind trusted proxies.
    ClientAddress = 7,
    /// The request's id, as in logs.
    RequestId = 8,
    /// Name of the site.
    Site = 9,
    /// Name of the route, where it has one.
    Route = 10,
    /// Name of the upstream that is asked, or would be.
    Upstream = 11,
    /// Name of the shard.
    Shard = 12,
    /// Address of the endpoint of the try at hand.
    Endpoint = 13,
    /// Number of the try at hand, in digits, from 1.
    Attempt = 14,
    /// Status of the response, three digits.
    Status = 15,
    /// What the cache did: `hit`, `miss`, as in the log.
    CacheStatus = 16,
    /// Bytes of the body that were sent to the client, in digits; when the request has ended.
    BytesSent = 17,
    /// Nanoseconds since the request began, in digits.
    Elapsed = 18,
    /// `1` when the connection broke before all of the response was sent.
    Aborted = 19,
    /// The name by which the plugin is configured.
    Plugin = 20,
}

/// The part of a request's target that a plugin changes; routes are looked for anew after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Part {
    /// The method.
    Method = 0,
    /// The host.
    Host = 1,
    /// The path, encoded as in a request line; dot segments are resolved.
    Path = 2,
    /// The query without `?`; empty removes it.
    Query = 3,
}

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Level {
    /// What only developers want to see.
    Trace = 0,
    /// What helps to find a mistake.
    Debug = 1,
    /// What an operator may want to know.
    Info = 2,
    /// What somebody should look at.
    Warn = 3,
    /// What keeps the plugin from its work.
    Error = 4,
}

/// Why something that a plugin wanted was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Refused {
    /// Not in this hook: response headers before there is a response, the route after it was taken.
    NotNow = -1,
    /// HTTP does not allow that name or value, or the proxy keeps it to itself (`Content-Length`, `Connection`).
    Invalid = -2,
    /// Nothing has that name: an upstream, a site, a variable.
    Unknown = -3,
    /// There is no room for more.
    Full = -4,
    /// Whoever runs the plugin has nothing of the kind.
    Unsupported = -5,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotNow => "not possible in this hook",
            Self::Invalid => "a name or value that is not allowed there",
            Self::Unknown => "nothing has that name",
            Self::Full => "no room for more",
            Self::Unsupported => "not supported by what runs this plugin",
        })
    }
}

impl std::error::Error for Refused {}

/// An endpoint that may be asked, as [`Hook::Upstream`](crate::Hook) sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Endpoint<'a> {
    /// `10.0.0.1:8080` or `unix:/run/app.sock`
    pub address: &'a str,
    /// Its share, as it is configured.
    pub weight: u32,
    /// Requests that it has in hand.
    pub in_flight: u32,
    /// Its latency, in nanoseconds: the average that the balancer keeps; 0 while unknown.
    pub latency: u64,
    /// Whether it is in the first tier, healthy and not full: whether the balancer would ask it.
    pub ready: bool,
}

/// One request, as a plugin may read and change it while a hook runs.
///
/// Every method is cheap, and none blocks. What makes no sense in the hook at hand is `None`, empty, or [`Refused::NotNow`].
pub trait Exchange: Send {
    /// The plugin of that number in its chain is asked next: whose name lines of the log and [`Fact::Plugin`] have from now on. Said by
    /// what runs chains, never by plugins.
    fn enter(&mut self, plugin: u32) {
        let _ = plugin;
    }

    /// Gives up every operation that is under way: the plugin which began them has failed. Said by what runs chains.
    fn abandon(&mut self) {}

    /// The first value of `name`.
    fn field(&self, map: Map, name: FieldName<'_>) -> Option<Value<'_>>;

    /// All fields, in order; names in lower case.
    fn fields(&self, map: Map, visit: &mut dyn FnMut(&str, &[u8]));

    /// Has `value` take the place of all values of `name`.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`], [`Refused::NotNow`]
    fn set_field(&mut self, map: Map, name: FieldName<'_>, value: &[u8]) -> Result<(), Refused>;

    /// The same with a value that was made before: where it can be, neither checked nor copied once more.
    ///
    /// # Errors
    ///
    /// As [`set_field`](Self::set_field).
    fn set_value(
        &mut self,
        map: Map,
        name: FieldName<'_>,
        value: &HeaderValue,
    ) -> Result<(), Refused> {
        self.set_field(map, name, value.as_bytes())
    }

    /// Adds one value to those of `name`.
    ///
    /// # Errors
    ///
    /// As [`set_field`](Self::set_field).
    fn append_field(&mut self, map: Map, name: FieldName<'_>, value: &[u8]) -> Result<(), Refused>;

    /// Removes all values of `name`.
    ///
    /// # Errors
    ///
    /// As [`set_field`](Self::set_field).
    fn remove_field(&mut self, map: Map, name: FieldName<'_>) -> Result<(), Refused>;

    /// What is known beside the fields.
    fn fact(&self, fact: Fact) -> Option<Value<'_>>;

    /// A variable of the configuration, without `$`, or one that a plugin has set.
    fn variable(&self, name: &str) -> Option<Value<'_>>;

    /// Sets a variable of the request, for later plugins, templates and logs: `$plugin_NAME`, of small letters, digits and underscores. `name` is
    /// that with `plugin_`, or without.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`] for what is no such name, and for one of the proxy's own (`host`) that is written without `plugin_`;
    /// [`Refused::Full`]
    fn set_variable(&mut self, name: &str, value: &[u8]) -> Result<(), Refused>;

    /// Changes the target. Routes are looked for anew when the chain has ended.
    ///
    /// # Errors
    ///
    /// [`Refused::NotNow`] outside [`Hook::Request`](crate::Hook) and [`Hook::UpstreamRequest`](crate::Hook) (where only what is sent changes),
    /// [`Refused::Invalid`]
    fn set_part(&mut self, part: Part, value: &str) -> Result<(), Refused>;

    /// Changes the status of the response.
    ///
    /// # Errors
    ///
    /// [`Refused::NotNow`] where there is no response head, [`Refused::Invalid`]
    fn set_status(&mut self, status: u16) -> Result<(), Refused>;

    /// Decides where the request goes.
    ///
    /// # Errors
    ///
    /// [`Refused::NotNow`] outside [`Hook::Request`](crate::Hook) and [`Hook::Route`](crate::Hook), [`Refused::Unknown`]
    fn steer(&mut self, steer: Steer<'_>) -> Result<(), Refused>;

    /// How many endpoints may be asked, in [`Hook::Upstream`](crate::Hook).
    fn endpoint_count(&self) -> usize;

    /// One of them.
    fn endpoint(&self, index: usize) -> Option<Endpoint<'_>>;

    /// Whom to ask, by index, in that order: the first that can be asked is. Who is not listed is not asked. Without a call, the balancer
    /// chooses.
    ///
    /// # Errors
    ///
    /// [`Refused::NotNow`], [`Refused::Unknown`] for an index that is none, or an empty order
    fn prefer(&mut self, order: &[usize]) -> Result<(), Refused>;

    /// The piece of the body at hand.
    fn piece(&self) -> &[u8];

    /// Whether it is the last one.
    fn is_last_piece(&self) -> bool;

    /// Sends `piece` instead of it.
    ///
    /// # Errors
    ///
    /// [`Refused::NotNow`] outside the hooks of bodies
    fn set_piece(&mut self, piece: Bytes) -> Result<(), Refused>;

    /// Has the piece at hand wait for the next one, which begins with it then. The last piece cannot wait.
    ///
    /// # Errors
    ///
    /// [`Refused::NotNow`], [`Refused::Full`] when more waits than the proxy keeps
    fn hold_piece(&mut self) -> Result<(), Refused>;

    /// Sends an interim response (103 Early Hints) at once.
    ///
    /// # Errors
    ///
    /// [`Refused::NotNow`] once a head was sent, [`Refused::Unsupported`] for a client that knows none
    fn inform(&mut self, status: u16, fields: &[(&str, &[u8])]) -> Result<(), Refused>;

    /// Begins an operation of the host. Nobody waits before [`poll`](Self::poll).
    ///
    /// # Errors
    ///
    /// [`Refused::Unknown`] upstream, [`Refused::Full`]: too many at once, [`Refused::Unsupported`]
    fn begin(&mut self, operation: Operation) -> Result<OperationId, Refused>;

    /// What came of an operation, once; `context` is woken when there is something to see.
    fn poll(
        &mut self,
        operation: OperationId,
        context: &mut Context<'_>,
    ) -> Poll<Result<Outcome, OperationError>>;

    /// Ends an operation that nobody waits for any more. One that is not known is none of anybody's business.
    fn cancel(&mut self, operation: OperationId);

    /// Nanoseconds since 1970.
    fn now(&self) -> u64;

    /// Writes a line to the error log, with the plugin's name and the request's id.
    fn log(&self, level: Level, message: &str);
}
