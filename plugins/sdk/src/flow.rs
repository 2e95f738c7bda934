//! What a hook says: how the request goes on.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// How a request goes on after a hook.
///
/// Small on purpose: what is rare is in a box.
#[derive(Debug, Default)]
#[must_use]
pub enum Flow {
    /// As if nobody had been asked.
    #[default]
    Continue,
    /// With this answer; who comes later in the chain is not asked. From [`on_response`](crate::Plugin::on_response), it takes the place
    /// of the response.
    Answer(Box<Answer>),
    /// The plugin could not do its work. What becomes of the request is for the operator to say: `on_error`.
    Fail(Box<Failure>),
}

impl Flow {
    /// Answers with `status`, no headers and a line of text that says what it means.
    pub fn status(status: u16) -> Self {
        Answer::plain(status).into()
    }

    /// Says that the plugin could not do its work, and why: for the error log, never for the client.
    pub fn fail(message: impl Into<String>) -> Self {
        Failure::new(message).into()
    }

    /// Says what broke the plugin: for the glue of modules. What the plugin remembered of the request is dropped.
    pub fn broken(cause: Cause, message: impl Into<String>) -> Self {
        Failure { cause, ..Failure::new(message) }.into()
    }
}

impl From<Answer> for Flow {
    fn from(answer: Answer) -> Self {
        Self::Answer(Box::new(answer))
    }
}

impl From<Failure> for Flow {
    fn from(failure: Failure) -> Self {
        Self::Fail(Box::new(failure))
    }
}

/// Why a plugin could not do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For the error log.
    pub message: String,
    /// Who says so.
    pub cause: Cause,
}

impl Failure {
    /// Of a plugin that says so itself.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), cause: Cause::Said }
    }
}

/// What made a plugin fail. After all but [`Said`](Self::Said), what it remembered of the request is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The plugin says so itself.
    Said,
    /// It panicked.
    Panic,
    /// Its Wasm code trapped.
    Trap,
    /// It used its processor time up.
    Spin,
    /// It used its memory up.
    Memory,
    /// It did not end in time.
    Timeout,
    /// It waited where the proxy cannot.
    Waited,
    /// It failed too often of late, and is not asked for a while.
    Breaker,
    /// It was broken by this request before, and what it knew of it is lost.
    Lost,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Said,
        Self::Panic,
        Self::Trap,
        Self::Spin,
        Self::Memory,
        Self::Timeout,
        Self::Waited,
        Self::Breaker,
        Self::Lost,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Said => "error",
            Self::Panic => "panic",
            Self::Trap => "trap",
            Self::Spin => "spin",
            Self::Memory => "memory",
            Self::Timeout => "timeout",
            Self::Waited => "waited",
            Self::Breaker => "breaker",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// A response that a plugin makes.
///
/// `Content-Length` and `Date` are the proxy's to say; one that a plugin sets is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// 200 to 599; what is none of these is answered as 500.
    pub status: StatusCode,
    /// In the order in which they were put in.
    pub headers: HeaderMap,
    /// Not sent where the method or the status has none.
    pub body: Bytes,
}

impl Answer {
    /// Only a status.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, ..Self::default() }
    }

    /// A status, and a line of text that says what it means.
    #[must_use]
    pub fn plain(status: u16) -> Self {
        let answer = Self::new(status);
        let reason = answer.status.canonical_reason().unwrap_or("");
        answer
            .with_header("content-type", "text/plain; charset=utf-8")
            .with_body(format!("{reason}\n"))
    }

    /// With one header more. One that HTTP does not allow is left out: check what comes from outside with
    /// [`HeaderValue`]'s own constructors.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_ref())) {
            self.headers.append(name, value);
        }
        self
    }

    /// With this body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}
