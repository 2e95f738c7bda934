//! What is made beside the way: of all of a body, and stored as a whole.

use std::sync::Arc;

use bytes::Bytes;
use switchback_cache::{Body, BodyId, Entry, Meta, Standing};

use super::super::written::Written;
use super::super::{Source, serve};
use super::Wish;
use crate::http::encode::forms;
use crate::http::pieces::Pieces;
use crate::snapshot::caches::CacheSettings;

/// The body of what is stored, piece by piece.
pub(super) fn pieces(original: &Arc<Entry>) -> Pieces {
    forms::pieces(serve::body(Source::Stored(Arc::clone(original))))
}

/// Whether a form was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It was.
    Stored,
    /// What it was made of holds no more.
    Void,
}

impl Wish {
    /// Stores the form of this number, in the place of another if there is one, if what it was made of still holds.
    pub(super) async fn keep(
        &self,
        bytes: Bytes,
        body: BodyId,
        original: &Meta,
        settings: &CacheSettings,
    ) -> Kept {
        let zone = &settings.zone.stored;
        let Ok(head) = self.form.head(&original.head, body) else { return Kept::Void };
        let meta = Meta { body, ..self.meta(original, head) };
        if zone.standing(&meta) == Standing::Void {
            return Kept::Void;
        }
        let length = bytes.len() as u64;
        zone.store(Entry::new(meta.clone(), Body::of(&bytes), length));
        let Some(mut disk) = Written::begin(zone, &meta, Some(length)) else { return Kept::Stored };
        if disk.write(bytes).await.is_ok() {
            drop(disk.finish().await);
        }
        Kept::Stored
    }
}
