//! Files, and the files they include.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Draft;
use super::decode::{Decoder, Setting as _};
use super::node::Node;
use super::parse::{self, Mistake};
use super::tree::{Item, Value};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::environment::Environment;
use crate::model::Config;
use crate::source::Source;
use glob::{MatchOptions, Pattern};

/// Larger files are refused.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// More files are refused.
const MAX_FILES: usize = 16_384;
/// How many files may include one another in a row.
const MAX_NESTING: usize = 64;
/// How a pattern matches: as in a shell.
const LIKE_A_SHELL: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

pub(super) fn read_file(path: &Path, environment: &dyn Environment) -> Draft {
    let mut reader = Reader::new(environment);
    let sources: Vec<_> = reader.read(path, &Location::none()).into_iter().collect();
    reader.follow(Vec::new(), &sources)
}

pub(super) fn read_text(name: &str, text: &str, environment: &dyn Environment) -> Draft {
    let mut reader = Reader::new(environment);
    let mut sources = Vec::new();
    if text.len() as u64 > MAX_FILE {
        let source = Arc::new(Source::new(name, String::new(), 0));
        reader.refuse(Code::TooLarge, Location::whole(&source), too_large(Path::new(name)));
    } else {
        reader.see(Path::new(name), &Location::none());
        sources.push(reader.add(Path::new(name), text.to_owned()));
    }
    reader.follow(Vec::new(), &sources)
}

/// The files read so far.
struct Reader<'e> {
    environment: &'e dyn Environment,
    diagnostics: Vec<Diagnostic>,
    /// Their real paths, and where they were included.
    seen: HashMap<PathBuf, Location>,
    files: Vec<PathBuf>,
    /// How many includes lead to the files that are being read.
    nesting: usize,
    /// Whether one of them could not be read or parsed.
    gaps: bool,
}

/// The tree of one file.
struct Tree<'a> {
    source: &'a Arc<Source>,
    root: Item<'a>,
}

impl Tree<'_> {
    fn node(&self) -> Node<'_> {
        Node::new(self.source, &self.root)
    }
}

impl<'e> Reader<'e> {
    fn new(environment: &'e dyn Environment) -> Self {
        Self {
            environment,
            diagnostics: Vec::new(),
            seen: HashMap::new(),
            files: Vec::new(),
            nesting: 0,
            gaps: false,
        }
    }

