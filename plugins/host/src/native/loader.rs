//! Finds modules, checks them, and loads each content once.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use switchback_plugin::Module;
use switchback_plugin_abi as abi;

use super::library;
use super::module::NativeModule;

/// A larger file is no module.
const LARGEST: u64 = 512 << 20;
/// More plugins in one module are a mistake of its entry.
const MOST_PLUGINS: u32 = 64;

/// The SHA-256 of a module's content.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// That of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut own = [0; 32];
        own.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self(own)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = LoadError;

    /// 64 hexadecimal digits, as `sha256sum` prints them.
    fn from_str(text: &str) -> Result<Self, LoadError> {
        let digits: Option<Vec<u8>> =
            text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
        let digits = digits.filter(|digits| digits.len() == 64).ok_or(LoadError::Digest)?;
        let mut own = [0; 32];
        for (byte, pair) in own.iter_mut().zip(digits.chunks(2)) {
            *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
        }
        Ok(Self(own))
    }
}

/// Why a module cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It is nowhere.
    #[error("module `{}` is not there: looked for {}", .file.display(), places(.tried))]
    Missing {
        /// As it was named.
        file: PathBuf,
        /// Where it was looked for.
        tried: Vec<PathBuf>,
    },
    /// It cannot be read.
    #[error("module `{}` cannot be read: {source}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no shared library for this machine.
    #[error("module `{}` {what}", .file.display())]
    Kind {
        /// The file.
        file: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Its content is another.
    #[error(
        "module `{}` is not the one that was pinned: sha256 is {found}, not {pinned} (put the new one there if you changed it)",
        .file.display()
    )]
    Altered {
        /// The file.
        file: PathBuf,
        /// What it is.
        found: Digest,
        /// What it was to be.
        pinned: Digest,
    },
    /// There is no place for a copy.
    #[error("module `{}` cannot be copied into memory: {source}", .file.display())]
    Copy {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system's loader does not take it.
    #[error("module `{}` cannot be loaded: {said}", .file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// What the system says.
        said: String,
    },
    /// It is no plugin.
    #[error(
        "module `{}` has no `switchback_plugin_v1`: it is no plugin, or was built without `plugin!` and the feature `module`",
        .file.display()
    )]
    Entry {
        /// The file.
        file: PathBuf,
    },
    /// It speaks another interface.
    #[error(
        "module `{}` was built for version {major} of the plugin interface, and this is version {}: build it again with this version's SDK",
        .file.display(), abi::ABI_MAJOR
    )]
    Major {
        /// The file.
        file: PathBuf,
        /// Its major version.
        major: u16,
    },
    /// Its table is smaller than any version's.
    #[error(
        "module `{}` has a plugin table of {size} bytes, and version 1.0 has {}: build it again with switchback.h or the SDK as they are",
        .file.display(), abi::layout::PLUGIN_SIZE_1_0
    )]
    Size {
        /// The file.
        file: PathBuf,
        /// Its size.
        size: u32,
    },
    /// It needs what only a later version has.
    #[error("module `{}` needs what this version has not ({what}): update Switchback", .file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// What it needs.
        what: String,
    },
    /// Its table makes no sense.
    #[error("module `{}` has a plugin table that makes no sense: {what}", .file.display())]
    Table {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A digest that is none.
    #[error("a sha256 has 64 hexadecimal digits: `sha256sum FILE` prints it")]
    Digest,
}

fn places(tried: &[PathBuf]) -> String {
    let places: Vec<String> = tried.iter().map(|place| format!("`{}`", place.display())).collect();
    places.join(", ")
}

/// In the order of the module; at least one.
type Plugins = Arc<[Arc<dyn Module>]>;

/// The plugins of one module.
#[derive(Clone)]
pub struct Loaded {
    /// Where it was found.
    pub file: PathBuf,
    /// What it is.
    pub digest: Digest,
    /// Its plugins, in the order of the module; at least one.
    pub plugins: Arc<[Arc<dyn Module>]>,
}

impl Loaded {
    /// The plugin of that name.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Option<&Arc<dyn Module>> {
        self.plugins.iter().find(|plugin| plugin.name() == name)
    }
}

/// Loads native modules, each content once for as long as the program runs.
///
/// A file that was replaced is another module, beside the one that runs: old instances keep their code.
#[derive(Default)]
pub struct Loader {
    loaded: Mutex<HashMap<Digest, Plugins>>,
}

impl Loader {
    /// Has loaded nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The module in `file`: as it stands where it is absolute, otherwise in the first folder of `search` that has it. With a pin, it is
    /// loaded only if that is its content.
    ///
    /// # Errors
    ///
    /// Why it cannot be had, in words for whoever wrote the configuration.
    pub fn load(
        &self,
        file: &Path,
        search: &[PathBuf],
        pin: Option<Digest>,
    ) -> Result<Loaded, LoadError> {
        let file = find(file, search)?;
        let bytes = read(&file)?;
        let digest = Digest::of(&bytes);
        if let Some(pinned) = pin.filter(|pinned| *pinned != digest) {
            return Err(LoadError::Altered { file, found: digest, pinned });
        }
        let mut loaded = self.loaded.lock();
        if let Some(plugins) = loaded.get(&digest) {
            return Ok(Loaded { file, digest, plugins: Arc::clone(plugins) });
        }
        let plugins: Arc<[_]> = plugins(library::open(&file, &bytes)?, &file)?.into();
        loaded.insert(digest, Arc::clone(&plugins));
        Ok(Loaded { file, digest, plugins })
    }
}

fn find(file: &Path, search: &[PathBuf]) -> Result<PathBuf, LoadError> {
    let tried: Vec<PathBuf> = match file.is_absolute() {
        true => vec![file.to_owned()],
        false => search.iter().map(|folder| folder.join(file)).collect(),
    };
    let found = tried.iter().find(|place| place.is_file()).cloned();
    found.ok_or_else(|| LoadError::Missing { file: file.to_owned(), tried })
}

fn read(file: &Path) -> Result<Vec<u8>, LoadError> {
    let unreadable = |source| LoadError::Read { file: file.to_owned(), source };
    let length = std::fs::metadata(file).map_err(unreadable)?.len();
    if length > LARGEST {
        return Err(LoadError::Kind { file: file.to_owned(), what: "is larger than 512 MiB" });
    }
    std::fs::read(file).map_err(unreadable)
}

fn plugins(entry: abi::Entry, file: &Path) -> Result<Vec<Arc<dyn Module>>, LoadError> {
    let wrong = |what: String| LoadError::Table { file: file.to_owned(), what };
    let mut plugins: Vec<Arc<dyn Module>> = Vec::new();
    for index in 0..=MOST_PLUGINS {
        // SAFETY: the module's own function, which is there as long as the program runs.
        let plugin = unsafe { entry(index) };
        if plugin.is_null() {
            break;
        }
        if index == MOST_PLUGINS {
            return Err(wrong(format!("it has no end after {MOST_PLUGINS} plugins")));
        }
        if !plugin.is_aligned() {
            return Err(wrong("its address is none".to_owned()));
        }
        // SAFETY: what the entry gave.
        let plugin = unsafe { NativeModule::read(plugin, file) }?;
        if plugins.iter().any(|other| other.name() == plugin.name()) {
            return Err(wrong(format!("it has two plugins called `{}`", plugin.name())));
        }
        plugins.push(Arc::new(plugin));
    }
    if plugins.is_empty() {
        return Err(wrong("it has no plugin".to_owned()));
    }
    Ok(plugins)
}
