//! How a list is written.
//!
//! ```text
//! [name] must | RFC 9111, 5.2.2.1 | after other-name, another | on cookies
//! A sentence that says what is owed.
//! with name, value                  (the case stands once for each row, its words in braces replaced)
//!   * ETag ~ "a"
//! given GET /suffix                 (a step that must succeed for the case to say anything)
//!   > Cookie: a=b                   (the client sends; `>> text` is its body)
//!   < 206                           (the origin answers; `<< text` is its body)
//!   < Cache-Control: max-age=60
//!   < interim 103 Link: </a>        (before that)
//!   < trailer X-Sum: 1              (behind it)
//!   < chunked | chunks cut | until close | short 10 | nothing | late 0.5 | no Date
//!   wait 2                          (seconds, before the next step)
//! then GET if cached                (the step that is judged; it says nothing unless it is answered so)
//! then GET => cached                (cached, cached meanwhile, origin, validated, validated by tag, validated by date, error)
//!   = 304                           (the answer has this status; `= any status`)
//!   = Age > 30                      (this field; `= Name`, `= Name: value`, `= Name < 3`, `= Name ~ part`)
//!   == text                         (this body; `== *` is any; `== parts 1-2 ab, 5-6 ef of 10 text/plain` is multipart)
//!   = cut                           (it ends too early)
//!   = head < 200                    (octets)
//!   = interim 103 Link: </a>        (it follows this; `! interim`)
//!   ! Name                          (no such field; `! Name: part`)
//!   @ Name: value                   (the origin's request has it; `@! Name`, `@ method HEAD`, `@ asked`, `@! asked`, `@ count 2`)
//! seen in proxy/cache/src/file.rs: name_of_the_test
//! ```
//!
//! Braces hold dates and what was sent before: see [`super::dates`]. A line that begins with `#` is for the reader.

use std::time::Duration;

use super::case::{Answer, Case, Expected, Field, Kind, Shape, Source, Step};

/// The cases of a text, or all its mistakes, each with its line.
pub(super) fn parse(name: &str, text: &str) -> Result<Vec<Case>, Vec<String>> {
    let (mut cases, mut faults) = (Vec::new(), Vec::new());
    for block in blocks(text) {
        for lines in expanded(&block) {
            match case(&lines) {
                Ok(case) => cases.push(case),
                Err(fault) => faults.push(format!("{name}: {fault}")),
            }
        }
    }
    if faults.is_empty() { Ok(cases) } else { Err(faults) }
}

/// The lines of each case.
fn blocks(text: &str) -> Vec<Vec<String>> {
    let mut blocks: Vec<Vec<String>> = Vec::new();
    let lines = text.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match blocks.last_mut() {
            Some(block) if !line.starts_with('[') => block.push(line.to_owned()),
            _ => blocks.push(vec![line.to_owned()]),
        }
    }
    blocks
}

/// One case for each row under `with`; itself where there is none.
fn expanded(block: &[String]) -> Vec<Vec<String>> {
    let Some(names) = block.iter().find_map(|line| line.strip_prefix("with ")) else {
        return vec![block.to_vec()];
    };
    let names: Vec<String> = names.split(',').map(|name| format!("{{{}}}", name.trim())).collect();
    let rows = block.iter().filter_map(|line| line.strip_prefix('*'));
    let kept = |line: &&String| !line.starts_with("with ") && !line.starts_with('*');
    let filled = |row: &str| {
        let values: Vec<&str> = row.split('~').map(str::trim).collect();
        let pairs: Vec<(&String, &&str)> = names.iter().zip(&values).collect();
        let fill = |line: &String| {
            pairs.iter().fold(line.clone(), |line, (name, value)| line.replace(*name, value))
        };
        block.iter().filter(kept).map(fill).collect()
    };
    rows.map(filled).collect()
}

fn case(lines: &[String]) -> Result<Case, String> {
    let (first, rest) = lines.split_first().ok_or("nothing")?;
    let mut case = header(first)?;
    for line in rest {
        add(&mut case, line).map_err(|fault| format!("[{}] `{line}`: {fault}", case.id))?;
    }
    let says_something = case.elsewhere.is_some() || case.steps.iter().any(|step| !step.is_given);
    match says_something && !case.sentence.is_empty() {
        true => Ok(case),
        false => Err(format!("[{}] judges nothing, or has no sentence", case.id)),
    }
}

