//! The faults that a listener tolerates, as a set.

use super::build::Findings;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::Tolerance;

/// A set of [`Tolerance`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tolerances(u16);

impl Tolerances {
    /// Nothing is tolerated.
    pub const NONE: Self = Self(0);

    /// Whether nothing is tolerated.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this is tolerated.
    #[must_use]
    pub const fn has(self, tolerance: Tolerance) -> bool {
        self.0 & bit(tolerance) != 0
    }

    /// The same and this.
    #[must_use]
    pub const fn with(self, tolerance: Tolerance) -> Self {
        Self(self.0 | bit(tolerance))
    }
}

impl FromIterator<Tolerance> for Tolerances {
    fn from_iter<I: IntoIterator<Item = Tolerance>>(tolerances: I) -> Self {
        tolerances.into_iter().fold(Self::NONE, Self::with)
    }
}

const fn bit(tolerance: Tolerance) -> u16 {
    1 << tolerance as u16
}

pub(super) fn tolerances(listed: &[At<Tolerance>], findings: &mut Findings<'_>) -> Tolerances {
    let mut tolerances = Tolerances::NONE;
    for tolerance in listed {
        if tolerances.has(tolerance.value) {
            let message = format!("`{}` is tolerated already", tolerance.word());
            findings.report(Diagnostic::error(Code::Duplicate, tolerance.at.clone(), message));
        }
        tolerances = tolerances.with(tolerance.value);
    }
    tolerances
}
