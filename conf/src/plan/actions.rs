//! What makes the response.

use http::{HeaderName, StatusCode};
use switchback_value::Template;

use super::build::{Findings, Names};
use super::routes::RouteNames;
use super::texts::Captures;
use super::{FilesPlan, UpstreamId, files, shard_keys};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{Proxy, Redirect, Respond, Route, TemplateText};

/// What makes the response.
#[derive(Clone, Debug)]
pub enum ActionPlan {
    /// An upstream's answer.
    Proxy(ProxyPlan),
    /// Files below a directory.
    Files(Box<FilesPlan>),
    /// A fixed answer.
    Respond(RespondPlan),
    /// Another address for the client.
    Redirect(RedirectPlan),
    /// Another path and query, for which a route is looked for again.
    Rewrite(Template),
    /// An answer of the program that the proxy is built into.
    Own(OwnActionPlan),
}

/// Another address for the client.
#[derive(Clone, Debug, PartialEq)]
pub struct RedirectPlan {
    /// The address.
    pub to: Template,
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
}

/// An upstream's answer.
#[derive(Clone, Debug)]
pub struct ProxyPlan {
    /// Whose.
    pub upstream: UpstreamId,
    /// Path and query sent upstream instead of those received.
    pub rewrite: Option<Template>,
    /// Whether the whole request body is taken in before the upstream is asked.
    pub buffer_request: bool,
    /// What decides which shard of it has a request, where it has shards.
    pub shard_key: Option<Template>,
    /// What tells its tenants apart, where each has some of its endpoints.
    pub shuffle_key: Option<Template>,
}

/// A fixed answer.
#[derive(Clone, Debug)]
pub struct RespondPlan {
    /// Its status.
    pub status: StatusCode,
    /// Its headers beside those computed.
    pub headers: Vec<(HeaderName, Template)>,
    /// Its body.
    pub body: Template,
}

/// An answer of the program that the proxy is built into. Whether it has that action is found when the plan is assembled.
#[derive(Clone, Debug)]
pub struct OwnActionPlan {
    /// The name that the program gave it.
    pub name: Box<str>,
    /// Where it stands in the configuration.
    pub at: Location,
}

/// What a route's action may refer to.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) names: &'a Names<'a>,
    pub(super) routes: &'a RouteNames<'a>,
    pub(super) captures: &'a Captures,
}

/// Exactly one action, or `None` after having told what is wrong.
pub(super) fn action(
    route: &At<Route>,
    scope: Scope<'_>,
    findings: &mut Findings<'_>,
) -> Option<ActionPlan> {
    one_alone(route, findings)?;
    let captures = scope.captures;
    if let Some(proxy) = &route.proxy {
        return plan_proxy(&proxy.value, scope.names, captures, findings).map(ActionPlan::Proxy);
    }
    if let Some(files) = &route.files {
        let plan = files::plan(&files.value, scope, findings)?;
        return Some(ActionPlan::Files(Box::new(plan)));
    }
    if let Some(respond) = &route.respond {
        return plan_respond(respond, captures, findings).map(ActionPlan::Respond);
    }
    if let Some(redirect) = &route.redirect {
        return plan_redirect(&redirect.value, captures, findings).map(ActionPlan::Redirect);
    }
    if let Some(rewrite) = &route.rewrite {
        return plan_rewrite(rewrite, captures, findings).map(ActionPlan::Rewrite);
    }
    let own = route.action.as_ref()?;
    Some(ActionPlan::Own(OwnActionPlan { name: (*own.value).into(), at: own.at.clone() }))
}

