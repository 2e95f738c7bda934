//! What a shared cache must do, case by case, over real sockets: requests, what the origin says to them, and what must come of it.
//!
//! Two lists, each in folders of text that [`text`] reads: `rfc/` has every MUST and SHOULD of the documents on HTTP caching as
//! they concern a shared cache, with section numbers; `public/` restates the public list of cases by which caches are compared,
//! under the same names. A case says what the origin answers and what is expected, never how the cache is built: the same
//! cases are played before nginx and Varnish, which shows that they can fail.

mod case;
mod check;
mod dates;
mod lists;
mod player;
mod script;
mod side;
mod text;

use std::collections::HashMap;

pub use case::Kind;
pub use lists::{List, case_faults};
pub use side::Cache;

use case::Case;
use player::play_all;

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Passed,
    /// Otherwise: what differed.
    Failed(String),
    /// What it builds upon could not be brought about.
    NotReached(String),
    /// It cannot be seen from outside: this unit test shows it.
    Elsewhere(String),
}

impl Verdict {
    /// Whether nothing speaks against it.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Passed | Self::Elsewhere(_))
    }
}

/// A case that was played.
#[derive(Clone, Debug)]
pub struct Played {
    /// Its name.
    pub id: String,
    /// How much is owed.
    pub kind: Kind,
    /// The document and section it comes from.
    pub section: String,
    /// What it says.
    pub sentence: String,
    /// How it ended.
    pub verdict: Verdict,
    /// Whether all cases passed that it builds upon.
    pub grounded: bool,
}

impl Played {
    /// In one line, for whoever must find out why.
    #[must_use]
    pub fn line(&self) -> String {
        let why = match &self.verdict {
            Verdict::Passed => "passed".to_owned(),
            Verdict::Failed(why) => why.clone(),
            Verdict::NotReached(why) => format!("not reached: {why}"),
            Verdict::Elsewhere(test) => format!("shown by {test}"),
        };
        let section =
            if self.section.is_empty() { String::new() } else { format!(" ({})", self.section) };
        format!("{:?} {}{section}: {why}", self.kind, self.id)
    }
}

/// How many cases of a kind there are, and how many passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// In all.
    pub cases: usize,
    /// Passed.
    pub passed: usize,
    /// Passed, and so did all that they build upon: as the public results are counted.
    pub grounded: usize,
}

impl Count {
    /// Of these kinds.
    #[must_use]
    pub fn of(played: &[Played], kinds: &[Kind]) -> Self {
        let mut count = Self::default();
        for case in played.iter().filter(|case| kinds.contains(&case.kind)) {
            count.cases += 1;
            count.passed += usize::from(case.verdict.is_good());
            count.grounded += usize::from(case.verdict.is_good() && case.grounded);
        }
        count
    }
}

/// Plays all cases of a list, those at the same time that need not wait for each other.
///
/// # Panics
/// When the list has faults, of which [`case_faults`] tells.
#[must_use]
pub fn play_cases(cache: &Cache, list: List) -> Vec<Played> {
    let cases = list.cases().unwrap_or_else(|faults| panic!("{}", faults.join("\n")));
    let verdicts = play_all(cache, &cases);
    let good: HashMap<&str, bool> = cases
        .iter()
        .zip(&verdicts)
        .map(|(case, verdict)| (case.id.as_str(), verdict.is_good()))
        .collect();
    let grounded: Vec<bool> =
        cases.iter().map(|case| is_grounded(case, &cases, &good, 16)).collect();
    let played = cases.iter().zip(verdicts).zip(grounded);
    played.map(|((case, verdict), grounded)| case.played(verdict, grounded)).collect()
}

/// Whether all passed that this one builds upon, at most `depth` steps down.
fn is_grounded(case: &Case, all: &[Case], good: &HashMap<&str, bool>, depth: usize) -> bool {
    case.after.iter().all(|id| {
        let below = all.iter().find(|other| other.id == *id);
        good.get(id.as_str()).copied().unwrap_or(false)
            && depth > 0
            && below.is_some_and(|below| is_grounded(below, all, good, depth - 1))
    })
}
