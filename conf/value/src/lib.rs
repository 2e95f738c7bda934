//! Templates, conditions and the registry of variables: the one language in which configuration speaks about requests.
//!
//! - [`Variable`] names a value of a request, [`Known`] is the table of those with fixed names, [`Facts`] answers them.
//! - [`Template`] is literals and variables, parsed once and rendered per request: `"$scheme://$host$request_uri"`.
//! - [`Condition`] is a predicate over variables: `$http_upgrade == "websocket" && $remote_addr in [10.0.0.0/8]`.
//! - [`Access`] is who may ask: clients, methods, referers and conditions.
//! - [`HostPattern`] and [`PathPattern`] are what a site and a route say about hosts and paths, [`PathGlob`] what browsers are
//!   told about paths, [`MediaRange`] what is said about types.
//! - [`MapTable`] turns one text into another, by key, host or regex.
//! - [`Scope`] holds the names a text may use beside the registry, [`escape`] the forms in which values enter logs.
//!
//! ```
//! use switchback_value::{Condition, Scope, Template};
//!
//! let scope = Scope::with_captures(["id"]);
//! let target = Template::parse("/v2/{id}?$args", &scope)?;
//! assert_eq!(target.variables().count(), 2);
//!
//! let wrong = Condition::parse("$request_methd == 'GET'", &scope).unwrap_err();
//! assert_eq!(wrong.at, 0..14);
//! assert_eq!(wrong.to_string(), "unknown variable `$request_methd`");
//! assert_eq!(wrong.hint().as_deref(), Some("did you mean `$request_method`?"));
//! # Ok::<(), switchback_value::TemplateError>(())
//! ```
//!
//! Nothing here waits, reads a clock or knows a server: parsing is a function of text, evaluation of [`Facts`].

mod access;
mod condition;
pub mod escape;
mod host_pattern;
mod map_table;
mod media_range;
mod memo;
mod path_glob;
mod path_pattern;
mod proxy_tlv;
mod reference;
mod scope;
pub mod suggest;
mod template;
mod variable;

#[cfg(test)]
mod sample;

pub use access::{Access, ClientRule, ClientRuleError, RefererError, Referers};
pub use condition::{Condition, ConditionError, ConditionErrorKind};
pub use host_pattern::{HostPattern, HostPatternError};
pub use map_table::{MapKeyError, MapTable, is_wildcard};
pub use media_range::{MediaRange, MediaRangeError};
pub use memo::Memo;
pub use path_glob::{PathGlob, PathGlobError};
pub use path_pattern::{
    Groups, MAX_CAPTURES, PathPattern, PathPatternError, PathRegex, Segment, Segments,
};
pub use proxy_tlv::ProxyTlv;
pub use scope::{MapNames, Scope};
pub use template::{Piece, Template, TemplateError, TemplateErrorKind, escape_literal};
pub use variable::{FAMILIES, Facts, Family, Known, Variable, is_plugin_variable};
