//! What the control socket says and does of caches.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use switchback_engine::control::Control;
use switchback_engine::purge::{self, PurgeError, PurgeTarget};
use tokio::task;

use crate::routes::{failure, json, receive};

type Shared = State<Arc<dyn Control>>;

/// Body of `POST /cache/purge`: exactly one of `urls`, `prefix`, `host`, `tags`, `group` and `all`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Purge {
    /// Pages, with all their variants: `https://shop.example/a`, or without scheme for both.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// What URLs begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// All of a host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Surrogate keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// A group (RFC 9875).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Everything.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// In which zones; without any, in all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<String>,
    /// Whether it stays there as stale.
    pub soft: bool,
}

/// A group of an origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// `https://shop.example`.
    pub origin: String,
    /// What it is called.
    pub name: String,
}

/// Answer to `POST /cache/purge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// The zones that were told.
    pub zones: Vec<String>,
}

/// Answer to `GET /cache`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caches {
    /// Those of the configuration in force.
    pub zones: Vec<Zone>,
}

/// What a zone holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// Keys in memory.
    pub entries: u64,
    /// Bytes they take.
    pub bytes: u64,
    /// How many they may take.
    pub limit: u64,
    /// Requests answered from what was stored.
    pub hits: u64,
    /// Requests for which an origin was asked.
    pub misses: u64,
    /// Keys that made room for others.
    pub evictions: u64,
    /// Purges.
    pub purges: u64,
}

/// Answer to `GET /cache?zone=NAME`: responses in memory, in the order of their hashes. With `limit=N` so many keys, at most 1,000;
/// with `after=HASH` those that follow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// The responses; those of one key that differ by fields of the request are all here.
    pub entries: Vec<Entry>,
    /// What to ask for next with `after`, where there may be more.
    pub next: Option<String>,
}

/// A stored response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `$upstream_cache_key_hash`.
    pub hash: String,
    /// Where it came from, as far as its key tells.
    pub url: String,
    /// Its status.
    pub status: u16,
    /// Bytes of its body.
    pub length: u64,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether it was purged softly.
    pub purged: bool,
}

/// Says what caches hold.
pub(crate) async fn list(State(control): Shared, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    if query.is_empty() {
        let zones = control.zones().into_iter().map(Zone::from).collect();
        return json(StatusCode::OK, &Caches { zones });
    }
    let Ok(Asked { zone, after, limit }) = Asked::parse(&query) else {
        let expected = "expected zone=NAME, limit=N (1 to 1000) and after=HASH";
        return failure(StatusCode::BAD_REQUEST, expected.to_owned());
    };
    let find = move || control.keys(&zone, after, limit).ok_or(zone);
    match task::spawn_blocking(find).await {
        Ok(Ok(page)) => json(StatusCode::OK, &Keys::from(page)),
        Ok(Err(zone)) => {
            failure(StatusCode::NOT_FOUND, PurgeError::UnknownZone(zone.into()).to_string())
        }
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Which keys somebody wants to see.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    zone: String,
    after: Option<u128>,
    limit: usize,
}

impl Asked {
    fn parse(query: &str) -> Result<Self, ()> {
        let mut asked = Self { zone: String::new(), after: None, limit: 100 };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "zone" => asked.zone = value.into_owned(),
                "after" => asked.after = Some(u128::from_str_radix(&value, 16).map_err(drop)?),
                "limit" => asked.limit = value.parse().map_err(drop)?,
                _ => return Err(()),
            }
        }
        let is_right = !asked.zone.is_empty() && (1..=1000).contains(&asked.limit);
        is_right.then_some(asked).ok_or(())
    }
}

/// Bytes of the longest list of what to purge.
const LONGEST_PURGE: usize = 1024 * 1024;

