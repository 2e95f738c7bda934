//! What becomes of the cookies that upstreams set.

use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};
use switchback_value::Template;

use super::build::Findings;
use super::matchers::reason;
use super::texts::Captures;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{self, CookieText as Text};

/// Changes to the cookies of an answer.
#[derive(Clone, Debug)]
pub struct CookieRule {
    /// Which cookies, by name; `None` is all.
    pub name: Option<CookiePattern>,
    /// Whether they go.
    pub remove: bool,
    /// Their `Domain`.
    pub domain: Option<CookieText>,
    /// Their `Path`.
    pub path: Option<CookieText>,
    /// Whether they have `Secure`; `None` leaves it.
    pub secure: Option<bool>,
    /// Whether they have `HttpOnly`; `None` leaves it.
    pub http_only: Option<bool>,
    /// Their `SameSite`; `None` leaves it.
    pub same_site: Option<SameSite>,
}

/// Which requests from other sites carry a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// None.
    Strict,
    /// Those that lead somebody to the site.
    Lax,
    /// All.
    None,
}

/// What becomes of an attribute.
#[derive(Clone, Debug)]
pub enum CookieText {
    /// This; when it renders empty, the attribute goes.
    Whole(Template),
    /// The first that fits what is there decides; what nothing fits stays.
    Replace(Vec<(CookiePattern, Template)>),
}

/// What a name or an attribute is compared with.
#[derive(Clone, Debug)]
pub enum CookiePattern {
    /// It is this text.
    Text(Box<str>),
    /// It is this domain, in any case, with or without a dot before it.
    Domain(Box<str>),
    /// It begins with this text.
    Prefix(Box<str>),
    /// The regex is found in it.
    Regex(Regex),
}

impl CookiePattern {
    /// Whether `text` fits.
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.rest(text).is_some()
    }

    /// What of `text` stays when what fits is replaced; `None` when nothing fits.
    #[must_use]
    pub fn rest<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        match self {
            Self::Text(own) => (own.as_bytes() == text).then_some(b""),
            Self::Domain(own) => {
                let domain = text.strip_prefix(b".").unwrap_or(text);
                own.as_bytes().eq_ignore_ascii_case(domain).then_some(b"")
            }
            Self::Prefix(own) => text.strip_prefix(own.as_bytes()),
            Self::Regex(regex) => regex.is_match(text).then_some(b""),
        }
    }
}

/// The rules of a site or a route, in their order.
pub(super) fn cookie_rules(
    written: &[At<model::CookieRule>],
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Vec<Arc<CookieRule>> {
    let planned = written.iter().filter_map(|rule| {
        check_effect(rule, findings);
        plan(rule, captures, findings)
    });
    planned.map(Arc::new).collect()
}

fn plan(
    rule: &model::CookieRule,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<CookieRule> {
    let name = rule.name.as_ref().map(|name| pattern(name, CookiePattern::Text, findings));
    let domain_of = |text: Box<str>| {
        CookiePattern::Domain(text.strip_prefix('.').map_or(text.clone(), Box::from))
    };
    let domain = rule.domain.as_ref().map(|text| plan_text(text, domain_of, captures, findings));
    let path = rule.path.as_ref();
    let path = path.map(|text| plan_text(text, CookiePattern::Prefix, captures, findings));
    // What is wrong with one part has been told; a part that is missing must not change more than was meant.
    let (name, domain, path) = (all_or_none(name)?, all_or_none(domain)?, all_or_none(path)?);
    let model::CookieRule { remove, secure, http_only, same_site, .. } = *rule;
    Some(CookieRule { name, remove, domain, path, secure, http_only, same_site })
}

/// What was not written is fine, what was and is wrong is not.
#[expect(clippy::option_option, reason = "not written and wrong are two things")]
fn all_or_none<T>(part: Option<Option<T>>) -> Option<Option<T>> {
    match part {
        None => Some(None),
        Some(part) => part.map(Some),
    }
}

fn plan_text(
    text: &At<Text>,
    plain: impl Fn(Box<str>) -> CookiePattern + Copy,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<CookieText> {
    match &text.value {
        Text::Whole(template) => {
            let template = At::new(template.clone(), text.at.clone());
            value(&template, captures, findings).map(CookieText::Whole)
        }
        Text::Replace(table) => {
            let mut replacements = Vec::with_capacity(table.len());
            for (from, to) in table.entries() {
                let from = pattern(from, plain, findings);
                replacements.extend(from.zip(value(to, captures, findings)));
            }
            Some(CookieText::Replace(replacements))
        }
    }
}

fn value(
    text: &At<model::TemplateText>,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<Template> {
    findings.no_controls(Code::HeaderValue, text, "an attribute of a cookie");
    if let Some(at) = text.value.as_ref().find(';') {
        let message = "an attribute of a cookie must not hold a semicolon";
        findings.error(Code::HeaderValue, &text.within(at..at + 1), message);
    }
    findings.template(text, captures)
}

/// `"~regex"`, `"~*regex"` in any case, or a plain text.
fn pattern(
    text: &At<Box<str>>,
    plain: impl Fn(Box<str>) -> CookiePattern,
    findings: &mut Findings<'_>,
) -> Option<CookiePattern> {
    let Some(regex) = text.strip_prefix('~') else { return Some(plain(text.value.clone())) };
    let (regex, ignore_case) = match regex.strip_prefix('*') {
        Some(regex) => (regex, true),
        None => (regex, false),
    };
    match RegexBuilder::new(regex).case_insensitive(ignore_case).build() {
        Ok(regex) => Some(CookiePattern::Regex(regex)),
        Err(error) => {
            let message = format!("not a regular expression: {}", reason(&error));
            findings.error(Code::Regex, &text.at, message);
            None
        }
    }
}

/// Nothing is accepted and ignored without a word.
fn check_effect(rule: &At<model::CookieRule>, findings: &mut Findings<'_>) {
    let changes = rule.domain.is_some()
        || rule.path.is_some()
        || rule.secure.is_some()
        || rule.http_only.is_some()
        || rule.same_site.is_some();
    let message = match (rule.remove, changes) {
        (false, false) => "this changes nothing of a cookie",
        (true, true) => "nothing else has an effect on cookies that are removed",
        (true, false) | (false, true) => return,
    };
    findings.report(Diagnostic::warning(Code::NoEffect, rule.at.clone(), message));
}

#[cfg(test)]
mod tests {
    use super::CookiePattern;

    #[test]
    fn a_domain_is_compared_in_any_case_and_without_its_dot() {
        let domain = CookiePattern::Domain("a.example".into());
        assert!(domain.is_match(b"A.Example") && domain.is_match(b".a.example"));
        assert!(!domain.is_match(b"b.a.example") && !domain.is_match(b""));
    }

    #[test]
    fn of_a_path_what_follows_stays() {
        let path = CookiePattern::Prefix("/app/".into());
        assert_eq!(path.rest(b"/app/x"), Some(&b"x"[..]));
        assert_eq!(path.rest(b"/app"), None);
        assert_eq!(path.rest(b"/App/x"), None);
    }

    #[test]
    fn a_name_is_the_whole_name() {
        let name = CookiePattern::Text("a".into());
        assert!(name.is_match(b"a") && !name.is_match(b"A") && !name.is_match(b"ab"));
    }
}
