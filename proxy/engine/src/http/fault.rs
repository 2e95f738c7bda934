//! What went wrong with a request, whose side it was on, and what the client is told.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

/// Why a request cannot be answered as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Fault {
    side: Side,
    kind: Kind,
    reason: Cow<'static, str>,
    /// The methods for `Allow`, if it is about the method.
    allow: Option<Box<str>>,
    /// For `Retry-After`, if it passes.
    retry_after: Option<Duration>,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The client sent it.
    Client,
    /// The upstream, or the way to it.
    Upstream,
    /// The configuration, or this program.
    Us,
}

/// What went wrong; decides the status and the `Proxy-Status` error token (RFC 9209, 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 400.
    BadRequest,
    /// 403.
    Forbidden,
    /// 404: no site or route, or no such file.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 408.
    RequestTimeout,
    /// 413.
    BodyTooLarge,
    /// 414.
    TargetTooLong,
    /// 421: whoever is asked here does not answer for that host.
    Misdirected,
    /// 431.
    HeadersTooLarge,
    /// 505.
    UnknownVersion,
    /// What the configuration says for those whom it does not let in.
    Refused(StatusCode),
    /// 499, only ever seen in logs: the client went away.
    ClientClosed,
    /// 500.
    Internal,
    /// 502: no connection.
    ConnectFailed,
    /// 502: the connection broke, or what came is not HTTP.
    BadAnswer,
    /// 502: certificate refused.
    UpstreamTls,
    /// 502: nobody to ask.
    NoEndpoint,
    /// 503: whoever is to be asked has enough to do, or fails too often.
    Overloaded,
    /// 503: the shard that has the key of the request cannot be reached, or none has it.
    NoShard,
    /// 503: this machine has no port left to connect from.
    NoPort,
    /// 504.
    UpstreamTimeout,
    /// 504: an action of the embedding program did not answer in time.
    ActionTimeout,
    /// 508: re-entered too often.
    TooManyReentries,
}

impl Fault {
    /// The client's fault.
    pub(crate) fn client(kind: Kind, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { side: Side::Client, kind, reason: reason.into(), allow: None, retry_after: None }
    }

    /// The upstream's fault.
    pub(crate) fn upstream(kind: Kind, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { side: Side::Upstream, kind, reason: reason.into(), allow: None, retry_after: None }
    }

    /// Our fault.
    pub(crate) fn ours(kind: Kind, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { side: Side::Us, kind, reason: reason.into(), allow: None, retry_after: None }
    }

    /// A step of our own that failed where it should not.
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        Self::ours(Kind::Internal, error.to_string())
    }

    /// The same, telling which methods are allowed (RFC 9110, 15.5.6).
    pub(crate) fn allowing(self, methods: Box<str>) -> Self {
        Self { allow: Some(methods), ..self }
    }

    /// The same, for what it means here.
    pub(crate) fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// The same, telling when to come back (RFC 9110, 10.2.3).
    pub(crate) fn retrying_after(self, time: Duration) -> Self {
        Self { retry_after: Some(time), ..self }
    }

    /// Whole seconds for `Retry-After`, at least one.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.retry_after.map(|time| time.as_millis().div_ceil(1000).max(1) as u64)
    }

    /// The methods for `Allow`.
    pub(crate) fn allow(&self) -> Option<&str> {
        self.allow.as_deref()
    }

    /// Whose fault it is.
    pub(crate) fn side(&self) -> Side {
        self.side
    }

    /// What went wrong.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// For logs: never sent to a client.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// What the client is told.
    pub(crate) fn status(&self) -> StatusCode {
        self.kind.status()
    }
}

impl Kind {
    /// What the client is told.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UnknownVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Refused(status) => status,
            // nginx's number for it; nothing is sent.
            Self::ClientClosed => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ConnectFailed | Self::BadAnswer | Self::UpstreamTls | Self::NoEndpoint => {
                StatusCode::BAD_GATEWAY
            }
            Self::Overloaded | Self::NoShard | Self::NoPort => StatusCode::SERVICE_UNAVAILABLE,
            Self::UpstreamTimeout | Self::ActionTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::TooManyReentries => StatusCode::LOOP_DETECTED,
        }
    }

    /// The error token of `Proxy-Status`, where the registry has one for it.
    pub(crate) fn proxy_status(self) -> Option<&'static str> {
        match self {
            Self::ConnectFailed => Some("connection_refused"),
            Self::BadAnswer => Some("http_protocol_error"),
            Self::UpstreamTls => Some("tls_certificate_error"),
            Self::NoEndpoint | Self::NoShard => Some("destination_unavailable"),
            Self::Overloaded => Some("connection_limit_reached"),
            Self::UpstreamTimeout | Self::ActionTimeout => Some("http_response_timeout"),
            Self::TooManyReentries => Some("proxy_loop_detected"),
            Self::Internal | Self::NoPort => Some("proxy_internal_error"),
            Self::BadRequest
            | Self::Forbidden
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::RequestTimeout
            | Self::BodyTooLarge
            | Self::TargetTooLong
            | Self::Misdirected
            | Self::HeadersTooLarge
            | Self::UnknownVersion
            | Self::Refused(_)
            | Self::ClientClosed => None,
        }
    }
}
