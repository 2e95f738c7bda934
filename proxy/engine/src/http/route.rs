//! Phase 2: which site, which route.

use pingora_http::RequestHeader;
use switchback_conf::plan::{RouteId, SiteId};
use switchback_route::Captures;

use super::context::{Context, Place};
use super::facts::RequestFacts;
use super::fault::{Fault, Kind};
use super::map_memos::MapMemos;
use super::receive;

/// Fills [`Context::place`] and the request's normalised path.
pub(crate) fn route(head: &RequestHeader, context: &mut Context) -> Result<(), Fault> {
    let site = find_site(context).ok_or_else(|| {
        Fault::client(
            Kind::NotFound,
            format!("no site of this listener answers host `{}`", context.request.host),
        )
    })?;
    context.place = Place { site: Some(site), ..Place::default() };
    receive::normal_path(head, context)?;
    let mut captures = Captures::default();
    let found = find_route(head, context, &mut captures);
    let route = found.ok_or_else(|| {
        Fault::client(Kind::NotFound, format!("no route for `{}`", context.request.path.as_str()))
    })?;
    context.place = Place { site: Some(site), route: Some(route), captures };
    Ok(())
}

/// Puts `target`, path and query, in the place of the request's and looks for a route again (nginx's internal redirect).
pub(crate) fn again(
    head: &mut RequestHeader,
    target: &[u8],
    context: &mut Context,
) -> Result<(), Fault> {
    turn(context)?;
    if context.request.target.is_none() {
        context.request.target = Some(head.raw_path().into());
    }
    head.set_raw_path(target).map_err(Fault::internal)?;
    // Maps may have looked at path and query.
    context.memos.maps = MapMemos::default();
    route(head, context)
}

/// Goes on with another route of the site; the target stays.
pub(crate) fn lead_to(id: RouteId, context: &mut Context) -> Result<(), Fault> {
    turn(context)?;
    context.memos.maps.forget_passing();
    context.place = Place { route: Some(id), captures: Captures::default(), ..context.place };
    Ok(())
}

/// As many as nginx allows internal redirects.
const MOST_TURNS: u8 = 10;

fn turn(context: &mut Context) -> Result<(), Fault> {
    context.resident.metrics.reentries.add();
    context.turns += 1;
    if context.turns <= MOST_TURNS {
        return Ok(());
    }
    Err(Fault::ours(
        Kind::TooManyReentries,
        "one route led to another more than 10 times: `rewrite`, `missing` or `errors` go in a circle",
    ))
}

/// The site of the host, by the listener as the snapshot in force has it.
fn find_site(context: &Context) -> Option<SiteId> {
    // A listener that a reload removed has no sites any more: its own table holds ids of another snapshot.
    let listener = context.snapshot.listeners.get(&context.connection.listener.plan.address)?;
    let host = &*context.request.host;
    listener.hosts.find(host).or(listener.default)
}

fn find_route(head: &RequestHeader, context: &Context, captures: &mut Captures) -> Option<RouteId> {
    let facts = RequestFacts::new(head, context);
    let site = context.site()?;
    site.table.find(context.request.path.as_str(), &facts, captures).map(|route| RouteId(route.0))
}
