//! Requests that stay with one endpoint.

use std::fmt::Write as _;
use std::time::Duration;

use switchback_value::Template;

use super::SameSite;
use super::build::Findings;
use super::matchers::is_of_answer;
use super::texts::Captures;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{Learn, OneOrMany, Sticky, TemplateText, Upstream};

/// By what requests stay with an endpoint.
#[derive(Clone, Debug)]
pub enum StickyPlan {
    /// By a signed cookie.
    Cookie(StickyCookiePlan),
    /// By what comes to the id of an endpoint.
    Route(Template),
    /// By a session that an endpoint has begun.
    Learn(LearnPlan),
}

/// A cookie that says which endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StickyCookiePlan {
    /// Its name.
    pub name: Box<str>,
    /// What it is signed with: the first one signs, and each is believed. None is a secret of the process.
    pub secrets: Vec<Box<str>>,
    /// What follows its value: `; Path=/; HttpOnly`, without `Secure`.
    pub attributes: Box<str>,
    /// Whether it has `Secure`; `None` is where the client came over TLS.
    pub secure: Option<bool>,
    /// How long it is believed; `None` is for ever.
    pub max_age: Option<Duration>,
    /// To what it holds its visitor.
    pub to: StickyTo,
    /// Whether its shard is asked before that of the key.
    pub is_before_key: bool,
}

/// To what a cookie holds its visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StickyTo {
    /// To an endpoint, and so to its shard.
    Endpoint,
    /// To a shard.
    Shard,
}

/// Sessions that endpoints begin.
#[derive(Clone, Debug)]
pub struct LearnPlan {
    /// What of an answer names its session: the first that is not empty.
    pub from: Vec<Template>,
    /// What of a request does.
    pub by: Vec<Template>,
    /// The most that are remembered.
    pub most: usize,
    /// How long one is remembered that nobody asks for.
    pub forget: Duration,
}

/// Fewer bytes can be guessed.
const LEAST_SECRET: usize = 16;

pub(super) fn plan(upstream: &At<Upstream>, findings: &mut Findings<'_>) -> Option<StickyPlan> {
    let sticky = upstream.sticky.as_ref()?;
    match (&sticky.cookie, &sticky.route, &sticky.learn) {
        (Some(name), None, None) => {
            let has_shards = !upstream.shards.is_empty();
            plan_cookie(name, (sticky, has_shards), findings).map(StickyPlan::Cookie)
        }
        (None, Some(route), None) => {
            unused(sticky, findings);
            let captures = Captures::default();
            let template = findings.template(route, &captures)?;
            is_early(&template, route, findings).then_some(StickyPlan::Route(template))
        }
        (None, None, Some(learn)) => {
            unused(sticky, findings);
            plan_learn(learn, findings).map(StickyPlan::Learn)
        }
        (cookie, route, _) => {
            let message = match cookie.is_some() || route.is_some() {
                true => "`sticky` has either a `cookie`, a `route` or `learn`",
                false => "`sticky` needs a `cookie`, a `route` or `learn`",
            };
            findings.error(Code::MissingKey, &sticky.at, message);
            None
        }
    }
}

fn plan_learn(learn: &Learn, findings: &mut Findings<'_>) -> Option<LearnPlan> {
    let mut all = |texts: &At<OneOrMany<At<TemplateText>>>, is_answer: bool| {
        if texts.is_empty() {
            let message = "what is the name of a session?";
            findings.error(Code::Empty, &texts.at, message);
        }
        let mut templates = Vec::new();
        for text in texts.iter() {
            let template = findings.template(text, &Captures::default())?;
            let is_fit = match is_answer {
                true => is_of_some_answer(&template, text, findings),
                false => is_early(&template, text, findings),
            };
            templates.push(Some(template).filter(|_| is_fit));
        }
        templates.into_iter().collect::<Option<Vec<_>>>()
    };
    let (from, by) = (all(&learn.from, true), all(&learn.by, false));
    Some(LearnPlan {
        from: from?,
        by: by?,
        most: learn.most.value() as usize,
        forget: learn.forget.std(),
    })
}

