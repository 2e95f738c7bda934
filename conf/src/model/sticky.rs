//! Requests that stay with one endpoint.

use super::define::model;
use super::text::{TemplateText, Text};
use crate::at::At;
use crate::plan::SameSite;
use crate::units::Duration;

model! {
    /// How the requests of one visitor stay with one endpoint: by a cookie of our own, or by what a variable says. The endpoint is
    /// theirs for as long as it is there and has room, also when it is drained or has weight 0; then another is chosen
    /// as for everybody.
    pub struct Sticky: Default {
        /// The name of a cookie that we set with the first answer. It says which endpoint, and is signed: one that is forged, or of
        /// an endpoint that is gone, is as good as none. What comes from a cache sets no cookie.
        pub cookie: Option<At<Box<str>>> = None,
        /// What the cookie is signed with, at least 16 bytes: `"${STICKY_SECRET}"` or `{ file = "…" }`. All proxies that are
        /// to send a visitor to the same endpoint need the same. Without it, a secret that the process makes for itself.
        pub secret: Option<At<Text>> = None,
        /// How long the cookie is kept. Without it, until the browser ends.
        pub max_age: Option<At<Duration>> = None,
        /// The `Path` of the cookie.
        pub path: At<Box<str>> = Box::<str>::from("/").into(),
        /// The `SameSite` of the cookie.
        pub same_site: SameSite = SameSite::Lax,
        /// Whether scripts cannot see the cookie.
        pub http_only: bool = true,
        /// Whether the cookie is for TLS alone. Without it, where the client came over TLS.
        pub secure: Option<bool> = None,
        /// Instead of a cookie of ours: what comes to the `id` of an endpoint, such as `"$cookie_route"`.
        pub route: Option<At<TemplateText>> = None,
    }
}
