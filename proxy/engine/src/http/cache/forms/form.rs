//! The forms that there are: encoded or decoded ones, and pictures made of pictures.

use switchback_cache::{BodyId, Entry, Head, Meta};
use switchback_variant::Token;

use super::Source;
use crate::http::context::Context;
use crate::http::encode::Coder;
use crate::http::encode::forms::{self, Task};
use crate::http::encode::pictures::{self, Picture, Suiting, Why, X_MEDIA};
use crate::http::fault::Fault;
use pingora_http::RequestHeader;

/// What is made of a stored response, for more than one client.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// Encoded or decoded, while it is sent.
    Coded(forms::Form),
    /// A picture, beside the way.
    Picture(Picture),
}

impl Form {
    /// The one that the client is to have in place of a response, whose body has this length where that is known.
    pub(super) fn suiting(
        original: &Meta,
        length: Option<u64>,
        request: &RequestHeader,
        context: &mut Context,
    ) -> Option<Self> {
        match pictures::suiting(&original.head, length, request, context) {
            Suiting::NoPicture => {
                forms::suiting(original, length, request, context).map(Self::Coded)
            }
            Suiting::Original => None,
            Suiting::Other(picture) => Some(Self::Picture(picture)),
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> Token {
        match self {
            Self::Coded(form) => form.name(),
            Self::Picture(picture) => picture.name(),
        }
    }

    pub(super) fn is_picture(&self) -> bool {
        matches!(self, Self::Picture(_))
    }

    /// Whether its client cannot decode what it is made of.
    pub(super) fn decodes(&self) -> bool {
        matches!(self, Self::Coded(form) if form.decodes())
    }

    /// The same, as it was stored.
    pub(super) fn of(&self, entry: &Entry) -> Self {
        match self {
            Self::Coded(form) => Self::Coded(*form),
            Self::Picture(picture) => {
                Self::Picture(picture.told(entry.meta.head.headers.get(X_MEDIA).cloned()))
            }
        }
    }

    /// The head of the form of this number, made of a response with the head `original`.
    pub(super) fn head(&self, original: &Head, body: BodyId) -> Result<Head, Fault> {
        match self {
            Self::Coded(form) => form.head(original, body),
            Self::Picture(picture) => picture.head(original, body),
        }
    }

    /// Whether what is stored says that the original is the better answer. Then that is noted.
    pub(super) fn is_refused(&self, entry: &Entry, context: &mut Context) -> bool {
        // No picture is empty.
        if !self.is_picture() || entry.length > 0 {
            return false;
        }
        if let Some(media) = entry.meta.head.headers.get(X_MEDIA) {
            pictures::is_better_as_it_is(media.clone(), context);
        }
        true
    }

    /// Notes that its client is answered about what it is made of.
    pub(super) fn is_passed_over(&self, context: &mut Context) {
        if self.is_picture() {
            pictures::is_original(Why::Held, context);
        }
    }

    /// What makes it of a body of this length, while it is sent; `None` where too much is being made.
    pub(super) fn coder(&self, length: Option<u64>, context: &Context) -> Option<Coder> {
        match self {
            Self::Coded(form) => form.coder(length, context),
            Self::Picture(_) => None,
        }
    }

    /// Whether there is a better level for it than while a client waits.
    pub(super) fn can_be_better(&self, context: &Context) -> bool {
        matches!(self, Self::Coded(form) if form.can_be_better(context))
    }

    /// What makes it as small as can be of a body of this length; `None` where too much is being made.
    pub(super) fn best(&self, length: u64, context: &Context) -> Option<Task> {
        match self {
            Self::Coded(form) => form.best(length, context),
            Self::Picture(_) => None,
        }
    }

    /// Counts an answer from a stored one, which is shorter by so many bytes than what it was made of.
    pub(super) fn is_hit(&self, saved: u64, context: &Context) {
        match self {
            Self::Coded(form) => forms::count_hit(form.coding(), saved, context),
            Self::Picture(_) => context.resident.pictures.counters.saved.add_many(saved),
        }
    }

    /// What it is noted by beside what it was made of. Nothing where it depends on more than the coding that is chosen.
    pub(super) fn mark(&self, context: &Context) -> Option<u64> {
        match self {
            Self::Coded(form) => form.mark(context),
            Self::Picture(_) => None,
        }
    }

    /// Notes that it is the answer, from there: nothing is to be done to that any more.
    pub(super) fn is_sent(&self, source: &Source, context: &mut Context) {
        match (self, source.stored()) {
            (Self::Coded(form), _) => form.is_sent(context),
            (Self::Picture(picture), Some((meta, _))) => picture.is_sent(&meta.head, context),
            (Self::Picture(_), None) => {}
        }
    }
}
