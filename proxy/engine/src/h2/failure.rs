//! Errors of the `h2` crate in Pingora's terms.

use std::io::ErrorKind;

use h2::Reason;
use pingora_error::ErrorType::{
    H2Downgrade, H2Error, InvalidH2, ReadError, ReadTimedout, WriteError, WriteTimedout,
};
use pingora_error::{Error, ErrorType, RetryType};

use super::outflow::Refusal;

/// The origin has refused the stream before it did anything with it: the one failure after which every request may be
/// sent again, whatever its method (RFC 9113 section 8.7).
pub const REFUSED_STREAM: ErrorType = ErrorType::new("RefusedStream");

/// A failure of the origin before its response began. Says whether the request may be sent again.
///
/// GOAWAY is retryable, but not as [`REFUSED_STREAM`]: `h2` reports streams above the last id and streams cut off by
/// the end of the connection alike, so the origin may have acted on it.
pub(super) fn before_response(cause: h2::Error) -> Box<Error> {
    let (etype, retry) = if cause.is_remote()
        && cause.is_reset()
        && cause.reason() == Some(Reason::REFUSED_STREAM)
    {
        (REFUSED_STREAM, RetryType::Decided(true))
    } else if cause.is_remote() && cause.reason() == Some(Reason::HTTP_1_1_REQUIRED) {
        (H2Downgrade, RetryType::Decided(false))
    } else if cause.is_remote() && cause.is_go_away() {
        (H2Error, RetryType::Decided(cause.reason() == Some(Reason::NO_ERROR)))
    } else if cause.is_library() && cause.is_go_away() {
        (InvalidH2, RetryType::Decided(false))
    } else if cause.get_io().is_some_and(|io| is_lost_connection(io.kind())) {
        // A pooled connection that the origin closed at this very moment.
        (ReadError, RetryType::ReusedOnly)
    } else {
        (H2Error, RetryType::Decided(false))
    };
    let mut error = Error::because(etype, "before the origin's response", cause);
    error.retry = retry;
    error.into_up()
}

/// A failure of the origin after its response began.
pub(super) fn within_response(cause: h2::Error) -> Box<Error> {
    let etype = if cause.is_io() { ReadError } else { H2Error };
    Error::because(etype, "within the origin's response", cause).into_up()
}

/// A failure of the client.
pub(super) fn downstream(etype: ErrorType, doing: &'static str, cause: h2::Error) -> Box<Error> {
    Error::because(etype, doing, cause).into_down()
}

/// The origin speaks another protocol than it agreed to.
pub(super) fn invalid_response(what: &'static str) -> Box<Error> {
    Error::explain(InvalidH2, what).into_up()
}

/// The client would not take the response.
pub(super) fn response_refused(refusal: Refusal) -> Box<Error> {
    match refusal {
        Refusal::Closed => Error::explain(WriteError, "the client closed its stream").into_down(),
        Refusal::TimedOut => {
            Error::explain(WriteTimedout, "the client opened no window for the response")
                .into_down()
        }
    }
}

/// The origin would not take the request.
pub(super) fn request_stalled() -> Box<Error> {
    Error::explain(WriteTimedout, "the origin opened no window for the request").into_up()
}

/// The client sent nothing.
pub(super) fn request_overdue() -> Box<Error> {
    Error::explain(ReadTimedout, "the client sent nothing of its request body").into_down()
}

/// The origin sent nothing.
pub(super) fn response_overdue(doing: &'static str) -> Box<Error> {
    Error::explain(ReadTimedout, doing).into_up()
}

fn is_lost_connection(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::TimedOut
            | ErrorKind::BrokenPipe
    )
}
