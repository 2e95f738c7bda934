//! What a request for a file is answered with.
//!
//! [`answer`] looks for [`Candidate`]s beneath a root and gives an [`Outcome`]: an open file and the parts of it to send, a
//! listing, a redirect, or why there is nothing. Conditions, ranges and stored codings (RFC 9110) are decided here; what the
//! RFC leaves open is answered as nginx does.
//!
//! Nothing here knows configuration or a runtime. The system calls block, as every look into a directory does: two of
//! them, and no data is read, for a file that is there. A listing is the exception, bounded by [`LISTING_LIMIT`].

mod accept_encoding;
mod answer;
mod autoindex;
mod beneath;
mod candidate;
mod entity_tag;
mod reply;
mod root;
mod search;
mod slash;
mod types;

use std::fs::File;
use std::io;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

pub use accept_encoding::{Acceptable, Coding, MAX_PRECOMPRESSED};
pub use answer::answer;
pub use autoindex::LISTING_LIMIT;
pub use beneath::Symlinks;
pub use candidate::{Candidate, Kind};
pub use root::RootDirectory;
pub use switchback_representation::{MAX_RANGES, Part, Ranges};
pub use types::{BadType, Types};

/// How files of one route are served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory beneath which everything lies.
    pub root: RootDirectory,
    /// Whether symbolic links beneath the root are followed.
    pub symlinks: Symlinks,
    /// The names looked for in a directory, in order.
    pub index: Box<[Box<str>]>,
    /// How a directory without any of them is listed; `None`: not at all.
    pub autoindex: Option<Autoindex>,
    /// The codings whose stored siblings (`x.br` beside `x`) are sent to those who take them, dearest first, each at most
    /// once.
    pub precompressed: Box<[Coding]>,
    /// Whether answers carry an `ETag`.
    pub etag: bool,
    /// Content types by extension.
    pub types: Types,
    /// Whether names that begin with a dot are served. `.well-known` always is.
    pub hidden: bool,
}

/// How a directory is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Autoindex {
    /// As a page.
    Html,
    /// As the array that nginx writes with `autoindex_format json`.
    Json,
}

/// What of a request matters to files.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Only GET and HEAD are answered.
    pub method: &'a Method,
    /// Conditions, ranges and what the client can decode are read from here.
    pub headers: &'a HeaderMap,
    /// The path of the target as the client wrote it: for redirects and the titles of listings, never for opening.
    pub url_path: &'a [u8],
    /// The query as the client wrote it, without its `?`.
    pub query: Option<&'a [u8]>,
}

/// What became of a request.
#[derive(Debug)]
pub enum Outcome {
    /// There is something to send, if only a 304, 412 or 416.
    Answer(Answer),
    /// A directory was asked for without its final slash: 301 to this `Location`, a path of the same host with the query.
    AddSlash(HeaderValue),
    /// None of the candidates exists: 404, or whatever stands in for it. Said before the method is looked at, so that a POST
    /// to what is no file reaches the route that stands in.
    Missing,
    /// It exists and may not be served: 403.
    Forbidden,
    /// It exists, and neither GET nor HEAD was asked of it: 405 with [`ALLOW`].
    MethodNotAllowed,
    /// The machine could not look, for want of descriptors or memory, say: 500 or 503.
    Failed(io::Error),
}

/// The `Allow` of a 405.
pub const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD");

/// A complete answer, but for what a server adds to all of its answers.
#[derive(Debug)]
pub struct Answer {
    /// 200, 206, 304, 412 or 416.
    pub status: StatusCode,
    /// In the order in which they are to be written; no name twice. `Content-Length` is among them, except for 304.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What follows the head: exactly as long as `Content-Length` says, or nothing where the request or the status wants
    /// nothing.
    pub body: Body,
}

/// What follows the head.
#[derive(Debug)]
pub enum Body {
    /// Nothing.
    Empty,
    /// What was made here.
    Bytes(Bytes),
    /// Parts of a file, and what stands between them.
    Parts {
        /// Open for reading, a regular file. It may have become shorter since: then the answer cannot be completed.
        file: File,
        /// In the order in which they are sent. A whole file is one [`Part::Range`].
        parts: Vec<Part>,
    },
}
