//! What a plugin may ask the host for and await.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

/// The number of an operation that was begun; only of use with the exchange that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OperationId(pub u32);

/// What the host is asked to do.
#[non_exhaustive]
pub enum Operation {
    /// A request to a configured upstream: its balancing, health and TLS apply; plugins do not.
    Http(Box<HttpRequest>),
    /// To wait.
    Sleep(Duration),
    /// To read or change what plugins keep. Also where nobody can wait: it is there at once.
    Store(StoreOperation),
    /// All of the request's body, up to so many bytes; it is sent on as if nobody had read it. Only in [`Hook::Request`](crate::Hook)
    /// and [`Hook::Route`](crate::Hook).
    Body {
        /// How many bytes at most.
        limit: usize,
    },
    /// Work that takes long (more than some 100 us), done by a thread beside the way. In Wasm it is done at once.
    Blocking(Box<dyn FnOnce() + Send>),
    /// The addresses of a name: none if there is no such name.
    Resolve(String),
    /// The names of an address: none if nobody has named it.
    ResolveAddress(std::net::IpAddr),
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(request) => f.debug_tuple("Http").field(request).finish(),
            Self::Sleep(time) => f.debug_tuple("Sleep").field(time).finish(),
            Self::Store(operation) => f.debug_tuple("Store").field(operation).finish(),
            Self::Body { limit } => f.debug_struct("Body").field("limit", limit).finish(),
            Self::Blocking(_) => f.write_str("Blocking"),
            Self::Resolve(name) => f.debug_tuple("Resolve").field(name).finish(),
            Self::ResolveAddress(address) => {
                f.debug_tuple("ResolveAddress").field(address).finish()
            }
        }
    }
}

/// A request of the plugin's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// Name of the upstream.
    pub upstream: String,
    /// GET unless said otherwise.
    pub method: Method,
    /// Path and query, encoded as in a request line.
    pub target: String,
    /// `Host` where it is not to be that of the upstream's configuration; `Content-Length` is the proxy's to say.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How long all of it may take; never longer than the plugin's own time-out.
    pub timeout: Option<Duration>,
    /// How many bytes of the response's body are taken: more is an error. 1 MiB unless said otherwise.
    pub body_limit: usize,
    /// What finds the shard, where the upstream has shards.
    pub shard_key: Option<Bytes>,
}

impl HttpRequest {
    /// GET `target` from the upstream of that name.
    #[must_use]
    pub fn get(upstream: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            upstream: upstream.into(),
            method: Method::GET,
            target: target.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: None,
            body_limit: 1 << 20,
            shard_key: None,
        }
    }

    /// POST `body` to `target` of the upstream of that name.
    #[must_use]
    pub fn post(
        upstream: impl Into<String>,
        target: impl Into<String>,
        body: impl Into<Bytes>,
    ) -> Self {
        Self { method: Method::POST, body: body.into(), ..Self::get(upstream, target) }
    }

    /// With one header more; one that HTTP does not allow is left out.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = http::HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(value.as_ref())) {
            self.headers.append(name, value);
        }
        self
    }

    /// With a limit of its own for all of it.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// The response to a request of the plugin's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// All of its body.
    pub body: Bytes,
}

/// Something to do with what plugins keep: by name of a store, then by key. A store has a bound; what was not asked for longest goes
/// first. It outlives reloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOperation {
    /// Name of the store: plugins that name the same one share it.
    pub store: String,
    /// The key.
    pub key: Bytes,
    /// What to do.
    pub action: StoreAction,
}

/// What to do with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreAction {
    /// Gives its value.
    Get,
    /// Puts a value there, for that long.
    Put {
        /// The value.
        value: Bytes,
        /// Until it is forgotten; as long as there is room if absent.
        ttl: Option<Duration>,
    },
    /// Puts a value there if what is there is as `expected` (absent: nothing), and gives what is there after.
    Swap {
        /// What must be there.
        expected: Option<Bytes>,
        /// The value.
        value: Bytes,
        /// Until it is forgotten.
        ttl: Option<Duration>,
    },
    /// Adds to a number in digits (0 if there is none), and gives the sum. `ttl` is that of a number that was not there.
    Add {
        /// What to add.
        delta: i64,
        /// Until it is forgotten.
        ttl: Option<Duration>,
    },
    /// Forgets it.
    Remove,
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Of [`Operation::Sleep`] and [`Operation::Blocking`], and of a store when there is nothing to give.
    Done,
    /// Of [`Operation::Http`].
    Http(Box<HttpResponse>),
    /// Of [`Operation::Store`], and of [`Operation::Body`].
    Value(Bytes),
    /// Of [`StoreAction::Swap`]: whether the value was put there, and what is there now.
    Swapped {
        /// Whether it was.
        done: bool,
        /// What is there now.
        now: Option<Bytes>,
    },
    /// Of [`Operation::Resolve`].
    Addresses(Vec<std::net::IpAddr>),
    /// Of [`Operation::ResolveAddress`].
    Names(Vec<String>),
}

/// Why an operation came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum OperationError {
    /// Its time was up.
    Timeout = -10,
    /// The upstream could not be reached, or broke off.
    Failed = -11,
    /// More bytes than were to be taken.
    TooLarge = -12,
    /// It could not be begun: see [`Refused`](crate::Refused).
    Refused = -13,
    /// It was given up: the client is gone, or the plugin did not wait.
    Cancelled = -14,
}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "no answer in time",
            Self::Failed => "could not be reached, or broke off",
            Self::TooLarge => "the answer is larger than its limit",
            Self::Refused => "could not be begun",
            Self::Cancelled => "given up",
        })
    }
}

impl std::error::Error for OperationError {}
