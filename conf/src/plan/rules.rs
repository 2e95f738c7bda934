//! What is changed on the way, the site's rules before the route's.

use std::sync::Arc;

use http::HeaderName;
use switchback_value::{Condition, Known, Template, Variable};

use super::build::Findings;
use super::cookies::{CookieRule, cookie_rules};
use super::texts::Captures;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{self, Route, Site};

/// Changes to a head: removals first, then settings, which replace, then additions.
#[derive(Clone, Debug)]
pub struct HeaderRules {
    /// When they are made.
    pub when: Condition,
    /// These go.
    pub remove: Vec<HeaderName>,
    /// These are replaced or added; a value that renders empty removes the header.
    pub set: Vec<(HeaderName, Template)>,
    /// These get another line, unless it renders empty.
    pub add: Vec<(HeaderName, Template)>,
}

/// All rules of a site or route.
#[derive(Clone, Debug, Default)]
pub(super) struct RulesPlan {
    pub(super) request_headers: Vec<Arc<HeaderRules>>,
    pub(super) response_headers: Vec<Arc<HeaderRules>>,
    pub(super) response_cookies: Vec<Arc<CookieRule>>,
}

impl RulesPlan {
    /// These, then those of `route`.
    pub(super) fn and(&self, route: Self) -> Self {
        Self {
            request_headers: joined(&self.request_headers, route.request_headers),
            response_headers: joined(&self.response_headers, route.response_headers),
            response_cookies: joined(&self.response_cookies, route.response_cookies),
        }
    }
}

fn joined<T: Clone>(first: &[T], then: Vec<T>) -> Vec<T> {
    if first.is_empty() { then } else { [first, &then].concat() }
}

/// The rules that all routes of `site` share; no path has captured anything for them.
pub(super) fn of_site(site: &Site, findings: &mut Findings<'_>) -> RulesPlan {
    let captures = Captures::default();
    if !site.routes.iter().any(|route| route.proxy.is_some()) {
        let headers = site.request_headers.first().map(|rules| ("request_headers", &rules.at));
        let cookies = site.response_cookies.first().map(|rule| ("response_cookies", &rule.at));
        for (key, at) in headers.into_iter().chain(cookies) {
            let message = format!("`{key}` has no effect: no route of this site has an upstream");
            findings.missing(Diagnostic::warning(Code::NoEffect, at.clone(), message));
        }
    }
    RulesPlan {
        request_headers: header_rules(&site.request_headers, Of::Request, &captures, findings),
        response_headers: header_rules(&site.response_headers, Of::Answer, &captures, findings),
        response_cookies: cookie_rules(&site.response_cookies, &captures, findings),
    }
}

/// The rules of `route` alone.
pub(super) fn of_route(
    route: &Route,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> RulesPlan {
    RulesPlan {
        request_headers: header_rules(&route.request_headers, Of::Request, captures, findings),
        response_headers: header_rules(&route.response_headers, Of::Answer, captures, findings),
        response_cookies: cookie_rules(&route.response_cookies, captures, findings),
    }
}

/// Which head is changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Request,
    Answer,
}

fn header_rules(
    written: &[At<model::HeaderRules>],
    of: Of,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Vec<Arc<HeaderRules>> {
    let planned = written.iter().filter_map(|rules| {
        if rules.is_empty() {
            let diagnostic =
                Diagnostic::warning(Code::NoEffect, rules.at.clone(), "this changes no headers");
            findings.report(diagnostic.hint("write `set`, `add` or `remove`"));
        }
        table(rules, of, captures, findings)
    });
    planned.map(Arc::new).collect()
}

fn table(
    rules: &model::HeaderRules,
    of: Of,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<HeaderRules> {
    for name in &rules.remove {
        findings.changeable(name, &name.at);
    }
    let remove = rules.remove.iter().map(|name| name.value.clone()).collect();
    let set = findings.headers(&rules.set, captures);
    let add = findings.headers(&rules.add, captures);
    if of == Of::Request {
        warn_of_late(&rules.set, &set, findings);
        warn_of_late(&rules.add, &add, findings);
    }
    let when = match &rules.when {
        Some(text) => when(text, of, captures, findings)?,
        None => Condition::always(),
    };
    Some(HeaderRules { when, remove, set, add })
}

fn when(
    text: &At<Box<str>>,
    of: Of,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<Condition> {
    let condition = findings.condition(text, captures)?;
    let mut variables = condition.variables().into_iter();
    let late = variables.find(|variable| findings.maps.reached(variable, is_of_answer).is_some());
    if let Some(variable) = late.filter(|_| of == Of::Request) {
        let message = format!("`{variable}` is not known yet when the upstream is asked");
        let diagnostic = Diagnostic::error(Code::Condition, text.at.clone(), message);
        findings.report(diagnostic.hint("`response_headers` may ask for the answer"));
    }
    Some(condition)
}

/// A value that could only be empty.
fn warn_of_late(
    written: &model::Table<HeaderName, At<model::Text>>,
    planned: &[(HeaderName, Template)],
    findings: &mut Findings<'_>,
) {
    for (name, template) in planned {
        let reached = |variable| Some((variable, findings.maps.reached(variable, is_of_answer)?));
        let Some((variable, late)) = template.variables().find_map(reached) else { continue };
        let at = written.find(name).map(|text| text.at.clone());
        let message = if *variable == late {
            format!("`{variable}` is always empty here: nobody has answered yet")
        } else {
            format!("`{variable}` depends on `{late}`, and nobody has answered yet")
        };
        findings.report(Diagnostic::warning(
            Code::NoEffect,
            at.unwrap_or_else(crate::Location::none),
            message,
        ));
    }
}

/// Whether a variable has no value before there is an answer.
fn is_of_answer(variable: &Variable) -> bool {
    match variable {
        Variable::SentHeader(_) | Variable::UpstreamHeader(_) | Variable::UpstreamCookie(_) => true,
        Variable::Known(known) => {
            matches!(known, Known::Status | Known::BytesSent | Known::BodyBytesSent)
        }
        Variable::Header(_)
        | Variable::Argument(_)
        | Variable::Cookie(_)
        | Variable::ProxyTlv(_)
        | Variable::JwtClaim(_)
        | Variable::Plugin(_)
        | Variable::Capture(_)
        | Variable::Map { .. } => false,
    }
}
