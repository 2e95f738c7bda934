//! What is written about requests and about the process itself.

use std::borrow::Cow;
use std::ops::Deref;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;

use super::define::model;
use super::text::{Count, Name, TemplateText};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::native::{Decoder, FromText, Node, Problem, Setting, Value};
use crate::plan::{
    Facility, LogEscape, LogLevel, LogTarget, MessageFormat, Sample, SyslogAddress, SyslogSeverity,
};
use crate::units::Size;

model! {
    /// What is written about requests and about the process itself.
    pub struct Log: Default {
        /// The most detailed level that is written: `"error"`, `"warn"`, `"info"`, `"debug"` or `"trace"`.
        pub level: LogLevel = LogLevel::Info,
        /// Where messages about the process go: `"stderr"`, `"stdout"`, a file, opened again on SIGUSR1, `"syslog:udp://HOST:514"` or
        /// `"syslog:unix:/dev/log"`.
        pub file: At<LogTarget> = LogTarget::Stderr.into(),
        /// How messages are written: `"text"` for people, `"json"` for machines, an object for each line.
        pub format: MessageFormat = MessageFormat::Text,
        /// How messages are marked where they go to a syslog.
        pub syslog: Option<At<Syslog>> = None,
        /// Access logs: `[[log.access]]`. Without one, requests are not logged.
        pub access: Vec<At<AccessLog>> = Vec::new(),
    }
}

model! {
    /// A line for each request. Lines wait in a bounded queue: a log that cannot keep up loses lines, which are counted, and never
    /// slows a request.
    pub struct AccessLog {
        /// Where lines go: `"stdout"`, `"stderr"`, a file, opened again on SIGUSR1, `"syslog:udp://HOST:514"` or
        /// `"syslog:unix:/dev/log"`.
        pub file: At<LogTarget>,
        /// A template for the line, or the name of a format: nginx's `"combined"`, `"common"`, `"json"` or HAProxy's `"httplog"`.
        pub format: At<TemplateText> = TemplateText::from("combined").into(),
        /// How values stand in the line of a template: `"default"` as nginx has it, `"json"` as within a string of JSON, `"none"` as
        /// they are.
        pub escape: Option<At<LogEscape>> = None,
        /// A condition for the requests to log, such as `'$status == "500"'`. Without it, all of them.
        pub when: Option<At<Box<str>>> = None,
        /// The share of these requests that is logged: `0.01` is one in a hundred. Which ones follows from their id alone.
        pub sample: Sample = Sample::ALL,
        /// When the file is put aside as `file.1`. Without it, never.
        pub rotate: Option<At<Rotate>> = None,
        /// Headers, cookies and query arguments whose values are written as `***`, by whole names in any case; `cookie` means every
        /// cookie. `[]` masks nothing.
        pub redact: Vec<Name> = redacted(),
        /// How lines are marked where they go to a syslog.
        pub syslog: Option<At<Syslog>> = None,
    }
}

impl AccessLog {
    /// Every request, in the combined format.
    #[must_use]
    pub fn to(target: LogTarget) -> Self {
        Self {
            file: target.into(),
            format: TemplateText::from("combined").into(),
            escape: None,
            when: None,
            sample: Sample::ALL,
            rotate: None,
            redact: redacted(),
            syslog: None,
        }
    }
}

/// What is usually secret.
fn redacted() -> Vec<Name> {
    const NAMES: [&str; 30] = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "x-auth-token",
        "token",
        "access_token",
        "refresh_token",
        "id_token",
        "auth_token",
        "csrf_token",
        "auth",
        "jwt",
        "password",
        "passwd",
        "pwd",
        "secret",
        "client_secret",
        "api_key",
        "apikey",
        "api-key",
        "key",
        "signature",
        "sig",
        "x-amz-signature",
        "x-amz-security-token",
        "x-goog-signature",
        "code",
        "session",
    ];
    NAMES.into_iter().filter_map(Name::new).collect()
}

model! {
    /// When a log file is put aside: `file` becomes `file.1`, `file.1` becomes `file.2`, and so on.
    pub struct Rotate {
        /// Before it would be larger than this.
        pub size: Size,
        /// So many old files are kept.
        pub keep: Count<1, 1000> = Count::clamped(5),
    }
}

model! {
    /// How lines are marked for a syslog (RFC 3164), as nginx marks them.
    pub struct Syslog: Default {
        /// Which part of the system they come from.
        pub facility: Facility = Facility::Local7,
        /// How urgent they are: `"info"` without it. Messages about the process have their own.
        pub severity: Option<SyslogSeverity> = None,
        /// Which program they come from: letters, digits and underscores, at most 32.
        pub tag: SyslogTag = SyslogTag("switchback".into()),
    }
}

