//! Phase 2: which site, which route.

use std::sync::Arc;

use pingora_http::RequestHeader;
use switchback_conf::plan::{RouteId, SiteId};
use switchback_route::Captures;

use super::cache::purge;
use super::context::{Context, Place};
use super::facts::RequestFacts;
use super::fault::{Fault, Kind};
use super::map_memos::MapMemos;
use super::{access, forward, receive};

/// Fills [`Context::place`] and the request's normalised path.
pub(crate) fn route(head: &RequestHeader, context: &mut Context) -> Result<(), Fault> {
    let site = find_site(context)?;
    context.place = Place { site: Some(site), ..Place::default() };
    receive::normal_path(head, context)?;
    if purge::is_asked(head, context) {
        return Ok(());
    }
    place(head, context)
}

fn place(head: &RequestHeader, context: &mut Context) -> Result<(), Fault> {
    let mut captures = Captures::default();
    let found = find_route(head, context, &mut captures);
    let route = found.ok_or_else(|| {
        Fault::client(Kind::NotFound, format!("no route for `{}`", context.request.path.as_str()))
    })?;
    context.place = Place { route: Some(route), captures, ..context.place };
    Ok(())
}

/// Puts `target`, path and query, in the place of the request's and looks for a route of the site again (nginx's internal
/// redirect).
pub(crate) fn again(
    head: &mut RequestHeader,
    target: &[u8],
    context: &mut Context,
) -> Result<(), Fault> {
    turn(context)?;
    if context.received.is_none() {
        context.received = Some(Arc::new(head.clone()));
    }
    forward::set_target(head, target).ok_or_else(|| {
        let target = target.escape_ascii();
        Fault::ours(Kind::Internal, format!("`{target}`, to which a route leads, is not a path"))
    })?;
    // Maps may have looked at path and query.
    context.memos.maps = MapMemos::default();
    context.place = Place { site: context.place.site, ..Place::default() };
    receive::normal_path(head, context)?;
    place(head, context)?;
    access::judge_route(head, context)
}

/// Looks for a route of the request once more, because a plugin has changed what it asks for, or the site that answers.
pub(crate) fn anew(
    head: &RequestHeader,
    site: Option<SiteId>,
    has_new_host: bool,
    context: &mut Context,
) -> Result<(), Fault> {
    turn(context)?;
    // Maps may have looked at what was changed.
    context.memos.maps = MapMemos::default();
    let before = context.place.site;
    let site = match (site, before) {
        (Some(site), _) => site,
        (None, Some(before)) if !has_new_host => before,
        _ => find_site(context)?,
    };
    context.place = Place { site: Some(site), ..Place::default() };
    receive::normal_path(head, context)?;
    place(head, context)?;
    if before == Some(site) {
        access::judge_route(head, context)
    } else {
        access::judge(head, context)
    }
}

/// Goes on with another route of the site; the target stays.
pub(crate) fn lead_to(
    id: RouteId,
    head: &RequestHeader,
    context: &mut Context,
) -> Result<(), Fault> {
    turn(context)?;
    context.memos.maps.forget_passing();
    context.place = Place { route: Some(id), captures: Captures::default(), ..context.place };
    access::judge_route(head, context)
}

/// As many as nginx allows internal redirects.
const MOST_TURNS: u8 = 10;

/// Whether the request may be led to another route once more.
pub(crate) fn may_turn(context: &Context) -> bool {
    context.redirects < MOST_TURNS
}

fn turn(context: &mut Context) -> Result<(), Fault> {
    if !may_turn(context) {
        return Err(Fault::ours(
            Kind::TooManyReentries,
            "one route led to another more than 10 times: `rewrite`, `missing` or `errors` go in a circle",
        ));
    }
    context.redirects += 1;
    context.resident.metrics.reentries.add();
    Ok(())
}

/// The site of the host, by the listener as the snapshot in force has it.
fn find_site(context: &Context) -> Result<SiteId, Fault> {
    let host = &*context.request.host;
    let accepted = &context.connection.listener;
    let listener = if accepted.generation == context.snapshot.generation {
        Some(accepted)
    } else {
        // The table of a listener that a reload removed holds ids of another snapshot.
        context.snapshot.listener_of(&context.connection)
    };
    let site = match listener {
        Some(listener) => listener.hosts.find(host).or(listener.default),
        None => context.snapshot.site_everywhere(&context.connection, host),
    };
    let Some(site) = site else {
        let is_tls = context.connection.tls.is_some();
        let kind = if is_tls { Kind::Misdirected } else { Kind::NotFound };
        return Err(Fault::client(kind, format!("no site of this listener answers host `{host}`")));
    };
    let tls = listener.and_then(|listener| listener.tls.as_ref());
    if tls.is_some_and(|tls| !tls.serves(&context.connection, host)) {
        let reason = format!("the TLS session was not agreed on for host `{host}`");
        return Err(Fault::client(Kind::Misdirected, reason));
    }
    Ok(site)
}

fn find_route(head: &RequestHeader, context: &Context, captures: &mut Captures) -> Option<RouteId> {
    let facts = RequestFacts::new(head, context);
    let site = context.site()?;
    site.table.find(context.request.path.as_str(), &facts, captures).map(|route| RouteId(route.0))
}
