//! Whether an answer, and what reached the origin, are what a step expects.

use super::case::{Case, Expected, Field, Source, Step};
use super::dates::Known;
use super::script::{Record, STEP, UNCONDITIONAL};
use crate::message::Response;
use crate::origin::Received;
use crate::patience::Deadline;
use crate::wire::WireError;

/// What speaks against a case.
pub(super) enum Objection {
    /// It cannot be judged.
    Ground(String),
    /// It fails.
    Case(String),
}

/// A step that was played.
pub(super) struct Seen<'a> {
    pub(super) case: &'a Case,
    pub(super) step: &'a Step,
    /// The first is 1.
    pub(super) number: usize,
    pub(super) path: &'a str,
    pub(super) interim: Vec<Response>,
    pub(super) answer: Result<Response, WireError>,
}

/// Looks at everything that the step expects; `record` says what the origin knows by now.
pub(super) fn check(seen: &Seen<'_>, record: &dyn Fn() -> Record) -> Result<(), Objection> {
    let step = seen.step;
    let as_case =
        |what| if step.is_given { Objection::Ground(what) } else { Objection::Case(what) };
    if step.expected.contains(&Expected::Cut) {
        return match &seen.answer {
            Err(_) => Ok(()),
            Ok(whole) => Err(as_case(format!("{} was shown as whole", whole.status))),
        };
    }
    let answer = seen.answer.as_ref().map_err(|error| as_case(format!("no answer: {error:?}")))?;
    let as_source = |what| match step.is_source_given {
        true => Objection::Ground(what),
        false => as_case(what),
    };
    source(seen, answer, &record()).map_err(as_source)?;
    status(seen, answer).map_err(as_case)?;
    body(seen, answer).map_err(as_case)?;
    step.expected.iter().try_for_each(|wanted| one(seen, answer, wanted, record)).map_err(as_case)
}

/// Whether the answer comes from where it must.
fn source(seen: &Seen<'_>, answer: &Response, record: &Record) -> Result<(), String> {
    let brought_by = answer.headers.all(STEP).first().and_then(|step| step.parse::<usize>().ok());
    let asked = requests_of(record, seen.number).next();
    let is_older = match brought_by {
        Some(step) => step < seen.number,
        // What is not the whole of it need not have it.
        None => matches!(answer.status, 304 | 416),
    };
    match seen.step.source {
        Source::Anywhere => Ok(()),
        Source::Cache if is_older && asked.is_none() => Ok(()),
        Source::CacheMeanwhile if is_older => Ok(()),
        Source::Cache | Source::CacheMeanwhile => {
            Err(format!("not from the cache: {}", told(answer)))
        }
        Source::Origin if brought_by == Some(seen.number) => Ok(()),
        Source::Origin => Err(format!("not from the origin: {}", told(answer))),
        Source::Error if brought_by.is_none() && answer.status >= 500 => Ok(()),
        Source::Error => Err(format!("no error: {}", told(answer))),
        Source::ValidatedByTag => validated(answer, asked, &["if-none-match"]),
        Source::ValidatedByDate => validated(answer, asked, &["if-modified-since"]),
        Source::Validated => validated(answer, asked, &["if-none-match", "if-modified-since"]),
    }
}

fn validated(
    answer: &Response,
    asked: Option<&Received>,
    conditions: &[&str],
) -> Result<(), String> {
    let Some(asked) = asked else { return Err(format!("not validated: {}", told(answer))) };
    if !answer.headers.all(UNCONDITIONAL).is_empty() {
        return Err("the origin was asked without a condition that holds".to_owned());
    }
    match conditions.iter().any(|name| !asked.headers.all(name).is_empty()) {
        true => Ok(()),
        false => Err(format!("the origin was asked without {}", conditions.join(" or "))),
    }
}

fn status(seen: &Seen<'_>, answer: &Response) -> Result<(), String> {
    let explicit = seen.step.expected.iter().find_map(|expected| match expected {
        Expected::Status(status) => Some(Some(*status)),
        Expected::AnyStatus => Some(None),
        _ => None,
    });
    let wanted = match explicit {
        Some(wanted) => wanted,
        None if seen.step.source == Source::Error => None,
        None => Some(seen.step.answer.status),
    };
    match wanted {
        Some(wanted) if wanted != answer.status => {
            Err(format!("status {}, not {wanted}: {}", answer.status, told(answer)))
        }
        _ => Ok(()),
    }
}

fn body(seen: &Seen<'_>, answer: &Response) -> Result<(), String> {
    let is_said = |expected: &Expected| matches!(expected, Expected::Body(_) | Expected::AnyBody);
    let has_none = matches!(answer.status, 204 | 304) || seen.step.method == "HEAD";
    let is_free = seen.step.source == Source::Error;
    if has_none || is_free || seen.step.expected.iter().any(is_said) {
        return Ok(());
    }
    let wanted = seen.step.answer.body.as_deref().unwrap_or(&seen.case.id);
    same("body", &answer.text(), wanted)
}

