//! The file of a map: read when a plan is made, and again whenever it has changed.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use switchback_value::{MapKeyError, MapTable};

use super::build::Findings;
use super::map_lines::read_lines;
use super::maps::{is_settled, wrong_key};
use super::texts::Captures;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location, Severity};
use crate::model::TemplateText;
use crate::native::{Entry, Gaps, read_flat};
use crate::source::Source;

/// Larger files are refused.
const MAX_FILE: u64 = 16 * 1024 * 1024;
/// In a file with more mistakes nobody reads them all.
pub(super) const MAX_MISTAKES: usize = 64;

/// A file with values of a map.
#[derive(Clone, Debug)]
pub struct MapFilePlan {
    /// Where it is.
    pub path: PathBuf,
    /// What the configuration itself says of the map.
    own: Arc<MapTable>,
    at: Location,
}

/// What a file says at some moment.
#[derive(Debug)]
pub struct MapFileRead {
    /// By which a later change is noticed; `None` when the file is not there.
    pub stamp: Option<FileStamp>,
    /// Everything that the map becomes; `None` when there are mistakes.
    pub table: Option<MapTable>,
    /// The mistakes.
    pub diagnostics: Vec<Diagnostic>,
}

/// What of a file changes when its content does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl FileStamp {
    /// That of the file at `path`, if there is one.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::from)
    }
}

impl From<&Metadata> for FileStamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl MapFilePlan {
    pub(super) fn new(path: &At<PathBuf>, own: Arc<MapTable>) -> Self {
        Self { path: path.value.clone(), own, at: path.at.clone() }
    }

    /// What the file says now. Reads up to 16 MiB, so it may take a while.
    #[must_use]
    pub fn read_again(&self) -> MapFileRead {
        self.read(0)
    }

    /// The same for the file that has this `number` among those of a configuration.
    pub(super) fn read(&self, number: usize) -> MapFileRead {
        let (stamp, text) = match read_bounded(&self.path) {
            Ok(read) => read,
            Err(error) => {
                let message = format!("cannot read {}: {error}", self.path.display());
                let diagnostic = Diagnostic::error(Code::MapFile, self.at.clone(), message);
                let stamp = FileStamp::of(&self.path);
                return MapFileRead { stamp, table: None, diagnostics: vec![diagnostic] };
            }
        };
        let source = Arc::new(Source::new(&*self.path, text, number));
        let (entries, mistakes) = match self.path.extension().and_then(OsStr::to_str) {
            Some("toml") => read_flat(&source),
            _ => read_lines(&source),
        };
        let gaps = Gaps::default();
        let mut findings = Findings::new(&gaps);
        mistakes.into_iter().for_each(|mistake| findings.report(mistake));
        let table = self.table(&entries, &mut findings);
        let mut diagnostics = findings.into_diagnostics();
        let is_wrong = diagnostics.iter().any(|found| found.severity == Severity::Error);
        diagnostics.sort_by_key(Diagnostic::position);
        diagnostics.truncate(MAX_MISTAKES);
        MapFileRead { stamp: Some(stamp), table: (!is_wrong).then_some(table), diagnostics }
    }

    fn table(&self, entries: &[Entry], findings: &mut Findings<'_>) -> MapTable {
        let mut table = MapTable::clone(&self.own);
        for (key, text) in entries {
            if findings.count() >= MAX_MISTAKES {
                break;
            }
            if let Err(error) = insert(&mut table, key, text, findings) {
                wrong_key(key, &error, findings);
            }
        }
        table
    }
}

fn insert(
    table: &mut MapTable,
    key: &At<Box<str>>,
    text: &At<Box<str>>,
    findings: &mut Findings<'_>,
) -> Result<(), MapKeyError> {
    if text.contains("$map_") || text.contains("${map_") {
        findings.error(Code::MapFile, &text.at, "the file of a map cannot refer to maps");
        return Ok(());
    }
    let template = At::new(TemplateText(text.value.clone()), text.at.clone());
    let Some(value) = findings.template(&template, &Captures::default()) else { return Ok(()) };
    if let Some(late) = value.variables().find(|variable| !is_settled(variable)) {
        let message = format!(
            "the file of a map cannot refer to `{late}`: it is not known when a request arrives"
        );
        findings.error(Code::MapFile, &text.at, message);
    }
    match &*key.value {
        "default" => table.set_default(value),
        key => table.insert(key, value),
    }
}

/// The text of a regular file, and the state it was in before it was read.
fn read_bounded(path: &Path) -> io::Result<(FileStamp, String)> {
    // Asked before it is opened: opening a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let file = File::open(path)?;
    let stamp = FileStamp::from(&file.metadata()?);
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))?;
    Ok((stamp, text))
}
