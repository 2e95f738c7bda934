//! What a case is made of.

use std::time::Duration;

use super::{Played, Verdict};

/// How much is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// By the letter of the document.
    Must,
    /// By the letter of the document.
    MustNot,
    /// Unless there are reasons.
    Should,
    /// Unless there are reasons.
    ShouldNot,
    /// Allowed, and promised by us.
    May,
    /// The public list fails whoever does otherwise.
    Required,
    /// The public list calls it better.
    Optimal,
    /// The public list asks without judging.
    Check,
}

impl Kind {
    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "must" => Self::Must,
            "must not" => Self::MustNot,
            "should" => Self::Should,
            "should not" => Self::ShouldNot,
            "may" => Self::May,
            "required" => Self::Required,
            "optimal" => Self::Optimal,
            "check" => Self::Check,
            _ => return None,
        })
    }
}

/// A name and a value; of a name alone the value is empty.
pub(super) type Field = (String, String);

/// One case: its exchanges in order.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) section: String,
    /// The cases without which this one says little.
    pub(super) after: Vec<String>,
    /// The route of the proxy that it is played on.
    pub(super) route: String,
    pub(super) sentence: String,
    pub(super) steps: Vec<Step>,
    /// The unit test that shows it instead.
    pub(super) elsewhere: Option<String>,
}

impl Case {
    pub(super) fn played(&self, verdict: Verdict, grounded: bool) -> Played {
        Played {
            id: self.id.clone(),
            kind: self.kind,
            section: self.section.clone(),
            sentence: self.sentence.clone(),
            verdict,
            grounded,
        }
    }

    /// How long its pauses are together.
    pub(super) fn lasts(&self) -> Duration {
        self.steps.iter().map(|step| step.wait + step.answer.late).sum()
    }
}

/// One request and everything about it.
#[derive(Clone, Debug, Default)]
pub(super) struct Step {
    /// Whether what is expected here is only the ground for what follows.
    pub(super) is_given: bool,
    pub(super) method: String,
    /// What follows the case's own path.
    pub(super) suffix: String,
    pub(super) fields: Vec<Field>,
    pub(super) body: String,
    pub(super) answer: Answer,
    pub(super) source: Source,
    /// Whether another source means that the case cannot be judged.
    pub(super) is_source_given: bool,
    pub(super) expected: Vec<Expected>,
    /// Before the next step.
    pub(super) wait: Duration,
}

/// What the origin says, should it be asked.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) fields: Vec<Field>,
    /// Without one, the name of the case.
    pub(super) body: Option<String>,
    /// Each a status and fields.
    pub(super) interim: Vec<(u16, Vec<Field>)>,
    /// Behind a body in chunks.
    pub(super) trailers: Vec<Field>,
    pub(super) shape: Shape,
    /// How long it takes.
    pub(super) late: Duration,
    pub(super) has_date: bool,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: 200,
            fields: Vec::new(),
            body: None,
            interim: Vec::new(),
            trailers: Vec::new(),
            shape: Shape::Length,
            late: Duration::ZERO,
            has_date: true,
        }
    }
}

/// How the origin's answer is framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    /// With its length.
    #[default]
    Length,
    /// In chunks.
    Chunks,
    /// In chunks of which the last is missing.
    CutChunks,
    /// Until the connection ends.
    Close,
    /// With a length that is this much too large, then the connection ends.
    Short(usize),
    /// Nothing at all: the connection ends.
    Nothing,
}

/// Where the answer must come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Source {
    #[default]
    Anywhere,
    /// From the cache, and the origin must not hear of it.
    Cache,
    /// From the cache; the origin may be asked beside it.
    CacheMeanwhile,
    /// From the origin, asked for this request.
    Origin,
    /// The origin was asked with If-None-Match and said 304.
    ValidatedByTag,
    /// The origin was asked with If-Modified-Since and said 304.
    ValidatedByDate,
    /// The origin was asked with either and said 304.
    Validated,
    /// An error of the proxy itself.
    Error,
}

impl Source {
    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "cached" => Self::Cache,
            "cached meanwhile" => Self::CacheMeanwhile,
            "origin" => Self::Origin,
            "validated by tag" => Self::ValidatedByTag,
            "validated by date" => Self::ValidatedByDate,
            "validated" => Self::Validated,
            "error" => Self::Error,
            _ => return None,
        })
    }

    pub(super) fn is_validated(self) -> bool {
        matches!(self, Self::ValidatedByTag | Self::ValidatedByDate | Self::Validated)
    }
}

/// What must be true of an answer, or of what reached the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Status(u16),
    AnyStatus,
    /// The body, once dates and the like are filled in.
    Body(String),
    AnyBody,
    /// The answer was not shown as whole.
    Cut,
    Field(Field),
    HasField(String),
    FieldAbove(String, i64),
    FieldBelow(String, i64),
    FieldContains(Field),
    NoField(String),
    /// If it is there, its value does not contain this.
    NotInField(Field),
    /// In order: each a status and one field, or none.
    Interim(u16, Option<Field>),
    NoInterim,
    OriginSaw(Field),
    OriginSawNo(String),
    OriginSawMethod(String),
    OriginAsked,
    OriginNotAsked,
    /// How many requests the origin has had for the case up to now.
    OriginCount(usize),
    /// At most so many octets for the head.
    HeadBelow(usize),
}
