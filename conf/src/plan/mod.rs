//! What a [`Config`](crate::Config) means: ids for names, inheritance flattened, impossible states gone.
//!
//! A plan holds no live object and opens no socket; the engine assembles a snapshot from it. Vectors are indexed by the
//! ids beside them.

mod access;
mod actions;
mod balance;
mod build;
mod cache;
mod cache_key;
mod certificates;
mod connections;
mod cookies;
mod dictionary;
mod discovery;
mod encode;
mod encoders;
mod errors;
mod files;
mod health;
mod images;
mod listeners;
mod log;
mod logs;
mod map_file;
mod map_lines;
mod map_order;
mod maps;
mod matchers;
mod overload;
mod plugins;
mod process;
mod proxy_protocol;
mod routes;
mod rules;
mod shard_keys;
mod shards;
mod sites;
mod sockets;
mod spill;
mod sticky;
mod texts;
mod tls;
mod tolerate;
mod upstreams;
mod variants;
mod zones;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, StatusCode};
use ipnet::IpNet;
use switchback_value::{Condition, HostPattern, PathPattern, Template};

pub use access::{AccessPlan, BandwidthPlan, ConcurrencyPlan, RouteTimeouts};
pub use balance::{BalanceBy, BalancePlan};
pub(crate) use build::plan_with;
pub use build::{plan, plan_upstream};
pub use cache::{CacheLockPlan, CachePlan, StaleOnPlan};
pub use cache_key::{ArgumentName, KeyPartsPlan, KeyPlan, KeyQueryPlan};
pub use certificates::CertificatePlan;
pub use connections::ConnectionsPlan;
pub use cookies::{CookiePattern, CookieRule, CookieText, SameSite};
pub use dictionary::DictionaryPlan;
pub use discovery::{EndpointsFilePlan, EndpointsRead, ResolvePlan};
pub use encode::{CodingLevels, EncodePlan};
pub use encoders::{DictionariesPlan, EncodersPlan};
pub use errors::{
    ErrorKey, ErrorRule, ErrorStatus, ErrorTarget, ErrorsPlan, find as find_error_rule,
};
pub use health::{HealthPlan, OutliersPlan, ProbeKind, ProbePlan};
pub use images::{ImageFormat, ImageModePlan, ImagesPlan, missing_image_formats};
pub use log::{
    AccessLogPlan, Facility, LogEscape, LogFormat, LogLevel, LogPlan, LogTarget, MessageFormat,
    RotatePlan, Sample, SyslogAddress, SyslogPlan, SyslogSeverity,
};
pub use map_file::{FileStamp, MapFilePlan, MapFileRead};
pub use maps::MapPlan;
pub use overload::{AtOncePlan, BreakerPlan, HedgeAfterPlan, HedgePlan, OverloadPlan, RetryPlan};
pub use plugins::{
    FilterPlan, Isolation, OnError, PluginId, PluginLimitsPlan, PluginPlan, PluginSource,
    shown_sha256,
};
pub use proxy_protocol::{OtherPeers, ProxyProtocolPlan, ProxyVersion, SendProxyPlan, SentTlv};
pub use rules::HeaderRules;
pub use shard_keys::ShufflePlan;
pub use shards::{MappingBy, MappingPlan, MissingPlan, RangeOf, ShardPlan, ShardsPlan};
pub use sockets::{KeepalivePlan, SocketPlan};
pub use spill::SpillPlan;
pub use sticky::{LearnPlan, StickyCookiePlan, StickyPlan, StickyTo};
pub use tolerate::Tolerances;
pub use variants::VariantsPlan;
pub use zones::{ZoneDiskPlan, ZonePlan};

pub use crate::model::Tolerance;
pub use tls::{
    CipherSuite, ClientCertificatesPlan, KeyGroup, ListenerTlsPlan, TicketsPlan, TlsVersion,
};

use crate::diagnostic::Location;

/// Index into [`Plan::listeners`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u32);

/// Index into [`Plan::sites`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(pub u32);

/// Index into [`Plan::routes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u32);

/// Index into [`Plan::upstreams`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamId(pub u32);

/// Index into [`Plan::zones`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ZoneId(pub u32);

