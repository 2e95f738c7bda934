//! Moments as logs write them, and the name of the machine.

use std::sync::OnceLock;
use std::time::SystemTime;

/// `28/Jul/2026:14:03:59 +0200`, nginx's `$time_local`.
pub(crate) fn common_log(moment: SystemTime) -> String {
    let local = Local::at(moment);
    format!("{} {}", local.date_and_time(), local.offset(""))
}

/// `28/Jul/2026:14:03:59.123`, HAProxy's `%tr`.
pub(crate) fn haproxy(moment: SystemTime) -> String {
    format!("{}.{:03}", Local::at(moment).date_and_time(), milliseconds(moment))
}

/// `Jul  8 14:03:59`, the time of a syslog (RFC 3164).
pub(crate) fn syslog(moment: SystemTime) -> String {
    let local = Local::at(moment);
    let tm = &local.tm;
    format!(
        "{} {:2} {:02}:{:02}:{:02}",
        local.month(),
        tm.tm_mday,
        tm.tm_hour,
        tm.tm_min,
        tm.tm_sec
    )
}

/// `2026-07-28T14:03:59.123+02:00`.
pub(crate) fn iso8601_millis(moment: SystemTime) -> String {
    let mut text = iso8601(moment);
    text.insert_str("2026-07-28T14:03:59".len(), &format!(".{:03}", milliseconds(moment)));
    text
}

fn milliseconds(moment: SystemTime) -> u32 {
    moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_millis()
}

impl Local {
    fn month(&self) -> &'static str {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = usize::try_from(self.tm.tm_mon).ok();
        month.and_then(|month| MONTHS.get(month)).copied().unwrap_or("Jan")
    }

    /// `28/Jul/2026:14:03:59`.
    fn date_and_time(&self) -> String {
        let (tm, month) = (&self.tm, self.month());
        format!(
            "{:02}/{month}/{:04}:{:02}:{:02}:{:02}",
            tm.tm_mday,
            tm.tm_year + 1900,
            tm.tm_hour,
            tm.tm_min,
            tm.tm_sec
        )
    }
}

/// `2026-07-28T14:03:59+02:00`, nginx's `$time_iso8601`.
pub(crate) fn iso8601(moment: SystemTime) -> String {
    let local = Local::at(moment);
    let tm = &local.tm;
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}",
        tm.tm_year + 1900,
        tm.tm_mon + 1,
        tm.tm_mday,
        tm.tm_hour,
        tm.tm_min,
        tm.tm_sec,
        local.offset(":")
    )
}

struct Local {
    tm: libc::tm,
}

impl Local {
    fn at(moment: SystemTime) -> Self {
        let seconds = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let seconds = libc::time_t::try_from(seconds).unwrap_or(libc::time_t::MAX);
        Self { tm: local_time(seconds) }
    }

    /// The distance from UTC: `+0200`, or with a separator `+02:00`.
    fn offset(&self, separator: &str) -> String {
        let minutes = self.tm.tm_gmtoff / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        format!("{sign}{:02}{separator}{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }
}

#[expect(unsafe_code, reason = "the time zone is known to libc alone")]
fn local_time(seconds: libc::time_t) -> libc::tm {
    // SAFETY: `tm` is plain data for which zeroes are valid; localtime_r writes it and reads only `seconds`.
    unsafe {
        let mut tm = std::mem::zeroed();
        libc::localtime_r(&seconds, &mut tm);
        tm
    }
}

/// The machine's name.
pub(crate) fn hostname() -> &'static [u8] {
    static NAME: OnceLock<Vec<u8>> = OnceLock::new();
    NAME.get_or_init(|| {
        let name = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
        name.trim_ascii().to_vec()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_have_the_shapes_that_log_readers_expect() {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_240_239);
        let common = common_log(moment);
        assert_eq!(common.len(), 26, "{common}");
        assert!(common.contains("/Jul/2026:"), "{common}");
        let iso = iso8601(moment);
        assert!(iso.starts_with("2026-07-28T"), "{iso}");
        assert_eq!(iso.len(), 25, "{iso}");
        let moment = moment + Duration::from_millis(7);
        assert!(iso8601_millis(moment).contains(&format!("{}.007", &iso[..19])));
        assert!(haproxy(moment).ends_with(&format!("{}.007", &common[11..20])));
        let syslog = syslog(SystemTime::UNIX_EPOCH + Duration::from_secs(1_783_468_800));
        assert_eq!((syslog.len(), &syslog[..5]), (15, "Jul  "));
    }
}
