//! What requests are counted by: the text of a template, as a number that nobody outside can aim at.

use std::hash::{BuildHasher, Hasher, RandomState};

use switchback_plugin::{BuildError, Operating, Setup};

use crate::template::Template;

/// A template whose text says which requests belong together.
pub(crate) struct Key {
    template: Template,
    hasher: RandomState,
}

impl Key {
    /// Reads the option at `path`.
    ///
    /// # Errors
    ///
    /// As [`Template::new`]; and an empty one, by which nothing would be counted.
    pub(crate) fn new(path: &str, text: &str, setup: &Setup<'_>) -> Result<Self, BuildError> {
        let template = Template::new(path, text, setup)?;
        if template.as_literal() == Some("") {
            return Err(BuildError::new(path, "an empty key counts nothing")
                .with_help("a word such as `all` puts all requests under one key"));
        }
        Ok(Self { template, hasher: RandomState::new() })
    }

    /// The same, with the numbers that another key of the same text gives with this.
    pub(crate) fn with_hasher(self, hasher: &RandomState) -> Self {
        Self { hasher: hasher.clone(), ..self }
    }

    /// The number of the request that `view` sees; `None` where the text is empty: such a request is not counted, as in nginx.
    ///
    /// Texts have the same number when they are the same, part by part: `a` and `bc` is not `ab` and `c`. That two of a million others
    /// meet has a chance below one to ten million, and nobody can aim at it, because the hash is keyed.
    pub(crate) fn of(&self, view: &impl Operating) -> Option<u64> {
        let mut hasher = self.hasher.build_hasher();
        let mut length = 0;
        self.template.visit(view, |_, part| {
            length += part.len();
            hasher.write_usize(part.len());
            hasher.write(part);
        });
        (length > 0).then(|| hasher.finish())
    }
}
