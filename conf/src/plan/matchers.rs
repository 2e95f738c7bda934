//! Which requests a route is for.

use regex::bytes::RegexBuilder;
use switchback_value::{Condition, PathPattern, Scope, Variable};

use super::build::Findings;
use super::texts::Captures;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{Matcher, Name, Table};

/// The path patterns of a route, and the captures that its templates may use. Without a path, every path.
pub(super) fn paths(
    matcher: Option<&At<Matcher>>,
    findings: &mut Findings<'_>,
) -> (Vec<PathPattern>, Captures) {
    let written = matcher.map_or(&[][..], |matcher| &matcher.path);
    if written.is_empty() {
        return (vec![PathPattern::Prefix("/".into())], Captures::default());
    }
    let mut patterns = Vec::with_capacity(written.len());
    let mut captures: Option<Vec<String>> = None;
    let mut are_unknown = false;
    for path in written {
        let pattern = match PathPattern::parse(path) {
            Ok(pattern) => pattern,
            Err(error) => {
                findings.error(Code::PathPattern, &path.at, error.to_string());
                are_unknown = true;
                continue;
            }
        };
        let names = pattern.capture_names();
        match &captures {
            None => captures = Some(names),
            Some(first) if *first != names => {
                differing(path, first, &names, findings);
                are_unknown = true;
            }
            Some(_) => {}
        }
        patterns.push(pattern);
    }
    let scope = captures.map_or_else(Scope::new, Scope::with_captures);
    (patterns, Captures { scope, are_unknown })
}

/// One template serves all paths of a route, so all of them must capture the same.
fn differing(path: &At<Box<str>>, first: &[String], names: &[String], findings: &mut Findings<'_>) {
    let listed = |names: &[String]| match names {
        [] => "nothing".to_owned(),
        _ => names.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(", "),
    };
    let message = format!("this path captures {}, the first one {}", listed(names), listed(first));
    let diagnostic = Diagnostic::error(Code::CapturesDiffer, path.at.clone(), message);
    findings.report(diagnostic.hint(
        "all paths of a route capture the same names in the same order; or write two routes",
    ));
}

/// Everything but the path, cheap tests first.
pub(super) fn condition(
    matcher: &Matcher,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Condition {
    let mut parts = Vec::new();
    if !matcher.method.is_empty() {
        parts.push(Condition::method(matcher.method.to_vec()));
    }
    if !matcher.client.is_empty() {
        parts.push(Condition::client(matcher.client.to_vec()));
    }
    for (name, value) in matcher.headers.iter() {
        parts.extend(value_test(Variable::Header(name.clone()), value, findings));
    }
    let argument = |name: &Name| Variable::Argument(name.to_ascii_lowercase().into());
    parts.extend(value_tests(&matcher.query, argument, findings));
    parts.extend(value_tests(&matcher.cookies, |name| Variable::Cookie((**name).into()), findings));
    parts.extend(matcher.when.as_ref().and_then(|text| when(text, captures, findings)));
    Condition::all(parts)
}

/// A condition on what is known before a route is chosen.
fn when(
    text: &At<Box<str>>,
    captures: &Captures,
    findings: &mut Findings<'_>,
) -> Option<Condition> {
    let condition = findings.condition(text, captures)?;
    for variable in condition.variables() {
        let Some(late) = findings.maps.reached(variable, is_late) else { continue };
        let behind = (late != *variable).then(|| format!("it depends on `{late}`"));
        let message = format!("`{variable}` is not known yet when routes are chosen");
        let diagnostic = Diagnostic::error(Code::Condition, text.at.clone(), message);
        let is_capture = matches!(variable, Variable::Capture(_));
        let hint = is_capture.then_some("say it in the path: as it is, or as a regex behind `~`");
        findings.report(diagnostic.maybe_hint(hint).maybe_hint(behind));
    }
    Some(condition)
}

/// Whether a variable gets its value from the route, from what it captures, from its filters, or from an answer.
pub(super) fn is_late(variable: &Variable) -> bool {
    match variable {
        Variable::Capture(_) | Variable::Plugin(_) => true,
        Variable::Known(known) if known.name() == "route" => true,
        _ => is_of_answer(variable),
    }
}

/// Whether a variable gets its value from an answer.
pub(super) fn is_of_answer(variable: &Variable) -> bool {
    match variable {
        Variable::SentHeader(_) | Variable::UpstreamHeader(_) | Variable::UpstreamCookie(_) => true,
        Variable::Known(known) => {
            const OTHERS: [&str; 6] = [
                "status",
                "bytes_sent",
                "body_bytes_sent",
                "content_coding",
                "image_format",
                "image_width",
            ];
            let name = known.name();
            name.starts_with("upstream") || OTHERS.contains(&name)
        }
        Variable::Capture(_)
        | Variable::Header(_)
        | Variable::Argument(_)
        | Variable::Cookie(_)
        | Variable::ProxyTlv(_)
        | Variable::JwtClaim(_)
        | Variable::Plugin(_)
        | Variable::Map { .. } => false,
    }
}

fn value_tests(
    table: &Table<Name, At<Box<str>>>,
    variable: impl Fn(&Name) -> Variable,
    findings: &mut Findings<'_>,
) -> Vec<Condition> {
    table.iter().filter_map(|(name, value)| value_test(variable(name), value, findings)).collect()
}

/// `"text"` exactly, `"*"` present, `"~regex"`, `"~*regex"` in any case.
fn value_test(
    variable: Variable,
    value: &At<Box<str>>,
    findings: &mut Findings<'_>,
) -> Option<Condition> {
    if &*value.value == "*" {
        return Some(Condition::present(variable));
    }
    let Some(pattern) = value.strip_prefix('~') else {
        return Some(Condition::equals(variable, value));
    };
    let (pattern, ignore_case) = match pattern.strip_prefix('*') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let start = value.len() - pattern.len();
    match RegexBuilder::new(pattern).case_insensitive(ignore_case).build() {
        Ok(regex) => Some(Condition::matches(variable, regex)),
        Err(error) => {
            let at = value.within(start..value.len());
            findings.error(
                Code::Regex,
                &at,
                format!("not a regular expression: {}", reason(&error)),
            );
            None
        }
    }
}

/// The last line of the error, which is the reason; those before show the place once more.
pub(super) fn reason(error: &regex::Error) -> String {
    let report = error.to_string();
    let last = report.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