/// The name of a program for a syslog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogTag(Box<str>);

impl Deref for SyslogTag {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl FromText for SyslogTag {
    const EXPECTED: &'static str = "a tag such as \"switchback\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if (1..=32).contains(&text.len()) && text.bytes().all(is_fit) {
            return Ok(Self(text.into()));
        }
        let problem = Problem::new(format!("`{text}` cannot be the tag of a syslog"));
        Err(problem.hint("letters, digits and underscores, at most 32"))
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl Setting for Sample {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let (Value::Integer(written, 10) | Value::Float(written)) = node.value() else {
            return decoder.wrong_type(node, "a share such as 0.01");
        };
        let share: Option<f64> = written.replace('_', "").parse().ok();
        let millionths = share.filter(|share| (0.0..=1.0).contains(share)).map(|share| share * 1e6);
        // Within the bounds just looked at the number is whole and small.
        let sample = millionths.and_then(|share| Self::millionths(share.round() as u32));
        if sample.is_none() {
            let message = format!("{written} is not between 0.000001 and 1");
            decoder.report(Diagnostic::error(Code::OutOfRange, node.at(), message));
        }
        sample
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.fraction())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 })
    }
}

impl Setting for LogTarget {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let text = decoder.text(node, "\"stdout\", \"stderr\", a path or a syslog")?;
        match &*text {
            "stdout" => return Some(Self::Stdout),
            "stderr" => return Some(Self::Stderr),
            _ => {}
        }
        let Some(syslog) = text.strip_prefix("syslog:") else {
            let path = std::path::PathBuf::decode(node, decoder)?;
            return Some(Self::File(path));
        };
        match syslog_address(syslog) {
            Some(SyslogAddress::Unix(path)) => {
                Some(Self::Syslog(SyslogAddress::Unix(node.directory().join(path))))
            }
            Some(address) => Some(Self::Syslog(address)),
            None => {
                let problem = Problem::new(format!("`{text}` is not the address of a syslog"));
                let hint = "as in \"syslog:udp://10.0.0.1:514\" or \"syslog:unix:/dev/log\"";
                decoder.bad_value(node.at(), problem.hint(hint));
                None
            }
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let path = std::path::PathBuf::schema(generator);
        json_schema!({ "anyOf": [
            { "enum": ["stdout", "stderr"] },
            path,
            { "type": "string", "pattern": "^syslog:(udp://|unix:)" },
        ] })
    }
}

/// What follows `syslog:`.
fn syslog_address(text: &str) -> Option<SyslogAddress> {
    if let Some(path) = text.strip_prefix("unix:") {
        return (!path.is_empty()).then(|| SyslogAddress::Unix(path.into()));
    }
    let authority = text.strip_prefix("udp://")?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(digits) => digits.parse().ok().filter(|port| *port != 0)?,
        None if port.is_empty() => SyslogAddress::PORT,
        None => return None,
    };
    let is_host = super::upstream::is_host_name(host) || host.parse::<std::net::IpAddr>().is_ok();
    is_host.then(|| SyslogAddress::Udp { host: host.to_ascii_lowercase().into(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(host: &str, port: u16) -> Option<SyslogAddress> {
        Some(SyslogAddress::Udp { host: host.into(), port })
    }

    #[test]
    fn a_syslog_listens_on_udp_or_on_a_unix_socket() {
        assert_eq!(syslog_address("udp://10.0.0.1"), udp("10.0.0.1", 514));
        assert_eq!(syslog_address("udp://Logs.example:1514"), udp("logs.example", 1514));
        assert_eq!(syslog_address("udp://[::1]:99"), udp("::1", 99));
        assert_eq!(syslog_address("unix:/dev/log"), Some(SyslogAddress::Unix("/dev/log".into())));
        for text in [
            "",
            "udp://",
            "udp://a:0",
            "udp://a:x",
            "unix:",
            "tcp://a",
            "udp://[::1",
            "udp://::1",
            "udp://a b",
        ] {
            assert_eq!(syslog_address(text), None, "{text}");
        }
    }

    #[test]
    fn a_tag_is_one_short_word() {
        assert!(SyslogTag::from_text("my_app1").is_ok());
        for text in ["", "a b", "a:", "\u{e9}", &"a".repeat(33)] {
            assert!(SyslogTag::from_text(text).is_err(), "{text}");
        }
    }
}
