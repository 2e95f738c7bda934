//! Actions of the embedding program: what makes the answer where neither an upstream nor the configuration does.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};

use crate::http::action::{Body, Seen};

/// What makes the answer of a route with `action = "NAME"`.
///
/// It runs on a worker thread beside other requests: it may wait, but must not block. A panic is answered with 500 and
/// ends nothing else.
#[async_trait]
pub trait Action: Send + Sync + 'static {
    /// The answer to `request`.
    ///
    /// The route's header rules, error routes and logs apply to it as to every other answer. `Content-Length` is computed,
    /// and what concerns the client's connection alone (`Connection`, `Transfer-Encoding`) is left out.
    async fn answer(&self, request: &Request<'_>) -> Response;

    /// The longest that [`answer`](Self::answer) may take, the reading of the body included; at most a day. Then the client
    /// is told 504. Asked once, when the action is registered.
    fn deadline(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// The answer of an [`Action`].
pub type Response = http::Response<Bytes>;

/// A request, as an [`Action`] sees it.
pub struct Request<'r> {
    seen: Seen<'r>,
    body: Body<'r>,
}

impl<'r> Request<'r> {
    pub(crate) fn new(seen: Seen<'r>, body: Body<'r>) -> Self {
        Self { seen, body }
    }

    /// What became of reading the body.
    pub(crate) fn into_body(self) -> Body<'r> {
        self.body
    }

    /// Its method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.seen.method
    }

    /// Its target as received: the path is not normalised, see [`Request::path`].
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.seen.uri
    }

    /// Its headers. What an untrusted client says of its way to us (`X-Forwarded-*`) has been taken out.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.seen.headers
    }

    /// The host asked for: lower-case, without port; empty when the client named none.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.seen.request.host
    }

    /// The normalised path: decoded, without `.` and `..`; that by which the route was chosen.
    #[must_use]
    pub fn path(&self) -> &str {
        self.seen.request.path.as_str()
    }

    /// What the route's path pattern captured under this name: `id` of `/users/{id}`.
    #[must_use]
    pub fn capture(&self, name: &str) -> Option<&str> {
        let index = self.seen.capture_names.iter().position(|own| &**own == name)?;
        self.seen.captures.get(self.path(), u8::try_from(index).ok()?)
    }

    /// The client, after trusted proxies were taken into account; `None` on a Unix socket.
    #[must_use]
    pub fn client(&self) -> Option<IpAddr> {
        self.seen.request.client
    }

    /// Its id, as logs and error pages say it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.seen.request.id
    }

    /// The whole body, read when first asked for. No longer than the route's `body_limit`.
    ///
    /// # Errors
    /// It is too long, or the client did not send all of it. The client is then told so, whatever the action answers.
    pub async fn body(&self) -> Result<Bytes, BodyError> {
        self.body.read().await
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", self.method())
            .field("uri", self.uri())
            .finish_non_exhaustive()
    }
}

/// Why a request body cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("request body: {0}")]
pub struct BodyError(pub(crate) Arc<str>);

/// The actions of a program, by name.
#[derive(Clone, Default)]
pub struct Actions(BTreeMap<Box<str>, Registered>);

/// An action with what it said of itself.
#[derive(Clone)]
pub(crate) struct Registered {
    pub(crate) action: Arc<dyn Action>,
    pub(crate) deadline: Duration,
}

/// Every wait ends.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl Actions {
    /// Adds one, in place of another of the same name.
    pub fn insert(&mut self, name: &str, action: impl Action) {
        let deadline = action.deadline().min(LONGEST);
        self.0.insert(name.into(), Registered { action: Arc::new(action), deadline });
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Registered> {
        self.0.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
