//! What stored responses are found by.

use switchback_value::{Template, Variable};

use super::build::Findings;
use super::matchers::is_of_answer;
use super::texts::Captures;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{CacheKey, KeyArguments, KeyParts, KeyQuery, TemplateText};

/// What a stored response is found by.
#[derive(Clone, Debug)]
pub enum KeyPlan {
    /// Exactly this.
    Whole(Template),
    /// Method, path, and what else is said.
    Parts(KeyPartsPlan),
}

/// The parts of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyPartsPlan {
    /// Whether the scheme is one.
    pub scheme: bool,
    /// Whether host and port are.
    pub host: bool,
    /// What of the query is.
    pub query: KeyQueryPlan,
    /// Further ones.
    pub parts: Vec<Template>,
}

/// What of a query belongs to a key, and is sent to the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyQueryPlan {
    /// All of it.
    All,
    /// Nothing.
    None,
    /// These arguments.
    Only(Vec<ArgumentName>),
    /// All arguments but these.
    Except(Vec<ArgumentName>),
}

/// A name, or the beginning of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentName {
    /// Exactly this.
    Is(Box<str>),
    /// Whatever begins like this.
    Begins(Box<str>),
}

impl ArgumentName {
    /// Whether an argument called `name` is meant.
    #[must_use]
    pub fn is_meant(&self, name: &[u8]) -> bool {
        match self {
            Self::Is(own) => own.as_bytes() == name,
            Self::Begins(own) => name.starts_with(own.as_bytes()),
        }
    }
}

pub(super) fn plan(
    key: Option<&At<CacheKey>>,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<KeyPlan> {
    let usual = KeyParts::default();
    let parts = match key.map(|key| (&key.value, &key.at)) {
        Some((CacheKey::Whole(text), at)) => {
            let text = At::new(text.clone(), at.clone());
            return whole(&text, captures, findings).map(KeyPlan::Whole);
        }
        Some((CacheKey::Parts(parts), _)) => parts,
        None => &usual,
    };
    let templates = parts.parts.iter().map(|part| template(part, captures, findings));
    let templates: Vec<_> = templates.collect();
    Some(KeyPlan::Parts(KeyPartsPlan {
        scheme: parts.scheme,
        host: parts.host,
        query: query(&parts.query, findings)?,
        parts: templates.into_iter().collect::<Option<_>>()?,
    }))
}

fn whole(
    text: &At<TemplateText>,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<Template> {
    let template = template(text, captures, findings)?;
    if template.variables().next().is_none() {
        let diagnostic = Diagnostic::error(
            Code::CacheUnfit,
            text.at.clone(),
            "with this key, every request has the same answer",
        );
        findings.report(diagnostic.hint("such as \"$scheme$host$request_uri\""));
    }
    Some(template)
}

fn template(
    text: &At<TemplateText>,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<Template> {
    let template = findings.template(text, captures)?;
    for variable in template.variables() {
        findings.known_before_answer(variable, &text.at, Code::Template);
    }
    Some(template)
}

fn query(query: &At<KeyQuery>, findings: &mut Findings<'_>) -> Option<KeyQueryPlan> {
    let KeyArguments { only, except } = match &query.value {
        KeyQuery::All => return Some(KeyQueryPlan::All),
        KeyQuery::None => return Some(KeyQueryPlan::None),
        KeyQuery::Some(arguments) => arguments,
    };
    match (only.is_empty(), except.is_empty()) {
        (false, true) => Some(KeyQueryPlan::Only(names(only))),
        (true, false) => Some(KeyQueryPlan::Except(names(except))),
        _ => {
            let message = "exactly one of `only` and `except` says which arguments";
            let diagnostic = Diagnostic::error(Code::CacheUnfit, query.at.clone(), message);
            findings
                .report(diagnostic.hint("`query = \"all\"` and `query = \"none\"` need neither"));
            None
        }
    }
}

fn names(list: &[At<Box<str>>]) -> Vec<ArgumentName> {
    let name = |text: &At<Box<str>>| match text.strip_suffix('*') {
        Some(beginning) => ArgumentName::Begins(beginning.into()),
        None => ArgumentName::Is(text.value.clone()),
    };
    list.iter().map(name).collect()
}

impl Findings<'_> {
    /// Refuses a variable whose value comes with an answer, where it is asked before there is one.
    pub(super) fn known_before_answer(&mut self, variable: &Variable, at: &Location, code: Code) {
        let Some(late) = self.maps.reached(variable, is_of_answer) else { return };
        let behind = (late != *variable).then(|| format!("it depends on `{late}`"));
        let message = format!("`{variable}` is not known yet when the cache is asked");
        self.report(Diagnostic::error(code, at.clone(), message).maybe_hint(behind));
    }
}
