//! `switchback plugin new`: the folder that a plugin begins with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::cli::{NewPlugin, PluginKind};
use crate::exit::Exit;
use crate::output::{fail, show};

/// Where the SDK is in Switchback's sources.
const SDK: &str = "plugins/sdk";

/// Writes the folder, and says what to do next.
pub(super) fn new(wanted: &NewPlugin) -> Exit {
    match begin(wanted) {
        Ok(folder) => show(format_args!(
            "{} is a plugin now. Its README.md says how to test, build and try it.\n",
            folder.display()
        )),
        Err(error) => {
            fail(&error);
            if matches!(error, CannotBegin::Io(..)) { Exit::Failed } else { Exit::Usage }
        }
    }
}

/// Why there is no new plugin.
#[derive(Debug, Error)]
enum CannotBegin {
    #[error(
        "`{0}` is no name for a plugin: take lower-case letters, digits and single `-`, beginning with a letter"
    )]
    Name(String),
    #[error("{0} is there already; nothing was changed")]
    Exists(PathBuf),
    #[error("where is the SDK? Say --sdk PATH, the folder {SDK} of Switchback's sources")]
    NoSdk,
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
}

fn begin(wanted: &NewPlugin) -> Result<PathBuf, CannotBegin> {
    if !is_name(&wanted.name) {
        return Err(CannotBegin::Name(wanted.name.clone()));
    }
    let folder = wanted.into.join(&wanted.name);
    if folder.exists() {
        return Err(CannotBegin::Exists(folder));
    }
    let sdk = match &wanted.sdk {
        Some(sdk) => sdk.clone(),
        None => nearest_sdk(&wanted.into).ok_or(CannotBegin::NoSdk)?,
    };
    let sdk = sdk.canonicalize().map_err(|error| CannotBegin::Io(sdk, error))?;
    for (name, text) in files(&wanted.name, wanted.kind, &sdk) {
        let path = folder.join(name);
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or(&folder))?;
            fs::write(&path, text)
        };
        write().map_err(|error| CannotBegin::Io(path.clone(), error))?;
    }
    Ok(folder)
}

/// Whether a package, a configuration and a library can be called so.
fn is_name(name: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.split('-').all(word)
}

/// The SDK of the sources that `folder` is in.
fn nearest_sdk(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    folder
        .ancestors()
        .map(|ancestor| ancestor.join(SDK))
        .find(|sdk| sdk.join("Cargo.toml").is_file())
}

/// The files, by their path within the folder.
fn files(name: &str, kind: PluginKind, sdk: &Path) -> Vec<(&'static str, String)> {
    let krate = name.replace('-', "_");
    let module = match kind {
        PluginKind::Linked | PluginKind::Native => format!("target/release/lib{krate}.so"),
        PluginKind::Wasm => format!("target/wasm32-unknown-unknown/release/{krate}.wasm"),
    };
    let target = match kind {
        PluginKind::Wasm => " --target wasm32-unknown-unknown",
        PluginKind::Linked | PluginKind::Native => "",
    };
    let fill = |template: &str| {
        template
            .replace("{{name}}", name)
            .replace("{{crate}}", &krate)
            .replace("{{Type}}", &type_name(name))
            .replace("{{sdk}}", &sdk.display().to_string())
            .replace("{{module}}", &module)
            .replace("{{target}}", target)
    };
    vec![
        ("Cargo.toml", fill(include_str!("template/Cargo.toml.txt"))),
        (".gitignore", "/target/\n".to_owned()),
        ("src/lib.rs", fill(include_str!("template/lib.rs.txt"))),
        ("tests/behaviour.rs", fill(include_str!("template/behaviour.rs.txt"))),
        ("switchback.toml", fill(include_str!("template/switchback.toml.txt"))),
        ("README.md", fill(include_str!("template/README.md.txt"))),
    ]
}

/// `rate-limit` as `RateLimit`.
fn type_name(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase())
            .into_iter()
            .chain(letters)
            .collect::<String>()
    };
    name.split('-').map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_everywhere() {
        for good in ["gate", "rate-limit", "a1-b2"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "Gate", "1a", "a--b", "-a", "a-", "a_b", "a b", "../a", "é"] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_type_is_named_after_the_plugin() {
        assert_eq!(type_name("rate-limit"), "RateLimit");
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for kind in [PluginKind::Linked, PluginKind::Native, PluginKind::Wasm] {
            for (name, text) in files("rate-limit", kind, Path::new("/sdk")) {
                assert!(!text.contains("{{"), "{name}: {text}");
            }
        }
    }
}
