//! Logs: whoever has a line hands it to a bounded queue, and a thread writes it. A slow reader or a full disk loses lines, which
//! are counted; it never slows a request.

mod access;
mod httplog;
mod json;
mod queue;
mod redact;
mod rotate;
mod sink;
mod syslog;
mod trouble;
mod writer;

pub(crate) use access::AccessLog;
pub use json::text as json_text;
pub use queue::Losses;
pub use sink::is_absent;
pub use syslog::Mark;
pub use writer::LogWriter;

pub use crate::http::current_request;

/// The present moment as machines read it: `2026-07-28T14:03:59.123+02:00`.
#[must_use]
pub fn timestamp() -> String {
    crate::clock::iso8601_millis(std::time::SystemTime::now())
}
