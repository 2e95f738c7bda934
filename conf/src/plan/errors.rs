//! What is answered instead of errors.

use http::StatusCode;
use switchback_value::Template;

use super::RouteId;
use super::actions;
use super::build::Findings;
use super::routes::RouteNames;
use super::texts::Captures;
use crate::diagnostic::{Code, Diagnostic};
use crate::model;

/// Which statuses a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKey {
    /// This one.
    Status(StatusCode),
    /// All that begin with this digit.
    Class(u8),
}

impl ErrorKey {
    /// Whether the rule is for `status`.
    #[must_use]
    pub fn is_for(self, status: StatusCode) -> bool {
        match self {
            Self::Status(own) => own == status,
            Self::Class(class) => status.as_u16() / 100 == u16::from(class),
        }
    }

    /// Whether it is for statuses of errors.
    fn is_error(self) -> bool {
        match self {
            Self::Status(status) => status.is_client_error() || status.is_server_error(),
            Self::Class(_) => true,
        }
    }
}

/// What is answered instead of one kind of error.
#[derive(Clone, Debug)]
pub struct ErrorRule {
    /// Of which.
    pub on: ErrorKey,
    /// Who answers.
    pub target: ErrorTarget,
    /// With which status.
    pub status: ErrorStatus,
}

/// Who answers instead.
#[derive(Clone, Debug)]
pub enum ErrorTarget {
    /// This route.
    Route(RouteId),
    /// Whatever route this path and query lead to.
    Path(Template),
}

/// The status of an answer that stands in for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorStatus {
    /// That of the error.
    Kept,
    /// The answer's own.
    Own,
    /// This one.
    Is(StatusCode),
}

/// What is answered instead of errors on one route: the first rule that is for a status.
#[derive(Clone, Debug, Default)]
pub struct ErrorsPlan {
    /// The route's own rules, single statuses first, then those of its site.
    pub rules: Vec<ErrorRule>,
    /// How many of them are its own.
    pub own: usize,
}

impl ErrorsPlan {
    /// The rule for `status`, where the fault was found here.
    #[must_use]
    pub fn of_fault(&self, status: StatusCode) -> Option<&ErrorRule> {
        find(&self.rules, status)
    }

    /// The rule for `status` that the route itself has: for answers of an upstream, and within an answer that stands in.
    #[must_use]
    pub fn of_own(&self, status: StatusCode) -> Option<&ErrorRule> {
        find(self.rules.get(..self.own).unwrap_or_default(), status)
    }
}

/// The first of `rules` that is for `status`.
#[must_use]
pub fn find(rules: &[ErrorRule], status: StatusCode) -> Option<&ErrorRule> {
    rules.iter().find(|rule| rule.on.is_for(status))
}

/// The rules of one table, single statuses first. `answers` is whether they are also for answers of an upstream.
pub(super) fn errors(
    errors: &model::Errors,
    (names, captures): (&RouteNames<'_>, &Captures),
    answers: bool,
    findings: &mut Findings<'_>,
) -> Vec<ErrorRule> {
    let mut rules = Vec::with_capacity(errors.len());
    for (on, answer) in errors.entries() {
        if !answers && !on.is_error() {
            let message = "this has no effect: no upstream is asked, and no fault has that status";
            findings.report(Diagnostic::warning(Code::NoEffect, on.at.clone(), message));
        }
        let target = target(&answer.value, (names, captures), findings);
        let status = match answer.status {
            None => ErrorStatus::Kept,
            Some(model::ErrorStatus::Own) => ErrorStatus::Own,
            Some(model::ErrorStatus::Is(status)) => ErrorStatus::Is(status),
        };
        rules.extend(target.map(|target| ErrorRule { on: on.value, target, status }));
    }
    rules.sort_by_key(|rule| matches!(rule.on, ErrorKey::Class(_)));
    rules
}

fn target(
    answer: &model::ErrorAnswer,
    (names, captures): (&RouteNames<'_>, &Captures),
    findings: &mut Findings<'_>,
) -> Option<ErrorTarget> {
    let at = &answer.route.at;
    match &answer.route.value {
        model::ErrorTarget::Path(path) => {
            let path = crate::at::At::new(path.clone(), at.clone());
            actions::plan_rewrite(&path, captures, findings).map(ErrorTarget::Path)
        }
        model::ErrorTarget::Route(name) => {
            let found = names.get(&**name).copied();
            if found.is_none() {
                let name = crate::at::At::new(name.clone(), at.clone());
                let defined = names.keys().copied();
                let nouns = ("route", "routes of this site");
                findings.unknown_name(Code::UnknownRoute, &name, nouns, defined);
            }
            found.map(ErrorTarget::Route)
        }
    }
}
