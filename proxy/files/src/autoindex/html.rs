//! A listing as a page.

use std::fmt::Write;

use switchback_representation::date::Date;

use super::{Entry, EntryKind, Listing};
use crate::slash::push_encoded;

/// How many characters of a name are shown.
const SHOWN: usize = 50;

/// The page; `url_path` is the directory's, as the client wrote it.
pub(super) fn page(listing: &Listing, url_path: &[u8]) -> String {
    let title = escaped(&String::from_utf8_lossy(&decoded(url_path)));
    let mut page = String::with_capacity(512 + 160 * listing.entries.len());
    page.push_str("<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\"><title>Index of ");
    page.push_str(&title);
    page.push_str("</title></head>\n<body>\n<h1>Index of ");
    page.push_str(&title);
    page.push_str("</h1><hr><pre><a href=\"../\">../</a>\n");
    for entry in &listing.entries {
        push_line(&mut page, entry);
    }
    page.push_str("</pre><hr>");
    if let Some(limit) = listing.truncated {
        // Writing to a string cannot fail.
        let _ = write!(page, "<p>There is more: a listing ends after {limit} names.</p>");
    }
    page.push_str("</body>\n</html>\n");
    page
}

/// Name, date and size, in columns.
fn push_line(page: &mut String, entry: &Entry) {
    let is_directory = entry.kind == EntryKind::Directory;
    let slash = if is_directory { "/" } else { "" };
    let name = format!("{}{slash}", String::from_utf8_lossy(&entry.name));
    let length = name.chars().count();
    let shown: String = match length > SHOWN {
        true => name.chars().take(SHOWN - 1).chain(['…']).collect(),
        false => name,
    };
    let padding = SHOWN.saturating_sub(length);
    let date = Date::of(entry.modified);
    let [day, month, year, time] =
        date.as_ref().map_or(["--", "---", "----", "--:--"], Date::parts);
    let size = if is_directory { "-".to_owned() } else { entry.size.to_string() };
    let _ = writeln!(
        page,
        "<a href=\"{}{slash}\">{}</a>{:padding$} {day}-{month}-{year} {time} {size:>19}",
        encoded(&entry.name),
        escaped(&shown),
        "",
    );
}

/// One segment of a reference. Everything but letters, digits and four signs is encoded: a colon would make a scheme of what
/// stands before it.
fn encoded(name: &[u8]) -> String {
    let mut reference = Vec::with_capacity(name.len());
    for &byte in name {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => reference.push(byte),
            false => push_encoded(&mut reference, byte),
        }
    }
    String::from_utf8(reference).unwrap_or_default()
}

/// Text that is safe between tags and in attributes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            character => safe.push(character),
        }
    }
    safe
}

/// What `%XX` stand for; those that cannot be read stay.
fn decoded(path: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        rest = after;
        let byte = match after {
            [high, low, beyond @ ..] if *first == b'%' => {
                digit(*high).zip(digit(*low)).map(|(high, low)| {
                    rest = beyond;
                    high << 4 | low
                })
            }
            _ => None,
        };
        plain.push(byte.unwrap_or(*first));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_cannot_become_markup() {
        let entry = |name: &str, kind| Entry {
            name: name.as_bytes().to_vec(),
            kind,
            size: 7,
            modified: 784_111_777,
        };
        let entries = vec![
            entry("d\"<", EntryKind::Directory),
            entry("javascript:alert('x')&.html", EntryKind::File),
        ];
        let page = page(&Listing { entries, truncated: None }, b"/a%3Cscript%3E/%ff%zz%4/");
        assert!(page.contains("<title>Index of /a&lt;script&gt;/\u{fffd}%zz%4/</title>"), "{page}");
        let line = format!(
            "<a href=\"d%22%3C/\">d&quot;&lt;/</a>{} 06-Nov-1994 08:49                   -\n",
            " ".repeat(SHOWN - 4)
        );
        assert!(page.contains(&line), "{page}");
        let line = "<a href=\"javascript%3Aalert%28%27x%27%29%26.html\">javascript:alert(&#39;x&#39;)&amp;.html</a>";
        assert!(page.contains(line), "{page}");
        assert!(!page.contains("There is more"));
    }

    #[test]
    fn long_names_are_shown_short_and_linked_whole() {
        let entry = Entry {
            name: "ä".repeat(60).into_bytes(),
            kind: EntryKind::File,
            size: 1,
            modified: -1,
        };
        let mut line = String::new();
        push_line(&mut line, &entry);
        let shown = format!(">{}…</a> -------", "ä".repeat(SHOWN - 1));
        assert!(line.contains(&"%C3%A4".repeat(60)) && line.contains(&shown), "{line}");
    }
}