fn one(
    seen: &Seen<'_>,
    answer: &Response,
    wanted: &Expected,
    record: &dyn Fn() -> Record,
) -> Result<(), String> {
    let now = record();
    let own = answer.headers.all(STEP).first().and_then(|step| step.parse().ok()).unwrap_or(0);
    let known = Known { path: seen.path, host: "localhost", sent: &now.sent, own };
    let value = |name: &str| {
        let values = answer.headers.all(name);
        (!values.is_empty()).then(|| values.join(", "))
    };
    let number = |name: &str| value(name).and_then(|text| text.parse::<i64>().ok());
    let missing = |name: &str| format!("no {name}: {}", told(answer));
    match wanted {
        Expected::Status(_) | Expected::AnyStatus | Expected::AnyBody | Expected::Cut => Ok(()),
        Expected::Body(body) if body.starts_with("parts ") => same("body", &parts(answer), body),
        Expected::Body(body) => same("body", &answer.text(), &known.fill(body)),
        Expected::Field((name, text)) => {
            let value = value(name).ok_or_else(|| missing(name))?;
            same(name, &value, &known.fill(text))
        }
        Expected::HasField(name) => value(name).map(drop).ok_or_else(|| missing(name)),
        Expected::FieldAbove(name, least) => {
            let found = number(name).ok_or_else(|| missing(name))?;
            holds(found > *least, || format!("{name} is {found}, not above {least}"))
        }
        Expected::FieldBelow(name, most) => {
            let found = number(name).ok_or_else(|| missing(name))?;
            holds(found < *most, || format!("{name} is {found}, not below {most}"))
        }
        Expected::FieldContains((name, part)) => {
            let value = value(name).ok_or_else(|| missing(name))?;
            let part = known.fill(part);
            holds(value.contains(&part), || format!("{name} is `{value}`, without `{part}`"))
        }
        Expected::NoField(name) => {
            holds(value(name).is_none(), || format!("there is {name}: {}", told(answer)))
        }
        Expected::NotInField((name, part)) => {
            let value = value(name).unwrap_or_default();
            holds(!value.contains(part.as_str()), || format!("{name} is `{value}`"))
        }
        Expected::HeadBelow(most) => {
            let length = answer.raw_head.len();
            holds(length < *most, || format!("the head has {length} octets"))
        }
        Expected::Interim(status, field) => interim(&seen.interim, *status, field.as_ref()),
        Expected::NoInterim => {
            let statuses: Vec<u16> = seen.interim.iter().map(|it| it.status).collect();
            holds(statuses.is_empty(), || format!("interim answers: {statuses:?}"))
        }
        _ => at_origin(seen.number, wanted, (&known, record)),
    }
}

/// What a multipart answer holds: `parts 1-2 ab, 5-6 ef of 10 text/plain`, in its order.
fn parts(answer: &Response) -> String {
    let kind = answer.headers.all("content-type").join(", ");
    let boundary = kind.split_once("boundary=").map_or("", |(_, boundary)| boundary);
    let text = answer.text();
    let (mut found, mut whole, mut kinds) = (Vec::new(), "", Vec::new());
    for part in text.split(&format!("--{}", boundary.trim_matches('"'))) {
        let Some((head, body)) = part.split_once("\r\n\r\n") else { continue };
        for line in head.lines() {
            let (name, value) = line.split_once(": ").unwrap_or_default();
            if name.eq_ignore_ascii_case("content-type") && !kinds.contains(&value) {
                kinds.push(value);
            }
            if let Some(range) = value.strip_prefix("bytes ").and_then(|it| it.split_once('/')) {
                whole = range.1;
                found.push(format!("{} {}", range.0, body.trim_end_matches("\r\n")));
            }
        }
    }
    format!("parts {} of {whole} {}", found.join(", "), kinds.join(", "))
}

fn interim(came: &[Response], status: u16, field: Option<&Field>) -> Result<(), String> {
    let has = |response: &Response| {
        let named = |(name, value): &Field| response.headers.all(name).join(", ") == *value;
        response.status == status && field.is_none_or(named)
    };
    let heads = || {
        let heads = came.iter().map(|it| String::from_utf8_lossy(&it.raw_head).into_owned());
        heads.collect::<Vec<_>>().join("|")
    };
    holds(came.iter().any(has), || format!("no interim {status} with {field:?} in {:?}", heads()))
}

/// What the origin may hear a moment after the client has its answer is waited for.
fn at_origin(
    number: usize,
    wanted: &Expected,
    (known, record): (&Known<'_>, &dyn Fn() -> Record),
) -> Result<(), String> {
    let now = record();
    if matches!(wanted, Expected::OriginAsked) {
        let deadline = Deadline::soon();
        while requests_of(&record(), number).next().is_none() {
            holds(!deadline.has_passed(), || "the origin was not asked".to_owned())?;
            super::script::pause(std::time::Duration::from_millis(2));
        }
        return Ok(());
    }
    if let Expected::OriginCount(count) = wanted {
        let found = now.requests.len();
        return holds(found == *count, || {
            format!("the origin was asked {found} times, not {count}")
        });
    }
    let asked = requests_of(&now, number).next();
    if matches!(wanted, Expected::OriginNotAsked) {
        return holds(asked.is_none(), || "the origin was asked".to_owned());
    }
    let asked = asked.ok_or("the origin was not asked")?;
    match wanted {
        Expected::OriginSaw((name, value)) => {
            let what = format!("{name} at the origin");
            same(&what, &asked.headers.all(name).join(", "), &known.fill(value))
        }
        Expected::OriginSawNo(name) => {
            let values = asked.headers.all(name).join(", ");
            holds(asked.headers.all(name).is_empty(), || format!("the origin saw {name}: {values}"))
        }
        Expected::OriginSawMethod(method) => same("the method", &asked.method, method),
        other => Err(format!("not looked at: {other:?}")),
    }
}

fn requests_of(record: &Record, number: usize) -> impl Iterator<Item = &Received> {
    record.requests.iter().filter(move |(step, _)| *step == number).map(|(_, request)| request)
}

fn holds(is_so: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(otherwise()) }
}

fn same(what: &str, found: &str, wanted: &str) -> Result<(), String> {
    holds(found == wanted, || format!("{what} is `{found}`, not `{wanted}`"))
}

/// The head of an answer in one line.
fn told(answer: &Response) -> String {
    let head = String::from_utf8_lossy(&answer.raw_head);
    head.trim_end().replace("\r\n", " | ")
}
