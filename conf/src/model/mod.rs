//! Everything an operator can say: one file per noun, each key typed, documented and with its default.
//!
//! References are names here and templates are text; [`plan`](crate::plan()) resolves both.

pub(crate) mod define;

mod access;
mod action;
mod balance;
mod build;
mod cache;
mod cache_words;
mod connections;
mod dictionary;
mod discovery;
mod encode;
mod encoders;
mod errors;
mod files;
mod forwarding;
mod health;
mod http2;
mod images;
mod listener;
mod log;
mod map;
mod option_value;
mod overload;
mod plugin;
mod process;
mod proxy_protocol;
mod rate;
mod route;
mod rules;
mod shard;
mod site;
mod socket;
mod spill;
mod sticky;
mod switch;
mod table;
mod text;
mod tls;
mod tolerate;
mod upgrade;
mod upstream;
mod words;
mod zone;

use std::path::PathBuf;

use ipnet::IpNet;

pub use access::{Access, Bandwidth, Concurrency, FaultStatus, RouteTimeouts};
pub use action::{Proxy, Respond};
pub use balance::{Balance, Bound, HotKeys};
pub use build::NotAName;
pub use cache::{Cache, CacheKey, CacheLock, CacheOrOff, KeyParts};
pub use cache_words::{Heuristic, KeyArguments, KeyQuery, StaleOn, TtlKey};
pub use connections::{Connections, Rate};
pub use dictionary::{Dictionaries, Dictionary, DictionaryOrOff};
pub use discovery::{NameServer, Resolve};
pub use encode::{BestLevels, Encode, EncodeLevels, EncodeOrOff};
pub use encoders::Encoders;
pub use errors::{ErrorAnswer, ErrorStatus, ErrorTarget, Errors};
pub use files::{Files, Redirect};
pub use forwarding::Forwarding;
pub use health::{Health, HealthOrPath, Outliers, OutliersOrOff, StatusRanges, Tenths};
pub use http2::Http2;
pub use images::{ImageMode, Images, ImagesOrOff};
pub use listener::{BindAddress, Limits, Listener, Mode, Timeouts};
pub use log::{AccessLog, Log, Rotate, Syslog, SyslogTag};
pub use map::Map;
pub use option_value::{OptionValue, Options};
pub use overload::{AtOnce, Breaker, Hedge, HedgeAfter, Percent, Queue, Retry, RetryOn};
pub use plugin::{Filter, Filters, ModuleFile, Plugin, PluginLimits, Sha256};
pub use process::{Control, Workers};
pub use proxy_protocol::{ProxyProtocol, ProxySource, SendProxy};
pub use rate::MinRate;
pub use route::{Matcher, Route};
pub use rules::{CookieRule, CookieText, HeaderRules};
pub use shard::{Mapping, MissingKey, Shard, ShardBy, Shuffle};
pub use site::Site;
pub use socket::{Keepalive, Owner, SocketOptions};
pub use spill::Spill;
pub use sticky::{Learn, Sticky};
pub use switch::OrOn;
pub use table::{OneOrMany, Table};
pub use text::{Count, FolderText, FromFile, Name, OrOff, OrText, TemplateText, Text};
pub use tls::{
    Certificate, ClientCertificates, ClientVerify, ListenerTls, SiteTls, Tickets, UnknownName,
    UpstreamTls,
};
pub use tolerate::Tolerance;
pub use upgrade::Upgrade;
pub(crate) use upstream::is_host_name;
pub use upstream::{Endpoint, Upstream, UpstreamTimeouts};
pub use zone::{Zone, ZoneDisk, ZonePurge};

use crate::at::At;
use crate::units::Duration;

define::model! {
    /// A configuration file as a whole.
    ///
    /// What several files say is put together: lists are strung together, tables joined. A key that is no list may be set
    /// in one of them only.
    pub struct Config: Default {
        /// Other files that belong to this one, as patterns such as `"sites/*.toml"`. Each must match a file.
        pub include: Vec<At<Box<str>>> = Vec::new(),
        /// How many threads serve requests: a number, or `"auto"` for one per core.
        pub workers: Workers = Workers::Auto,
        /// Where the process writes its id. Without it and `control.socket`, where `switchback run` keeps such things.
        pub pid_file: Option<At<PathBuf>> = None,
        /// The longest that a graceful stop waits for requests to end.
        pub shutdown_timeout: Duration = Duration::seconds(30),
        /// The time over which a graceful stop spreads the closing of idle connections; until its turn, each may bring one
        /// more request. Without it: 5 seconds, but at most a third of `shutdown_timeout`. `"0"` closes all at once.
        pub drain_spread: Option<At<Duration>> = None,
        /// How the process is replaced by a newer binary.
        pub upgrade: Upgrade = Upgrade::default(),
        /// Networks of proxies in front of this one, whose `X-Forwarded-*`, `Forwarded` and `X-Request-ID` are believed.
        pub trusted_proxies: Vec<IpNet> = Vec::new(),
        /// How many client connections the process takes, on all listeners together.
        pub connections: Connections = Connections::default(),
        /// How the command line reaches the running process.
        pub control: Control = Control::default(),
        /// What upstreams are told about the client.
        pub forwarding: Forwarding = Forwarding::default(),
        /// What is written about requests and about the process itself.
        pub log: Log = Log::default(),
        /// The addresses that clients connect to. At least one.
        pub listeners: Vec<At<Listener>> = Vec::new(),
        /// The hosts that are answered. At least one.
        pub sites: Vec<At<Site>> = Vec::new(),
        /// The services that requests are passed on to, each under its name: `[upstreams.NAME]`.
        pub upstreams: Table<Name, At<Upstream>> = Table::new(),
        /// The name servers that host names of endpoints are looked up at, in this order. Without it, those of `/etc/resolv.conf`.
        pub resolvers: Vec<NameServer> = Vec::new(),
        /// Values that are looked up, each map under its name: `[maps.NAME]`. What one makes of a request is `$map_NAME`.
        pub maps: Table<Name, At<Map>> = Table::new(),
        /// Caches, each under its name: `[zones.NAME]`.
        pub zones: Table<Name, At<Zone>> = Table::new(),
        /// The threads that encode in the background what `encode` and `images` make.
        pub encoders: Encoders = Encoders::default(),
        /// What is kept to encode against, where a route has `dictionary`.
        pub dictionaries: Dictionaries = Dictionaries::default(),
        /// Folders in which the files of plugins are looked for, in this order.
        pub plugin_path: Vec<At<PathBuf>> = Vec::new(),
        /// Plugins with their options, each under its name: `[plugins.NAME]`. `filters` of listeners, sites and routes have them asked.
        pub plugins: Table<Name, At<Plugin>> = Table::new(),
        ..
        /// The files that were read, in the order they were.
        pub files: Vec<PathBuf>,
    }
}
