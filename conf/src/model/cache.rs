//! What of an upstream's answers is kept, and for what it is used.

use http::{HeaderName, Method};

use super::cache_words::{Heuristic, KeyQuery, StaleOn, TtlKey};
use super::define::model;
use super::table::{OneOrMany, Table};
use super::text::{Count, Name, OrOff, OrText, Short, TemplateText};
use crate::at::At;
use crate::native::{Decoder, Node, Setting, Value};
use crate::units::{Duration, Size, Timeout};

/// `cache = "main"`, `cache = { zone = "main" }` or `cache = "off"`.
pub type CacheOrOff = OrOff<OrText<Cache>>;

model! {
    /// Keeps what upstreams answer, as RFC 9111 has it for shared caches. Where only `zone` is written, its name alone will do:
    /// `cache = "main"`.
    pub struct Cache {
        /// The name of the zone.
        pub zone: At<Name>,
        /// What a response is found by: a table that says what belongs to it beside method, host, path and query, or a template
        /// that is all of it, such as `"$scheme$host$request_uri"`. A response may say in `No-Vary-Search` which parts of the query
        /// make no difference; to a template, that says nothing.
        pub key: Option<At<CacheKey>> = None,
        /// For how long responses without lifetime are fresh, by status: `{ 200 = "10m", 404 = "5s", any = "1s" }`. `"0"` is not
        /// at all.
        pub ttl: Table<TtlKey, At<Duration>> = Table::new(),
        /// Whether `ttl` also counts where a response has a lifetime of its own, or says `no-cache`. What must not be stored
        /// (`no-store`, `private`) still is not: `ignore` is deaf to that, too.
        pub override_origin: At<bool> = At::from(false),
        /// Headers of responses that are as if they were not there: `"cache-control"`, `"expires"`, `"no-vary-search"`, `"pragma"`,
        /// `"set-cookie"`, `"vary"` and those of `targeted`. With `"set-cookie"`, such a response is stored without it.
        pub ignore: Vec<At<HeaderName>> = Vec::new(),
        /// Whether a response is stored with its `Set-Cookie`, for everybody. Otherwise one that has it is not stored.
        pub store_cookies: At<bool> = At::from(false),
        /// Whether `Cache-Control` and `Pragma` of requests count.
        pub obey_client: bool = true,
        /// For how long responses without lifetime and without `ttl` are fresh: this much of the time since their
        /// `Last-Modified`, at most a day. Or `"off"`.
        pub heuristic: OrOff<Heuristic> = OrOff::On(Heuristic::TENTH),
        /// How often something must be asked for before it is stored.
        pub min_uses: Count<1, 65_535> = Count::clamped(1),
        /// A condition under which a request is not answered from the cache; what it is answered with is stored.
        pub bypass: Option<At<Box<str>>> = None,
        /// A condition under which nothing is stored. It may ask for `$upstream_status` and `$upstream_http_*`.
        pub no_store: Option<At<Box<str>>> = None,
        /// A range of what is not stored is fetched by itself if it begins beyond this many bytes, or is counted from the end,
        /// instead of fetching all before it; it is stored in memory as a part, and put together with others. Without it, only
        /// what is counted from the end is.
        pub max_range_offset: Option<At<Size>> = None,
        /// How requests for the same thing wait for one that fetches it. `"off"` has each fetch it.
        pub lock: At<OrOff<CacheLock>> = At::from(OrOff::On(CacheLock::default())),
        /// How long a stale response may be sent while it is fetched anew, where it does not say so itself (RFC 5861).
        pub stale_while_revalidate: At<Duration> = At::from(Duration::seconds(0)),
        /// How long a stale response may stand in for what `stale_on` names, where it does not say so itself (RFC 5861).
        pub stale_if_error: At<Duration> = At::from(Duration::seconds(0)),
        /// What a stale response may stand in for: `"error"` (no usable answer), `"timeout"`, or a status: 403, 404, 429, 500 to
        /// 599.
        pub stale_on: Vec<At<StaleOn>> = StaleOn::by_default(),
        /// Whether a stale response that may be sent while it is fetched anew goes to the first that asks, too. Otherwise that
        /// one waits for the new one.
        pub background_update: bool = true,
        /// Whether everything stored is sent for as long as the upstream is dead, however stale it is, unless it must not be
        /// (`must-revalidate`, `no-cache`). The upstream is then asked once a second at most.
        pub always_online: bool = false,
        /// Fetches and stores in slices of this many bytes, so that ranges of huge files need not wait for all before them.
        pub slice: Option<At<Size>> = None,
        /// Headers of requests by which responses differ, beside those that their `Vary` names.
        pub vary: Vec<At<HeaderName>> = Vec::new(),
        /// Whether a response that varies by `Accept-Language` goes to everybody who wants its `Content-Language` most, as it went
        /// to one who did, whatever else they would take. For upstreams that choose by language alone: RFC 9111 has only the same
        /// lists of languages share a response.
        pub match_language: bool = false,
        /// The methods that are answered from the cache: `GET`, `HEAD` and `QUERY`, whose body then belongs to the key. A QUERY with
        /// a larger body than 64 KiB is passed on.
        pub methods: At<OneOrMany<Method>> = At::from(OneOrMany(vec![Method::GET, Method::HEAD])),
        /// Whether `Link: rel=preload` of a stored response is told ahead, with 103, while the response is fetched anew.
        pub early_hints: bool = false,
        /// Whether answers tell of the cache in `Cache-Status` (RFC 9211).
        pub status_header: bool = true,
        /// Headers that speak to this cache before `Cache-Control` does, the first that is there (RFC 9213). `"x-accel-expires"`
        /// is read as nginx does: seconds, `@` and a time since 1970, or `0` for what is not stored; it wins over `private` and
        /// `no-store`, too, which is why it has to be named here.
        pub targeted: Vec<HeaderName> = vec![HeaderName::from_static("cdn-cache-control")],
        /// How large a body may be that is stored. Without it, that of the zone.
        pub max_object: Option<At<Size>> = None,
        /// Whether `Cache-Groups` and `Cache-Group-Invalidation` of responses count (RFC 9875).
        pub groups: bool = true,
    }
}

