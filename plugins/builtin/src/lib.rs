//! The plugins that come with Switchback, written with what every plugin is written with.
//!
//! One file or folder each; [`modules`] names them all. What they share: [`template`], texts with variables, and [`units`], times, sizes
//! and rates as the configuration language writes them.

mod basic_auth;
mod concurrency_limit;
mod cors;
mod credential;
mod csrf;
mod forward_auth;
mod headers;
mod ip_filter;
mod jwt;
mod key;
mod key_auth;
mod option;
mod origin;
mod rate_limit;
#[cfg(test)]
mod reference;
mod request_id;
mod template;
#[cfg(test)]
mod testing;
mod units;
mod watched;

use std::sync::Arc;

use switchback_plugin::{Linked, Module};

/// All of them, not configured yet, in the order of their names.
#[must_use]
pub fn modules() -> Vec<Arc<dyn Module>> {
    vec![
        Linked::<basic_auth::BasicAuth>::module(),
        Linked::<concurrency_limit::ConcurrencyLimit>::module(),
        Linked::<cors::Cors>::module(),
        Linked::<csrf::Csrf>::module(),
        Linked::<forward_auth::ForwardAuth>::module(),
        Linked::<headers::Headers>::module(),
        Linked::<ip_filter::IpFilter>::module(),
        Linked::<jwt::Jwt>::module(),
        Linked::<key_auth::KeyAuth>::module(),
        Linked::<rate_limit::RateLimit>::module(),
        Linked::<request_id::RequestId>::module(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_nobody_has_anothers() {
        let names: Vec<String> = modules().iter().map(|module| module.name().to_owned()).collect();
        assert!(names.is_sorted_by(|before, after| before < after), "{names:?}");
    }

    #[test]
    fn every_option_is_documented_and_no_other_key_is_taken() {
        for module in modules() {
            let schema: serde_json::Value =
                serde_json::from_str(&module.schema().expect("a schema")).expect("JSON");
            assert!(schema.get("description").is_some(), "{} says nothing", module.name());
            assert_documented(module.name(), &schema);
        }
    }

    fn assert_documented(place: &str, schema: &serde_json::Value) {
        if let Some(definitions) = schema.get("$defs").and_then(|value| value.as_object()) {
            for (name, definition) in definitions {
                assert_documented(&format!("{place}.{name}"), definition);
            }
        }
        let Some(properties) = schema.get("properties").and_then(|value| value.as_object()) else {
            return;
        };
        assert_eq!(schema.get("additionalProperties"), Some(&false.into()), "{place}");
        for (name, property) in properties {
            assert!(property.get("description").is_some(), "{place}.{name} says nothing");
        }
    }
}