/// `[name] kind | section | after .. | on ..`.
fn header(line: &str) -> Result<Case, String> {
    let bad = || format!("no header: {line}");
    let (id, rest) =
        line.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(bad)?;
    let mut parts = rest.split('|').map(str::trim);
    let kind = parts.next().and_then(Kind::parse).ok_or_else(bad)?;
    let mut case = Case {
        id: id.to_owned(),
        kind,
        section: String::new(),
        after: Vec::new(),
        route: "plain".to_owned(),
        sentence: String::new(),
        steps: Vec::new(),
        elsewhere: None,
    };
    for part in parts {
        if let Some(after) = part.strip_prefix("after ") {
            case.after = after.split(',').map(|id| id.trim().to_owned()).collect();
        } else if let Some(route) = part.strip_prefix("on ") {
            case.route = route.to_owned();
        } else {
            case.section = part.to_owned();
        }
    }
    Ok(case)
}

fn add(case: &mut Case, line: &str) -> Result<(), String> {
    if let Some(asked) = line.strip_prefix("given ") {
        case.steps.push(Step { is_given: true, ..step(asked)? });
        return Ok(());
    }
    if let Some(asked) = line.strip_prefix("then ") {
        case.steps.push(step(asked)?);
        return Ok(());
    }
    if let Some(test) = line.strip_prefix("seen in ") {
        case.elsewhere = Some(test.to_owned());
        return Ok(());
    }
    let Some(step) = case.steps.last_mut() else {
        let space = if case.sentence.is_empty() { "" } else { " " };
        case.sentence.push_str(&format!("{space}{line}"));
        return Ok(());
    };
    detail(step, line)
}

/// `METHOD [suffix] [=> source | if source]`.
fn step(line: &str) -> Result<Step, String> {
    let (asked, source, is_source_given) = match (line.split_once("=>"), line.split_once(" if ")) {
        (Some((asked, source)), _) => (asked, source.trim(), false),
        (None, Some((asked, source))) => (asked, source.trim(), true),
        (None, None) => (line, "", false),
    };
    let source = match source {
        "" => Source::Anywhere,
        word => Source::parse(word).ok_or_else(|| format!("no source: {word}"))?,
    };
    let mut words = asked.split_whitespace();
    let method = words.next().ok_or("no method")?.to_owned();
    let suffix = words.next().unwrap_or_default().to_owned();
    Ok(Step { method, suffix, source, is_source_given, ..Step::default() })
}

fn detail(step: &mut Step, line: &str) -> Result<(), String> {
    let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    match mark {
        ">" => step.fields.push(field(rest)?),
        ">>" => rest.clone_into(&mut step.body),
        "<" => answer(&mut step.answer, rest)?,
        "<<" => step.answer.body = Some(rest.to_owned()),
        "=" => step.expected.push(expected(rest)?),
        "==" if rest == "*" => step.expected.push(Expected::AnyBody),
        "==" => step.expected.push(Expected::Body(rest.to_owned())),
        "!" if rest == "interim" => step.expected.push(Expected::NoInterim),
        "!" => step.expected.push(match field(rest) {
            Ok(field) => Expected::NotInField(field),
            Err(_) => Expected::NoField(rest.to_owned()),
        }),
        "@" => step.expected.push(at_origin(rest)?),
        "@!" if rest == "asked" => step.expected.push(Expected::OriginNotAsked),
        "@!" => step.expected.push(Expected::OriginSawNo(rest.to_owned())),
        "wait" => step.wait = seconds(rest)?,
        _ => return Err("not understood".to_owned()),
    }
    Ok(())
}

