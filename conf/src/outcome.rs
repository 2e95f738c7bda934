//! What one step of reading a configuration gives.

use crate::diagnostic::{Diagnostic, Severity, report};

/// The value of one step and everything there is to say about it.
#[derive(Clone, Debug)]
pub struct Outcome<T> {
    /// `None` when any diagnostic is an error.
    pub value: Option<T>,
    /// All findings, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl<T> Outcome<T> {
    /// `value` unless one of `diagnostics`, which are brought into the order of the text, is an error.
    #[must_use]
    pub fn new(value: T, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by_key(Diagnostic::position);
        let value = (!has_errors(&diagnostics)).then_some(value);
        Self { value, diagnostics }
    }

    /// Whether anything found is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        has_errors(&self.diagnostics)
    }

    /// The same findings about another value.
    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        Outcome { value: self.value.map(change), diagnostics: self.diagnostics }
    }

    /// The next step, if this one gave a value; the findings of both.
    #[must_use]
    pub fn and_then<U>(self, next: impl FnOnce(T) -> Outcome<U>) -> Outcome<U> {
        let Some(value) = self.value else {
            return Outcome { value: None, diagnostics: self.diagnostics };
        };
        let following = next(value);
        let mut diagnostics = self.diagnostics;
        diagnostics.extend(following.diagnostics);
        Outcome { value: following.value, diagnostics }
    }

    /// The value, or all findings when one of them is an error.
    ///
    /// # Errors
    /// The diagnostics, at least one of which is an error.
    pub fn into_result(self) -> Result<T, Vec<Diagnostic>> {
        self.value.ok_or(self.diagnostics)
    }

    /// All findings as text for a person.
    #[must_use]
    pub fn report(&self) -> String {
        report(&self.diagnostics)
    }
}

fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Code, Location};

    fn error() -> Diagnostic {
        Diagnostic::error(Code::NoSites, Location::none(), "no site")
    }

    fn warning() -> Diagnostic {
        Diagnostic::warning(Code::NoEffect, Location::none(), "odd")
    }

    #[test]
    fn a_warning_leaves_the_value_and_an_error_takes_it() {
        assert_eq!(Outcome::new(1, vec![warning()]).value, Some(1));
        assert!(!Outcome::new(1, vec![warning()]).has_errors());
        assert_eq!(Outcome::new(1, vec![warning(), error()]).value, None);
        assert!(Outcome::new(1, vec![error()]).has_errors());
        assert_eq!(Outcome::new(1, vec![error(), warning()]).into_result().unwrap_err().len(), 2);
        assert_eq!(Outcome::new(1, vec![warning()]).into_result().unwrap(), 1);
    }

    #[test]
    fn steps_add_their_findings_up() {
        let both = Outcome::new(1, vec![warning()])
            .map(|value| value + 1)
            .and_then(|value| Outcome::new(value, vec![warning()]));
        assert_eq!((both.value, both.report().ends_with("\n\n2 warnings\n")), (Some(2), true));
        let stopped =
            Outcome::new(1, vec![error()]).and_then(|value| Outcome::new(value, vec![warning()]));
        assert_eq!((stopped.value, stopped.diagnostics.len()), (None, 1));
    }
}