/// Purges.
pub(crate) async fn purge(State(control): Shared, body: Body) -> Response {
    let body = match receive(body, LONGEST_PURGE).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let asked = serde_json::from_slice::<Purge>(&body).map_err(|error| error.to_string());
    let asked = match asked.and_then(purge::Purge::try_from) {
        Ok(asked) => asked,
        Err(error) => return failure(StatusCode::BAD_REQUEST, error),
    };
    match task::spawn_blocking(move || control.purge(&asked)).await {
        Ok(Ok(purged)) => json(StatusCode::OK, &Purged::from(purged)),
        Ok(Err(error)) => {
            let status = match error {
                PurgeError::NoZones | PurgeError::UnknownZone(_) => StatusCode::NOT_FOUND,
                PurgeError::BadUrl(_) | PurgeError::Nothing => StatusCode::BAD_REQUEST,
                PurgeError::Unrecorded { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            };
            failure(status, error.to_string())
        }
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

impl TryFrom<Purge> for purge::Purge {
    type Error = String;

    fn try_from(asked: Purge) -> Result<Self, String> {
        let texts = |list: Vec<String>| list.into_iter().map(Into::into).collect();
        let Purge { urls, prefix, host, tags, group, all, zones, soft } = asked;
        let mut targets = Vec::new();
        targets.extend((!urls.is_empty()).then(|| PurgeTarget::Urls(texts(urls))));
        targets.extend(prefix.map(|prefix| PurgeTarget::Prefix(prefix.into())));
        targets.extend(host.map(|host| PurgeTarget::Host(host.into())));
        targets.extend((!tags.is_empty()).then(|| PurgeTarget::Tags(texts(tags))));
        targets.extend(group.map(|Group { origin, name }| PurgeTarget::Group {
            origin: origin.into(),
            group: name.into(),
        }));
        targets.extend(all.then_some(PurgeTarget::All));
        match (targets.pop(), targets.is_empty()) {
            (Some(target), true) => Ok(Self { target, zones: texts(zones), soft }),
            _ => Err("expected exactly one of urls, prefix, host, tags, group and all".to_owned()),
        }
    }
}

impl From<purge::Purged> for Purged {
    fn from(purged: purge::Purged) -> Self {
        Self { zones: purged.zones.into_iter().map(String::from).collect() }
    }
}

impl From<purge::ZoneStatus> for Zone {
    fn from(zone: purge::ZoneStatus) -> Self {
        Self {
            name: zone.name.into(),
            entries: zone.entries,
            bytes: zone.bytes,
            limit: zone.limit,
            hits: zone.hits,
            misses: zone.misses,
            evictions: zone.evictions,
            purges: zone.purges,
        }
    }
}

impl From<purge::KeyPage> for Keys {
    fn from(page: purge::KeyPage) -> Self {
        let entry = |stored: purge::StoredKey| Entry {
            hash: format!("{:032x}", stored.hash),
            url: stored.url,
            status: stored.status,
            length: stored.length,
            tags: stored.tags.into_iter().map(String::from).collect(),
            purged: stored.purged,
        };
        Self {
            entries: page.entries.into_iter().map(entry).collect(),
            next: page.next.map(|next| format!("{next:032x}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<purge::Purge, String> {
        serde_json::from_str::<Purge>(text).map_err(|error| error.to_string())?.try_into()
    }

    #[test]
    fn a_purge_names_one_kind_of_thing() {
        let tags = parsed(r#"{"tags": ["a", "b"], "zones": ["main"], "soft": true}"#).unwrap();
        assert_eq!(tags.target, PurgeTarget::Tags(vec!["a".into(), "b".into()]));
        assert!(tags.soft && *tags.zones == ["main".into()]);
        assert_eq!(parsed(r#"{"all": true}"#).unwrap().target, PurgeTarget::All);
        for wrong in ["{}", r#"{"all": true, "host": "a"}"#, r#"{"url": "a"}"#, "[]", ""] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_asked_of_keys_is_read() {
        let asked = |zone: &str, after, limit| Asked { zone: zone.to_owned(), after, limit };
        assert_eq!(Asked::parse("zone=a%20b"), Ok(asked("a b", None, 100)));
        assert_eq!(Asked::parse("limit=7&zone=a&after=ff"), Ok(asked("a", Some(255), 7)));
        for wrong in ["zone=", "limit=1", "zone=a&limit=0", "zone=a&limit=1001", "zone=a&x=1"] {
            assert_eq!(Asked::parse(wrong), Err(()), "{wrong}");
        }
    }
}
