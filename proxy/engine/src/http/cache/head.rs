//! The head of an answer from the cache.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pingora_http::ResponseHeader;
use switchback_cache::fill::Arrived;
use switchback_cache::serve::{Hop, Reply, Wire};
use switchback_cache::{Entry, Head, Meta};

use crate::http::fault::Fault;

/// A stored head and what an answer adds to it. Nothing of it is a map, or is written, before it is sent.
#[derive(Debug)]
pub(crate) struct StoredHead {
    pub(in crate::http) of: Of,
    pub(in crate::http) reply: Reply,
}

/// What an answer is made of.
#[derive(Debug)]
pub(in crate::http) enum Of {
    /// A response that is there.
    Entry(Arc<Entry>),
    /// One that is being received.
    Arrived(Arc<Arrived>),
    /// One of this length that is stored slice by slice, or in parts; with the head of the whole.
    Sliced(Arc<Meta>, u64),
}

impl Of {
    /// Its head.
    pub(super) fn head(&self) -> &Head {
        match self {
            Self::Entry(entry) => &entry.meta.head,
            Self::Arrived(arrived) => arrived.to_send(),
            Self::Sliced(meta, _) => &meta.head,
        }
    }

    /// What it is stored with, if it is.
    pub(super) fn meta(&self) -> Option<&Meta> {
        match self {
            Self::Entry(entry) => Some(&entry.meta),
            Self::Arrived(arrived) => arrived.stored.as_deref(),
            Self::Sliced(meta, _) => Some(meta),
        }
    }

    /// The length of its body, where that is known.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Entry(entry) => Some(entry.length),
            Self::Arrived(arrived) => arrived.length,
            Self::Sliced(_, length) => Some(*length),
        }
    }
}

impl StoredHead {
    /// The status that is sent.
    pub(crate) fn status(&self) -> StatusCode {
        self.reply.status(self.of.head().status)
    }

    /// As they were stored.
    pub(crate) fn stored(&self) -> &HeaderMap {
        &self.of.head().headers
    }

    /// What HTTP/1 sends.
    pub(crate) fn wire(&self, hop: Hop<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        match &self.of {
            Of::Entry(entry) => self.reply.write(entry.wire(), hop, &mut out),
            of => self.reply.write(&Wire::of(of.head()), hop, &mut out),
        }
        out
    }

    /// The first line of this name.
    pub(crate) fn value(&self, name: &HeaderName) -> Option<Cow<'_, [u8]>> {
        self.reply.value(self.of.head(), name)
    }

    /// Adds a line, or has it take the place of one that was added; not where there are others of its name.
    pub(crate) fn add(&mut self, name: &HeaderName, value: HeaderValue) -> Result<(), HeaderValue> {
        self.reply.add(self.of.head(), name, value)
    }

    /// Takes back a line that was added. Returns whether there is none of that name now.
    pub(crate) fn take_back(&mut self, name: &HeaderName) -> bool {
        self.reply.take_back(self.of.head(), name)
    }

    /// All fields, with those of this hop.
    pub(crate) fn fields(&self, hop: Option<Hop<'static>>) -> HeaderMap {
        self.reply.to_headers(self.of.head(), hop)
    }

    /// As rules and Pingora work on it.
    pub(crate) fn whole(&self) -> Result<Box<ResponseHeader>, Fault> {
        let fields = self.fields(None);
        let mut head =
            ResponseHeader::build(self.status(), Some(fields.len())).map_err(Fault::internal)?;
        for (name, value) in &fields {
            head.append_header(name, value).map_err(Fault::internal)?;
        }
        Ok(Box::new(head))
    }
}
