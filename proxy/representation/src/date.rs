//! Dates as HTTP writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use httpdate::HttpDate;

/// How long `Sun, 06 Nov 1994 08:49:37 GMT` is.
const LENGTH: usize = 29;
/// The first second that has no four-digit year.
const END: i64 = 253_402_300_800;

/// A date of the form that HTTP prefers (RFC 9110 section 5.6.7).
#[derive(Clone, Copy, Debug)]
pub struct Date([u8; LENGTH]);

impl Date {
    /// `None` before 1970 and after 9999, which this form cannot say.
    #[must_use]
    pub fn of(seconds: i64) -> Option<Self> {
        let since = u64::try_from(seconds).ok().filter(|_| seconds < END)?;
        let mut text = [0; LENGTH];
        let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(since));
        std::io::Write::write_fmt(&mut text.as_mut_slice(), format_args!("{date}")).ok()?;
        Some(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Day, month, year, and hours with minutes.
    #[must_use]
    pub fn parts(&self) -> [&str; 4] {
        [5..7, 8..11, 12..16, 17..22].map(|part| self.as_str().get(part).unwrap_or_default())
    }
}

/// `Last-Modified`, where a date can say it.
#[must_use]
pub fn last_modified(seconds: i64) -> Option<HeaderValue> {
    HeaderValue::from_str(Date::of(seconds)?.as_str()).ok()
}

/// Seconds since 1970 of any of the three forms.
#[must_use]
pub fn parse(value: &HeaderValue) -> Option<i64> {
    let date: SystemTime = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    i64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_forms_say_the_same() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(&HeaderValue::from_static(text)), Some(784_111_777), "{text}");
        }
        for text in ["", "yesterday", "784111777", "Sun, 06 Nov 1994 08:49:37 CET"] {
            assert_eq!(parse(&HeaderValue::from_static(text)), None, "{text}");
        }
    }

    #[test]
    fn what_no_date_can_say_is_left_unsaid() {
        assert_eq!(Date::of(784_111_777).unwrap().as_str(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(Date::of(784_111_777).unwrap().parts(), ["06", "Nov", "1994", "08:49"]);
        assert_eq!(Date::of(END - 1).unwrap().as_str(), "Fri, 31 Dec 9999 23:59:59 GMT");
        for seconds in [-1, i64::MIN, END, i64::MAX] {
            assert!(Date::of(seconds).is_none(), "{seconds}");
        }
    }
}
