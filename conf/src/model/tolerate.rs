//! What a listener takes that strict parsing refuses.

use std::borrow::Cow;

use schemars::{Schema, json_schema};

use crate::native::{FromText, Problem, listed};

/// A fault of HTTP/1 requests that a listener may mend instead of answering 400.
///
/// What is mended goes on in its sound form and is judged again, strictly: nobody behind the listener sees the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// A line of the head may end without a carriage return.
    BareLf,
    /// A carriage return within a value counts as a space.
    BareCr,
    /// NUL and other control bytes within a value count as spaces.
    ControlBytes,
    /// A value may go on in the next line.
    ObsFold,
    /// Blanks may stand between a header's name and its colon.
    SpaceBeforeColon,
    /// `Content-Length` beside `Transfer-Encoding: chunked` is ignored, and the connection ends after the answer.
    LengthAndChunked,
    /// The same `Content-Length` several times, as a list, with a plus sign or zeros in front counts once.
    OddLength,
    /// `Transfer-Encoding` may name `chunked` several times, with `identity` or nothing between commas.
    OddCoding,
    /// The same `Host` several times counts once.
    RepeatedHost,
    /// The host of an absolute target wins over a different `Host`.
    OtherHost,
    /// Bytes that no target may have are percent-encoded.
    TargetBytes,
    /// HTTP/1.2 to HTTP/1.9 count as HTTP/1.1.
    MinorVersion,
    /// Headers with `_` in their names are passed on.
    Underscores,
}

impl Tolerance {
    /// All of them, as they are written.
    pub const ALL: [(Self, &'static str); 13] = [
        (Self::BareLf, "bare-lf"),
        (Self::BareCr, "bare-cr"),
        (Self::ControlBytes, "control-bytes"),
        (Self::ObsFold, "obs-fold"),
        (Self::SpaceBeforeColon, "space-before-colon"),
        (Self::LengthAndChunked, "length-and-chunked"),
        (Self::OddLength, "odd-length"),
        (Self::OddCoding, "odd-coding"),
        (Self::RepeatedHost, "repeated-host"),
        (Self::OtherHost, "other-host"),
        (Self::TargetBytes, "target-bytes"),
        (Self::MinorVersion, "minor-version"),
        (Self::Underscores, "underscores"),
    ];

    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(tolerance, _)| *tolerance == self).map_or("", |(_, word)| word)
    }
}

impl FromText for Tolerance {
    const EXPECTED: &'static str = "a fault that can be tolerated";

    fn from_text(text: &str) -> Result<Self, Problem> {
        let known = Self::ALL.iter().find(|(_, word)| *word == text);
        known.map(|(tolerance, _)| *tolerance).ok_or_else(|| {
            let problem = Problem::new(format!("`{text}` is not {}", Self::EXPECTED));
            problem.hint(format!("one of {}", listed(Self::ALL.map(|(_, word)| word))))
        })
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.word())
    }

    fn schema() -> Schema {
        json_schema!({ "enum": Self::ALL.map(|(_, word)| word) })
    }
}
