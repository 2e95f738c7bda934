//! `switchback fmt`.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use switchback_conf::{ProcessEnvironment, read_text, report};

use crate::cli::Fmt;
use crate::config_search;
use crate::exit::Exit;
use crate::output::{fail, show, tell};

/// Lays a configuration out in the usual way.
pub(crate) fn format(wanted: Fmt) -> Exit {
    let path = match config_search::find(wanted.file) {
        Ok(path) => path,
        Err(none) => {
            fail(none);
            return Exit::Usage;
        }
    };
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) => return fail(format_args!("{}: {error}", path.display())),
    };
    let formatted = match switchback_conf::format(&text) {
        Ok(formatted) => formatted,
        Err(errors) => {
            // Read once more under the file's name, which the errors of the formatter do not bear.
            let name = path.display().to_string();
            let named = read_text(&name, &text, &ProcessEnvironment).diagnostics;
            tell(report(if named.is_empty() { &errors } else { &named }));
            return Exit::Failed;
        }
    };
    if wanted.check {
        return compare(&path, &text, &formatted);
    }
    if wanted.write && !is_stdin(&path) {
        return write(&path, &text, &formatted);
    }
    show(formatted)
}

fn compare(path: &Path, text: &str, formatted: &str) -> Exit {
    if text == formatted {
        return Exit::Done;
    }
    let differing =
        text.lines().zip(formatted.lines()).take_while(|(is, shall)| is == shall).count() + 1;
    tell(format_args!(
        "{}:{differing}: laid out differently; `switchback fmt -w` changes it",
        path.display()
    ));
    Exit::Failed
}

/// Writes beside the file and moves it there, so that no reader ever sees half of it.
fn write(path: &Path, text: &str, formatted: &str) -> Exit {
    if text == formatted {
        return Exit::Done;
    }
    let replaced = || -> io::Result<()> {
        // A link stays a link: what it points to is replaced.
        let target = fs::canonicalize(path)?;
        let beside = beside(&target);
        fs::write(&beside, formatted)?;
        fs::set_permissions(&beside, fs::metadata(&target)?.permissions())?;
        fs::rename(&beside, &target)
    };
    match replaced() {
        Ok(()) => Exit::Done,
        Err(error) => fail(format_args!("{}: {error}", path.display())),
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn read(path: &Path) -> io::Result<String> {
    if !is_stdin(path) {
        return fs::read_to_string(path);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}
