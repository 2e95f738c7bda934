//! What is done with which request.

use http::{HeaderName, Method};
use ipnet::IpNet;

use super::access::{Access, Bandwidth, Concurrency, RouteTimeouts};
use super::action::{Proxy, Respond};
use super::cache::CacheOrOff;
use super::define::model;
use super::dictionary::DictionaryOrOff;
use super::encode::EncodeOrOff;
use super::errors::Errors;
use super::files::{Files, Redirect};
use super::images::ImagesOrOff;
use super::plugin::Filters;
use super::rules::{CookieRule, HeaderRules};
use super::table::{OneOrMany, Table};
use super::text::{Name, OrText, TemplateText};
use crate::at::At;
use crate::units::Bytes;

model! {
    /// Which requests, and what is done with them: exactly one of `proxy`, `files`, `respond`, `redirect`,
    /// `rewrite` and `action`.
    pub struct Route: Default {
        /// A name, unique in its site, by which `errors` and `missing` refer to it; it also appears in logs as `$route`.
        pub name: Option<At<Name>> = None,
        /// Which requests. Without it, all.
        pub matcher as "match": Option<At<Matcher>> = None,
        /// Routes with a higher one are asked first, whatever they match.
        pub priority: At<i32> = At::from(0),
        /// Whether it is reached only through `errors` or `missing` of another route. Such a route needs a `name` and no `match`.
        pub internal: bool = false,
        /// Passes the request on: the name of an upstream, or a table.
        pub proxy: Option<At<OrText<Proxy>>> = None,
        /// Answers with files: a directory, or a table.
        pub files: Option<At<OrText<Files>>> = None,
        /// Answers with a fixed text.
        pub respond: Option<At<Respond>> = None,
        /// What is answered instead of errors, as in `{ 404 = "not-found", "5xx" = "/sorry.html" }`: of what goes wrong here, and
        /// of answers of the upstream that have such a status. Where a status is not named, that of the site counts, for what
        /// goes wrong here alone. What goes wrong with the answer instead is told on a plain page, unless that route has
        /// `errors` of its own that name a route.
        pub errors: Errors = Table::new(),
        /// Who may ask. That of the site must hold too.
        pub access: Option<At<Access>> = None,
        /// How many requests may be in progress at once. Those of the site count too.
        pub concurrency: Option<At<Concurrency>> = None,
        /// How long the upstream may take.
        pub timeouts: Option<At<RouteTimeouts>> = None,
        /// How fast an answer is sent. Without it, as fast as it goes.
        pub bandwidth: Option<At<Bandwidth>> = None,
        /// Sends the client to another address: a template for it, or a table.
        pub redirect: Option<At<OrText<Redirect>>> = None,
        /// A template for path and query that replace those of the request, for which a route of the site is then looked for
        /// again (nginx's `rewrite … last`). At most 10 times for one request.
        pub rewrite: Option<At<TemplateText>> = None,
        /// Answers with an action of the program that Switchback is built into: the name it was registered under. The
        /// `switchback` command has none.
        pub action: Option<At<Name>> = None,
        /// Changes to the headers that the upstream receives: a table, or a list of them in the order in which they act. Those of the
        /// site act first.
        pub request_headers: OneOrMany<At<HeaderRules>> = OneOrMany::default(),
        /// Changes to the headers that the client receives, likewise.
        pub response_headers: OneOrMany<At<HeaderRules>> = OneOrMany::default(),
        /// Changes to the cookies that the upstream sets, one after the other. Those of the site act first.
        pub response_cookies: Vec<At<CookieRule>> = Vec::new(),
        /// How large a request body may be; a larger one is answered with 413. `"0"` is no limit. Without it, that of the site.
        pub body_limit: Option<Bytes> = None,
        /// Keeps what the upstream answers: the name of a zone, a table, or `"off"`. Without it, that of the site.
        pub cache: Option<At<CacheOrOff>> = None,
        /// Encodes answers for clients that can decode them: `"on"`, a table, or `"off"`. Without it, that of the site.
        pub encode: Option<At<EncodeOrOff>> = None,
        /// Encodes answers against earlier versions of themselves: the paths that are versions of one thing, a table, or `"off"`.
        /// Needs `encode` and `cache`. Without it, that of the site.
        pub dictionary: Option<At<DictionaryOrOff>> = None,
        /// Makes smaller images of those that the upstream answers with: `"on"`, a table, or `"off"`. Needs `cache`. Without it,
        /// that of the site.
        pub images: Option<At<ImagesOrOff>> = None,
        /// Plugins that are asked about its requests, after those of the listener and of the site: names, or tables.
        pub filters: Filters = Vec::new(),
    }
}

model! {
    /// Which requests: those of which all of this is true.
    pub struct Matcher: Default {
        /// The path: `"/exact"`, `"/below/*"`, `"/users/{id}/posts"` or `"~regex"`; one, or a list of which one must match.
        pub path: OneOrMany<At<Box<str>>> = OneOrMany::default(),
        /// The method, or a list of which it must be one.
        pub method: OneOrMany<Method> = OneOrMany::default(),
        /// Headers: `"text"` for exactly that, `"*"` for any value, `"~regex"`.
        pub headers: Table<HeaderName, At<Box<str>>> = Table::new(),
        /// Arguments of the query, likewise.
        pub query: Table<Name, At<Box<str>>> = Table::new(),
        /// Cookies, likewise.
        pub cookies: Table<Name, At<Box<str>>> = Table::new(),
        /// Networks in one of which the client must be.
        pub client: OneOrMany<IpNet> = OneOrMany::default(),
        /// A condition, such as `'$scheme == "http"'`.
        pub when: Option<At<Box<str>>> = None,
    }
}