/// Everything the process is to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Threads, files and time-outs of the process.
    pub process: ProcessPlan,
    /// Who is believed and what is told about the client.
    pub forwarding: ForwardingPlan,
    /// Error and access logs.
    pub log: LogPlan,
    /// The bound addresses.
    pub listeners: Vec<ListenerPlan>,
    /// The hosts answered together.
    pub sites: Vec<SitePlan>,
    /// All routes of all sites; a site's routes are contiguous and in written order.
    pub routes: Vec<RoutePlan>,
    /// The named services.
    pub upstreams: Vec<UpstreamPlan>,
    /// What is looked up; the index in [`Variable::Map`](switchback_value::Variable::Map) counts these.
    pub maps: Vec<MapPlan>,
    /// The named caches.
    pub zones: Vec<ZonePlan>,
    /// The threads that encode in the background.
    pub encoders: EncodersPlan,
    /// Where host names are looked up; empty is where the system does.
    pub resolvers: Vec<SocketAddr>,
    /// What is kept to encode against.
    pub dictionaries: DictionariesPlan,
    /// The plugins, each with its options.
    pub plugins: Vec<PluginPlan>,
}

/// Threads, files and time-outs of the process.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessPlan {
    /// Worker threads; `None` is one per core.
    pub workers: Option<u16>,
    /// Where the process id is written.
    pub pid_file: Option<PathBuf>,
    /// The control socket; `None` is off.
    pub control_socket: Option<PathBuf>,
    /// How many connections are taken on all listeners together.
    pub connections: ConnectionsPlan,
    /// The longest a graceful stop waits for what runs.
    pub shutdown_timeout: Duration,
    /// The time over which idle connections are closed in a graceful stop.
    pub drain_spread: Duration,
    /// How long the successor in an upgrade may take until it is ready.
    pub upgrade_timeout: Duration,
}

/// Who is believed and what is told about the client.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardingPlan {
    /// Peers whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether upstreams are sent `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`.
    pub x_forwarded: bool,
    /// Whether upstreams are sent `Forwarded` (RFC 7239).
    pub forwarded: bool,
    /// Whether upstreams are sent `X-Request-ID`.
    pub request_id: bool,
    /// Our pseudonym in `Via` (RFC 9110, 7.6.3); `None` leaves the header out.
    pub via: Option<Box<str>>,
}

/// A bound address.
#[derive(Clone, Debug)]
pub struct ListenerPlan {
    /// Its name, or its address where it has none.
    pub name: Box<str>,
    /// What is bound.
    pub address: ListenAddress,
    /// How its sockets are set up.
    pub socket: SocketPlan,
    /// How many connections it takes.
    pub connections: ConnectionsPlan,
    /// TLS, or plain text.
    pub tls: Option<Box<ListenerTlsPlan>>,
    /// Whether ALPN offers `h2`.
    pub h2: bool,
    /// Whether plain-text HTTP/2 with prior knowledge is understood.
    pub h2c: bool,
    /// Who must begin with a PROXY header, if anybody.
    pub proxy_protocol: Option<ProxyProtocolPlan>,
    /// Deadlines towards clients.
    pub timeouts: ListenerTimeouts,
    /// Bounds on what a client may send.
    pub limits: ListenerLimits,
    /// What HTTP/2 connections may cost.
    pub http2: Http2Limits,
    /// How fast they have to be.
    pub min_rate: MinRate,
    /// What is asked about each of its requests, first.
    pub filters: Vec<FilterPlan>,
    /// Where it stands in the configuration.
    pub at: Location,
}

/// What a listener binds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// TCP. `[::]` written as `:port` also takes IPv4 (`dual_stack`).
    Tcp {
        /// Address and port; port 0 lets the kernel choose.
        address: SocketAddr,
        /// Whether an IPv6 socket also takes IPv4 clients.
        dual_stack: bool,
    },
    /// A Unix stream socket.
    Unix {
        /// The socket's file.
        path: PathBuf,
    },
}

/// Deadlines towards clients. All finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListenerTimeouts {
    /// For the whole TLS handshake.
    pub handshake: Duration,
    /// For a whole request head, from its first byte (or the connection's start).
    pub header: Duration,
    /// Between requests.
    pub keepalive: Duration,
    /// Between two reads of a request body.
    pub body: Duration,
    /// Between two writes of an answer.
    pub write: Duration,
}