impl Cache {
    /// What RFC 9111 says, in this zone.
    #[must_use]
    pub fn of(zone: impl Into<At<Name>>) -> Self {
        Self {
            zone: zone.into(),
            key: None,
            ttl: Table::new(),
            override_origin: At::from(false),
            ignore: Vec::new(),
            store_cookies: At::from(false),
            obey_client: true,
            heuristic: OrOff::On(Heuristic::TENTH),
            min_uses: Count::clamped(1),
            bypass: None,
            no_store: None,
            max_range_offset: None,
            lock: At::from(OrOff::On(CacheLock::default())),
            stale_while_revalidate: At::from(Duration::seconds(0)),
            stale_if_error: At::from(Duration::seconds(0)),
            stale_on: StaleOn::by_default(),
            background_update: true,
            always_online: false,
            slice: None,
            vary: Vec::new(),
            match_language: false,
            methods: At::from(OneOrMany(vec![Method::GET, Method::HEAD])),
            early_hints: false,
            status_header: true,
            targeted: vec![HeaderName::from_static("cdn-cache-control")],
            max_object: None,
            groups: true,
        }
    }
}

impl Short for Cache {
    type Key = Name;

    fn from_key(zone: At<Name>) -> Self {
        Self::of(zone)
    }

    fn as_key(&self) -> Option<&Name> {
        (*self == Self::of(self.zone.clone())).then_some(&self.zone.value)
    }
}

model! {
    /// How requests wait for one that fetches the same thing.
    pub struct CacheLock: Default {
        /// How long they wait for the head of its answer, before they fetch by themselves and store nothing.
        pub wait: Duration = Duration::seconds(5),
        /// After how long without a head one more may fetch in its place.
        pub age: Timeout = Timeout::seconds(5),
    }
}

model! {
    /// What a response is found by.
    pub struct KeyParts: Default {
        /// What else belongs to the key: templates, such as `"$cookie_lang"`. Each is a part by itself.
        pub parts: Vec<At<TemplateText>> = Vec::new(),
        /// What of the query belongs to it: `"all"`, `"none"`, `{ only = ["page"] }` or `{ except = ["utm_*"] }`. The upstream
        /// is sent the same.
        pub query: At<KeyQuery> = At::from(KeyQuery::All),
        /// Whether the host belongs to it. Without it, all hosts of a route share what is stored.
        pub host: bool = true,
        /// Whether `http` or `https` belongs to it.
        pub scheme: bool = true,
    }
}

/// What a response is found by.
#[derive(Clone, Debug, PartialEq)]
pub enum CacheKey {
    /// Exactly this.
    Whole(TemplateText),
    /// The usual, and what is said here.
    Parts(KeyParts),
}

impl Setting for CacheKey {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        match node.value() {
            Value::Table(_) => KeyParts::decode(node, decoder).map(Self::Parts),
            Value::String(_) => TemplateText::decode(node, decoder).map(Self::Whole),
            _ => decoder.wrong_type(node, "a table of key parts or a template"),
        }
    }

    fn write<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Whole(template) => template.write(serializer),
            Self::Parts(parts) => parts.write(serializer),
        }
    }

    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let parts = KeyParts::schema(generator);
        schemars::json_schema!({ "anyOf": [parts, TemplateText::schema(generator)] })
    }
}
