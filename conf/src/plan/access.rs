//! Who may ask, how many at once, and how fast they are answered.

use std::time::Duration;

use http::StatusCode;
use switchback_value::{Access, ClientRule, Referers, Template, Variable};

use super::UpstreamTimeouts;
use super::build::Findings;
use super::matchers::is_of_answer;
use super::texts::Captures;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::model;

/// Who may ask.
#[derive(Clone, Debug)]
pub struct AccessPlan {
    /// What a request must pass.
    pub check: Access,
    /// What a request that does not is answered with.
    pub status: StatusCode,
    /// The methods for `Allow`, where it is for its method that a request is refused.
    pub allow: Option<Box<str>>,
}

/// How many requests may be in progress at once.
#[derive(Clone, Debug)]
pub struct ConcurrencyPlan {
    /// Of one client.
    pub per_client: Option<u32>,
    /// Of all.
    pub total: Option<u32>,
    /// What makes a client; `None` is its address.
    pub key: Option<Template>,
    /// What a request too many is answered with.
    pub status: StatusCode,
}

/// Deadlines towards the upstream where they differ from its own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RouteTimeouts {
    /// To connect, TLS included.
    pub connect: Option<Duration>,
    /// Between two reads.
    pub read: Option<Duration>,
    /// Between two writes.
    pub write: Option<Duration>,
}

impl RouteTimeouts {
    /// Those of `upstream`, except where the route has its own.
    #[must_use]
    pub fn over(self, upstream: UpstreamTimeouts) -> UpstreamTimeouts {
        UpstreamTimeouts {
            connect: self.connect.unwrap_or(upstream.connect),
            read: self.read.unwrap_or(upstream.read),
            write: self.write.unwrap_or(upstream.write),
            idle: upstream.idle,
        }
    }
}

/// How fast an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BandwidthPlan {
    /// Bytes in a second, at least one.
    pub rate: u64,
    /// Bytes that are sent before that as fast as it goes.
    pub after: u64,
}

