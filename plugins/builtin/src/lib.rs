//! The plugins that come with Switchback, written with what every plugin is written with.
//!
//! One file or folder each; [`modules`] names them all. What they share: `template`, texts with variables, and `units`, times, sizes
//! and rates as the configuration language writes them.

mod basic_auth;
mod body_substitution;
mod canary;
mod check;
mod concurrency_limit;
mod cors;
mod credential;
mod csrf;
mod early_hints;
mod forward_auth;
mod geo;
mod headers;
mod honeypot;
mod idempotency;
mod ip_filter;
mod jwt;
mod key;
mod key_auth;
mod mirror;
mod networks;
mod option;
mod origin;
mod path_encoding;
mod path_list;
mod rate_limit;
mod redirect;
#[cfg(test)]
mod reference;
mod replacement;
mod request_id;
mod rewrite;
mod share;
mod template;
#[cfg(test)]
mod testing;
mod turns;
mod units;
mod user_agent;
mod watched;

pub use check::{check_credentials, check_substitution, check_texts};

use std::sync::Arc;

use switchback_plugin::{Linked, Module};

/// All of them, not configured yet, in the order of their names.
#[must_use]
pub fn modules() -> Vec<Arc<dyn Module>> {
    vec![
        Linked::<basic_auth::BasicAuth>::module(),
        Linked::<body_substitution::BodySubstitution>::module(),
        Linked::<canary::Canary>::module(),
        Linked::<concurrency_limit::ConcurrencyLimit>::module(),
        Linked::<cors::Cors>::module(),
        Linked::<csrf::Csrf>::module(),
        Linked::<early_hints::EarlyHints>::module(),
        Linked::<forward_auth::ForwardAuth>::module(),
        Linked::<geo::Geo>::module(),
        Linked::<headers::Headers>::module(),
        Linked::<honeypot::Honeypot>::module(),
        Linked::<idempotency::Idempotency>::module(),
        Linked::<ip_filter::IpFilter>::module(),
        Linked::<jwt::Jwt>::module(),
        Linked::<key_auth::KeyAuth>::module(),
        Linked::<mirror::Mirror>::module(),
        Linked::<rate_limit::RateLimit>::module(),
        Linked::<redirect::Redirect>::module(),
        Linked::<request_id::RequestId>::module(),
        Linked::<rewrite::Rewrite>::module(),
        Linked::<user_agent::UserAgent>::module(),
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