    /// Parses `sources`, then the files they include, and so on; then makes one configuration of all trees.
    fn follow<'a>(mut self, mut trees: Vec<Tree<'a>>, sources: &'a [Arc<Source>]) -> Draft {
        let parsed_before = trees.len();
        for source in sources {
            trees.extend(self.parse(source));
        }
        self.nesting += 1;
        let mut included = Vec::new();
        for tree in trees.iter().skip(parsed_before) {
            self.included(tree, &mut included);
        }
        match included.is_empty() {
            true => self.decode(&trees),
            false => self.follow(trees, &included),
        }
    }

    fn decode(self, trees: &[Tree<'_>]) -> Draft {
        let mut decoder = Decoder::new(self.environment);
        decoder.diagnostics = self.diagnostics;
        decoder.gaps.names_unknown = self.gaps;
        let nodes: Vec<_> = trees.iter().map(Tree::node).collect();
        let mut config = Config::decode_all(&nodes, &mut decoder).unwrap_or_default();
        config.include.clear();
        config.files = self.files;
        Draft { config, gaps: decoder.gaps, diagnostics: decoder.diagnostics }
    }

    fn parse<'a>(&mut self, source: &'a Arc<Source>) -> Option<Tree<'a>> {
        match parse::parse(source.text()) {
            Ok(root) => Some(Tree { source, root: Item::new(Value::Table(root), 0..0) }),
            Err(mistakes) => {
                self.gaps = true;
                self.diagnostics.extend(syntax_errors(source, &mistakes));
                None
            }
        }
    }

    /// The files that a tree includes. What is wrong with the key itself is told when the whole tree is decoded.
    fn included(&mut self, tree: &Tree<'_>, sources: &mut Vec<Arc<Source>>) {
        let node = tree.node();
        let include = node.entries().into_iter().flatten().find(|(key, _)| key.text() == "include");
        let Some((_, include)) = include else { return };
        let mut ignored = Decoder::new(self.environment);
        for pattern in Vec::<At<Box<str>>>::decode(include, &mut ignored).unwrap_or_default() {
            for path in self.matched(&pattern, node.directory()) {
                sources.extend(self.include(&path, &pattern.at));
            }
        }
    }

    /// The files that a pattern means, in the order of their names.
    fn matched(&mut self, pattern: &At<Box<str>>, directory: &Path) -> Vec<PathBuf> {
        let has_wildcard = pattern.contains(['*', '?', '[']);
        if !has_wildcard {
            let path = directory.join(&*pattern.value);
            return if path.exists() { vec![path] } else { self.matches_nothing(pattern) };
        }
        let directory = PathBuf::from(Pattern::escape(&directory.to_string_lossy()));
        let paths =
            glob::glob_with(&directory.join(&*pattern.value).to_string_lossy(), LIKE_A_SHELL);
        let paths: Vec<_> = match paths {
            Ok(paths) => paths.flatten().filter(|path| path.is_file()).collect(),
            Err(error) => {
                self.refuse(
                    Code::IncludePattern,
                    pattern.at.clone(),
                    format!("this is no pattern: {}", error.msg),
                );
                return Vec::new();
            }
        };
        if paths.is_empty() { self.matches_nothing(pattern) } else { paths }
    }

    fn matches_nothing(&mut self, pattern: &At<Box<str>>) -> Vec<PathBuf> {
        let message = format!("`{}` matches nothing", &*pattern.value);
        self.gaps = true;
        let diagnostic =
            Diagnostic::error(Code::IncludeMatchesNothing, pattern.at.clone(), message);
        self.diagnostics.push(diagnostic.hint("paths are relative to the file that includes them"));
        Vec::new()
    }

    fn include(&mut self, path: &Path, at: &Location) -> Option<Arc<Source>> {
        if self.files.len() >= MAX_FILES {
            self.refuse(Code::TooManyFiles, at.clone(), format!("more than {MAX_FILES} files"));
            return None;
        }
        if self.nesting > MAX_NESTING {
            let message = format!("more than {MAX_NESTING} files include one another in a row");
            self.refuse(Code::TooManyFiles, at.clone(), message);
            return None;
        }
        if let Some(first) = self.see(path, at) {
            let diagnostic = match at.file() == Some(path) {
                true => {
                    Diagnostic::error(Code::IncludedTwice, at.clone(), "this file includes itself")
                }
                false => {
                    let message =
                        format!("{} is part of this configuration already", path.display());
                    let diagnostic = Diagnostic::error(Code::IncludedTwice, at.clone(), message);
                    diagnostic.maybe_hint(
                        first.file().is_some().then(|| format!("first included at {first}")),
                    )
                }
            };
            self.diagnostics.push(diagnostic);
            return None;
        }
        self.read(path, at)
    }

    /// Notes that `path` is read; gives where it was included when it was read before.
    fn see(&mut self, path: &Path, at: &Location) -> Option<Location> {
        let real = path.canonicalize().ok()?;
        let first = self.seen.get(&real).cloned();
        if first.is_none() {
            self.seen.insert(real, at.clone());
        }
        first
    }

    /// The text of a file. `at` is where it was included.
    fn read(&mut self, path: &Path, at: &Location) -> Option<Arc<Source>> {
        if at.file().is_none() {
            self.see(path, at);
        }
        let whole =
            || Location::whole(&Arc::new(Source::new(path, String::new(), self.files.len())));
        let at = if at.file().is_some() { at.clone() } else { whole() };
        match read_bounded(path) {
            Ok(Content::Text(text)) => Some(self.add(path, text)),
            Ok(Content::NotUtf8(bytes)) => {
                let at = self.invalid(path, &bytes);
                self.refuse(Code::NotUtf8, at, "this is not UTF-8".to_owned());
                None
            }
            Ok(Content::TooLarge) => {
                self.refuse(Code::TooLarge, at, too_large(path));
                None
            }
            Err(error) => {
                self.refuse(
                    Code::Unreadable,
                    at,
                    format!("cannot read {}: {error}", path.display()),
                );
                None
            }
        }
    }

    fn refuse(&mut self, code: Code, at: Location, message: String) {
        self.gaps = true;
        self.diagnostics.push(Diagnostic::error(code, at, message));
    }

    fn add(&mut self, path: &Path, text: String) -> Arc<Source> {
        let source = Arc::new(Source::new(path, text, self.files.len()));
        self.files.push(path.to_owned());
        source
    }

    /// Where a file stops being UTF-8.
    fn invalid(&mut self, path: &Path, bytes: &[u8]) -> Location {
        let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
        let source = self.add(path, String::from_utf8_lossy(bytes).into_owned());
        Location::new(&source, valid..valid + char::REPLACEMENT_CHARACTER.len_utf8())
    }
}

fn too_large(path: &Path) -> String {
    format!("{} is larger than {} MiB", path.display(), MAX_FILE / 1024 / 1024)
}

/// What is in a file.
enum Content {
    Text(String),
    NotUtf8(Vec<u8>),
    TooLarge,
}

fn read_bounded(path: &Path) -> io::Result<Content> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > MAX_FILE {
        return Ok(Content::TooLarge);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Ok(Content::TooLarge);
    }
    Ok(String::from_utf8(bytes)
        .map_or_else(|error| Content::NotUtf8(error.into_bytes()), Content::Text))
}

pub(super) fn syntax_errors(source: &Arc<Source>, mistakes: &[Mistake]) -> Vec<Diagnostic> {
    let diagnostic = |mistake: &Mistake| {
        let location = |range: &Range<usize>| Location::new(source, range.clone());
        let at = mistake.range.as_ref().map_or_else(|| Location::whole(source), location);
        let hint =
            mistake.first.as_ref().map(|first| format!("first given at {}", location(first)));
        Diagnostic::error(Code::Syntax, at, mistake.message.clone()).maybe_hint(hint)
    };
    let mut diagnostics: Vec<_> = mistakes.iter().map(diagnostic).collect();
    diagnostics.sort_by_key(Diagnostic::position);
    diagnostics
}
