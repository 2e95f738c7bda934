//! Why a connection was closed before anything of it was served, and how often.

use super::parse::Malformed;
use super::read::NoHeader;
use crate::metrics::Counter;

/// Why a connection that was to begin with a header is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It comes from an address that is not in `from`.
    NotAllowed,
    /// It does not begin with a header, or with one that is malformed.
    Malformed,
    /// Its header is longer than 536 bytes, or than 107 in version 1.
    TooLong,
    /// Its header does not have the checksum that it says.
    Checksum,
    /// It ended before its header did.
    Cut,
    /// Its header was not there in time.
    Late,
}

impl Refusal {
    const ALL: [Self; 6] =
        [Self::NotAllowed, Self::Malformed, Self::TooLong, Self::Checksum, Self::Cut, Self::Late];

    /// As metrics have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::Checksum => "checksum",
            Self::Cut => "cut",
            Self::Late => "late",
        }
    }
}

impl From<&NoHeader> for Refusal {
    fn from(reason: &NoHeader) -> Self {
        match reason {
            NoHeader::Ended(_) => Self::Cut,
            NoHeader::Malformed(Malformed::TooLong) => Self::TooLong,
            NoHeader::Malformed(Malformed::Checksum) => Self::Checksum,
            NoHeader::Malformed(_) => Self::Malformed,
        }
    }
}

/// How many connections were closed, by reason.
#[derive(Debug, Default)]
pub(crate) struct Refusals([Counter; Refusal::ALL.len()]);

impl Refusals {
    /// One more.
    pub(crate) fn add(&self, refusal: Refusal) {
        if let Some(counter) = self.0.get(refusal as usize) {
            counter.add();
        }
    }

    /// Each reason with its number.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Refusal::ALL.iter().zip(&self.0).map(|(refusal, counter)| (refusal.name(), counter.value()))
    }
}
