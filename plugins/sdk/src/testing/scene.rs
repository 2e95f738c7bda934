//! A request as a test sets it up, and what a plugin has made of it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderMap;

use crate::exchange::{Fact, Level, Map, Value};
use crate::fields;
use crate::module::State;
use crate::steer::Steering;

/// One request, from its first hook to its last: what a plugin is given, and what it has made of that.
///
/// Set up with `with_..`; looked at after a call of [`Harness`](super::Harness).
pub struct Scene {
    pub(super) method: String,
    pub(super) host: String,
    /// As in a request line.
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) request: HeaderMap,
    pub(super) request_trailers: HeaderMap,
    pub(super) request_body: Vec<Bytes>,
    pub(super) status: Option<String>,
    pub(super) response: HeaderMap,
    pub(super) response_trailers: HeaderMap,
    pub(super) response_body: Vec<Bytes>,
    pub(super) facts: BTreeMap<u32, String>,
    pub(super) variables: BTreeMap<String, Vec<u8>>,
    pub(super) endpoints: Vec<Placed>,
    pub(super) steering: Steering,
    pub(super) preferred: Option<Vec<usize>>,
    pub(super) informed: Vec<(u16, HeaderMap)>,
    pub(super) lines: RefCell<Vec<Line>>,
    pub(super) piece: Bytes,
    pub(super) is_last: bool,
    pub(super) held: Option<Bytes>,
    pub(super) sent: Option<HeaderMap>,
    pub(super) sent_body: Vec<u8>,
    /// What the plugin remembers of it.
    pub(super) state: Option<State>,
}

/// An endpoint of a [`Scene`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) address: String,
    pub(super) weight: u32,
    pub(super) in_flight: u32,
    pub(super) latency: u64,
    pub(super) ready: bool,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How important it is.
    pub level: Level,
    /// What it says.
    pub message: String,
}

