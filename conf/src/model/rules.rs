//! What is changed on the way.

use http::HeaderName;

use super::define::model;
use super::table::Table;
use super::text::Text;
use crate::at::At;

model! {
    /// Changes to the headers of a request or response: what is removed first, then what is set, then what is added.
    ///
    /// Conditions and values see the headers as they came, whatever other rules change.
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