/// Whether a template has its value when an endpoint is chosen.
fn is_early(template: &Template, text: &At<TemplateText>, findings: &mut Findings<'_>) -> bool {
    let mut variables = template.variables();
    let late = variables.find_map(|variable| findings.maps.reached(variable, is_of_answer));
    let Some(late) = late else { return true };
    let message = format!("`{late}` is not known yet when an endpoint is chosen");
    findings.error(Code::Template, &text.at, message);
    false
}

/// Whether a template is about an answer: whatever a request names would otherwise be a session.
fn is_of_some_answer(
    template: &Template,
    text: &At<TemplateText>,
    findings: &mut Findings<'_>,
) -> bool {
    let mut variables = template.variables();
    if variables.any(|variable| findings.maps.reached(variable, is_of_answer).is_some()) {
        return true;
    }
    let message = "this is nothing that an answer says";
    let found = Diagnostic::error(Code::Template, text.at.clone(), message);
    findings
        .report(found.hint("such as \"$upstream_cookie_session\" or \"$upstream_http_x_session\""));
    false
}

fn plan_cookie(
    name: &At<Box<str>>,
    (sticky, has_shards): (&At<Sticky>, bool),
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
    if !has_shards {
        without_shards(sticky, findings);
    }
    let attributes = attributes(sticky).into();
    Some(StickyCookiePlan {
        name: name.value.clone(),
        secrets: secrets(sticky, findings)?,
        attributes,
        secure: sticky.secure,
        max_age: sticky.max_age.as_ref().map(|age| age.std()),
        to: sticky.to.as_ref().map_or(StickyTo::Endpoint, |to| to.value),
        is_before_key: sticky.before_key.as_ref().is_some_and(|before| before.value),
    })
}

fn secrets(sticky: &Sticky, findings: &mut Findings<'_>) -> Option<Vec<Box<str>>> {
    let Some(texts) = &sticky.secret else { return Some(Vec::new()) };
    if texts.is_empty() {
        findings.error(Code::Empty, &texts.at, "at least one secret signs");
    }
    let mut secrets = Vec::new();
    for text in texts.iter() {
        let template = findings.text(text, &Captures::default())?;
        let Some(secret) = template.as_literal().filter(|text| text.len() >= LEAST_SECRET) else {
            let message = "a secret is a text of at least 16 bytes, without variables";
            findings.error(Code::BadValue, &text.at, message);
            return None;
        };
        secrets.push(secret.into());
    }
    Some(secrets)
}

/// What is about shards has no effect without them.
fn without_shards(sticky: &Sticky, findings: &mut Findings<'_>) {
    if let Some(to) = sticky.to.as_ref().filter(|to| to.value == StickyTo::Shard) {
        let message = "visitors cannot stay in a shard: this upstream has none";
        findings.error(Code::ShardUnfit, &to.at, message);
    }
    if let Some(before) = &sticky.before_key {
        let message = "`before_key` has no effect: this upstream has no shards";
        findings.report(Diagnostic::warning(Code::NoEffect, before.at.clone(), message));
    }
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

/// What is for a cookie has no effect elsewhere.
fn unused(sticky: &At<Sticky>, findings: &mut Findings<'_>) {
    let secret = sticky.secret.as_ref().map(|secret| ("secret", &secret.at));
    let max_age = sticky.max_age.as_ref().map(|age| ("max_age", &age.at));
    let to = sticky.to.as_ref().map(|to| ("to", &to.at));
    let before_key = sticky.before_key.as_ref().map(|before| ("before_key", &before.at));
    for (key, at) in [secret, max_age, to, before_key].into_iter().flatten() {
        let message = format!("`{key}` has no effect: it is for a `cookie`");
        findings.report(Diagnostic::warning(Code::NoEffect, at.clone(), message));
    }
}