/// Bounds on what a client may send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListenerLimits {
    /// Bytes of a request target; beyond it 414.
    pub target: u64,
    /// Bytes of all header lines together; beyond it 431.
    pub headers: u64,
    /// Number of header lines; beyond it 431.
    pub fields: u32,
    /// Requests on one connection before it is closed.
    pub keepalive_requests: u32,
    /// Faults that are mended instead of refused.
    pub tolerate: Tolerances,
}

/// What one HTTP/2 connection may cost; as [`Http2`](crate::model::Http2) says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    /// Requests at once.
    pub max_streams: u32,
    /// Requests at once until the first answer has gone out in full.
    pub first_streams: u32,
    /// CONTINUATION frames of one request.
    pub continuations: u32,
    /// RST_STREAM frames received in a second.
    pub resets_per_second: u32,
    /// Requests cancelled before their answer began, beyond those answered in full.
    pub early_resets: u32,
    /// RST_STREAM frames sent, beyond the requests answered in full.
    pub faulty_streams: u32,
    /// PING frames in a second.
    pub pings_per_second: u32,
    /// SETTINGS frames in a second.
    pub settings_per_second: u32,
    /// PRIORITY and unknown frames in a second.
    pub priorities_per_second: u32,
    /// Empty DATA frames in a second.
    pub empty_data_per_second: u32,
    /// WINDOW_UPDATE frames in a second.
    pub window_updates_per_second: u32,
    /// Frames of each of these kinds while the connection lasts.
    pub frames: u32,
    /// Answers not taken in time.
    pub stalled_streams: u32,
}

/// How fast a client has to be, over a time that is spent waiting for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinRate {
    /// Bytes a second of a request body; 0 is no bound.
    pub receive: u64,
    /// Bytes a second of an answer; 0 is no bound.
    pub send: u64,
    /// The time over which the rate is taken.
    pub after: Duration,
}

/// The hosts answered together.
#[derive(Clone, Debug)]
pub struct SitePlan {
    /// Which hosts. Never empty: a site without hosts answers [`HostPattern::Any`].
    pub hosts: Vec<HostPattern>,
    /// `$server_name`: the first host as written.
    pub name: Box<str>,
    /// On which listeners.
    pub listeners: Vec<ListenerId>,
    /// Whether that is all of them, because none is named.
    pub is_everywhere: bool,
    /// Whether it answers hosts that no site of its listeners claims.
    pub is_default: bool,
    /// Certificates of its own, for its hosts.
    pub certificates: Vec<CertificatePlan>,
    /// What becomes of `%2f`.
    pub encoded_slash: EncodedSlash,
    /// Who may ask.
    pub access: Option<AccessPlan>,
    /// How many requests may be in progress at once.
    pub concurrency: Option<ConcurrencyPlan>,
    /// What is answered instead of errors where there is no route.
    pub errors: Vec<ErrorRule>,
    /// Whether its pages ask browsers what they have room for (`Accept-CH`): some route of it makes images by that.
    pub client_hints: bool,
    /// What is asked about each of its requests, after the filters of the listener.
    pub filters: Vec<FilterPlan>,
    /// Its routes in written order.
    pub routes: std::ops::Range<u32>,
    /// Where it stands in the configuration.
    pub at: Location,
}

/// What becomes of an encoded slash in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodedSlash {
    /// It stays encoded, distinct from `/`.
    Keep,
    /// It becomes `/`, as in nginx.
    Decode,
    /// The request is refused with 400.
    Refuse,
}

/// Matcher and action.
#[derive(Clone, Debug)]
pub struct RoutePlan {
    /// `$route`: its name, or its first path pattern.
    pub name: Box<str>,
    /// The site it belongs to.
    pub site: SiteId,
    /// Any of these paths.
    pub paths: Vec<PathPattern>,
    /// And this.
    pub condition: Condition,
    /// Higher first.
    pub priority: i32,
    /// Never matched, only reached from another route.
    pub internal: bool,
    /// What makes the response.
    pub action: ActionPlan,
    /// What is answered instead of errors.
    pub errors: ErrorsPlan,
    /// Who may ask, beside what the site says.
    pub access: Option<AccessPlan>,
    /// How many requests may be in progress at once, beside what the site says.
    pub concurrency: Option<ConcurrencyPlan>,
    /// Deadlines towards the upstream where they differ from its own.
    pub timeouts: RouteTimeouts,
    /// How fast an answer is sent; `None` is as fast as it goes.
    pub bandwidth: Option<BandwidthPlan>,
    /// Changes to what the upstream receives, those of the site first.
    pub request_headers: Vec<Arc<HeaderRules>>,
    /// Changes to what the client receives, those of the site first.
    pub response_headers: Vec<Arc<HeaderRules>>,
    /// Changes to the cookies that the upstream sets, those of the site first.
    pub response_cookies: Vec<Arc<CookieRule>>,
    /// Bytes of request body; beyond it 413. `None` is no limit.
    pub body_limit: Option<u64>,
    /// What is kept of the upstream's answers.
    pub cache: Option<Arc<CachePlan>>,
    /// What is made of the answers for clients that can do more.
    pub variants: VariantsPlan,
    /// What is asked about its requests, after the filters of the site.
    pub filters: Vec<FilterPlan>,
    /// Where it stands in the configuration.
    pub at: Location,
}

