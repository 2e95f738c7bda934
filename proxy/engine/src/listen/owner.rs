//! Users and groups by name or number, for the files of Unix sockets.

use std::io;
use std::path::Path;

use switchback_conf::model::Owner;

/// Gives the file to `owner`.
pub(crate) fn give(path: &Path, owner: &Owner) -> io::Result<()> {
    let user = owner.user.as_deref().map(|name| id(name, "user", "/etc/passwd")).transpose()?;
    let group = owner.group.as_deref().map(|name| id(name, "group", "/etc/group")).transpose()?;
    std::os::unix::fs::chown(path, user, group)
}

/// The number of `name`: what it says, or the third field of its line in `table`.
fn id(name: &str, what: &str, table: &str) -> io::Result<u32> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let unknown = || {
        io::Error::new(io::ErrorKind::NotFound, format!("there is no {what} `{name}` in {table}"))
    };
    let entries = std::fs::read_to_string(table)?;
    find(&entries, name).ok_or_else(unknown)
}

fn find(entries: &str, name: &str) -> Option<u32> {
    entries.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_and_numbers_stand_for_themselves() {
        let entries = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/:/bin/false\n";
        assert_eq!(find(entries, "www-data"), Some(33));
        assert_eq!(find(entries, "www"), None);
        assert_eq!(id("1234", "user", "/nonexistent").unwrap(), 1234);
        let error = id("no-such-user", "user", "/etc/passwd").unwrap_err();
        assert!(error.to_string().contains("no-such-user"), "{error}");
    }
}
