//! Requests that stay with one endpoint.

use super::define::model;
use super::table::OneOrMany;
use super::text::{Count, TemplateText, Text};
use crate::at::At;
use crate::plan::{SameSite, StickyTo};
use crate::units::{Duration, Timeout};

model! {
    /// How the requests of one visitor stay with one endpoint: by a cookie of our own, by what a variable says, or by a session that
    /// the endpoint's answer has begun. The endpoint is theirs for as long as it is there and has room, also when it is drained or
    /// has weight 0; then another is chosen as for everybody. Whoever was given a backup goes back as soon as somebody else has room.
    /// With shards, the key of a request says which shard has it, and this, which endpoint of that shard.
    pub struct Sticky: Default {
        /// The name of a cookie that we set with the first answer. It says which endpoint, and of which shard where there are any,
        /// and is signed: one that is forged, too old, or of an endpoint or a shard that is gone is as good as none, and another
        /// takes its place. So no proxy of a fleet has to know what another has chosen. What comes from a cache sets no cookie, and
        /// where there are replicas, no answer to a request that writes.
        pub cookie: Option<At<Box<str>>> = None,
        /// What the cookie is signed with, at least 16 bytes: `"${STICKY_SECRET}"` or `{ file = "…" }`. All proxies that are
        /// to send a visitor to the same endpoint need the same. Of a list, the first one signs and each is believed: a new secret
        /// goes behind the old one everywhere, then before it, then the old one goes. Without it, a secret that the process makes
        /// for itself.
        pub secret: Option<At<OneOrMany<At<Text>>>> = None,
        /// How long the cookie is kept, and believed. A visitor who comes back after half of it gets a new one. Without it, until
        /// the browser ends.
        pub max_age: Option<At<Duration>> = None,
        /// The `Path` of the cookie.
        pub path: At<Box<str>> = Box::<str>::from("/").into(),
        /// The `SameSite` of the cookie.
        pub same_site: SameSite = SameSite::Lax,
        /// Whether scripts cannot see the cookie.
        pub http_only: bool = true,
        /// Whether the cookie is for TLS alone. Without it, where the client came over TLS.
        pub secure: Option<bool> = None,
        /// With shards and a `cookie`: `"endpoint"` (the default), or `"shard"`: its visitor stays in the shard, and is balanced
        /// among its endpoints as everybody.
        pub to: Option<At<StickyTo>> = None,
        /// With shards and a `cookie`: whether its shard has the visitor's requests also when they have a key, which then says no more
        /// than where a visitor begins. Without it, its shard has only those without key.
        pub before_key: Option<At<bool>> = None,
        /// Instead of a cookie of ours: what comes to the `id` of an endpoint, such as `"$cookie_route"`.
        pub route: Option<At<TemplateText>> = None,
        /// Instead of a cookie of ours: sessions that endpoints begin.
        pub learn: Option<At<Learn>> = None,
    }
}

model! {
    /// Sessions that endpoints begin, and that are remembered here: in this process alone, across reloads. A session whose endpoint
    /// is gone or has no room goes on with the one that answers it then. A session that no answer has begun is not one.
    pub struct Learn {
        /// What of an answer is the name of its session, such as `"$upstream_cookie_session"` or `"$upstream_http_x_session"`. Of
        /// several, the first one that is not empty.
        pub from: At<OneOrMany<At<TemplateText>>>,
        /// What of a request is, such as `"$cookie_session"`, likewise.
        pub by: At<OneOrMany<At<TemplateText>>>,
        /// The most sessions that are remembered. One more pushes out some that were not asked for lately.
        pub most: Count<100, 10_000_000> = Count::clamped(100_000),
        /// How long one is remembered that nobody asks for.
        pub forget: Timeout = Timeout::seconds(3600),
    }
}