/// What makes the response.
#[derive(Clone, Debug)]
pub enum ActionPlan {
    /// An upstream's answer.
    Proxy(ProxyPlan),
    /// Files below a directory.
    Files(Box<FilesPlan>),
    /// A fixed answer.
    Respond(RespondPlan),
    /// Another address for the client.
    Redirect(RedirectPlan),
    /// Another path and query, for which a route is looked for again.
    Rewrite(Template),
    /// An answer of the program that the proxy is built into.
    Own(OwnActionPlan),
}

/// Files below a directory.
#[derive(Clone, Debug, PartialEq)]
pub struct FilesPlan {
    /// The directory that is never left: what of `root` is the same for every request, up to its last `/`.
    pub anchor: PathBuf,
    /// The whole directory; it renders to something that begins with `anchor`.
    pub root: Template,
    /// Taken off the beginning of paths.
    pub strip_prefix: Option<Box<str>>,
    /// Paths below `root`, in the order they are tried. One that ends with `/` is a directory. Without any, the path of the
    /// request, whatever is there.
    pub candidates: Vec<Template>,
    /// What answers for a directory.
    pub index: Vec<Box<str>>,
    /// How a directory without index is listed.
    pub autoindex: Autoindex,
    /// Encodings of copies that lie beside files, those the server prefers first.
    pub precompressed: Vec<Coding>,
    /// Whether answers have an `ETag`.
    pub etag: bool,
    /// Content types of extensions, in lower case, beside the usual ones.
    pub types: Vec<(Box<str>, Box<str>)>,
    /// The content type of other extensions.
    pub default_type: Box<str>,
    /// The charset named with content types that are text.
    pub charset: Option<Box<str>>,
    /// Which symbolic links are followed.
    pub symlinks: Symlinks,
    /// Whether names that begin with a dot are served.
    pub hidden: bool,
    /// The route that answers when there is no such file.
    pub missing: Option<RouteId>,
}

/// How a directory is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Autoindex {
    /// Not at all.
    Off,
    /// As a page.
    Html,
    /// As nginx's `autoindex_format json`.
    Json,
}

/// A way to encode bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Brotli; in copies of files that end with `.br`.
    Br,
    /// Zstandard; `.zst`.
    Zstd,
    /// Gzip; `.gz`.
    Gzip,
}

/// Which symbolic links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// Those that stay below the directory.
    Beneath,
    /// None.
    Never,
}

/// Another address for the client.
#[derive(Clone, Debug, PartialEq)]
pub struct RedirectPlan {
    /// The address.
    pub to: Template,
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
}

/// An upstream's answer.
#[derive(Clone, Debug)]
pub struct ProxyPlan {
    /// Whose.
    pub upstream: UpstreamId,
    /// Path and query sent upstream instead of those received.
    pub rewrite: Option<Template>,
    /// Whether the whole request body is taken in before the upstream is asked.
    pub buffer_request: bool,
    /// What decides which shard of it has a request, where it has shards.
    pub shard_key: Option<Template>,
    /// What tells its tenants apart, where each has some of its endpoints.
    pub shuffle_key: Option<Template>,
}

/// A fixed answer.
#[derive(Clone, Debug)]
pub struct RespondPlan {
    /// Its status.
    pub status: StatusCode,
    /// Its headers beside those computed.
    pub headers: Vec<(HeaderName, Template)>,
    /// Its body.
    pub body: Template,
}

