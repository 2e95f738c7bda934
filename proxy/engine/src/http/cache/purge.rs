//! Purges, whoever asks for them: the control socket, the program around, or a client with PURGE.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderValue, StatusCode, header};
use pingora_http::RequestHeader;
use switchback_cache::{Address, Manner, Scope, policy};

use super::key;
use super::place::{self, Place};
use crate::http::answer::{Answer, Body, blank, insert};
use crate::http::context::Context;
use crate::http::fault::{Fault, Kind};
use crate::http::{facts, host};
use crate::purge::{Heard, Purge, PurgeError, PurgeTarget, Purged};
use crate::snapshot::Snapshot;
use crate::snapshot::resident::Resident;
use crate::snapshot::zones::NamedZone;

/// Purges, and tells other nodes of it unless they told us.
pub(crate) async fn purge(
    purge: &Purge,
    heard: Heard,
    snapshot: &Snapshot,
    resident: &Resident,
) -> Result<Purged, PurgeError> {
    let zones = named(&purge.zones, snapshot)?;
    check(&purge.target)?;
    let mut purged = Purged::default();
    let mut recorded = Ok(());
    for zone in zones {
        let kept = in_zone(purge, zone).await;
        recorded = recorded.and(kept);
        purged.zones.push(zone.plan.name.clone());
    }
    tracing::info!(zones = %purged.zones.join(" "), "purged {purge}");
    if let Some(relay) = resident.relay.get().filter(|_| heard == Heard::Here) {
        relay.0.purged(purge);
    }
    recorded.map(|()| purged)
}

fn named<'s>(names: &[Box<str>], snapshot: &'s Snapshot) -> Result<Vec<&'s NamedZone>, PurgeError> {
    if snapshot.zones.is_empty() {
        return Err(PurgeError::NoZones);
    }
    if names.is_empty() {
        return Ok(snapshot.zones.iter().collect());
    }
    let find = |name: &str| {
        let found = snapshot.zones.iter().find(|zone| &*zone.plan.name == name);
        found.ok_or_else(|| PurgeError::UnknownZone(name.into()))
    };
    names.iter().map(|name| find(name)).collect()
}

/// Refuses what cannot be understood before anything is purged.
fn check(target: &PurgeTarget) -> Result<(), PurgeError> {
    match target {
        PurgeTarget::Urls(list) | PurgeTarget::Tags(list) if list.is_empty() => {
            Err(PurgeError::Nothing)
        }
        PurgeTarget::Urls(urls) => urls.iter().try_for_each(|url| Place::parse(url).map(drop)),
        PurgeTarget::Prefix(url) | PurgeTarget::Group { origin: url, .. } => {
            Place::parse(url).map(drop)
        }
        PurgeTarget::Host(name) => {
            host::name(name.as_bytes()).map(drop).ok_or_else(|| PurgeError::BadUrl(name.clone()))
        }
        PurgeTarget::Tags(_) | PurgeTarget::All => Ok(()),
    }
}

async fn in_zone(purge: &Purge, zone: &NamedZone) -> Result<(), PurgeError> {
    let manner = if purge.soft { Manner::Soft } else { Manner::Hard };
    let mut scopes = Scopes { zone, manner, recorded: Vec::new() };
    match &purge.target {
        PurgeTarget::Urls(urls) => {
            for url in urls {
                scopes.places(&Place::parse(url)?, Reach::Page);
            }
        }
        PurgeTarget::Prefix(prefix) => scopes.places(&Place::parse(prefix)?, Reach::Prefix),
        PurgeTarget::Group { origin, group } => {
            scopes.places(&Place::parse(origin)?, Reach::Group(group));
        }
        PurgeTarget::Host(host) => {
            let host = host.to_ascii_lowercase();
            for shape in &zone.shapes {
                scopes.one(Scope::Host(place::host_in(shape, &host).as_bytes()));
            }
        }
        PurgeTarget::Tags(tags) => tags.iter().for_each(|tag| scopes.one(Scope::Tag(tag))),
        PurgeTarget::All => scopes.one(Scope::All),
    }
    scopes.recorded().await
}

/// How much a URL stands for.
#[derive(Clone, Copy)]
enum Reach<'g> {
    Page,
    Prefix,
    Group(&'g str),
}

/// What is purged in a zone.
struct Scopes<'z> {
    zone: &'z NamedZone,
    manner: Manner,
    /// What is done when it is kept for good; it holds before.
    recorded: Vec<BoxFuture<'z, io::Result<()>>>,
}