fn answer(answer: &mut Answer, text: &str) -> Result<(), String> {
    if let Ok(status) = text.parse() {
        answer.status = status;
    } else if let Some(size) = text.strip_prefix("short ") {
        answer.shape = Shape::Short(size.parse().map_err(|_| "no size")?);
    } else if let Some(trailer) = text.strip_prefix("trailer ") {
        answer.shape = Shape::Chunks;
        answer.trailers.push(field(trailer)?);
    } else if let Some(late) = text.strip_prefix("late ") {
        answer.late = seconds(late)?;
    } else if let Some(interim) = text.strip_prefix("interim ") {
        let (status, fields) = interim.split_once(' ').unwrap_or((interim, ""));
        let status = status.parse().map_err(|_| "no status")?;
        let fields = fields.split(" & ").filter(|text| !text.is_empty());
        answer.interim.push((status, fields.map(field).collect::<Result<_, _>>()?));
    } else {
        match text {
            "chunked" => answer.shape = Shape::Chunks,
            "chunks cut" => answer.shape = Shape::CutChunks,
            "until close" => answer.shape = Shape::Close,
            "nothing" => answer.shape = Shape::Nothing,
            "no Date" => answer.has_date = false,
            _ => answer.fields.push(field(text)?),
        }
    }
    Ok(())
}

fn expected(text: &str) -> Result<Expected, String> {
    if let Ok(status) = text.parse() {
        return Ok(Expected::Status(status));
    }
    if let Some(interim) = text.strip_prefix("interim ") {
        let (status, rest) = interim.split_once(' ').unwrap_or((interim, ""));
        let status = status.parse().map_err(|_| "no status")?;
        let one = if rest.is_empty() { None } else { Some(field(rest)?) };
        return Ok(Expected::Interim(status, one));
    }
    match text {
        "any status" => return Ok(Expected::AnyStatus),
        "cut" => return Ok(Expected::Cut),
        _ => {}
    }
    if let Ok(field) = field(text) {
        return Ok(Expected::Field(field));
    }
    let words: Vec<&str> = text.splitn(3, ' ').collect();
    let number = |text: &str| text.parse::<i64>().map_err(|_| "no number".to_owned());
    Ok(match words.as_slice() {
        ["head", "<", most] => Expected::HeadBelow(most.parse().map_err(|_| "no number")?),
        [name, ">", least] => Expected::FieldAbove((*name).to_owned(), number(least)?),
        [name, "<", most] => Expected::FieldBelow((*name).to_owned(), number(most)?),
        [name, "~", part] => Expected::FieldContains(((*name).to_owned(), (*part).to_owned())),
        [name] => Expected::HasField((*name).to_owned()),
        _ => return Err("not understood".to_owned()),
    })
}

fn at_origin(text: &str) -> Result<Expected, String> {
    if text == "asked" {
        return Ok(Expected::OriginAsked);
    }
    if let Some(method) = text.strip_prefix("method ") {
        return Ok(Expected::OriginSawMethod(method.to_owned()));
    }
    if let Some(count) = text.strip_prefix("count ") {
        return Ok(Expected::OriginCount(count.parse().map_err(|_| "no number")?));
    }
    field(text).map(Expected::OriginSaw)
}

/// `Name: value`, where the value may be empty.
fn field(text: &str) -> Result<Field, String> {
    let (name, value) = text.split_once(':').ok_or("no field")?;
    let is_name = !name.is_empty() && !name.contains([' ', '{', '"']);
    if !is_name {
        return Err(format!("no field name: {name}"));
    }
    Ok((name.to_owned(), value.strip_prefix(' ').unwrap_or(value).to_owned()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "no number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::case::{Expected, Source};
    use super::parse;

    #[test]
    fn a_case_is_read_with_its_rows() {
        let text = "[a-{x}] must | RFC 9111, 4 | after b, c\nIt is {x}.\nwith x, y\n* 1 ~ 2\n* 3 ~ 4\n\
                    given GET /s\n< Age: {y}\nwait 0.5\nthen GET => cached\n= Age > 3\n! Foo";
        let cases = parse("t", text).unwrap();
        let [first, second] = cases.as_slice() else { panic!("{cases:?}") };
        assert_eq!((first.id.as_str(), first.sentence.as_str()), ("a-1", "It is 1."));
        assert_eq!(first.after, ["b", "c"]);
        assert_eq!(second.steps[0].answer.fields, [("Age".to_owned(), "4".to_owned())]);
        assert_eq!(second.steps[1].source, Source::Cache);
        let expected =
            [Expected::FieldAbove("Age".to_owned(), 3), Expected::NoField("Foo".to_owned())];
        assert_eq!(second.steps[1].expected, expected);
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_case() {
        let faults = parse("t", "[a] must\nIt is.\nthen GET => nowhere\n[b] must\nNothing.");
        let faults = faults.unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("[a]") && faults[1].contains("[b]"), "{faults:?}");
    }
}
