//! The origin's part: for each request the answer of the step that asks.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::case::{Answer, Case, Field, Shape, Step};
use super::dates::Known;
use crate::origin::{Choice, Received, Step as Act};

/// The field by which a request names its step, and an answer the step whose request brought it about.
pub(super) const STEP: &str = "Case-Step";
/// An answer to a request that should have had a condition, and had none that holds.
pub(super) const UNCONDITIONAL: &str = "Case-Unconditional";
/// The path of a case begins with its route and number: `/plain/17`.
pub(super) fn path_of(case: &Case, number: usize) -> String {
    format!("/{}/{number}", case.route)
}

/// What has happened at the origin for one case.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// The requests, each with its step, which is 0 where it names none.
    pub(super) requests: Vec<(usize, Received)>,
    /// The fields of the answers, each with its step.
    pub(super) sent: Vec<(usize, Vec<Field>)>,
}

/// The scripts of all cases, and what has come of them.
pub(super) struct Scripts {
    cases: Vec<Case>,
    records: Vec<Mutex<Record>>,
}

impl Scripts {
    pub(super) fn new(cases: &[Case]) -> Arc<Self> {
        let records = cases.iter().map(|_| Mutex::default()).collect();
        Arc::new(Self { cases: cases.to_vec(), records })
    }

    /// As an answer of an origin for all paths.
    pub(super) fn choice(self: &Arc<Self>) -> Choice {
        let scripts = Arc::clone(self);
        Choice::new(move |request| scripts.act(request))
    }

    pub(super) fn record(&self, number: usize) -> Record {
        self.records[number].lock().clone()
    }

    fn act(&self, request: &Received) -> Vec<Act> {
        let missing = || vec![Act::send("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), Act::Next];
        let number = request.target.split(['/', '?']).nth(2).and_then(|word| word.parse().ok());
        let number: usize = number.unwrap_or(usize::MAX);
        let Some(case) = self.cases.get(number) else { return missing() };
        let asked: usize = request
            .headers
            .all(STEP)
            .first()
            .and_then(|step| step.parse().ok())
            .unwrap_or_default();
        let mut record = self.records[number].lock();
        record.requests.push((asked, request.clone()));
        // A request that the proxy makes by itself is answered as the last one that a client made.
        let last = record.sent.last().map_or(1, |(step, _)| *step);
        let step = if asked == 0 { last } else { asked };
        let Some(script) = case.steps.get(step - 1) else { return missing() };
        let known =
            Known { path: &path_of(case, number), host: "localhost", sent: &record.sent, own: 0 };
        let message = Message::new(script, request, &known).of_case(case, step);
        record.sent.push((step, message.fields.clone()));
        drop(record);
        pause(script.answer.late);
        message.acts(&script.answer, &request.method)
    }
}

/// An answer about to be written.
struct Message {
    status: u16,
    fields: Vec<Field>,
    body: String,
}

impl Message {
    fn new(step: &Step, request: &Received, known: &Known<'_>) -> Self {
        let answer = &step.answer;
        let filled = |(name, value): &Field| (name.clone(), known.fill(value));
        let mut fields: Vec<Field> = answer.fields.iter().map(filled).collect();
        if answer.has_date && !has(&fields, "date") {
            fields.push(("Date".to_owned(), known.fill("{now}")));
        }
        let mut status = answer.status;
        if step.source.is_validated() {
            if is_matched(request, known.sent) {
                status = 304;
            } else {
                fields.push((UNCONDITIONAL.to_owned(), "yes".to_owned()));
            }
        }
        Self { status, fields, body: answer.body.clone().unwrap_or_default() }
    }

    fn of_case(mut self, case: &Case, step: usize) -> Self {
        if case.steps.get(step - 1).is_some_and(|step| step.answer.body.is_none()) {
            self.body.clone_from(&case.id);
        }
        if !has(&self.fields, "content-type") && self.status != 304 {
            self.fields.push(("Content-Type".to_owned(), "text/plain".to_owned()));
        }
        self.fields.push((STEP.to_owned(), step.to_string()));
        self
    }

    fn acts(&self, answer: &Answer, method: &str) -> Vec<Act> {
        if answer.shape == Shape::Nothing {
            return Vec::new();
        }
        let mut acts: Vec<Act> = Vec::new();
        for (status, fields) in &answer.interim {
            acts.push(Act::send(head(*status, fields) + "\r\n"));
        }
        let bodyless = matches!(self.status, 204 | 304) || method == "HEAD";
        let mut text = head(self.status, &self.fields);
        let framed = has(&self.fields, "content-length") || has(&self.fields, "transfer-encoding");
        let length = self.body.len();
        let framing = match answer.shape {
            _ if framed || matches!(self.status, 204 | 304) => String::new(),
            Shape::Chunks | Shape::CutChunks => "Transfer-Encoding: chunked\r\n".to_owned(),
            Shape::Close => "Connection: close\r\n".to_owned(),
            Shape::Short(more) => format!("Content-Length: {}\r\n", length + more),
            Shape::Length | Shape::Nothing => format!("Content-Length: {length}\r\n"),
        };
        text.push_str(&framing);
        text.push_str("\r\n");
        if !bodyless {
            text.push_str(&match answer.shape {
                Shape::Chunks => {
                    let trailers = lines(&answer.trailers);
                    format!("{length:x}\r\n{}\r\n0\r\n{trailers}\r\n", self.body)
                }
                Shape::CutChunks => format!("{length:x}\r\n{}\r\n", self.body),
                _ => self.body.clone(),
            });
        }
        acts.push(Act::send(text));
        // What has no end of its own, or a wrong one, ends with the connection.
        if !framed && matches!(answer.shape, Shape::Length | Shape::Chunks) {
            acts.push(Act::Next);
        }
        acts
    }
}

/// Whether a condition of the request holds for what was sent before.
fn is_matched(request: &Received, sent: &[(usize, Vec<Field>)]) -> bool {
    let known = |name: &str| {
        let values = sent.iter().rev().flat_map(|(_, fields)| fields);
        values.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    };
    let tags = request.headers.all("if-none-match").join(", ");
    if !tags.is_empty() {
        return known("etag").is_some_and(|tag| tags.contains(tag.as_str()));
    }
    let since = request.headers.all("if-modified-since").join(", ");
    known("last-modified").is_some_and(|modified| *modified == since)
}

fn head(status: u16, fields: &[Field]) -> String {
    format!("HTTP/1.1 {status} Case\r\n{}", lines(fields))
}

fn lines(fields: &[Field]) -> String {
    fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

fn has(fields: &[Field], name: &str) -> bool {
    fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// Lets time pass, where time is what a case is about.
pub(super) fn pause(length: Duration) {
    let end = Instant::now() + length;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    {
        thread::park_timeout(left);
    }
}
