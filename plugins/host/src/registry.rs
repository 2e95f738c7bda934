//! Which plugins there are: those that are linked in, by name, and those in files.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use switchback_plugin::{Kind, Linked, Module, Plugin};

/// SHA-256 of a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut sum = [0; 32];
        sum.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self(sum)
    }

    /// As it is written: 64 hexadecimal digits, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut sum = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (byte, digits) in sum.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).ok()?;
            *byte = digits
                .bytes()
                .all(|digit| digit.is_ascii_hexdigit())
                .then(|| u8::from_str_radix(digits, 16).ok())??;
        }
        Some(Self(sum))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
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

/// What a plugin may use at most, where that can be limited; `None` is what its kind has as a default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Bytes of memory of one instance.
    pub memory: Option<usize>,
    /// Processor time of one hook.
    pub cpu: Option<Duration>,
    /// How many instances there are.
    pub instances: Option<usize>,
    /// Who shares an instance.
    pub isolation: Isolation,
}

/// Who shares an instance of a module whose instances share nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// The requests of a worker thread: what one of them leaves in its memory, the next one finds there.
    #[default]
    Worker,
    /// Nobody: each request has its own, which ends with it.
    Request,
}

impl Limits {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A file with a module, read once: what was checked is what is loaded.
#[derive(Debug)]
pub struct ModuleFile<'f> {
    /// Where it was found.
    pub path: &'f Path,
    /// What is in it.
    pub bytes: &'f [u8],
    /// Of these bytes.
    pub digest: Digest,
    /// What its plugins may use.
    pub limits: Limits,
}

/// What makes modules of files of one kind.
pub trait Loader: Send + Sync {
    /// How the names of such files end, without the dot: `so`, `wasm`.
    fn extension(&self) -> &str;

    /// The kind that comes of them.
    fn kind(&self) -> Kind;

    /// Whether [`Limits`] can be kept.
    fn has_limits(&self) -> bool {
        false
    }

    /// Makes a module of a file. It stays usable while the module, or an instance of it, is.
    ///
    /// # Errors
    ///
    /// Why it cannot be loaded, in one line, without the name of the file.
    fn load(&self, file: &ModuleFile<'_>) -> Result<Arc<dyn Module>, String>;
}

/// Why there is no module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// No folder has the file.
    #[error("there is no file `{}`{}", file.display(), looked(folders))]
    Missing {
        /// As it was asked for.
        file: PathBuf,
        /// Where it was looked for.
        folders: Vec<PathBuf>,
    },
    /// It cannot be read.
    #[error("cannot read `{}`: {reason}", file.display())]
    Unreadable {
        /// Where it is.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// It has another digest than the configuration says.
    #[error("`{}` is not the file that is meant: its sha256 is {found}", file.display())]
    Altered {
        /// Where it is.
        file: PathBuf,
        /// What it has.
        found: Digest,
    },
    /// Nothing loads files with such a name.
    #[error("`{}` is no module: known are {}", file.display(), extensions.join(", "))]
    Extension {
        /// As it was asked for.
        file: PathBuf,
        /// What is known, with the dot.
        extensions: Vec<String>,
    },
    /// Limits are said for a kind that has none.
    #[error("{kind} modules cannot be limited: use a Wasm module, or leave `limits` out")]
    Limits {
        /// The kind.
        kind: Kind,
    },
    /// It was looked into, and is not what it should be.
    #[error("cannot load `{}`: {reason}", file.display())]
    Refused {
        /// Where it is.
        file: PathBuf,
        /// Why.
        reason: String,
    },
}

fn looked(folders: &[PathBuf]) -> String {
    let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    if folders.is_empty() { String::new() } else { format!(" in {}", folders.join(", ")) }
}

/// Which plugins there are.
#[derive(Default)]
pub struct Registry {
    named: BTreeMap<String, Arc<dyn Module>>,
    loaders: Vec<Arc<dyn Loader>>,
    loaded: Mutex<HashMap<(Digest, Limits), Loaded>>,
}

struct Loaded {
    module: Arc<dyn Module>,
    /// Since [`Registry::sweep`].
    is_wanted: bool,
}

impl Registry {
    /// With no plugin at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a plugin that is linked in; one of the same name gives way to it.
    #[must_use]
    pub fn with<P: Plugin>(self) -> Self {
        self.with_module(Linked::<P>::module())
    }

    /// With a plugin under its name; one of the same name gives way to it.
    #[must_use]
    pub fn with_module(mut self, module: Arc<dyn Module>) -> Self {
        self.named.insert(module.name().to_owned(), module);
        self
    }

    /// With files of one kind; a loader of the same extension gives way to it.
    #[must_use]
    pub fn with_loader(mut self, loader: Arc<dyn Loader>) -> Self {
        self.loaders.retain(|other| other.extension() != loader.extension());
        self.loaders.push(loader);
        self
    }

    /// The plugins that are linked in, by name.
    pub fn named(&self) -> impl Iterator<Item = &Arc<dyn Module>> {
        self.named.values()
    }

    /// The plugin of that name, of those that are linked in.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<dyn Module>> {
        self.named.get(name)
    }

    /// The module in `file`, which is looked for in `folders` unless its path is absolute. One that was loaded already, with the same
    /// content and limits, is the same one.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn load(
        &self,
        file: &Path,
        folders: &[PathBuf],
        digest: Option<Digest>,
        limits: Limits,
    ) -> Result<Arc<dyn Module>, LoadError> {
        let loader = self.loader(file)?;
        if !limits.is_empty() && !loader.has_limits() {
            return Err(LoadError::Limits { kind: loader.kind() });
        }
        let path = find(file, folders)?;
        let bytes = std::fs::read(&path).map_err(|error| LoadError::Unreadable {
            file: path.clone(),
            reason: error.to_string(),
        })?;
        let found = Digest::of(&bytes);
        if digest.is_some_and(|digest| digest != found) {
            return Err(LoadError::Altered { file: path, found });
        }
        let mut all = self.loaded.lock();
        if let Some(loaded) = all.get_mut(&(found, limits)) {
            loaded.is_wanted = true;
            return Ok(Arc::clone(&loaded.module));
        }
        let module = loader
            .load(&ModuleFile { path: &path, bytes: &bytes, digest: found, limits })
            .map_err(|reason| LoadError::Refused { file: path.clone(), reason })?;
        all.insert((found, limits), Loaded { module: Arc::clone(&module), is_wanted: true });
        Ok(module)
    }

    /// Lets go of modules that were not asked for since this was called last: after a configuration is in force.
    pub fn sweep(&self) {
        self.loaded.lock().retain(|_, loaded| std::mem::take(&mut loaded.is_wanted));
    }

    fn loader(&self, file: &Path) -> Result<&Arc<dyn Loader>, LoadError> {
        let extension = file.extension().unwrap_or_default();
        self.loaders.iter().find(|loader| loader.extension() == extension).ok_or_else(|| {
            let extensions =
                self.loaders.iter().map(|loader| format!(".{}", loader.extension())).collect();
            LoadError::Extension { file: file.to_owned(), extensions }
        })
    }
}

fn find(file: &Path, folders: &[PathBuf]) -> Result<PathBuf, LoadError> {
    // An absolute path takes the place of each folder.
    let found = folders.iter().map(|folder| folder.join(file)).find(|path| path.is_file());
    match found {
        Some(path) => Ok(path),
        None if file.is_absolute() && file.is_file() => Ok(file.to_owned()),
        None => {
            let folders = if file.is_absolute() { Vec::new() } else { folders.to_vec() };
            Err(LoadError::Missing { file: file.to_owned(), folders })
        }
    }
}