/// A route has one action, no fewer and no more.
fn one_alone(route: &At<Route>, findings: &mut Findings<'_>) -> Option<()> {
    let written: Vec<(&str, &Location)> = [
        ("proxy", route.proxy.as_ref().map(|action| &action.at)),
        ("files", route.files.as_ref().map(|action| &action.at)),
        ("respond", route.respond.as_ref().map(|action| &action.at)),
        ("redirect", route.redirect.as_ref().map(|action| &action.at)),
        ("rewrite", route.rewrite.as_ref().map(|action| &action.at)),
        ("action", route.action.as_ref().map(|action| &action.at)),
    ]
    .into_iter()
    .filter_map(|(name, at)| Some((name, at?)))
    .collect();
    match written.as_slice() {
        [_] => Some(()),
        [] => {
            let diagnostic =
                Diagnostic::error(Code::NoAction, route.at.clone(), "this route does nothing");
            findings.report(
                diagnostic
                    .hint("write `proxy`, `files`, `respond`, `redirect`, `rewrite` or `action`"),
            );
            None
        }
        [(first, _), (second, at), ..] => {
            let message = format!("this route has two actions, `{first}` and `{second}`");
            let diagnostic = Diagnostic::error(Code::SeveralActions, (*at).clone(), message);
            findings.report(diagnostic.hint("a route has exactly one"));
            None
        }
    }
}

fn plan_redirect(
    redirect: &Redirect,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<RedirectPlan> {
    const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];
    let status = redirect.status.value;
    if !REDIRECTS.contains(&status.as_u16()) {
        let message = format!("{} sends nobody anywhere", status.as_u16());
        let diagnostic = Diagnostic::error(Code::BadValue, redirect.status.at.clone(), message);
        findings.report(diagnostic.hint("one of 301, 302, 303, 307 and 308"));
    }
    findings.no_controls(Code::HeaderValue, &redirect.to, "an address");
    if redirect.to.value.as_ref().is_empty() {
        findings.error(Code::Empty, &redirect.to.at, "a redirect needs an address");
    }
    let to = findings.template(&redirect.to, captures)?;
    Some(RedirectPlan { to, status })
}

fn plan_proxy(
    proxy: &Proxy,
    names: &Names<'_>,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<ProxyPlan> {
    let upstream = names.upstreams.get(&**proxy.upstream).copied();
    if upstream.is_none() {
        let defined = names.upstreams.keys().copied();
        findings.unknown_name(
            Code::UnknownUpstream,
            &proxy.upstream,
            ("upstream", "upstreams"),
            defined,
        );
    }
    let rewrite =
        proxy.rewrite.as_ref().and_then(|rewrite| plan_rewrite(rewrite, captures, findings));
    let of_upstream = names.upstream_models.find(&proxy.upstream.value);
    let place = (&*proxy.upstream.value, &proxy.upstream.at);
    let shard_by = of_upstream.filter(|upstream| !upstream.shards.is_empty());
    let shard_key = shard_by.and_then(|upstream| upstream.shard_by.as_ref());
    let shard_key =
        shard_key.and_then(|by| shard_keys::route_key(&by.key, place, captures, findings));
    let shuffle = of_upstream.and_then(|upstream| upstream.shuffle.as_ref());
    let shuffle_key =
        shuffle.and_then(|shuffle| shard_keys::route_key(&shuffle.key, place, captures, findings));
    Some(ProxyPlan {
        upstream: upstream?,
        rewrite,
        buffer_request: proxy.buffer_request,
        shard_key,
        shuffle_key,
    })
}

/// A template for path and query.
pub(super) fn plan_rewrite(
    rewrite: &At<TemplateText>,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<Template> {
    let text = rewrite.value.as_ref();
    if !text.starts_with(['/', '$']) {
        let diagnostic =
            Diagnostic::error(Code::Template, rewrite.at.clone(), "a path begins with `/`");
        findings
            .report(diagnostic.hint("a template for path and query, such as \"/v2/{id}?$args\""));
    }
    let out_of_place =
        text.char_indices().find(|(_, character)| character.is_control() || *character == ' ');
    if let Some((at, found)) = out_of_place {
        let message = "a path holds neither spaces nor control characters";
        findings.error(Code::Template, &rewrite.within(at..at + found.len_utf8()), message);
    }
    findings.template(rewrite, captures)
}

fn plan_respond(
    respond: &Respond,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<RespondPlan> {
    let headers = findings.headers(&respond.headers, captures);
    let body = findings.text(&respond.body, captures)?;
    Some(RespondPlan { status: respond.status, headers, body })
}
