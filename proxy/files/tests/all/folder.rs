//! A directory to serve, what is asked of it, and what came back.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use switchback_files::{
    Answer, Asked, Body, Candidate, Kind, Outcome, Part, Settings, Symlinks, Types, answer,
};
use tempfile::TempDir;

/// `Sun, 06 Nov 1994 08:49:37 GMT`: when every file of a [`Folder`] was changed.
pub(crate) const MODIFIED: u64 = 784_111_777;

/// The root `site` in a directory of its own, with room beside it for what must not be served.
pub(crate) struct Folder {
    outer: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        fs::create_dir(outer.path().join("site")).unwrap();
        Self { outer }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.outer.path().join("site")
    }

    pub(crate) fn outside(&self) -> &Path {
        self.outer.path()
    }

    /// A file beneath the root; directories on the way are made.
    pub(crate) fn with(self, path: &str, content: &str) -> Self {
        write(&self.root().join(path), content);
        self
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            root: self.root().into(),
            symlinks: Symlinks::Beneath,
            index: ["index.html".into()].into(),
            autoindex: None,
            precompressed: [].into(),
            etag: true,
            types: Types::new([], None, None).unwrap(),
            hidden: false,
        }
    }
}

pub(crate) fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    let times = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(MODIFIED));
    File::options().write(true).open(path).unwrap().set_times(times).unwrap();
}

/// A request.
pub(crate) struct Ask<'a> {
    settings: &'a Settings,
    method: Method,
    headers: HeaderMap,
}

pub(crate) fn ask(settings: &Settings) -> Ask<'_> {
    Ask { settings, method: Method::GET, headers: HeaderMap::new() }
}

impl Ask<'_> {
    pub(crate) fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    /// What `path` comes to without any `try`.
    pub(crate) fn get(self, path: &str) -> Got {
        self.get_bytes(path.as_bytes())
    }

    pub(crate) fn get_bytes(self, path: &[u8]) -> Got {
        self.try_each(path, [Candidate::new(path, Kind::Any).own()])
    }

    pub(crate) fn try_each<'a>(
        self,
        url_path: &[u8],
        candidates: impl IntoIterator<Item = Candidate<'a>, IntoIter: Clone>,
    ) -> Got {
        let (path, query) = match url_path.iter().position(|&byte| byte == b'?') {
            Some(mark) => (&url_path[..mark], Some(&url_path[mark + 1..])),
            None => (url_path, None),
        };
        let asked = Asked { method: &self.method, headers: &self.headers, url_path: path, query };
        Got::of(answer(self.settings, candidates.into_iter(), &asked))
    }
}

/// An outcome that can be compared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Answer(Reply),
    AddSlash(String),
    Missing,
    Forbidden,
    MethodNotAllowed,
    Failed(String),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Got {
    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Answer(answer) => Self::Answer(Reply::of(answer)),
            Outcome::AddSlash(location) => Self::AddSlash(location.to_str().unwrap().to_owned()),
            Outcome::Missing => Self::Missing,
            Outcome::Forbidden => Self::Forbidden,
            Outcome::MethodNotAllowed => Self::MethodNotAllowed,
            Outcome::Failed(error) => Self::Failed(error.to_string()),
        }
    }

    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Answer(reply) => reply,
            other => panic!("no answer: {other:?}"),
        }
    }

    pub(crate) fn body(self) -> String {
        self.reply().body
    }
}

impl Reply {
    fn of(answer: Answer) -> Self {
        let count = answer.headers.len();
        let headers: HeaderMap = answer.headers.into_iter().collect();
        assert_eq!(headers.len(), count, "a name twice: {headers:?}");
        let body = String::from_utf8(bytes_of(answer.body)).unwrap();
        let reply = Self { status: answer.status.as_u16(), headers, body };
        if !reply.body.is_empty() {
            assert_eq!(reply.header("content-length"), reply.body.len().to_string());
        }
        reply
    }

    /// Empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn bytes_of(body: Body) -> Vec<u8> {
    let (file, parts) = match body {
        Body::Empty => return Vec::new(),
        Body::Bytes(bytes) => return bytes.to_vec(),
        Body::Parts { file, parts } => (file, parts),
    };
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            Part::Bytes(text) => bytes.extend_from_slice(&text),
            Part::Range(range) => {
                let mut piece = vec![0; usize::try_from(range.end - range.start).unwrap()];
                file.read_exact_at(&mut piece, range.start).unwrap();
                bytes.extend(piece);
            }
        }
    }
    bytes
}
