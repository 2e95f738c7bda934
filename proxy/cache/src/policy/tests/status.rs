//! `Cache-Status`.

use http::StatusCode;
use proptest::prelude::*;

use crate::policy::{CacheStatus, Forwarded};

fn text(status: &CacheStatus<'_>) -> String {
    status.to_value().to_str().unwrap().to_owned()
}

#[test]
fn a_member_says_what_happened() {
    let hit = CacheStatus::hit("edge");
    let miss = CacheStatus::forwarded("edge", Forwarded::UriMiss);
    for (section, status, expected) in [
        ("9211 2.1", hit, "edge;hit"),
        ("9211 2.4", CacheStatus { ttl: Some(376), ..hit }, "edge;hit;ttl=376"),
        ("9211 2.4, stale", CacheStatus { ttl: Some(-412), ..hit }, "edge;hit;ttl=-412"),
        ("9211 2.4", CacheStatus { ttl: Some(0), ..hit }, "edge;hit;ttl=0"),
        ("9651 3.3.1", CacheStatus { ttl: Some(i64::MIN), ..hit }, "edge;hit;ttl=-999999999999999"),
        ("9211 2.2", miss, "edge;fwd=uri-miss"),
        ("9211 2.5", CacheStatus { is_stored: true, ..miss }, "edge;fwd=uri-miss;stored"),
        ("9211 2.6", CacheStatus { is_collapsed: true, ..miss }, "edge;fwd=uri-miss;collapsed"),
        ("9211 2.2", CacheStatus::forwarded("edge", Forwarded::Bypass), "edge;fwd=bypass"),
        ("9211 2.2", CacheStatus::forwarded("edge", Forwarded::Method), "edge;fwd=method"),
        ("9211 2.2", CacheStatus::forwarded("edge", Forwarded::VaryMiss), "edge;fwd=vary-miss"),
        ("9211 2.2", CacheStatus::forwarded("edge", Forwarded::Miss), "edge;fwd=miss"),
        ("9211 2.2", CacheStatus::forwarded("edge", Forwarded::Request), "edge;fwd=request"),
        ("9211 2.2", CacheStatus::forwarded("edge", Forwarded::Partial), "edge;fwd=partial"),
        (
            "9211 2.3",
            CacheStatus {
                forward_status: Some(StatusCode::NOT_MODIFIED),
                ..CacheStatus::forwarded("edge", Forwarded::Stale)
            },
            "edge;fwd=stale;fwd-status=304",
        ),
        (
            "9211 2.7",
            CacheStatus { key: Some("/a \"b\" \\ \u{e9}"), ..hit },
            "edge;hit;key=\"/a \\\"b\\\" \\\\ ?\"",
        ),
        ("9211 2.8", CacheStatus { detail: Some("memory"), ..hit }, "edge;hit;detail=memory"),
        (
            "9211 2.8",
            CacheStatus { detail: Some("in memory"), ..hit },
            "edge;hit;detail=\"in memory\"",
        ),
        ("9211 2, a string", CacheStatus::hit("1.example"), "\"1.example\";hit"),
        ("9211 2, a token", CacheStatus::hit("a.example:80"), "a.example:80;hit"),
        ("9211 2, a string", CacheStatus::hit(""), "\"\";hit"),
    ] {
        assert_eq!(text(&status), expected, "{section}");
    }
}

proptest! {
    #[test]
    fn a_member_is_a_structured_field(cache in any::<String>(), key in any::<String>(), ttl in any::<i64>()) {
        let status = CacheStatus { key: Some(&key), detail: Some(&cache), ttl: Some(ttl), ..CacheStatus::hit(&cache) };
        let headers = http::HeaderMap::from_iter([(http::header::VARY, status.to_value())]);
        let read = crate::policy::structured::list(&headers.get_all(http::header::VARY));
        prop_assert_eq!(read.map(|members| members.len()), Some(1));
    }

    #[test]
    fn numbers_are_written_as_they_are(ttl in -999_999_999_999_999_i64..=999_999_999_999_999) {
        prop_assert_eq!(text(&CacheStatus { ttl: Some(ttl), ..CacheStatus::hit("a") }), format!("a;hit;ttl={ttl}"));
    }
}
