//! `X-Accel-Expires`: how long nginx is told to keep a response.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName};

use crate::entry::Times;

/// What a response says in `X-Accel-Expires`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accel {
    /// Not at all: `0`.
    Never,
    /// For so long from when it was received: `60`.
    For(Duration),
    /// Up to then: `@1735689600`.
    Until(SystemTime),
}

impl Accel {
    /// What `headers` say. As with nginx, the first of several fields counts, and one that cannot be read is as if it were not
    /// there.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        match headers.get(ACCEL_EXPIRES)?.as_bytes().trim_ascii() {
            [b'@', moment @ ..] => {
                let since = Duration::from_secs(number(moment)?);
                UNIX_EPOCH.checked_add(since).map(Self::Until)
            }
            seconds => Some(match number(seconds)? {
                0 => Self::Never,
                seconds => Self::For(Duration::from_secs(seconds.min(LONGEST))),
            }),
        }
    }

    /// The time for which a response is fresh that was received then.
    pub(super) fn lifetime(self, times: Times) -> Duration {
        match self {
            Self::Never => Duration::ZERO,
            Self::For(lifetime) => lifetime,
            Self::Until(moment) => moment.duration_since(times.response).unwrap_or_default(),
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    // Neither sign nor blank: what is parsed takes a `+`.
    let are_digits = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| are_digits)?.parse().ok()
}

/// Longer is as good as for ever (RFC 9111, 1.2.2).
const LONGEST: u64 = 1 << 31;

/// The field, which only counts where it is among the [targeted](super::Rules::targeted) ones.
pub(super) const ACCEL_EXPIRES: HeaderName = HeaderName::from_static("x-accel-expires");