/// An answer of the program that the proxy is built into. Whether it has that action is found when the plan is assembled.
#[derive(Clone, Debug)]
pub struct OwnActionPlan {
    /// The name that the program gave it.
    pub name: Box<str>,
    /// Where it stands in the configuration.
    pub at: Location,
}

/// A named service.
#[derive(Clone, Debug)]
pub struct UpstreamPlan {
    /// Its name.
    pub name: Box<str>,
    /// Interchangeable endpoints.
    pub endpoints: Vec<EndpointPlan>,
    /// What is spoken to it.
    pub protocol: UpstreamProtocol,
    /// TLS, or plain text.
    pub tls: Option<UpstreamTlsPlan>,
    /// The PROXY header that connections begin with, if they do.
    pub send_proxy: Option<SendProxyPlan>,
    /// Deadlines towards it.
    pub timeouts: UpstreamTimeouts,
    /// The most attempts for one request.
    pub tries: u32,
    /// How it is chosen among the endpoints.
    pub balance: BalancePlan,
    /// How requests stay with one of them.
    pub sticky: Option<StickyPlan>,
    /// What keeps it from being asked for more than it can do.
    pub overload: OverloadPlan,
    /// How long what names stand for is believed.
    pub resolve: ResolvePlan,
    /// A file with more endpoints, and the state in which it was read: those are among [`endpoints`](Self::endpoints).
    pub endpoints_file: Option<(EndpointsFilePlan, Option<FileStamp>)>,
    /// Probes of its endpoints, if there are.
    pub health: Option<HealthPlan>,
    /// Which endpoints are ejected for what they answer.
    pub outliers: Option<OutliersPlan>,
    /// With fewer available of a hundred, all are used; 0 is never.
    pub panic: u32,
    /// Where it stands in the configuration.
    pub at: Location,
    /// How long a client that has written reads from primaries.
    pub read_your_writes: Option<Duration>,
    /// Its shards, where it has them; then `endpoints` is empty.
    pub shards: Option<Arc<ShardsPlan>>,
    /// How many of its endpoints a tenant has.
    pub shuffle: Option<ShufflePlan>,
    /// Where requests go that it has no room for.
    pub spill: Option<SpillPlan>,
}

/// One address of a named service.
#[derive(Clone, Debug)]
pub struct EndpointPlan {
    /// Where it is.
    pub address: EndpointAddress,
    /// The host name that it was found by, if its address was not written.
    pub host: Option<Box<str>>,
    /// Its share of the requests, up to 1,000.
    pub weight: u32,
    /// What it is called where requests stick to it.
    pub id: Box<str>,
    /// Its tier: those of the first one are chosen while they can be.
    pub tier: u8,
    /// The most requests in flight.
    pub max_connections: Option<u32>,
    /// Whether it gets no new requests but those that stick to it.
    pub drain: bool,
    /// Where it stands in the configuration.
    pub at: Location,
    /// Which requests it has.
    pub role: EndpointRole,
}

/// Which requests an endpoint has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointRole {
    /// All.
    Primary,
    /// Those whose methods are safe.
    Replica,
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndpointAddress {
    /// An address.
    Ip(SocketAddr),
    /// A name to resolve.
    Name {
        /// Host name.
        host: Box<str>,
        /// Port.
        port: u16,
    },
    /// The name of a service, whose SRV records tell hosts and ports.
    Srv(Box<str>),
    /// A Unix stream socket.
    Unix(PathBuf),
}

impl EndpointAddress {
    /// The address when no name has to be resolved for it.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Name { .. } | Self::Srv(_) | Self::Unix(_) => None,
        }
    }
}

/// What is spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: by ALPN over TLS, else with prior knowledge.
    H2,
}

/// TLS towards an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTlsPlan {
    /// The name verified and sent as SNI; `None` is each endpoint's own host name. Never empty.
    pub server_name: Option<Box<str>>,
    /// PEM file of trusted roots; `None` is the system's.
    pub ca: Option<PathBuf>,
    /// Whether the certificate is verified.
    pub verify: bool,
}

/// Deadlines towards an upstream. All finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpstreamTimeouts {
    /// To connect, TLS included.
    pub connect: Duration,
    /// Between two reads.
    pub read: Duration,
    /// Between two writes.
    pub write: Duration,
    /// For a pooled connection that nobody uses.
    pub idle: Duration,
}
