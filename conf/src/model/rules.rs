//! What is changed on the way.

use http::HeaderName;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;

use super::define::model;
use super::table::Table;
use super::text::{TemplateText, Text};
use crate::at::At;
use crate::native::{Decoder, Node, Setting, Value};
use crate::plan::SameSite;

model! {
    /// Changes to the headers of a request or response: what is removed first, then what is set, then what is added.
    ///
    /// Conditions and values see the headers as they came, whatever other rules change. A request that would bring a line break into a
    /// value is answered with 400.
    pub struct HeaderRules: Default {
        /// The condition under which they are changed. Without it, always. That of `response_headers` may ask for the answer, as in
        /// `'$status == "404"'`.
        pub when: Option<At<Box<str>>> = None,
        /// Headers that are removed.
        pub remove: Vec<At<HeaderName>> = Vec::new(),
        /// Headers that are replaced or added: templates, or `{ file = "path" }`. What renders empty is removed.
        pub set: Table<HeaderName, At<Text>> = Table::new(),
        /// Headers that get another line beside those there are: templates, or `{ file = "path" }`. What renders empty is not added.
        pub add: Table<HeaderName, At<Text>> = Table::new(),
    }
}

impl HeaderRules {
    /// Whether they change nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

model! {
    /// Changes to the cookies that an upstream sets, as nginx's `proxy_cookie_domain`, `_path` and `_flags`.
    pub struct CookieRule: Default {
        /// Which cookies: `"name"`, or `"~regex"` for what it finds in the name. Without it, all.
        pub name: Option<At<Box<str>>> = None,
        /// Whether they are not passed on.
        pub remove: bool = false,
        /// The `Domain` they get; when it is empty, none, so that they belong to the host alone. Or a table: `{ "old.example" =
        /// "$host" }` changes that domain and leaves others, `"~regex"` those it finds.
        pub domain: Option<At<CookieText>> = None,
        /// The `Path` they get. Or a table: `{ "/app/" = "/" }` changes paths that begin with `/app/`, and keeps what follows;
        /// `"~regex"` replaces whole paths.
        pub path: Option<At<CookieText>> = None,
        /// Whether they have `Secure`. Without it, as it was.
        pub secure: Option<bool> = None,
        /// Whether they have `HttpOnly`. Without it, as it was.
        pub http_only: Option<bool> = None,
        /// Their `SameSite`. Without it, as it was.
        pub same_site: Option<SameSite> = None,
    }
}

/// A template, or a table of what becomes what; the first that fits decides.
#[derive(Clone, Debug, PartialEq)]
pub enum CookieText {
    /// This, whatever was there before.
    Whole(TemplateText),
    /// Only what is there and named here.
    Replace(Table<Box<str>, At<TemplateText>>),
}

impl Setting for CookieText {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        match node.value() {
            Value::Table(_) => Table::decode(node, decoder).map(Self::Replace),
            Value::String(_) => TemplateText::decode(node, decoder).map(Self::Whole),
            _ => decoder.wrong_type(node, "a template or a table of replacements"),
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Whole(template) => template.write(serializer),
            Self::Replace(table) => table.write(serializer),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let table = Table::<Box<str>, At<TemplateText>>::schema(generator);
        json_schema!({ "anyOf": [TemplateText::schema(generator), table] })
    }
}
