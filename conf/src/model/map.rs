//! Values that are looked up.

use std::path::PathBuf;

use super::define::model;
use super::table::Table;
use super::text::TemplateText;
use crate::at::At;

model! {
    /// What a text about the request becomes: `$map_NAME` in templates and conditions. It is looked up when it is first asked for,
    /// and once for each request unless it depends on the answer.
    pub struct Map {
        /// What is looked up: a template such as `"$host"`.
        pub key: At<TemplateText>,
        /// What it becomes, by key: `"text"` in any case, `"~regex"` or `"~*regex"` in any case. The exact one decides before all
        /// others, then the longest `"*.example.com"`, the longest `"www.*"`, and the regexes as they are written. A `\` at the
        /// beginning takes its meaning away from what follows. Groups of a regex capture nothing for the values.
        pub values: Table<Box<str>, At<TemplateText>> = Table::new(),
        /// What all other keys become. Without it, nothing.
        pub default: Option<At<TemplateText>> = None,
        /// Whether keys are hosts: then `"*.example.com"`, `".example.com"` and `"www.*"` are wildcards.
        pub hosts: bool = false,
        /// A file with more values: a TOML table when its name ends in `.toml`, else lines `key value;` as in nginx, where the key
        /// `default` is the default. At most 16 MiB. It is watched: changes act within a second or two, while a file with mistakes
        /// changes nothing but the log. Its values refer to what is known when a request arrives, and not to maps.
        pub file: Option<At<PathBuf>> = None,
    }
}
