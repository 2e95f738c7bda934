//! `idempotency`: what a client sends twice with the same key is done once.

mod key;
mod record;
#[cfg(test)]
mod tests;

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{
    Background, Body, BuildError, Counter, Done, Fact, Flow, Level, Operating, Operation,
    OperationError, Outcome, Plugin, Request, Response, Route, Setup, StoreAction, StoreOperation,
    hooks,
};

use crate::share::Places;
use crate::template::Template;
use crate::units::{Size, Time};
use key::{fingerprint, problem, store_key};
use record::{Head, Record};

/// What a client sends twice with the same key is done once (`draft-ietf-httpapi-idempotency-key-header`).
///
/// The first answer is kept, and given again to whoever sends the same request with the same key, for as long as it is kept. While the first
/// is not answered yet, others get 409; the same key with another request gets 422. Answers that say that nothing was done are not kept.
/// Where it is known that the request was carried out, but its answer was lost on the way or is too large, others get 409 and it is not
/// carried out again.
pub(crate) struct Idempotency {
    header: String,
    methods: Vec<String>,
    required: bool,
    scope: Template,
    store: String,
    ttl: Time,
    lock: Time,
    request_limit: usize,
    answer_limit: usize,
    keeps_client_errors: bool,
    places: Places,
    late: Mutex<Vec<Change>>,
    kept: Counter,
    replayed: Counter,
    refused: Counter,
}

/// What a client sends twice with the same key is done once (`draft-ietf-httpapi-idempotency-key-header`).
///
/// The first answer is kept, and given again to whoever sends the same request with the same key, for as long as it is kept. While the first
/// is not answered yet, others get 409; the same key with another request gets 422. Answers that say that nothing was done are not kept.
/// Where it is known that the request was carried out, but its answer was lost on the way or is too large, others get 409 and it is not
/// carried out again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// The header with the key: text of up to 255 characters, in quotes as the draft says, or without as many clients do.
    header: String,
    /// Methods of the requests that it is about.
    methods: Vec<String>,
    /// Whether a request of these methods without a key is refused with 400.
    required: bool,
    /// Whose key it is, with variables: the same key in another scope is another key. It must tell clients apart: with sessions in a cookie,
    /// say `"$host $cookie_session"`.
    scope: String,
    /// The store in which answers are kept.
    store: String,
    /// How long an answer is kept.
    ttl: Time,
    /// How long a request may take: when nothing is known of one for so long, it may be sent again.
    lock: Time,
    /// How large the body of a request may be; one that is larger is refused with 413.
    request_limit: Size,
    /// How large the body of an answer may be that is kept. A store has room for 64 MiB, and what was not asked for longest goes first.
    answer_limit: Size,
    /// Whether answers from 400 to 499 are kept, too; never 401, 403, 408, 409, 421, 425 and 429.
    keep_client_errors: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            header: "idempotency-key".to_owned(),
            methods: vec!["POST".to_owned(), "PATCH".to_owned()],
            required: false,
            scope: "$host $http_authorization".to_owned(),
            store: "idempotency".to_owned(),
            ttl: Time::seconds(86_400),
            lock: Time::seconds(60),
            request_limit: Size(1 << 20),
            answer_limit: Size(64 << 10),
            keep_client_errors: false,
        }
    }
}

/// The request, where it is the first with its key.
#[derive(Default)]
pub(crate) struct State {
    own: Option<Own>,
}

struct Own {
    key: Bytes,
    /// What says in the store that this request is under way.
    mark: Bytes,
    fingerprint: [u8; 32],
    head: Option<Head>,
    /// `None` once there is more of it than is kept.
    body: Option<Vec<u8>>,
}

/// Something to be put into the store where it still says that this request is under way.
struct Change {
    key: Bytes,
    mark: Bytes,
    fingerprint: [u8; 32],
    value: Bytes,
    ttl: Duration,
}

/// Changes that wait for the next tick; beyond that, what is under way is forgotten when its time is up.
const MOST_LATE: usize = 10_000;

/// How often they are made.
const LATE: Duration = Duration::from_millis(100);

/// Clients send bodies as fast as they can; the proxy has its own limits for how slowly.
const LONGEST_BODY: Duration = Duration::from_secs(60);

/// How long it is known that a key is free again: as long as it takes to see it.
const FREED: Duration = Duration::from_secs(1);