impl Scopes<'_> {
    fn one(&mut self, scope: Scope<'_>) {
        let stored = &self.zone.live.stored;
        let recorded = stored.purge(scope, self.manner);
        if stored.disk().is_some() {
            self.recorded.push(recorded.boxed());
        }
    }

    fn places(&mut self, place: &Place<'_>, reach: Reach<'_>) {
        for shape in &self.zone.shapes {
            place.visit(shape, |address| match reach {
                Reach::Page => self.one(Scope::Page(address)),
                Reach::Prefix => self.one(Scope::Prefix(address)),
                Reach::Group(group) => {
                    let origin = Address { path: b"", query: b"", ..address };
                    self.one(Scope::Group(origin, group));
                }
            });
        }
    }

    /// Waits until it is kept for good.
    async fn recorded(self) -> Result<(), PurgeError> {
        let mut result = Ok(());
        for recorded in self.recorded {
            result = result.and(recorded.await);
        }
        result.map_err(|error| PurgeError::Unrecorded {
            zone: self.zone.plan.name.clone(),
            reason: error.to_string().into(),
        })
    }
}

/// The method that purges.
const METHOD: &str = "PURGE";

/// Whether a request asks for a purge: then it needs no route.
pub(crate) fn is_asked(head: &RequestHeader, context: &Context) -> bool {
    head.method.as_str() == METHOD && purgeable(context).next().is_some()
}

/// The purge that a client asks for.
pub(crate) fn asked(head: &RequestHeader, context: &Context) -> Result<Purge, Fault> {
    let client = context.request.client;
    let allowed: Vec<Box<str>> = purgeable(context)
        .filter(|zone| client.is_some_and(|client| may_purge(zone, client)))
        .map(|zone| zone.plan.name.clone())
        .collect();
    if allowed.is_empty() {
        return Err(Fault::client(Kind::Forbidden, "no zone lets this client purge"));
    }
    let tags = policy::tags(&head.headers);
    let target = if tags.is_empty() {
        PurgeTarget::Urls(vec![url(head, context).into()])
    } else {
        PurgeTarget::Tags(tags.into_vec())
    };
    let soft = head.headers.get("x-purge").is_some_and(|how| how == "soft");
    Ok(Purge { target, zones: allowed, soft })
}

/// The zones of the site that PURGE is for.
fn purgeable(context: &Context) -> impl Iterator<Item = &NamedZone> {
    let ids = context.place.site.map_or(&[][..], |site| context.snapshot.zones_of(site));
    let zones = ids.iter().filter_map(|id| context.snapshot.zones.get(id.0 as usize));
    zones.filter(|zone| zone.purgers().is_some())
}

fn may_purge(zone: &NamedZone, client: IpAddr) -> bool {
    let client = client.to_canonical();
    zone.purgers().is_some_and(|nets| nets.iter().any(|net| net.contains(&client)))
}

/// What was asked for, of both schemes: whoever purges need not speak TLS.
fn url(head: &RequestHeader, context: &Context) -> String {
    let mut url = context.request.host.to_string();
    let port = String::from_utf8_lossy(key::port(head));
    if !port.is_empty() {
        url.push(':');
        url.push_str(&port);
    }
    url.push_str(&context.request.path.to_encoded());
    if let Some(query) = facts::query(head.raw_path()) {
        url.push('?');
        url.push_str(&String::from_utf8_lossy(query));
    }
    url
}

/// Does what a client has asked for, and answers.
pub(crate) async fn answer(wanted: &Purge, context: &Context) -> Result<Answer, Fault> {
    let (snapshot, resident) = (Arc::clone(&context.snapshot), Arc::clone(&context.resident));
    let purged = purge(wanted, Heard::Here, &snapshot, &resident).await;
    let purged = purged.map_err(|error| match &error {
        PurgeError::Unrecorded { .. } => Fault::ours(Kind::Internal, error.to_string()),
        _ => Fault::client(Kind::BadRequest, error.to_string()),
    })?;
    let names: Vec<String> = purged.zones.iter().map(|name| json(name)).collect();
    let body = format!("{{\"zones\":[{}],\"soft\":{}}}\n", names.join(","), wanted.soft);
    let mut head = blank(StatusCode::OK)?;
    insert(&mut head, "Content-Type", "application/json")?;
    insert(&mut head, "Content-Length", &body.len().to_string())?;
    head.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .map_err(Fault::internal)?;
    Ok(Answer { head: head.into(), body: Body::Whole(body.into()) })
}

fn json(text: &str) -> String {
    let mut quoted = Vec::new();
    crate::log::json_text(text.as_bytes(), &mut quoted);
    String::from_utf8_lossy(&quoted).into_owned()
}
