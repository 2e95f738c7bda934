//! Answers made of files, and answers that send the client elsewhere.

use http::StatusCode;

use super::define::model;
use super::table::Table;
use super::text::{FolderText, Name, Short, TemplateText};
use crate::at::At;
use crate::plan::{Autoindex, Coding, Symlinks};

model! {
    /// Answers with files below a directory; nothing outside it is ever opened. Where only `root` is written, it alone will
    /// do: `files = "/srv/www"`.
    pub struct Files {
        /// The directory: a template. What stands before its first variable, up to a `/`, is never left.
        pub root: At<FolderText>,
        /// The beginning of paths that is taken off before files are looked for (nginx's `alias`).
        pub strip_prefix: Option<At<Box<str>>> = None,
        /// Templates for the paths below `root` that are tried in this order, as with nginx's `try_files`: a file, or a directory
        /// where it ends with `/`. Without it, the path of the request, whatever is there.
        pub candidates as "try": Vec<At<TemplateText>> = Vec::new(),
        /// What answers for a directory, the first of these that is there.
        pub index: Vec<At<Box<str>>> = vec![Box::<str>::from("index.html").into()],
        /// Whether a directory without an index is listed: `"html"`, `"json"` or `"off"`, which answers 403.
        pub autoindex: Autoindex = Autoindex::Off,
        /// Encodings of which a copy beside the file is sent to clients that take it: `"br"` (`.br`), `"zstd"` (`.zst`),
        /// `"gzip"` (`.gz`). Where a client likes several alike, the first.
        pub precompressed: Vec<At<Coding>> = Vec::new(),
        /// Whether answers have an `ETag`.
        pub etag: bool = true,
        /// Content types by extension, beside the usual ones: `{ map = "application/json" }`.
        pub types: Table<Name, At<Box<str>>> = Table::new(),
        /// The content type of other extensions.
        pub default_type: At<Box<str>> = Box::<str>::from("application/octet-stream").into(),
        /// The charset named with content types that are text, such as `"utf-8"`.
        pub charset: Option<At<Box<str>>> = None,
        /// Symbolic links below `root`: `"beneath"` follows them as long as they lead nowhere else, `"never"` refuses them.
        pub symlinks: Symlinks = Symlinks::Beneath,
        /// Whether names that begin with a dot are served. `.well-known` always is.
        pub hidden: bool = false,
        /// The route of the same site that answers when there is no such file. Without it, 404.
        pub missing: Option<At<Name>> = None,
    }
}

impl Files {
    /// The files below `root`, with all defaults.
    #[must_use]
    pub fn below(root: impl Into<At<FolderText>>) -> Self {
        Self {
            root: root.into(),
            strip_prefix: None,
            candidates: Vec::new(),
            index: vec![Box::<str>::from("index.html").into()],
            autoindex: Autoindex::Off,
            precompressed: Vec::new(),
            etag: true,
            types: Table::new(),
            default_type: Box::<str>::from("application/octet-stream").into(),
            charset: None,
            symlinks: Symlinks::Beneath,
            hidden: false,
            missing: None,
        }
    }
}

impl Short for Files {
    type Key = FolderText;

    fn from_key(root: At<FolderText>) -> Self {
        Self::below(root)
    }

    fn as_key(&self) -> Option<&FolderText> {
        (*self == Self::below(self.root.clone())).then_some(&self.root.value)
    }
}

model! {
    /// Sends the client to another address. Where only `to` is written, it alone will do:
    /// `redirect = "https://$host$request_uri"`.
    pub struct Redirect {
        /// A template for the address: a whole one, or a path on this host.
        pub to: At<TemplateText>,
        /// 301, 302, 303, 307 or 308.
        pub status: At<StatusCode> = At::from(StatusCode::FOUND),
    }
}

impl Short for Redirect {
    type Key = TemplateText;

    fn from_key(to: At<TemplateText>) -> Self {
        Self { to, status: At::from(StatusCode::FOUND) }
    }

    fn as_key(&self) -> Option<&TemplateText> {
        (self.status.value == StatusCode::FOUND).then_some(&self.to.value)
    }
}
