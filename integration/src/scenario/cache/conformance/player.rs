//! The client's part: sends the requests of a case one after the other, and has each answer checked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

use super::Verdict;
use super::case::{Case, Step};
use super::check::{Objection, Seen, check};
use super::dates::Known;
use super::script::{STEP, Scripts, path_of, pause};
use super::side::{Cache, Door, Side};
use crate::client::Client;
use crate::message::{Request, Response, request};
use crate::wire::WireError;

/// How many are played at once: each has a connection at either end.
const AT_ONCE: usize = 192;

/// Plays all of them; the longest begin first.
pub(super) fn play_all(cache: &Cache, cases: &[Case]) -> Vec<Verdict> {
    let scripts = Scripts::new(cases);
    let Some(side) = Side::start(cache, scripts.choice()) else {
        return cases
            .iter()
            .map(|_| Verdict::NotReached("it is not installed".to_owned()))
            .collect();
    };
    let door = side.door();
    let mut order: Vec<usize> = (0..cases.len()).collect();
    order.sort_by_key(|number| std::cmp::Reverse(cases[*number].lasts()));
    let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(vec![None; cases.len()]));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(cases.len()) {
            scope.spawn(|| {
                while let Some(number) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = Play::new(door, &scripts, (&cases[*number], *number)).verdict();
                    verdicts.lock()[*number] = Some(verdict);
                }
            });
        }
    });
    let lost = || Verdict::NotReached("it was not played".to_owned());
    verdicts.into_inner().into_iter().map(|verdict| verdict.unwrap_or_else(lost)).collect()
}

/// One case before one cache.
struct Play<'a> {
    door: Door,
    scripts: &'a Scripts,
    case: &'a Case,
    number: usize,
    path: String,
    client: Option<Client>,
}

impl<'a> Play<'a> {
    fn new(door: Door, scripts: &'a Scripts, (case, number): (&'a Case, usize)) -> Self {
        let path = path_of(case, number);
        Self { door, scripts, case, number, path, client: None }
    }

    fn verdict(mut self) -> Verdict {
        if let Some(test) = &self.case.elsewhere {
            return Verdict::Elsewhere(test.clone());
        }
        for (step, number) in self.case.steps.iter().zip(1..) {
            match self.step(step, number) {
                Ok(()) => {}
                Err(Objection::Ground(what)) => {
                    return Verdict::NotReached(format!("step {number}: {what}"));
                }
                Err(Objection::Case(what)) => {
                    return Verdict::Failed(format!("step {number}: {what}"));
                }
            }
            pause(step.wait + self.door.settles());
        }
        Verdict::Passed
    }

    fn step(&mut self, step: &Step, number: usize) -> Result<(), Objection> {
        let sent = self.scripts.record(self.number).sent;
        let known = Known { path: &self.path, host: "localhost", sent: &sent, own: 0 };
        let mut asked = request(&step.method, &format!("{}{}", self.path, step.suffix));
        for (name, value) in &step.fields {
            asked = asked.header(name, &known.fill(value));
        }
        asked = asked.header(STEP, &number.to_string());
        if !step.body.is_empty() {
            asked = asked.body(step.body.clone());
        }
        let (interim, answer) = self.ask(&asked, &step.method);
        let record = || self.scripts.record(self.number);
        let seen = Seen { case: self.case, step, number, path: &self.path, interim, answer };
        check(&seen, &record)
    }

    /// What came before the answer, and the answer or why there is none.
    fn ask(
        &mut self,
        asked: &Request,
        method: &str,
    ) -> (Vec<Response>, Result<Response, WireError>) {
        let mut client = self.client.take().unwrap_or_else(|| self.door.client());
        let mut interim = Vec::new();
        if let Err(error) = client.try_send(asked.to_bytes()) {
            return (interim, Err(error.into()));
        }
        loop {
            match client.try_response_to(method) {
                Ok(response) if response.status < 200 => interim.push(response),
                Ok(response) => {
                    if !closes(&response) {
                        self.client = Some(client);
                    }
                    return (interim, Ok(response));
                }
                Err(error) => return (interim, Err(error)),
            }
        }
    }
}

fn closes(response: &Response) -> bool {
    let options = response.headers.all("connection").join(",").to_ascii_lowercase();
    let is_framed = !response.headers.all("content-length").is_empty()
        || !response.headers.all("transfer-encoding").is_empty()
        || matches!(response.status, 204 | 304);
    options.contains("close") || !is_framed
}
