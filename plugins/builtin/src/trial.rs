//! What tests of several plugins share.

use switchback_plugin::Plugin;
use switchback_plugin::testing::{Harness, Surroundings};

/// Each of these options is refused, at that path, with a message that says so. There are the upstreams `main` and `other`, and the
/// variables `host` and `remote_addr`.
pub(crate) fn assert_refused<P: Plugin>(cases: &[(&str, &str, &str)]) {
    let named = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    for (options, path, message) in cases {
        let around = Surroundings {
            upstreams: named(&["main", "other"]),
            variables: named(&["host", "remote_addr", "http_authorization"]),
            ..Surroundings::default()
        };
        let Err(error) = Harness::<P>::within(around, options) else {
            panic!("taken: {options}");
        };
        assert_eq!(error.path, *path, "{options}: {error}");
        let said = format!("{error}");
        assert!(said.contains(message), "{options}: {said}");
    }
}

/// The plugin with these options.
pub(crate) fn plugin<P: Plugin>(options: &str) -> Harness<P> {
    Harness::new(options).unwrap_or_else(|error| panic!("{options}: {error}"))
}
