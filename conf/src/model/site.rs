//! The hosts answered together.

use super::access::{Access, Concurrency};
use super::cache::CacheOrOff;
use super::define::model;
use super::dictionary::DictionaryOrOff;
use super::encode::EncodeOrOff;
use super::errors::Errors;
use super::images::ImagesOrOff;
use super::plugin::Filters;
use super::route::Route;
use super::rules::{CookieRule, HeaderRules};
use super::table::OneOrMany;
use super::table::Table;
use super::text::Name;
use super::tls::SiteTls;
use crate::at::At;
use crate::plan::EncodedSlash;
use crate::units::Bytes;

model! {
    /// Hosts that are answered together.
    pub struct Site {
        /// Which hosts: `"shop.example"`, `"*.shop.example"`, `"www.*"` or `"~regex"`. Without it, any. A host that
        /// no site answers gets 404, and over TLS 421.
        pub hosts: Vec<At<Box<str>>> = Vec::new(),
        /// On which listeners, by name. Without it, on all.
        pub listeners: Vec<At<Name>> = Vec::new(),
        /// Whether it also answers hosts that no other site of its listeners names. One site per listener may.
        pub is_default as "default": At<bool> = At::from(false),
        /// Certificates for its hosts on its TLS listeners. Without it, those of the listeners. A client that has asked for a host
        /// with other certificates in its handshake is answered 421.
        pub tls: Option<At<SiteTls>> = None,
        /// What becomes of `%2f` in a path: `"keep"` leaves it as it is, distinct from `/`; `"decode"` makes it a `/`, as nginx
        /// does; `"refuse"` answers 400.
        pub encoded_slash: EncodedSlash = EncodedSlash::Keep,
        /// How large a request body may be; a larger one is answered with 413. `"0"` is no limit.
        pub body_limit: Bytes = Bytes::mib(1),
        /// Who may ask, on all routes.
        pub access: Option<At<Access>> = None,
        /// How many requests may be in progress at once, on all routes together.
        pub concurrency: Option<At<Concurrency>> = None,
        /// What is answered instead of errors, as in `{ 404 = "not-found", "5xx" = "/sorry.html" }`, where the route does not say
        /// it, or there is none: of what goes wrong here. What an upstream answers itself is its own affair. A request that
        /// cannot be read (400, 408, 414, 431) is for no site yet, and gets a plain page.
        pub errors: Errors = Table::new(),
        /// Changes to the headers that upstreams receive on every route of the site: a table, or a list of them in the order in which
        /// they act.
        pub request_headers: OneOrMany<At<HeaderRules>> = OneOrMany::default(),
        /// Changes to the headers that clients receive on every route of the site, likewise.
        pub response_headers: OneOrMany<At<HeaderRules>> = OneOrMany::default(),
        /// Changes to the cookies that upstreams set on every route of the site, one after the other.
        pub response_cookies: Vec<At<CookieRule>> = Vec::new(),
        /// Keeps what upstreams answer, on every route that has no `cache` of its own: the name of a zone, or a table.
        pub cache: Option<At<CacheOrOff>> = None,
        /// Encodes answers for clients that can decode them, on every route that has no `encode` of its own: `"on"`, or a table.
        pub encode: Option<At<EncodeOrOff>> = None,
        /// Encodes answers against earlier versions of themselves, on every route that has `encode` and `cache` and no `dictionary` of
        /// its own: the paths that are versions of one thing, or a table.
        pub dictionary: Option<At<DictionaryOrOff>> = None,
        /// Makes smaller images of those that upstreams answer with, on every route that has `cache` and no `images` of its own:
        /// `"on"`, or a table.
        pub images: Option<At<ImagesOrOff>> = None,
        /// Plugins that are asked about every request, after those of the listener: names, or tables.
        pub filters: Filters = Vec::new(),
        /// What is done with which request: `[[sites.routes]]`. At least one.
        pub routes: Vec<At<Route>> = Vec::new(),
    }
}

impl Site {
    /// A site for any host, with all defaults.
    #[must_use]
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Self {
        Self {
            hosts: Vec::new(),
            listeners: Vec::new(),
            is_default: At::from(false),
            tls: None,
            encoded_slash: EncodedSlash::Keep,
            body_limit: Bytes::mib(1),
            access: None,
            concurrency: None,
            errors: Table::new(),
            request_headers: OneOrMany::default(),
            response_headers: OneOrMany::default(),
            response_cookies: Vec::new(),
            cache: None,
            encode: None,
            dictionary: None,
            images: None,
            filters: Vec::new(),
            routes: routes.into_iter().map(At::from).collect(),
        }
    }
}
