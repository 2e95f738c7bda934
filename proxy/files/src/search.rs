//! What stands where a candidate points to.

use crate::beneath::{Found, Refusal, RegularFile, Root};
use crate::candidate::Place;
use crate::{Acceptable, Asked, Candidate, Coding, Kind, Settings};

/// What a candidate comes to.
pub(crate) enum Hit<'s> {
    File(Representation<'s>),
    /// A directory without an index file.
    Directory,
    /// A directory, asked for without its final slash.
    LacksSlash,
    Nothing,
}

/// A form of a file that the client takes.
pub(crate) struct Representation<'s> {
    pub(crate) opened: RegularFile,
    pub(crate) coding: Option<Coding>,
    /// Of the file itself, however it is coded.
    pub(crate) content_type: &'s http::HeaderValue,
}

/// `.zst`.
const LONGEST_SUFFIX: usize = 4;

/// One request's look beneath a root.
pub(crate) struct Search<'s> {
    settings: &'s Settings,
    root: &'s Root,
    acceptable: Acceptable,
    has_final_slash: bool,
    /// The path of a stored sibling, while it is looked for.
    sibling: Vec<u8>,
}

impl<'s> Search<'s> {
    pub(crate) fn new(settings: &'s Settings, root: &'s Root, asked: &Asked<'_>) -> Self {
        let acceptable = match settings.precompressed.is_empty() {
            true => Acceptable::default(),
            false => Acceptable::of(asked.headers),
        };
        let has_final_slash = asked.url_path.ends_with(b"/");
        Self { settings, root, acceptable, has_final_slash, sibling: Vec::new() }
    }

    pub(crate) fn look_for(
        &mut self,
        candidate: &Candidate<'_>,
        place: &Place<'_>,
    ) -> Result<Hit<'s>, Refusal> {
        match candidate.kind {
            Kind::Directory => self.directory(place.path, candidate.is_own),
            Kind::Any if place.has_slash => self.directory(place.path, candidate.is_own),
            Kind::File if place.has_slash => Ok(Hit::Nothing),
            Kind::File | Kind::Any => match self.file(place.path)? {
                Hit::Directory if candidate.kind == Kind::Any && candidate.is_own => {
                    self.directory(place.path, true)
                }
                Hit::Directory => Ok(Hit::Nothing),
                hit => Ok(hit),
            },
        }
    }

    fn directory(&mut self, path: &[u8], is_own: bool) -> Result<Hit<'s>, Refusal> {
        if is_own && !self.has_final_slash {
            let is_directory = self.root.is_directory(path)?;
            return Ok(if is_directory { Hit::LacksSlash } else { Hit::Nothing });
        }
        let mut index = Vec::new();
        for name in &self.settings.index {
            index.clear();
            for piece in [path, b"/", name.as_bytes()] {
                index.extend_from_slice(piece);
            }
            let relative = index.strip_prefix(b"/").unwrap_or(&index);
            if let hit @ Hit::File(_) = self.file(relative)? {
                return Ok(hit);
            }
        }
        Ok(if self.root.is_directory(path)? { Hit::Directory } else { Hit::Nothing })
    }

    /// The form of a file that the client likes best. A stored sibling needs no original, as with nginx's `gzip_static`.
    fn file(&mut self, path: &[u8]) -> Result<Hit<'s>, Refusal> {
        for coding in self.acceptable.order(&self.settings.precompressed) {
            let found = match coding {
                None => self.root.find(path)?,
                Some(coding) => self.sibling(path, coding)?,
            };
            match found {
                Found::File(opened) => {
                    let content_type = self.settings.types.of(path);
                    return Ok(Hit::File(Representation { opened, coding, content_type }));
                }
                Found::Directory if coding.is_none() => return Ok(Hit::Directory),
                Found::Directory | Found::Nothing => {}
            }
        }
        Ok(Hit::Nothing)
    }

    /// A sibling that may not be read is none: the file itself stands beside it.
    fn sibling(&mut self, path: &[u8], coding: Coding) -> Result<Found, Refusal> {
        self.sibling.clear();
        self.sibling.reserve(path.len() + LONGEST_SUFFIX);
        self.sibling.extend_from_slice(path);
        self.sibling.extend_from_slice(coding.suffix());
        match self.root.find(&self.sibling) {
            Err(Refusal::Forbidden) => Ok(Found::Nothing),
            found => found,
        }
    }
}
