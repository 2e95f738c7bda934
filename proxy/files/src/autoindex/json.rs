//! A listing as nginx's `autoindex_format json` writes it.

use std::fmt::Write;

use switchback_representation::date::Date;

use super::{EntryKind, Listing};

/// An array of objects with `name`, `type`, `mtime` and, of files, `size`.
pub(super) fn array(listing: &Listing) -> String {
    let mut array = String::with_capacity(16 + 110 * listing.entries.len());
    array.push('[');
    for (index, entry) in listing.entries.iter().enumerate() {
        array.push_str(if index == 0 { "\n{ \"name\":\"" } else { ",\n{ \"name\":\"" });
        push_escaped(&mut array, &String::from_utf8_lossy(&entry.name));
        let kind = match entry.kind {
            EntryKind::Directory => "directory",
            EntryKind::File => "file",
            EntryKind::Other => "other",
        };
        let date = Date::of(entry.modified);
        let modified = date.as_ref().map_or("", Date::as_str);
        // Writing to a string cannot fail.
        let _ = write!(array, "\", \"type\":\"{kind}\", \"mtime\":\"{modified}\"");
        if entry.kind == EntryKind::File {
            let _ = write!(array, ", \"size\":{}", entry.size);
        }
        array.push_str(" }");
    }
    array.push_str("\n]");
    array
}

fn push_escaped(array: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '"' | '\\' => array.extend(['\\', character]),
            '\0'..='\x1f' => {
                let _ = write!(array, "\\u{:04x}", u32::from(character));
            }
            character => array.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autoindex::Entry;

    #[test]
    fn programs_read_what_nginx_would_write() {
        let entry = |name: &[u8], kind| Entry {
            name: name.to_vec(),
            kind,
            size: 20,
            modified: 784_111_777,
        };
        let entries = vec![
            entry(b"dir", EntryKind::Directory),
            entry(b"a\"\\\n\xff.txt", EntryKind::File),
            entry(b"fifo", EntryKind::Other),
        ];
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let expected = format!(
            "[\n{{ \"name\":\"dir\", \"type\":\"directory\", \"mtime\":\"{date}\" }},\n\
             {{ \"name\":\"a\\\"\\\\\\u000a\u{fffd}.txt\", \"type\":\"file\", \"mtime\":\"{date}\", \"size\":20 }},\n\
             {{ \"name\":\"fifo\", \"type\":\"other\", \"mtime\":\"{date}\" }}\n]"
        );
        assert_eq!(array(&Listing { entries, truncated: None }), expected);
        let none = Listing { entries: Vec::new(), truncated: None };
        assert_eq!(array(&none), "[\n]");
    }
}
