//! Dates (RFC 9110, 5.6.7).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A date in one of the three forms, in any case; `now` decides on the century of two-digit years.
///
/// What is not quite of these forms is no date: another time zone, one digit where there should be two, a blank too many. The
/// name of the day may be the wrong one.
#[must_use]
pub fn http_date(text: &[u8], now: SystemTime) -> Option<SystemTime> {
    let mut text = Text(text);
    let day_name = text.letters();
    match day_name.len() {
        3 if is_one_of(day_name, &DAYS, 3) => text.fixdate().or_else(|| text.asctime()),
        _ if is_one_of(day_name, &DAYS, usize::MAX) => text.rfc850(now),
        _ => None,
    }
}

/// What is left to read; each step takes something off the front.
#[derive(Clone, Copy)]
struct Text<'t>(&'t [u8]);

/// Midnight of a day, and the seconds since.
type Day = (i64, i64, i64);

impl<'t> Text<'t> {
    /// `, 06 Nov 1994 08:49:37 GMT`, after the name of the day.
    fn fixdate(mut self) -> Option<SystemTime> {
        self.is(b", ")?;
        let day = self.digits(2)?;
        self.is(b" ")?;
        let month = self.month()?;
        self.is(b" ")?;
        let year = self.digits(4)?;
        self.is(b" ")?;
        let seconds = self.time()?;
        self.is(b" gmt")?;
        self.0.is_empty().then(|| moment((year, month, day), seconds))?
    }

    /// `, 06-Nov-94 08:49:37 GMT`: a year that would be more than 50 years from now is one of the century before.
    fn rfc850(mut self, now: SystemTime) -> Option<SystemTime> {
        self.is(b", ")?;
        let day = self.digits(2)?;
        self.is(b"-")?;
        let month = self.month()?;
        self.is(b"-")?;
        let short = self.digits(2)?;
        self.is(b" ")?;
        let seconds = self.time()?;
        self.is(b" gmt")?;
        if !self.0.is_empty() {
            return None;
        }
        let this = year_of(now);
        let year = this - this.rem_euclid(100) + short;
        let year = if year > this + 50 { year - 100 } else { year };
        moment((year, month, day), seconds)
    }

    /// ` Nov  6 08:49:37 1994`, after the name of the day.
    fn asctime(mut self) -> Option<SystemTime> {
        self.is(b" ")?;
        let month = self.month()?;
        self.is(b" ")?;
        let day = if self.is(b" ").is_some() { self.digits(1)? } else { self.digits(2)? };
        self.is(b" ")?;
        let seconds = self.time()?;
        self.is(b" ")?;
        let year = self.digits(4)?;
        self.0.is_empty().then(|| moment((year, month, day), seconds))?
    }

    /// `08:49:37`, as seconds; a leap second is one.
    fn time(&mut self) -> Option<i64> {
        let hour = self.digits(2)?;
        self.is(b":")?;
        let minute = self.digits(2)?;
        self.is(b":")?;
        let second = self.digits(2)?;
        (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
    }

    fn month(&mut self) -> Option<i64> {
        let name = self.letters();
        let at = MONTHS.iter().position(|month| name.eq_ignore_ascii_case(month.as_bytes()))?;
        i64::try_from(at + 1).ok()
    }

    fn letters(&mut self) -> &'t [u8] {
        let end = self.0.iter().position(|byte| !byte.is_ascii_alphabetic());
        let (letters, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        letters
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let mut number = 0;
        for digit in digits {
            number = number * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        }
        self.0 = rest;
        Some(number)
    }

    /// Takes `expected`, written in lower case, off the front.
    fn is(&mut self, expected: &[u8]) -> Option<()> {
        let (front, rest) = self.0.split_at_checked(expected.len())?;
        front.eq_ignore_ascii_case(expected).then(|| self.0 = rest)
    }
}

fn is_one_of(word: &[u8], names: &[&str], length: usize) -> bool {
    names.iter().any(|name| {
        let name = name.as_bytes();
        word.eq_ignore_ascii_case(name.get(..length).unwrap_or(name))
    })
}

fn moment((year, month, day): Day, seconds: i64) -> Option<SystemTime> {
    if day < 1 || day > days_of(year, month) {
        return None;
    }
    let seconds = days_since_epoch(year, month, day) * 86_400 + seconds;
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01, in the proleptic Gregorian calendar; the year is taken to begin in March, so that the day that some
/// years have more is its last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - DAYS_BEFORE_EPOCH
}

fn year_of(now: SystemTime) -> i64 {
    let seconds = match now.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(_) => 0,
    };
    let days = seconds / 86_400;
    let near = 1970 + days / 366;
    (near..=near + 2 + days / 100_000)
        .rev()
        .find(|year| days_since_epoch(*year, 1, 1) <= days)
        .unwrap_or(near)
}

