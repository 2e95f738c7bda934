//! The text of one file, and where in it a byte stands.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The text of one file. Kept alive by every location in it.
#[derive(Debug)]
pub(crate) struct Source {
    name: PathBuf,
    text: String,
    /// Files are numbered in the order they were read.
    number: usize,
    /// Where each line begins; made when the first location is shown.
    lines: OnceLock<Vec<u32>>,
}

impl Source {
    /// `text` must be shorter than 4 GiB; files over 64 MiB are refused long before.
    pub(crate) fn new(name: impl Into<PathBuf>, text: String, number: usize) -> Self {
        Self { name: name.into(), text, number, lines: OnceLock::new() }
    }

    pub(crate) fn name(&self) -> &Path {
        &self.name
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// The line that `offset` stands in, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.line_starts().partition_point(|start| *start as usize <= offset)
    }

    /// The column of `offset` in its line, counted from 1 in characters.
    pub(crate) fn column(&self, offset: usize) -> usize {
        let start = self.line_range(self.line(offset)).start;
        let offset = self.text.floor_char_boundary(offset);
        self.text.get(start..offset).map_or(1, |before| before.chars().count() + 1)
    }

    /// Where line number `line` stands, without its end-of-line.
    pub(crate) fn line_range(&self, line: usize) -> Range<usize> {
        let starts = self.line_starts();
        let start =
            starts.get(line.saturating_sub(1)).map_or(self.text.len(), |start| *start as usize);
        let end = starts.get(line).map_or(self.text.len(), |next| *next as usize - 1);
        let end = if self.text.get(start..end).is_some_and(|line| line.ends_with('\r')) {
            end - 1
        } else {
            end
        };
        start..end
    }

    fn line_starts(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let after_newlines = self.text.bytes().zip(1_u32..).filter(|(byte, _)| *byte == b'\n');
            std::iter::once(0).chain(after_newlines.map(|(_, next)| next)).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let source = Source::new("a", "ä = 1\r\n\nb = 2".to_owned(), 0);
        assert_eq!((source.line(0), source.column(0)), (1, 1));
        assert_eq!((source.line(3), source.column(3)), (1, 3));
        assert_eq!(&source.text()[source.line_range(1)], "ä = 1");
        assert_eq!(source.line_range(2), 8..8);
        assert_eq!((source.line(9), source.column(13)), (3, 5));
        assert_eq!(&source.text()[source.line_range(3)], "b = 2");
        assert_eq!(source.line_range(9), source.text().len()..source.text().len());
    }
}