#[hooks]
impl Plugin for Idempotency {
    const NAME: &'static str = "idempotency";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    type State = State;

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        options.check()?;
        setup.timeout(LONGEST_BODY);
        setup.every(LATE);
        let size = |size: Size| usize::try_from(size.0).unwrap_or(usize::MAX);
        Ok(Self {
            scope: Template::new("scope", &options.scope, setup)?,
            header: options.header.to_ascii_lowercase(),
            methods: options.methods,
            required: options.required,
            store: options.store,
            ttl: options.ttl,
            lock: options.lock,
            request_limit: size(options.request_limit),
            answer_limit: size(options.answer_limit),
            keeps_client_errors: options.keep_client_errors,
            places: Places::new(""),
            late: Mutex::default(),
            kept: setup.counter("idempotency_kept_total", "Answers that were kept.", &[])?,
            replayed: setup.counter("idempotency_replayed_total", "Answers given again.", &[])?,
            refused: setup.counter(
                "idempotency_refused_total",
                "Requests that were refused for their key.",
                &[],
            )?,
        })
    }

    async fn on_route(&self, state: &mut State, route: &mut Route<'_>) -> Flow {
        let request = route.request_mut();
        let method = request.method().into_owned();
        if !self.methods.contains(&method) {
            return Flow::Continue;
        }
        let key = match key::read(request.header_bytes(&self.header).as_deref()) {
            Ok(Some(key)) => key,
            Ok(None) if !self.required => return Flow::Continue,
            Ok(None) => return self.refuse(400, "a key is missing", "send one with this request"),
            Err(detail) => return self.refuse(400, "this is no key", detail),
        };
        let body = match request.body(self.request_limit).await {
            Ok(body) => body,
            Err(OperationError::TooLarge) => {
                return self.refuse(413, "the request is too large", "it could not be told apart");
            }
            Err(error) => return Flow::fail(format!("the request's body: {error}")),
        };
        let mut scope = Vec::with_capacity(64);
        self.scope.render(request, &mut scope);
        let target = request.view().fact(Fact::Target).unwrap_or_default();
        let fingerprint = fingerprint(&method, &target, &body);
        self.take(store_key(&scope, &key), fingerprint, state, request).await
    }

    async fn on_response(&self, state: &mut State, response: &mut Response<'_>) -> Flow {
        let Some(own) = &mut state.own else { return Flow::Continue };
        if self.is_kept(response.status()) {
            own.head = Some(Head::of(response));
            own.body = Some(Vec::new());
            return Flow::Continue;
        }
        let change = own.change(Bytes::new(), FREED);
        state.own = None;
        self.make(change, response);
        Flow::Continue
    }

    fn on_response_body(&self, state: &mut State, body: &mut Body<'_>) -> Flow {
        let Some(own) = &mut state.own else { return Flow::Continue };
        if let Some(seen) = &mut own.body {
            if seen.len() + body.piece().len() > self.answer_limit {
                own.body = None;
            } else {
                seen.extend_from_slice(body.piece());
            }
        }
        if body.is_last()
            && let Some(own) = state.own.take()
        {
            let change = self.answered(&own);
            self.make(change, body);
        }
        Flow::Continue
    }

    fn on_log(&self, state: &mut State, done: &Done<'_>) {
        let Some(mut own) = state.own.take() else { return };
        // Without a head nobody knows what came of it: the mark stays until its time is up.
        let Some(head) = &own.head else { return };
        let is_whole = done.fact(Fact::Aborted) != "1" && head.has_no_body(own.body.as_deref());
        if !is_whole {
            own.body = None;
        }
        self.make_later(self.answered(&own));
    }

    async fn on_tick(&self, background: &mut Background<'_>) {
        let late = std::mem::take(&mut *self.late.lock());
        for mut change in late {
            let (key, action) = change.swap();
            if background.store(&self.store, key, action).await.is_ok() {
                continue;
            }
            // There is no room for the answer: that there was one is what must not be forgotten.
            change.value = Record::Lost.write(change.fingerprint);
            let (key, action) = change.swap();
            if let Err(error) = background.store(&self.store, key, action).await {
                let message = format!("store `{}`: an answer is not kept: {error}", self.store);
                background.log(Level::Warn, &message);
            }
        }
    }
}

impl Idempotency {
    /// Marks the key as under way, or answers for what is there already.
    async fn take(
        &self,
        key: Bytes,
        fingerprint: [u8; 32],
        state: &mut State,
        request: &mut Request<'_>,
    ) -> Flow {
        let mark = Record::UnderWay { chance: self.places.by_chance() }.write(fingerprint);
        let mut expected = None;
        // What is there may go away between two looks, but not again and again.
        for _ in 0..3 {
            let swap = StoreAction::Swap {
                expected: expected.take(),
                value: mark.clone(),
                ttl: Some(self.lock.0),
            };
            match request.store(&self.store, key.clone(), swap).await {
                Ok(Outcome::Swapped { done: true, .. }) => {
                    state.own = Some(Own { key, mark, fingerprint, head: None, body: None });
                    return Flow::Continue;
                }
                Ok(Outcome::Swapped { now: Some(now), .. }) if now.is_empty() => {
                    expected = Some(now);
                }
                Ok(Outcome::Swapped { now: Some(now), .. }) => {
                    return self.answer(&now, fingerprint);
                }
                Ok(_) => {}
                Err(error) => return Flow::fail(format!("store `{}`: {error}", self.store)),
            }
        }
        Flow::fail(format!("store `{}`: a key comes and goes", self.store))
    }

