//! Bound addresses.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;

use super::connections::Connections;
use super::define::model;
use super::http2::Http2;
use super::plugin::Filters;
use super::proxy_protocol::ProxyProtocol;
use super::rate::MinRate;
use super::socket::{Owner, SocketOptions};
use super::text::{Count, Name};
use super::tls::ListenerTls;
use super::tolerate::Tolerance;
use crate::at::At;
use crate::native::{Decoder, FromText, Node, Problem, Setting};
use crate::units::{Size, Timeout};

model! {
    /// An address that clients connect to.
    pub struct Listener {
        /// A name by which sites refer to it.
        pub name: Option<At<Name>> = None,
        /// What is bound: `"0.0.0.0:443"`, `"[::]:80"`, `":8080"` for all IPv4 and IPv6 addresses, or `"unix:/path"`.
        pub address: At<BindAddress>,
        /// The permission bits of a Unix socket, in octal. Without it, `"0666"`.
        pub mode: Option<At<Mode>> = None,
        /// Who owns the file of a Unix socket: `"user:group"`, `"user"` or `":group"`, by name or number. Names are looked up in
        /// `/etc/passwd` and `/etc/group`.
        pub owner: Option<At<Owner>> = None,
        /// Options of its sockets.
        pub socket: SocketOptions = SocketOptions::default(),
        /// How many connections it takes.
        pub connections: Connections = Connections::default(),
        /// TLS. Without it, plain text.
        pub tls: Option<At<ListenerTls>> = None,
        /// Whether HTTP/2 is offered to clients of this TLS listener. Without it, yes.
        pub h2: Option<At<bool>> = None,
        /// Whether clients without TLS may speak HTTP/2 from the start (prior knowledge).
        pub h2c: At<bool> = At::from(false),
        /// The PROXY protocol, for connections that come through a proxy in front. It stands before TLS.
        pub proxy_protocol: Option<At<ProxyProtocol>> = None,
        /// How long clients may take.
        pub timeouts: Timeouts = Timeouts::default(),
        /// How much clients may send.
        pub limits: Limits = Limits::default(),
        /// Faults of HTTP/1 requests that are mended instead of answered with 400 and a close. Without it, none: each of them
        /// has been used to make two servers see different requests in the same bytes. What is mended goes on in its sound form
        /// and is judged again, so name only what a client really sends, and only where nobody in front of this listener reads
        /// requests. `"bare-lf"`: a line of the head may end without carriage return; risks that a server in front saw one line
        /// where this one sees two. `"bare-cr"` and `"control-bytes"`: such bytes within a value (NUL among them) become
        /// spaces; risks values that others cut there. `"obs-fold"`: a value may go on in the next line; risks that another took
        /// that for a header. `"space-before-colon"`: the blank is dropped; risks headers that another ignored.
        /// `"length-and-chunked"`: chunks win, and the connection ends after the answer; risks all of request smuggling if the
        /// one in front went by the length. `"odd-length"`: the same length several times, as a list, with `+` or zeros in front, counts once;
        /// lengths that differ are always refused. `"odd-coding"`: `chunked` several times, or with `identity` or nothing between
        /// commas, counts once; risks that another saw no chunks. `"repeated-host"`: the same `Host` several times counts once;
        /// hosts that differ are always refused. `"other-host"`: the host of an absolute target wins over a different `Host`;
        /// risks that another routed or cached by the other. `"target-bytes"`: bytes that no target may have (`"<>\\^{|}`,
        /// the backtick and all beyond ASCII) are percent-encoded; risks little, some browsers send them in queries.
        /// `"minor-version"`: HTTP/1.2 to 1.9 count as 1.1 instead of 505. `"underscores"`: headers with `_` in their names are
        /// passed on instead of dropped, over HTTP/2 too; risks that an origin takes `X_Real_IP` for `X-Real-IP`.
        pub tolerate: Vec<At<Tolerance>> = Vec::new(),
        /// Plugins that are asked about every request, before those of the site: names, or tables.
        pub filters: Filters = Vec::new(),
        /// What HTTP/2 connections may cost.
        pub http2: Option<At<Http2>> = None,
        /// How fast a body has to move, either way.
        pub min_rate: MinRate = MinRate::default(),
    }
}

impl Listener {
    /// A plain-text listener with all defaults.
    #[must_use]
    pub fn new(address: BindAddress) -> Self {
        Self {
            name: None,
            address: address.into(),
            mode: None,
            owner: None,
            socket: SocketOptions::default(),
            connections: Connections::default(),
            tls: None,
            h2: None,
            h2c: At::from(false),
            proxy_protocol: None,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            tolerate: Vec::new(),
            filters: Vec::new(),
            http2: None,
            min_rate: MinRate::default(),
        }
    }
}

