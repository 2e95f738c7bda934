//! A form that is made while it is sent, and stored when it is whole.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use switchback_cache::disk::Stored;
use switchback_cache::fill::{Arrived, Filling, Holding, Joined, Outcome, Wish as Fill};
use switchback_cache::{Body, Entry, Meta, Standing};

use super::super::written::Written;
use super::super::{Failure, Source, serve};
use super::{Effort, Wish};
use crate::http::context::Context;
use crate::http::encode::{Coded, forms};
use crate::http::fault::Fault;
use crate::snapshot::caches::CacheSettings;
use crate::snapshot::resident::Resident;

/// A form as it is made.
struct Making {
    resident: Arc<Resident>,
    settings: Arc<CacheSettings>,
    filling: Filling<Failure>,
    meta: Arc<Meta>,
    /// Where it is written while it is made, if there is a disk.
    disk: Option<Written>,
    /// Whether it is to be stored.
    is_kept: bool,
    made: u64,
}

/// Nobody wants the rest.
struct Unwanted;

/// For how long a form is not made again for all that could not be stored.
const PASS: Duration = Duration::from_secs(10);
/// For how long others wait for one who is to begin; in truth he begins at once.
const AGE: Duration = Duration::from_secs(5);

/// Begins to make the form of `source`, or joins who does; gives `source` back where neither can be.
pub(super) fn make(
    wish: &Wish,
    source: Source,
    settings: &Arc<CacheSettings>,
    context: &Context,
) -> Result<Result<Source, Source>, Fault> {
    let Some((original, length)) = source.stored() else { return Ok(Err(source)) };
    let none = HeaderMap::new();
    let fill = Fill { zone: settings.zone.number, key: &wish.key, request: &none, age: AGE };
    let (mut filling, reader) = match context.resident.fills.join(fill) {
        Joined::Leader(filling, reader) => (filling, reader),
        Joined::Follower(reader) => {
            return Ok(match reader.known() {
                Some(Outcome::Arrived(arrived)) => Ok(Source::Arriving(reader, arrived)),
                _ => Err(source),
            });
        }
    };
    let Some(coder) = wish.form.coder(length, context) else { return Ok(Err(source)) };
    let body = Effort::Fast.fresh();
    let head = wish.form.head(&original.head, body)?;
    let meta = Arc::new(Meta { body, ..wish.meta(original, head.clone()) });
    let mut disk = Written::begin(&settings.zone.stored, &meta, None);
    let holding = Holding {
        most: settings.held,
        budget: Some(Arc::clone(&settings.zone.arriving)),
        file: disk.as_mut().map(Written::reader),
    };
    let arrived = Arrived { head, stored: Some(Arc::clone(&meta)), length: None };
    let arrived = filling.arrive(arrived, holding);
    let making = Making {
        resident: Arc::clone(&context.resident),
        settings: Arc::clone(settings),
        filling,
        meta,
        disk,
        is_kept: true,
        made: 0,
    };
    let body = serve::body(source);
    tokio::spawn(async move {
        // If it cannot begin, those who read it are cut.
        let Some(coder) = coder.begun().await else { return };
        making.run(forms::made_of(body, coder)).await;
    });
    Ok(Ok(Source::Arriving(reader, arrived)))
}

impl Making {
    /// Makes all of it. What ends before cuts those who read it.
    async fn run(mut self, mut coded: Coded) {
        loop {
            match coded.next().await {
                Ok(Some(piece)) => {
                    let Ok(()) = self.take(piece).await else { return };
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(key = ?self.meta.key, "a stored response cannot be encoded or decoded: {error}");
                    return;
                }
            }
        }
        if let Some(trailers) = coded.trailers() {
            self.filling.set_trailers(trailers);
        }
        drop(coded);
        self.store().await;
    }

    async fn take(&mut self, piece: Bytes) -> Result<(), Unwanted> {
        self.made += piece.len() as u64;
        let is_storable = self.made <= self.settings.max_object && self.filling.is_held();
        if self.is_kept && !is_storable {
            self.is_kept = false;
            self.mark_pass();
            self.lose_disk();
        }
        if !self.is_kept && !self.filling.is_read() {
            return Err(Unwanted);
        }
        self.filling.write(piece.clone()).await.map_err(|_| Unwanted)?;
        if let Some(disk) = &mut self.disk
            && disk.write(piece).await.is_err()
        {
            self.lose_disk();
        }
        Ok(())
    }

    /// It is whole: it is stored before anybody is told so, if what it was made of still holds.
    async fn store(mut self) {
        let Self { settings, meta, made, .. } = &self;
        let zone = Arc::clone(&settings.zone);
        if !self.is_kept || zone.stored.standing(meta) == Standing::Void {
            return self.filling.finish();
        }
        let (meta, length) = (Meta::clone(meta), *made);
        let disk = self.disk.take();
        let on_disk = async || disk?.finish().await;
        let stored = &self.resident.metrics.encoding.stored;
        if let Some(body) = self.filling.body() {
            zone.stored.store(Entry::new(meta, Body::Memory(body), length));
            stored.add();
            self.filling.finish();
            drop(on_disk().await);
            return;
        }
        match on_disk().await {
            Some(Stored { meta, body }) => {
                drop(zone.stored.store(Entry::new(meta, Body::Disk(body), length)));
                stored.add();
            }
            None => self.mark_pass(),
        }
        self.filling.finish();
    }

    /// It is not made for all again, for a while: each has it made by himself.
    fn mark_pass(&self) {
        self.settings.zone.stored.mark_pass(&self.meta.key, SystemTime::now() + PASS);
    }

    /// The disk is to take no more of it.
    fn lose_disk(&mut self) {
        self.disk = None;
        self.filling.lose_file();
    }
}
