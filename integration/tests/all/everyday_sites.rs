//! Ten everyday sites, answered as nginx answers them.

use std::fmt::Write;

use switchback_integration::{Everyday, everyday, nginx_twice};

#[test]
fn everyday_sites_are_answered_as_nginx_answers_them() {
    let Some(found) = everyday() else { return };
    assert!(found.differences.is_empty(), "{}", report(&found));
    assert!(found.requests >= 300, "{} requests are too few", found.requests);
    let unseen: Vec<_> = found.intended.iter().filter(|(_, count)| *count == 0).collect();
    assert!(unseen.is_empty(), "these differences are listed but never seen: {unseen:?}");
}

#[test]
fn the_comparison_finds_nothing_between_nginx_and_nginx() {
    let Some(found) = nginx_twice(SITES, |config| config) else { return };
    assert_eq!(found.equal, found.requests, "{}", report(&found));
}

#[test]
fn the_comparison_sees_headers_statuses_bodies_and_what_origins_receive() {
    let changed = |config: String| {
        let config = config.replace("sendfile on;", "sendfile on; etag off; max_ranges 1;");
        let config = config.replace("location /shop/ {", "location /shop/ { return 418;");
        config.replace("proxy_set_header X-Forwarded-Proto $scheme;", "")
    };
    let Some(found) = nginx_twice(SITES, changed) else { return };
    for what in ["etag: ", "status: ", "body: ", "origin: "] {
        let seen = found.differences.iter().any(|difference| difference.contains(what));
        assert!(seen, "no difference of {what}\n{}", report(&found));
    }
}

/// Those in which everything occurs that is compared.
const SITES: &[&str] = &["static-site", "maintenance"];

fn report(found: &Everyday) -> String {
    let Everyday { requests, equal, as_intended, .. } = found;
    let count = found.differences.len();
    let mut text =
        format!("{requests} requests, {equal} equal, {as_intended} as intended, {count} not\n");
    for (site, asked, differing) in &found.sites {
        let _written = writeln!(text, "  {site}: {differing} of {asked} differ");
    }
    for (reason, seen) in &found.intended {
        let _written = writeln!(text, "  {seen} as intended: {reason}");
    }
    text + &found.differences.join("\n")
}