pub(super) fn access(
    access: Option<&At<model::Access>>,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<AccessPlan> {
    let access = access?;
    let mut checks = checks(access, captures, findings);
    let allow = match &*checks {
        [Access::Methods(methods)] => {
            let names: Vec<_> = methods.iter().map(http::Method::as_str).collect();
            Some(names.join(", ").into())
        }
        _ => None,
    };
    let by_default =
        if allow.is_some() { StatusCode::METHOD_NOT_ALLOWED } else { StatusCode::FORBIDDEN };
    let status = access.status.as_ref().map_or(by_default, |status| status.status());
    let check = if checks.len() == 1 { checks.remove(0) } else { Access::All(checks) };
    let allow = allow.filter(|_| status == StatusCode::METHOD_NOT_ALLOWED);
    Some(AccessPlan { check, status, allow })
}

/// Each key of a table, cheap checks first.
fn checks(
    access: &At<model::Access>,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Vec<Access> {
    let model::Access { clients, methods, referers, when, any, all, status: _ } = &access.value;
    let says_nothing = clients.is_empty() && methods.is_empty() && referers.is_empty();
    if says_nothing && when.is_none() && any.is_empty() && all.is_empty() {
        let message = "this says nothing about who may ask: everybody may";
        findings.report(Diagnostic::warning(Code::NoEffect, access.at.clone(), message));
    }
    let mut checks = Vec::new();
    if !methods.is_empty() {
        checks.push(Access::Methods(methods.to_vec()));
    }
    if !clients.is_empty() {
        checks.push(Access::Clients(client_rules(clients, findings)));
    }
    if !referers.is_empty() {
        checks.push(Access::Referers(plan_referers(referers, findings)));
    }
    checks.extend(when.as_ref().and_then(|text| condition(text, captures, findings)));
    if !any.is_empty() {
        checks.push(Access::Any(nested(any, captures, findings)));
    }
    if !all.is_empty() {
        checks.push(Access::All(nested(all, captures, findings)));
    }
    checks
}

fn nested(
    tables: &[At<model::Access>],
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Vec<Access> {
    let mut planned = Vec::with_capacity(tables.len());
    for table in tables {
        if let Some(status) = &table.status {
            let message = "`status` has no effect here: the outermost table says it";
            findings.report(Diagnostic::warning(Code::NoEffect, status.at.clone(), message));
        }
        planned.push(Access::All(checks(table, captures, findings)));
    }
    planned
}

fn client_rules(rules: &[At<Box<str>>], findings: &mut Findings<'_>) -> Vec<ClientRule> {
    let mut planned: Vec<ClientRule> = Vec::with_capacity(rules.len());
    for rule in rules {
        if planned.last().is_some_and(ClientRule::is_for_all) {
            let message = "this rule has no effect: the one before it is for everybody";
            findings.report(Diagnostic::warning(Code::NoEffect, rule.at.clone(), message));
            break;
        }
        match ClientRule::parse(rule) {
            Ok(rule) => planned.push(rule),
            Err(error) => {
                let diagnostic =
                    Diagnostic::error(Code::BadValue, rule.at.clone(), error.to_string());
                findings.report(diagnostic.hint("as in \"allow 10.0.0.0/8\" or \"deny all\""));
            }
        }
    }
    planned
}

fn plan_referers(texts: &[At<Box<str>>], findings: &mut Findings<'_>) -> Referers {
    let mut referers = Referers::default();
    for text in texts {
        if let Err(error) = referers.add(text) {
            let diagnostic = Diagnostic::error(Code::BadValue, text.at.clone(), error.to_string());
            findings.report(diagnostic.hint(
                "\"none\", \"blocked\", a host such as \"*.example.com\", perhaps with a path, or \"~regex\"",
            ));
        }
    }
    referers
}

fn condition(
    text: &At<Box<str>>,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<Access> {
    let condition = findings.condition(text, captures)?;
    for variable in condition.variables() {
        too_early(variable, Code::Condition, text, findings);
    }
    Some(Access::When(condition))
}

fn too_early<T>(variable: &Variable, code: Code, text: &At<T>, findings: &mut Findings<'_>) {
    if is_of_answer(variable) || matches!(variable, Variable::Plugin(_)) {
        let message = format!("`{variable}` is not known yet when a request is let in");
        findings.error(code, &text.at, message);
    }
}

pub(super) fn concurrency(
    concurrency: Option<&At<model::Concurrency>>,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<ConcurrencyPlan> {
    let At { value, at } = concurrency?;
    let model::Concurrency { per_client, total, key, status } = value;
    if per_client.is_none() && total.is_none() {
        let diagnostic = Diagnostic::error(Code::NoEffect, at.clone(), "this limits nothing");
        findings.report(diagnostic.hint("write `per_client`, `total` or both"));
    }
    if let Some(key) = key.as_ref().filter(|_| per_client.is_none()) {
        let message = "`key` has no effect: it is for `per_client`, which is not said";
        findings.report(Diagnostic::warning(Code::NoEffect, key.at.clone(), message));
    }
    let key = key.as_ref().and_then(|text| {
        let template = findings.template(text, captures)?;
        template.variables().for_each(|one| too_early(one, Code::Template, text, findings));
        Some(template)
    });
    let exceeds = |own: &&At<model::Count<1, 1_000_000>>| {
        total.is_some_and(|all| own.value.value() > all.value())
    };
    if let Some(own) = per_client.as_ref().filter(exceeds) {
        let message = "`per_client` has no effect: it is larger than `total`";
        findings.report(Diagnostic::warning(Code::NoEffect, own.at.clone(), message));
    }
    Some(ConcurrencyPlan {
        per_client: per_client.as_ref().map(|count| count.value.value()),
        total: total.map(model::Count::value),
        key,
        status: status.status(),
    })
}

pub(super) fn timeouts(timeouts: Option<&At<model::RouteTimeouts>>) -> RouteTimeouts {
    let Some(timeouts) = timeouts else { return RouteTimeouts::default() };
    let model::RouteTimeouts { connect, read, write } = &timeouts.value;
    let std = |timeout: &Option<crate::units::Timeout>| timeout.map(crate::units::Timeout::std);
    RouteTimeouts { connect: std(connect), read: std(read), write: std(write) }
}

pub(super) fn bandwidth(
    bandwidth: Option<&At<model::Bandwidth>>,
    findings: &mut Findings<'_>,
) -> Option<BandwidthPlan> {
    let model::Bandwidth { rate, after } = &bandwidth?.value;
    if rate.0 == 0 {
        if let Some(after) = after {
            let message = "`after` has no effect: there is no `rate` to slow down to";
            findings.report(Diagnostic::warning(Code::NoEffect, after.at.clone(), message));
        }
        return None;
    }
    let after = after.as_ref().map_or(0, |after| after.bytes());
    Some(BandwidthPlan { rate: rate.0, after })
}
