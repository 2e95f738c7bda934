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

use std::net::SocketAddr;

pub use access::{AccessPlan, BandwidthPlan, ConcurrencyPlan, RouteTimeouts};
pub use actions::{ActionPlan, OwnActionPlan, ProxyPlan, RedirectPlan, RespondPlan};
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
pub use files::{Autoindex, Coding, FilesPlan, Symlinks};
pub use health::{HealthPlan, OutliersPlan, ProbeKind, ProbePlan};
pub use images::{ImageFormat, ImageModePlan, ImagesPlan, missing_image_formats};
pub use listeners::{
    Http2Limits, ListenAddress, ListenerLimits, ListenerPlan, ListenerTimeouts, MinRate,
};
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
pub use process::{ForwardingPlan, ProcessPlan};
pub use proxy_protocol::{OtherPeers, ProxyProtocolPlan, ProxyVersion, SendProxyPlan, SentTlv};
pub use routes::RoutePlan;
pub use rules::HeaderRules;
pub use shard_keys::ShufflePlan;
pub use shards::{MappingBy, MappingPlan, MissingPlan, RangeOf, ShardPlan, ShardsPlan};
pub use sites::{EncodedSlash, SitePlan};
pub use sockets::{KeepalivePlan, SocketPlan};
pub use spill::SpillPlan;
pub use sticky::{LearnPlan, StickyCookiePlan, StickyPlan, StickyTo};
pub use tls::{
    CipherSuite, ClientCertificatesPlan, KeyGroup, ListenerTlsPlan, TicketsPlan, TlsVersion,
};
pub use tolerate::Tolerances;
pub use upstreams::{
    EndpointAddress, EndpointPlan, EndpointRole, UpstreamPlan, UpstreamProtocol, UpstreamTimeouts,
    UpstreamTlsPlan,
};
pub use variants::VariantsPlan;
pub use zones::{ZoneDiskPlan, ZonePlan};

pub use crate::model::Tolerance;

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