    /// The answer for what another request has left under the key.
    fn answer(&self, value: &Bytes, fingerprint: [u8; 32]) -> Flow {
        let Some((there, record)) = Record::read(value) else {
            return Flow::fail(format!("store `{}`: not a value of this plugin", self.store));
        };
        if there != fingerprint {
            return self.refuse(
                422,
                "the key was used for another request",
                "use a new key for each request",
            );
        }
        match record {
            Record::Answered(answer) => {
                self.replayed.add(1);
                answer.with_header("idempotency-replayed", "true").into()
            }
            Record::UnderWay { .. } => {
                self.refuse(409, "the request is under way", "ask again when it has been answered")
            }
            Record::Lost => self.refuse(
                409,
                "the request was carried out",
                "its answer was lost or is too large to be kept",
            ),
        }
    }

    fn refuse(&self, status: u16, title: &str, detail: &str) -> Flow {
        self.refused.add(1);
        problem(status, title, detail).into()
    }

    fn is_kept(&self, status: u16) -> bool {
        match status {
            200..=399 => true,
            401 | 403 | 408 | 409 | 421 | 425 | 429 => false,
            400..=499 => self.keeps_client_errors,
            _ => false,
        }
    }

    /// What is known of a request from now on.
    fn answered(&self, own: &Own) -> Change {
        let (record, ttl) = match (&own.head, &own.body) {
            (Some(head), Some(body)) => {
                self.kept.add(1);
                (head.write(own.fingerprint, body), self.ttl.0)
            }
            _ => (Record::Lost.write(own.fingerprint), self.ttl.0),
        };
        own.change(record, ttl)
    }

    /// Changes the store at once, where it can do so without waiting, and soon where it cannot.
    fn make(&self, change: Change, operating: &mut impl Operating) {
        let (key, action) = change.swap();
        let operation = StoreOperation { store: self.store.clone(), key, action };
        let Ok(begun) = operating.begin(Operation::Store(operation)) else {
            return self.make_later(change);
        };
        let polled = operating.border().poll(begun, &mut Context::from_waker(Waker::noop()));
        if !matches!(polled, Poll::Ready(Ok(_))) {
            self.make_later(change);
        }
    }

    fn make_later(&self, change: Change) {
        let mut late = self.late.lock();
        if late.len() < MOST_LATE {
            late.push(change);
        }
    }
}

impl Own {
    fn change(&self, value: Bytes, ttl: Duration) -> Change {
        Change {
            key: self.key.clone(),
            mark: self.mark.clone(),
            fingerprint: self.fingerprint,
            value,
            ttl,
        }
    }
}

impl Change {
    fn swap(&self) -> (Bytes, StoreAction) {
        let action = StoreAction::Swap {
            expected: Some(self.mark.clone()),
            value: self.value.clone(),
            ttl: Some(self.ttl),
        };
        (self.key.clone(), action)
    }
}

impl Options {
    fn check(&self) -> Result<(), BuildError> {
        if http::HeaderName::from_bytes(self.header.as_bytes()).is_err() {
            let message = format!("`{}` is no name of a header", self.header);
            return Err(BuildError::new("header", message));
        }
        if self.methods.is_empty() {
            return Err(BuildError::new("methods", "it is about no request"));
        }
        for (index, method) in self.methods.iter().enumerate() {
            if http::Method::from_bytes(method.as_bytes()).is_err() {
                let message = format!("`{method}` is no method");
                return Err(BuildError::new(format!("methods[{index}]"), message));
            }
        }
        if self.store.is_empty() {
            return Err(BuildError::new("store", "a store has a name"));
        }
        for (key, time) in [("ttl", self.ttl), ("lock", self.lock)] {
            if time.0.is_zero() {
                return Err(BuildError::new(key, "this must not be 0"));
            }
        }
        Ok(())
    }
}

/// A key has characters of ASCII, and what is read as a value of a store is what is written of that.
pub(crate) fn check_bytes(bytes: &[u8]) {
    if let Ok(Some(key)) = key::read(Some(bytes)) {
        assert!(key.iter().all(|byte| (b' '..=b'~').contains(byte)), "{}", bytes.escape_ascii());
    }
    if let Some((fingerprint, record)) = Record::read(&Bytes::copy_from_slice(bytes)) {
        let again = Record::read(&record.write(fingerprint));
        assert_eq!(again, Some((fingerprint, record)), "{}", bytes.escape_ascii());
    }
}