/// From 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_EPOCH: i64 = 719_468;

const DAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-22.
    const NOW: u64 = 1_795_300_000;

    fn parsed(text: &str) -> Option<i64> {
        let moment = http_date(text.as_bytes(), UNIX_EPOCH + Duration::from_secs(NOW))?;
        Some(match moment.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap(),
            Err(before) => -i64::try_from(before.duration().as_secs()).unwrap(),
        })
    }

    #[test]
    fn reads_the_three_forms_in_any_case() {
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777),
            ("Sun Nov 16 08:49:37 1994", 784_975_777),
            ("SUN, 06 nov 1994 08:49:37 gMT", 784_111_777),
            ("Mon, 06 Nov 1994 08:49:37 GMT", 784_111_777), // the wrong day: whoever wrote it meant the date
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
            ("Tue, 19 Jan 2038 14:14:08 GMT", 2_147_523_248),
            ("Sun, 21 Nov 2286 04:46:39 GMT", 10_000_039_599),
            ("Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_800),
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800), // a leap second
            ("Thursday, 18-Aug-50 02:01:18 GMT", 2_544_400_878),
            ("Sunday, 22-Nov-76 00:00:00 GMT", 3_373_228_800), // 50 years from now
            ("Tuesday, 22-Nov-77 00:00:00 GMT", 249_004_800),  // 51 years would be too far: 1977
        ] {
            assert_eq!(parsed(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_only_looks_like_a_date() {
        for text in [
            "",
            "0",
            "-1",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 2050 02:01:18",
            "Thu, 18 Aug 2050 02:01:18 GMT ",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu,  18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18-Aug-50 02:01:18 GMT",
            "Thursday, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 18 Aug 2050 02:60:18 GMT",
            "Thu, 18 Aug 2050 02:01:61 GMT",
            "Thu, 30 Feb 2050 02:01:18 GMT",
            "Thu, 29 Feb 2023 02:01:18 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Thu, 18 Foo 2050 02:01:18 GMT",
            "Foo, 18 Aug 2050 02:01:18 GMT",
            "Thu Aug 8 02:01:18 2050",
            "Thu Aug  8 02:01:18 2050 GMT",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_others_write(seconds in 0u64..253_402_300_800) {
            let moment = UNIX_EPOCH + Duration::from_secs(seconds);
            let text = httpdate::fmt_http_date(moment);
            prop_assert_eq!(http_date(text.as_bytes(), UNIX_EPOCH), Some(moment));
        }

        #[test]
        fn knows_the_year(seconds in 0u64..253_402_300_800) {
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            prop_assert_eq!(year_of(UNIX_EPOCH + Duration::from_secs(seconds)).to_string(), text[12..16].trim_start_matches('0'));
        }

        #[test]
        fn never_panics(text in ".{0,40}", seconds in any::<u64>()) {
            let now = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH);
            let _ = http_date(text.as_bytes(), now);
        }
    }
}
