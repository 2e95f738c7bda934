//! Requests that stay with one endpoint.

use std::fmt::Write as _;

use switchback_value::Template;

use super::SameSite;
use super::build::Findings;
use super::texts::Captures;
use super::upstreams::{all_endpoints, is_replica};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{Sticky, Upstream};

/// By what requests stay with an endpoint.
#[derive(Clone, Debug)]
pub enum StickyPlan {
    /// By a signed cookie.
    Cookie(StickyCookiePlan),
    /// By what comes to the id of an endpoint.
    Route(Template),
}

/// A cookie that says which endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StickyCookiePlan {
    /// Its name.
    pub name: Box<str>,
    /// What it is signed with; `None` is a secret of the process.
    pub secret: Option<Box<str>>,
    /// What follows its value: `; Path=/; HttpOnly`, without `Secure`.
    pub attributes: Box<str>,
    /// Whether it has `Secure`; `None` is where the client came over TLS.
    pub secure: Option<bool>,
}

/// Fewer bytes can be guessed.
const LEAST_SECRET: usize = 16;

pub(super) fn plan(upstream: &At<Upstream>, findings: &mut Findings<'_>) -> Option<StickyPlan> {
    let sticky = upstream.sticky.as_ref()?;
    if !upstream.shards.is_empty() || all_endpoints(upstream).any(is_replica) {
        let message = "`sticky` is for upstreams without shards and replicas";
        let found = Diagnostic::error(Code::ShardUnfit, sticky.at.clone(), message);
        findings
            .report(found.hint("with shards, `shard_by` keeps the requests of one key together"));
        return None;
    }
    match (&sticky.cookie, &sticky.route) {
        (Some(name), None) => plan_cookie(name, sticky, findings).map(StickyPlan::Cookie),
        (None, Some(route)) => {
            unused(sticky, findings);
            findings.template(route, &Captures::default()).map(StickyPlan::Route)
        }
        (cookie, _) => {
            let message = match cookie {
                Some(_) => "`sticky` has either a `cookie` or a `route`",
                None => "`sticky` needs a `cookie` or a `route`",
            };
            findings.error(Code::MissingKey, &sticky.at, message);
            None
        }
    }
}

fn plan_cookie(
    name: &At<Box<str>>,
    sticky: &At<Sticky>,
    findings: &mut Findings<'_>,
) -> Option<StickyCookiePlan> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        let message = format!("`{}` cannot be the name of a cookie", **name);
        findings.error(Code::BadValue, &name.at, message);
    }
    let path = &sticky.path;
    let is_path = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b';';
    if !path.starts_with('/') || !path.bytes().all(is_path) {
        let message = format!("`{}` cannot be the path of a cookie", **path);
        findings.error(Code::BadValue, &path.at, message);
    }
    let secret = match &sticky.secret {
        None => None,
        Some(text) => {
            let template = findings.text(text, &Captures::default())?;
            let Some(secret) = template.as_literal().filter(|text| text.len() >= LEAST_SECRET)
            else {
                let message = "a secret is a text of at least 16 bytes, without variables";
                findings.error(Code::BadValue, &text.at, message);
                return None;
            };
            Some(secret.into())
        }
    };
    let attributes = attributes(sticky).into();
    Some(StickyCookiePlan { name: name.value.clone(), secret, attributes, secure: sticky.secure })
}

fn attributes(sticky: &Sticky) -> String {
    let mut text = format!("; Path={}", *sticky.path);
    if let Some(age) = &sticky.max_age {
        // Writing to a String cannot fail.
        let _ = write!(text, "; Max-Age={}", age.std().as_secs());
    }
    text.push_str(match sticky.same_site {
        SameSite::Strict => "; SameSite=Strict",
        SameSite::Lax => "; SameSite=Lax",
        SameSite::None => "; SameSite=None",
    });
    if sticky.http_only {
        text.push_str("; HttpOnly");
    }
    text
}

/// What is for a cookie has no effect on a `route`.
fn unused(sticky: &At<Sticky>, findings: &mut Findings<'_>) {
    let secret = sticky.secret.as_ref().map(|secret| ("secret", &secret.at));
    let max_age = sticky.max_age.as_ref().map(|age| ("max_age", &age.at));
    for (key, at) in [secret, max_age].into_iter().flatten() {
        let message = format!("`{key}` has no effect: it is for a `cookie`");
        findings.report(Diagnostic::warning(Code::NoEffect, at.clone(), message));
    }
}
