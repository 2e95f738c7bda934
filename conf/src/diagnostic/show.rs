//! Diagnostics as text: headline, place, the line with the place underlined, hint.

use std::fmt::{self, Write as _};
use std::ops::Range;

use super::{Diagnostic, Location, Severity};

/// Longer lines are cut around the place that is meant.
const WIDTH: usize = 160;
/// Of a cut line, how much stands before the place that is meant.
const BEFORE: usize = 40;
/// Further findings are only counted.
const MAX_SHOWN: usize = 200;

/// The diagnostic in the form its `Display` promises.
pub(super) fn diagnostic(diagnostic: &Diagnostic, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    write!(f, "{severity}[{}]: {}", diagnostic.code, Printable(&diagnostic.message))?;
    let margin = diagnostic.at.line().map_or(0, |line| line.to_string().len()) + 2;
    place(&diagnostic.at, margin, f)?;
    if let Some(hint) = &diagnostic.hint {
        write!(f, "\n{:margin$} = help: {}", "", Printable(hint))?;
    }
    Ok(())
}

fn place(at: &Location, margin: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if at.file().is_none() {
        return Ok(());
    }
    write!(f, "\n{:margin$}--> {at}", "")?;
    let Some((source, range)) = at.text_range() else { return Ok(()) };
    let number = source.line(range.start);
    let line_range = source.line_range(number);
    let line = source.text().get(line_range.clone()).unwrap_or_default();
    let meant = within(&line_range, &range);
    let excerpt = Excerpt::of(line, meant);
    write!(f, "\n{:margin$} |", "")?;
    write!(f, "\n{number:>margin$} | {}", Printable(&excerpt.text))?;
    write!(
        f,
        "\n{:margin$} | {:before$}{:^<length$}",
        "",
        "",
        "",
        before = excerpt.before,
        length = excerpt.length
    )
}

/// `range` as bytes of the line at `line`; what lies on later lines is left out.
fn within(line: &Range<usize>, range: &Range<usize>) -> Range<usize> {
    let start = range.start.clamp(line.start, line.end);
    let end = range.end.clamp(start, line.end);
    start - line.start..end - line.start
}

/// What is shown of a line.
struct Excerpt {
    text: String,
    /// Characters before the underlined ones.
    before: usize,
    /// Characters underlined, at least one.
    length: usize,
}

impl Excerpt {
    fn of(line: &str, meant: Range<usize>) -> Self {
        let before = line.get(..meant.start).map_or(0, |text| text.chars().count());
        let length = line.get(meant).map_or(0, |text| text.chars().count()).max(1);
        let skipped = if before + length > WIDTH { before.saturating_sub(BEFORE) } else { 0 };
        let mut rest = line.chars().skip(skipped);
        let mut text = if skipped > 0 { "…".to_owned() } else { String::new() };
        let lead = text.chars().count();
        text.extend(
            rest.by_ref()
                .take(WIDTH)
                .map(|character| if character == '\t' { ' ' } else { character }),
        );
        if rest.next().is_some() {
            text.push('…');
        }
        let before = before - skipped + lead;
        Self { text, before, length: length.min((WIDTH + lead).saturating_sub(before)).max(1) }
    }
}

/// Text of unknown origin for a terminal: control characters are written out.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\n' => f.write_str("\n    ")?,
                _ if character.is_control() => write!(f, "{}", character.escape_default())?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// The text behind [`super::report`].
pub(super) fn report(diagnostics: &[Diagnostic]) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let shown = diagnostics.iter().take(MAX_SHOWN);
    let mut text =
        shown.fold(String::new(), |text, diagnostic| text + &diagnostic.to_string() + "\n\n");
    if let Some(hidden) = diagnostics.len().checked_sub(MAX_SHOWN).filter(|hidden| *hidden > 0) {
        text += &format!("… and {hidden} more\n\n");
    }
    text + &closing_line(diagnostics) + "\n"
}

fn closing_line(diagnostics: &[Diagnostic]) -> String {
    let count =
        |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    let parts = [(count(Severity::Error), "error"), (count(Severity::Warning), "warning")];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts =
        parts.map(|(count, noun)| format!("{count} {noun}{}", if *count == 1 { "" } else { "s" }));
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostic::Code;
    use crate::source::Source;

    fn at(text: &str, meant: &str) -> Location {
        let start = text.find(meant).unwrap();
        let source = Arc::new(Source::new("switchback.toml", text.to_owned(), 0));
        Location::new(&source, start..start + meant.len())
    }

    #[test]
    fn the_line_is_shown_and_the_place_underlined() {
        let text = format!("{}  proxy = \"api\" # why\n", "\n".repeat(13));
        let found = Diagnostic::error(
            Code::UnknownUpstream,
            at(&text, "\"api\""),
            "upstream `api` is not defined",
        )
        .hint("defined upstreams are `app`, `img`");
        let expected = [
            "error[C0203]: upstream `api` is not defined",
            "    --> switchback.toml:14:11",
            "     |",
            "  14 |   proxy = \"api\" # why",
            "     |           ^^^^^",
            "     = help: defined upstreams are `app`, `img`",
        ];
        assert_eq!(found.to_string(), expected.join("\n"));
    }

    #[test]
    fn without_a_place_only_headline_and_hint_remain() {
        let found = Diagnostic::warning(Code::NoEffect, Location::none(), "nothing").hint("none");
        assert_eq!(found.to_string(), "warning[C0308]: nothing\n   = help: none");
        let source = Arc::new(Source::new("a.toml", String::new(), 0));
        let found = Diagnostic::error(Code::Unreadable, Location::whole(&source), "gone");
        assert_eq!(found.to_string(), "error[C0001]: gone\n  --> a.toml");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("{}x{}", "a".repeat(1_000_000), "b".repeat(1_000_000));
        let shown = Diagnostic::error(Code::Syntax, at(&text, "x"), "odd").to_string();
        let lines: Vec<_> = shown.lines().collect();
        assert!(shown.len() < 600, "{}", shown.len());
        assert_eq!(
            lines[3].chars().position(|c| c == 'x'),
            lines[4].chars().position(|c| c == '^')
        );
        assert!(lines[3].ends_with('…') && lines[3].contains("| …"));
    }

    #[test]
    fn a_place_of_several_lines_is_underlined_in_the_first() {
        let text = "a = [\n1,\n]";
        let shown = Diagnostic::error(Code::WrongType, at(text, "[\n1,\n]"), "odd").to_string();
        assert!(shown.ends_with("  1 | a = [\n    |     ^"), "{shown}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let shown = Diagnostic::error(Code::Syntax, at("\u{1b}[2Jx", "x"), "\u{7}").to_string();
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{7}'), "{shown:?}");
    }

    #[test]
    fn the_report_closes_with_a_count() {
        let error = || Diagnostic::error(Code::NoSites, Location::none(), "no site");
        let warning = || Diagnostic::warning(Code::NoEffect, Location::none(), "odd");
        assert_eq!(report(&[]), "");
        assert_eq!(report(&[error()]), "error[C0302]: no site\n\n1 error\n");
        assert!(report(&[error(), error(), warning()]).ends_with("\n\n2 errors, 1 warning\n"));
        let many = report(&vec![warning(); MAX_SHOWN + 3]);
        assert!(
            many.ends_with("\n\n… and 3 more\n\n203 warnings\n"),
            "{}",
            &many[many.len() - 80..]
        );
    }
}