impl Scene {
    /// A request with `method` for `target` (path and query, as in a request line), to `example.com` from `192.0.2.1`.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let facts = [
            (Fact::Scheme, "https"),
            (Fact::Protocol, "HTTP/1.1"),
            (Fact::ClientAddress, "192.0.2.1"),
            (Fact::RequestId, "0123456789abcdef"),
            (Fact::Site, "main"),
            (Fact::Attempt, "1"),
        ];
        Self {
            method: method.to_owned(),
            host: "example.com".to_owned(),
            path: path.to_owned(),
            query,
            request: HeaderMap::new(),
            request_trailers: HeaderMap::new(),
            request_body: Vec::new(),
            status: None,
            response: HeaderMap::new(),
            response_trailers: HeaderMap::new(),
            response_body: Vec::new(),
            facts: facts.map(|(fact, value)| (fact as u32, value.to_owned())).into(),
            variables: BTreeMap::new(),
            endpoints: Vec::new(),
            steering: Steering::default(),
            preferred: None,
            informed: Vec::new(),
            lines: RefCell::default(),
            piece: Bytes::new(),
            is_last: false,
            held: None,
            sent: None,
            sent_body: Vec::new(),
            state: None,
        }
    }

    /// GET `target`.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// POST `body` to `target`.
    #[must_use]
    pub fn post(target: &str, body: impl Into<Bytes>) -> Self {
        Self::new("POST", target).with_body([body.into()])
    }

    /// With one header more; one that HTTP does not allow, or that is the proxy's to say, is left out.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let _ = fields::append(&mut self.request, name, value.as_ref());
        self
    }

    /// With a body that comes in these pieces.
    #[must_use]
    pub fn with_body<P: Into<Bytes>>(mut self, pieces: impl IntoIterator<Item = P>) -> Self {
        self.request_body = pieces.into_iter().map(Into::into).collect();
        self
    }

    /// With something else that is known: also what has a value anyway.
    #[must_use]
    pub fn with_fact(mut self, fact: Fact, value: &str) -> Self {
        self.facts.insert(fact as u32, value.to_owned());
        self
    }

    /// From that address.
    #[must_use]
    pub fn with_client(self, address: &str) -> Self {
        self.with_fact(Fact::ClientAddress, address)
    }

    /// To that host.
    #[must_use]
    pub fn with_host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// With a variable (without `$`).
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.variables.insert(name.to_owned(), value.as_ref().to_owned());
        self
    }

    /// With one endpoint more that may be asked.
    #[must_use]
    pub fn with_endpoint(mut self, address: &str) -> Self {
        let address = address.to_owned();
        self.endpoints.push(Placed { address, weight: 1, in_flight: 0, latency: 0, ready: true });
        self
    }

    /// With a response that has `status`: of the endpoint, or of whoever answers.
    #[must_use]
    pub fn with_response(mut self, status: u16) -> Self {
        self.status = Some(status.to_string());
        self
    }

    /// With one header more in the response.
    #[must_use]
    pub fn with_response_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let _ = fields::append(&mut self.response, name, value.as_ref());
        self
    }

    /// With a response whose body comes in these pieces.
    #[must_use]
    pub fn with_response_body<P: Into<Bytes>>(
        mut self,
        pieces: impl IntoIterator<Item = P>,
    ) -> Self {
        self.response_body = pieces.into_iter().map(Into::into).collect();
        self
    }

    /// A header of the request, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.get(name)?.to_str().ok()
    }

    /// A header of the response, if it is text.
    #[must_use]
    pub fn response_header(&self, name: &str) -> Option<&str> {
        self.response.get(name)?.to_str().ok()
    }

    /// The fields of a list.
    #[must_use]
    pub fn fields(&self, map: Map) -> &HeaderMap {
        match map {
            Map::RequestHeaders => &self.request,
            Map::RequestTrailers => &self.request_trailers,
            Map::ResponseHeaders => &self.response,
            Map::ResponseTrailers => &self.response_trailers,
        }
    }

    pub(super) fn fields_mut(&mut self, map: Map) -> &mut HeaderMap {
        match map {
            Map::RequestHeaders => &mut self.request,
            Map::RequestTrailers => &mut self.request_trailers,
            Map::ResponseHeaders => &mut self.response,
            Map::ResponseTrailers => &mut self.response_trailers,
        }
    }

    /// The headers that went to the endpoint: after a whole [`request`](super::Harness::request).
    #[must_use]
    pub fn sent(&self) -> Option<&HeaderMap> {
        self.sent.as_ref()
    }

    /// The body that went to the endpoint: after a whole [`request`](super::Harness::request).
    #[must_use]
    pub fn sent_body(&self) -> &[u8] {
        &self.sent_body
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Path and query, as in a request line.
    #[must_use]
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// The status of the response; 0 if there is none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status.as_deref().and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// A variable (without `$`).
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&[u8]> {
        self.variables.get(name).map(Vec::as_slice)
    }

    /// Where the request was sent.
    #[must_use]
    pub fn steering(&self) -> &Steering {
        &self.steering
    }

    /// Whom to ask, by index; `None` if that was left to the balancer.
    #[must_use]
    pub fn preferred(&self) -> Option<&[usize]> {
        self.preferred.as_deref()
    }

    /// The interim responses that were sent.
    #[must_use]
    pub fn informed(&self) -> &[(u16, HeaderMap)] {
        &self.informed
    }

    /// The piece of the body as it is after the last hook; `None` while it waits for the next one.
    #[must_use]
    pub fn piece(&self) -> Option<&Bytes> {
        self.held.is_none().then_some(&self.piece)
    }

    /// What was written to the log.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.lines.borrow().clone()
    }

    pub(super) fn fact(&self, fact: Fact) -> Option<Value<'_>> {
        let text = match fact {
            Fact::Method => &self.method,
            Fact::Host => &self.host,
            Fact::Query => self.query.as_ref()?,
            Fact::Status => self.status.as_ref()?,
            Fact::Path => return Some(decoded(&self.path)),
            Fact::Target => return Some(Cow::Owned(self.target().into_bytes())),
            other => self.facts.get(&(other as u32))?,
        };
        Some(Cow::Borrowed(text.as_bytes()))
    }
}

/// Escapes of a path resolved; dot segments are left as they are, which the proxy never does.
fn decoded(path: &str) -> Value<'_> {
    if !path.contains('%') {
        return Cow::Borrowed(path.as_bytes());
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        let escaped = match others {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                rest = others.get(2..).unwrap_or_default();
            }
            None => decoded.push(*first),
        }
    }
    Cow::Owned(decoded)
}

fn digit(letter: u8) -> Option<u8> {
    char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
