//! What makes the response, and what is changed on the way.

use http::{HeaderName, StatusCode};

use super::define::model;
use super::table::Table;
use super::text::{Name, Short, TemplateText, Text};
use crate::at::At;

model! {
    /// Passes the request on. Where only `upstream` is written, its name alone will do: `proxy = "users"`.
    pub struct Proxy {
        /// The name of the upstream.
        pub upstream: At<Name>,
        /// A template for the path and query that are sent instead of those received, such as `"/v2/{id}?$args"`.
        pub rewrite: Option<At<TemplateText>> = None,
        /// Whether the whole request body is taken in before the upstream is asked.
        pub buffer_request: bool = false,
    }
}

impl Short for Proxy {
    type Key = Name;

    fn from_key(upstream: At<Name>) -> Self {
        Self { upstream, rewrite: None, buffer_request: false }
    }

    fn as_key(&self) -> Option<&Name> {
        (self.rewrite.is_none() && !self.buffer_request).then_some(&self.upstream.value)
    }
}

impl Proxy {
    /// Everything as received, to this upstream.
    #[must_use]
    pub fn to(upstream: Name) -> Self {
        Self::from_key(upstream.into())
    }
}

model! {
    /// Answers with a fixed text.
    pub struct Respond: Default {
        /// Its status, 200 to 599.
        pub status: StatusCode = StatusCode::OK,
        /// Its headers: templates, or `{ file = "path" }`. `Content-Length` is computed.
        pub headers: Table<HeaderName, At<Text>> = Table::new(),
        /// Its body: a template, or `{ file = "path" }`.
        pub body: At<Text> = Text::from("").into(),
    }
}
