//! What makes the response.

use switchback_value::Template;

use super::build::{Findings, Names};
use super::texts::Captures;
use super::{ActionPlan, HeaderRules, ProxyPlan, RespondPlan};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{self, Proxy, Respond, Route, TemplateText};

/// Exactly one action, or `None` after having told what is wrong.
pub(super) fn action(
    route: &At<Route>,
    names: &Names<'_>,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<ActionPlan> {
    match (&route.proxy, &route.respond) {
        (Some(proxy), None) => {
            plan_proxy(&proxy.value, names, captures, findings).map(ActionPlan::Proxy)
        }
        (None, Some(respond)) => plan_respond(respond, captures, findings).map(ActionPlan::Respond),
        (Some(_), Some(respond)) => {
            let message = "this route has two actions, `proxy` and `respond`";
            let diagnostic = Diagnostic::error(Code::SeveralActions, respond.at.clone(), message);
            findings.report(diagnostic.hint("a route has exactly one"));
            None
        }
        (None, None) => {
            let diagnostic =
                Diagnostic::error(Code::NoAction, route.at.clone(), "this route does nothing");
            findings.report(diagnostic.hint("write `proxy` or `respond`"));
            None
        }
    }
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
    Some(ProxyPlan { upstream: upstream?, rewrite, buffer_request: proxy.buffer_request })
}

fn plan_rewrite(
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

pub(super) fn header_rules(
    rules: &model::HeaderRules,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> HeaderRules {
    for name in &rules.remove {
        findings.changeable(name, &name.at);
    }
    let remove = rules.remove.iter().map(|name| name.value.clone()).collect();
    HeaderRules { remove, set: findings.headers(&rules.set, captures) }
}