model! {
    /// How long clients may take. None of them can be turned off.
    pub struct Timeouts: Default {
        /// For the whole TLS handshake.
        pub handshake: Timeout = Timeout::seconds(10),
        /// For a whole request head.
        pub header: Timeout = Timeout::seconds(10),
        /// Between two requests of one connection.
        pub keepalive: Timeout = Timeout::seconds(75),
        /// Between two pieces of a request body.
        pub body: Timeout = Timeout::seconds(60),
        /// Until a piece of an answer is taken.
        pub write: Timeout = Timeout::seconds(60),
    }
}

model! {
    /// How much clients may send.
    pub struct Limits: Default {
        /// Bytes of a request target; a longer one is answered with 414.
        pub target: Size = Size::kib(8),
        /// Bytes of all headers together; more are answered with 431.
        pub headers: Size = Size::kib(32),
        /// Number of headers; more are answered with 431.
        pub fields: Count<1, 65_535> = Count::clamped(128),
        /// Requests on one connection before it is closed.
        pub keepalive_requests: Count<1, { u32::MAX }> = Count::clamped(1000),
    }
}

/// What a listener binds, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BindAddress {
    /// One address, or all of its family.
    Tcp(SocketAddr),
    /// All IPv6 and IPv4 addresses at this port.
    Any(u16),
    /// A Unix stream socket.
    Unix(PathBuf),
}

impl BindAddress {
    /// Reads the text form.
    fn parse(text: &str) -> Result<Self, Problem> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err(not_an_address(text))
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        if let Some(port) = text.strip_prefix(':') {
            return port.parse().map(Self::Any).map_err(|_| not_an_address(text));
        }
        text.parse().map(Self::Tcp).map_err(|_| not_an_address(text))
    }

    /// What a socket is bound to; `None` for a Unix socket.
    #[must_use]
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Any(port) => Some((Ipv6Addr::UNSPECIFIED, *port).into()),
            Self::Unix(_) => None,
        }
    }
}

fn not_an_address(text: &str) -> Problem {
    let problem = Problem::new(format!("`{text}` is not an address to listen on"));
    let port = text.rsplit(':').next().filter(|port| port.parse::<u16>().is_ok());
    match (text.split_once(':'), port) {
        (Some(("localhost", _)), Some(port)) => problem.hint(format!(
            "write \"127.0.0.1:{port}\" or \"[::1]:{port}\"; names are not looked up here"
        )),
        (Some(("*", _)), Some(port)) => problem.hint(format!("write \":{port}\"")),
        (None, Some(port)) => problem.hint(format!("write \":{port}\"")),
        _ => problem.hint(
            "as in \"0.0.0.0:443\", \"[::1]:80\", \":8080\" or \"unix:/run/switchback.http\"",
        ),
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Any(port) => write!(f, ":{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Setting for BindAddress {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let text = decoder.text(node, "an address such as \"0.0.0.0:443\"")?;
        match Self::parse(&text) {
            Ok(Self::Unix(path)) => Some(Self::Unix(node.directory().join(path))),
            Ok(address) => Some(address),
            Err(problem) => {
                decoder.bad_value(node.at(), problem);
                None
            }
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "address" })
    }
}

/// Permission bits of a file, written in octal: `"0660"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl FromText for Mode {
    const EXPECTED: &'static str = "permission bits such as \"0660\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        let is_octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| is_octal && *bits <= 0o777);
        let problem = || {
            Problem::new(format!("`{text}` are not permission bits"))
                .hint("in octal, as in \"0660\"")
        };
        bits.map(Self).ok_or_else(problem)
    }

    fn to_text(&self) -> Cow<'_, str> {
        format!("{:04o}", self.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_numeric() {
        assert_eq!(
            BindAddress::parse("127.0.0.1:80").unwrap(),
            BindAddress::Tcp("127.0.0.1:80".parse().unwrap())
        );
        assert_eq!(
            BindAddress::parse("[::]:0").unwrap(),
            BindAddress::Tcp("[::]:0".parse().unwrap())
        );
        assert_eq!(BindAddress::parse(":8080").unwrap(), BindAddress::Any(8080));
        assert_eq!(BindAddress::parse("unix:/a").unwrap(), BindAddress::Unix("/a".into()));
        for text in
            ["", "80", ":", ":x", "localhost:80", "*:80", "1.2.3.4", "::1:80", "unix:", ":65536"]
        {
            assert!(BindAddress::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn permission_bits_are_octal() {
        assert_eq!(Mode::from_text("0660").unwrap(), Mode(0o660));
        assert_eq!(Mode(0o7).to_text(), "0007");
        for text in ["", "8", "1000", "+7", "rw"] {
            assert!(Mode::from_text(text).is_err(), "{text}");
        }
    }
}
