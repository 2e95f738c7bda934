//! What is written about requests and about the process, and where.

use std::fmt;
use std::path::PathBuf;

use switchback_value::{Condition, Template};

use crate::diagnostic::Location;

/// Error and access logs.
#[derive(Clone, Debug)]
pub struct LogPlan {
    /// The most detailed level written.
    pub level: LogLevel,
    /// Where the error log goes.
    pub target: LogTarget,
    /// How its lines are written.
    pub format: MessageFormat,
    /// How its lines are marked where they go to a syslog; the severity is that of each line.
    pub syslog: SyslogPlan,
    /// Where the target stands in the configuration.
    pub at: Location,
    /// Each a line per request.
    pub access: Vec<AccessLogPlan>,
}

/// How detailed the error log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what needs a person.
    Error,
    /// And what may need one soon.
    Warn,
    /// And what changed.
    Info,
    /// And why.
    Debug,
    /// And everything else.
    Trace,
}

/// How lines of the error log are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFormat {
    /// For people.
    Text,
    /// An object of JSON for each line.
    Json,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to this file, which is opened again on SIGUSR1.
    File(PathBuf),
    /// A datagram for each line (RFC 3164).
    Syslog(SyslogAddress),
}

/// Where a syslog listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SyslogAddress {
    /// UDP.
    Udp {
        /// A name or an address, without brackets.
        host: Box<str>,
        /// The port.
        port: u16,
    },
    /// A Unix datagram socket.
    Unix(PathBuf),
}

impl SyslogAddress {
    /// The port of syslog.
    pub const PORT: u16 = 514;
}

impl fmt::Display for LogTarget {
    /// As it is written in a configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Syslog(SyslogAddress::Unix(path)) => write!(f, "syslog:unix:{}", path.display()),
            Self::Syslog(SyslogAddress::Udp { host, port }) if host.contains(':') => {
                write!(f, "syslog:udp://[{host}]:{port}")
            }
            Self::Syslog(SyslogAddress::Udp { host, port }) => {
                write!(f, "syslog:udp://{host}:{port}")
            }
        }
    }
}

/// How lines are marked for a syslog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogPlan {
    /// Which part of the system they come from.
    pub facility: Facility,
    /// How urgent they are.
    pub severity: SyslogSeverity,
    /// Which program they come from.
    pub tag: Box<str>,
}

/// Which part of the system a line comes from, with nginx's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facility {
    /// The kernel.
    Kern = 0,
    /// Programs of users.
    User = 1,
    /// Mail.
    Mail = 2,
    /// Daemons.
    Daemon = 3,
    /// Logins.
    Auth = 4,
    /// The syslog itself.
    Intern = 5,
    /// Printing.
    Lpr = 6,
    /// Usenet.
    News = 7,
    /// UUCP.
    Uucp = 8,
    /// Clocks.
    Clock = 9,
    /// Logins, for few eyes.
    Authpriv = 10,
    /// FTP.
    Ftp = 11,
    /// NTP.
    Ntp = 12,
    /// Audits.
    Audit = 13,
    /// Alerts.
    Alert = 14,
    /// Jobs.
    Cron = 15,
    /// For local use.
    Local0 = 16,
    /// For local use.
    Local1 = 17,
    /// For local use.
    Local2 = 18,
    /// For local use.
    Local3 = 19,
    /// For local use.
    Local4 = 20,
    /// For local use.
    Local5 = 21,
    /// For local use.
    Local6 = 22,
    /// For local use.
    Local7 = 23,
}

/// How urgent a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyslogSeverity {
    /// Nothing works.
    Emerg = 0,
    /// Somebody must act now.
    Alert = 1,
    /// Something central is broken.
    Crit = 2,
    /// Something failed.
    Error = 3,
    /// Something may fail.
    Warn = 4,
    /// Worth knowing.
    Notice = 5,
    /// Ordinary.
    Info = 6,
    /// For developers.
    Debug = 7,
}

/// One access log.
#[derive(Clone, Debug)]
pub struct AccessLogPlan {
    /// Where its lines go.
    pub target: LogTarget,
    /// Where the target stands in the configuration.
    pub at: Location,
    /// How its lines are marked where they go to a syslog.
    pub syslog: SyslogPlan,
    /// What a line is.
    pub format: LogFormat,
    /// Which requests are logged.
    pub when: Condition,
    /// And how many of them.
    pub sample: Sample,
    /// When the file is put aside. One file has one answer to that.
    pub rotate: Option<RotatePlan>,
    /// Headers, cookies and query arguments of these names are masked; in lower case.
    pub redact: Box<[Box<str>]>,
}

/// What a line is.
#[derive(Clone, Debug)]
pub enum LogFormat {
    /// A line without its newline.
    Template {
        /// Literals, and values of the request.
        template: Template,
        /// How values are escaped.
        escape: LogEscape,
    },
    /// An object of JSON with a fixed set of keys.
    Json,
    /// HAProxy's `option httplog`.
    Httplog,
}

/// How values stand in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEscape {
    /// `\xXX` as nginx does; what is absent is `-`.
    Default,
    /// As within a string of JSON; what is absent is nothing.
    Json,
    /// As they are; what is absent is nothing.
    None,
}

/// A share of requests, in millionths: more than none, and at most all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample(u32);

impl Sample {
    /// Every request.
    pub const ALL: Self = Self(Self::WHOLE);

    const WHOLE: u32 = 1_000_000;

    /// So many millionths.
    #[must_use]
    pub const fn millionths(count: u32) -> Option<Self> {
        if count == 0 || count > Self::WHOLE { None } else { Some(Self(count)) }
    }

    /// As a fraction of one.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Self::WHOLE)
    }

    /// Whether the request with this number is among them. Numbers must be spread evenly over all there are.
    #[must_use]
    pub fn takes(self, number: u64) -> bool {
        let place = (u128::from(number) * u128::from(Self::WHOLE)) >> 64;
        place < u128::from(self.0)
    }
}

/// When a file is put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotatePlan {
    /// Before it would be larger than so many bytes.
    pub size: u64,
    /// So many files are kept: `file.1` is the newest.
    pub keep: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_takes_its_share_of_all_numbers() {
        assert!(Sample::ALL.takes(0) && Sample::ALL.takes(u64::MAX));
        let tenth = Sample::millionths(100_000).unwrap();
        assert!(tenth.takes(0) && tenth.takes(u64::MAX / 10 - 1));
        assert!(!tenth.takes(u64::MAX / 10 + (1 << 45)) && !tenth.takes(u64::MAX));
        assert_eq!((Sample::millionths(0), Sample::millionths(1_000_001)), (None, None));
        assert!((tenth.fraction() - 0.1).abs() < 1e-9);
    }

    #[test]
    fn targets_are_shown_as_they_are_written() {
        let udp = |host: &str| {
            LogTarget::Syslog(SyslogAddress::Udp { host: host.into(), port: 514 }).to_string()
        };
        assert_eq!(udp("a.example"), "syslog:udp://a.example:514");
        assert_eq!(udp("::1"), "syslog:udp://[::1]:514");
        let unix = LogTarget::Syslog(SyslogAddress::Unix("/dev/log".into()));
        assert_eq!(unix.to_string(), "syslog:unix:/dev/log");
    }
}
