//! Files below a directory.

use std::path::{Path, PathBuf};

use switchback_value::Template;

use super::RouteId;
use super::actions::Scope;
use super::build::Findings;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{Files, Name, TemplateText};

/// Files below a directory.
#[derive(Clone, Debug, PartialEq)]
pub struct FilesPlan {
    /// The directory that is never left: what of `root` is the same for every request, up to its last `/`.
    pub anchor: PathBuf,
    /// The whole directory; it renders to something that begins with `anchor`.
    pub root: Template,
    /// Taken off the beginning of paths.
    pub strip_prefix: Option<Box<str>>,
    /// Paths below `root`, in the order they are tried. One that ends with `/` is a directory. Without any, the path of the
    /// request, whatever is there.
    pub candidates: Vec<Template>,
    /// What answers for a directory.
    pub index: Vec<Box<str>>,
    /// How a directory without index is listed.
    pub autoindex: Autoindex,
    /// Encodings of copies that lie beside files, those the server prefers first.
    pub precompressed: Vec<Coding>,
    /// Whether answers have an `ETag`.
    pub etag: bool,
    /// Content types of extensions, in lower case, beside the usual ones.
    pub types: Vec<(Box<str>, Box<str>)>,
    /// The content type of other extensions.
    pub default_type: Box<str>,
    /// The charset named with content types that are text.
    pub charset: Option<Box<str>>,
    /// Which symbolic links are followed.
    pub symlinks: Symlinks,
    /// Whether names that begin with a dot are served.
    pub hidden: bool,
    /// The route that answers when there is no such file.
    pub missing: Option<RouteId>,
}

/// How a directory is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Autoindex {
    /// Not at all.
    Off,
    /// As a page.
    Html,
    /// As nginx's `autoindex_format json`.
    Json,
}

/// A way to encode bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Brotli; in copies of files that end with `.br`.
    Br,
    /// Zstandard; `.zst`.
    Zstd,
    /// Gzip; `.gz`.
    Gzip,
}

/// Which symbolic links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// Those that stay below the directory.
    Beneath,
    /// None.
    Never,
}

pub(super) fn plan(
    files: &Files,
    scope: Scope<'_>,
    findings: &mut Findings<'_>,
) -> Option<FilesPlan> {
    let text = TemplateText(files.root.value.as_ref().into());
    let root = findings.template(&At::new(text, files.root.at.clone()), scope.captures)?;
    check_paths(files, findings);
    check_types(files, findings);
    let candidates: Vec<_> = files
        .candidates
        .iter()
        .filter_map(|candidate| findings.template(candidate, scope.captures))
        .collect();
    let types = files.types.iter();
    Some(FilesPlan {
        anchor: anchor(files, root.literal_prefix(), root.as_literal().is_some(), findings)?,
        root,
        strip_prefix: files.strip_prefix.as_ref().map(|prefix| prefix.value.clone()),
        candidates,
        index: files.index.iter().map(|name| name.value.clone()).collect(),
        autoindex: files.autoindex,
        precompressed: files.precompressed.iter().map(|coding| coding.value).collect(),
        etag: files.etag,
        types: types
            .map(|(extension, kind)| (extension.to_ascii_lowercase().into(), kind.value.clone()))
            .collect(),
        default_type: files.default_type.value.clone(),
        charset: files.charset.as_ref().map(|charset| charset.value.clone()),
        symlinks: files.symlinks,
        hidden: files.hidden,
        missing: missing(files, scope, findings),
    })
}

/// The directory that is never left. Variables come after it: what they hold is the client's to choose.
fn anchor(
    files: &Files,
    prefix: &str,
    is_whole: bool,
    findings: &mut Findings<'_>,
) -> Option<PathBuf> {
    let fixed =
        if is_whole { prefix } else { prefix.rsplit_once('/').map_or("", |(folder, _)| folder) };
    if fixed.is_empty() {
        let message = "`root` begins with a directory that is the same for every request";
        let diagnostic = Diagnostic::error(Code::BadValue, files.root.at.clone(), message);
        findings.report(diagnostic.hint("write it as in \"/srv/$host\""));
        return None;
    }
    let anchor = Path::new(fixed);
    let reason = match std::fs::metadata(anchor) {
        Ok(metadata) if metadata.is_dir() => return Some(anchor.to_owned()),
        Ok(_) => "it is no directory".to_owned(),
        Err(error) => error.to_string(),
    };
    let message = format!("nothing can be served from {}: {reason}", anchor.display());
    let diagnostic = Diagnostic::warning(Code::NoDirectory, files.root.at.clone(), message);
    findings.report(diagnostic.hint("every request is answered with 404 until it is there"));
    Some(anchor.to_owned())
}

fn check_paths(files: &Files, findings: &mut Findings<'_>) {
    if let Some(prefix) = files.strip_prefix.as_ref().filter(|prefix| !prefix.starts_with('/')) {
        findings.error(Code::BadValue, &prefix.at, "a path begins with `/`");
    }
    for candidate in &files.candidates {
        if !candidate.value.as_ref().starts_with(['/', '$', '{']) {
            let diagnostic =
                Diagnostic::error(Code::BadValue, candidate.at.clone(), "a path begins with `/`");
            findings.report(diagnostic.hint(
                "a path below `root`; the route that answers otherwise is named in `missing`",
            ));
        }
    }
    for name in &files.index {
        if name.is_empty() || name.contains(['/', '\0']) {
            findings.error(Code::BadValue, &name.at, "an index is the name of a file");
        }
    }
    for (place, coding) in files.precompressed.iter().enumerate() {
        if files.precompressed.iter().take(place).any(|before| before == coding) {
            findings.error(Code::Duplicate, &coding.at, "this encoding is named twice");
        }
    }
}

fn check_types(files: &Files, findings: &mut Findings<'_>) {
    for kind in files.types.iter().map(|(_, kind)| kind).chain([&files.default_type]) {
        findings.no_controls(Code::HeaderValue, kind, "a content type");
        if !kind.contains('/') {
            findings.error(
                Code::BadValue,
                &kind.at,
                "a content type is written as in \"text/html\"",
            );
        }
    }
    for (extension, _) in files.types.entries() {
        if extension.contains(['.', '/']) {
            let message = "an extension is written without its dot";
            findings.error(Code::BadValue, &extension.at, message);
        }
    }
    if let Some(charset) = &files.charset {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+".contains(&byte);
        if charset.is_empty() || !charset.bytes().all(is_token) {
            findings.error(Code::BadValue, &charset.at, "a charset is a name such as \"utf-8\"");
        }
    }
}

fn missing(files: &Files, scope: Scope<'_>, findings: &mut Findings<'_>) -> Option<RouteId> {
    let name: &At<Name> = files.missing.as_ref()?;
    let found = scope.routes.get(&***name).copied();
    if found.is_none() {
        let defined = scope.routes.keys().copied();
        findings.unknown_name(Code::UnknownRoute, name, ("route", "routes of this site"), defined);
    }
    found
}
