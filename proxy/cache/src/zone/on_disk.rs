//! What memory and disk do together.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::RwLock;

use super::{Body, Entry, Found, Key, Meta, Purges, Standing, Zone};
use crate::disk::{Disk, DiskBody, Stored, Swept, Updated};
use crate::policy::selects;

/// A disk, and the record of purges that is kept on it.
#[derive(Debug)]
pub(super) struct OnDisk {
    disk: Disk,
    /// Records added since all were last written anew; held alone while they are, so that none is lost in between.
    records: RwLock<AtomicU64>,
}

impl OnDisk {
    pub(super) fn new(disk: Disk) -> Self {
        Self { disk, records: RwLock::new(AtomicU64::new(MOST_RECORDS)) }
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Records a purge that `purges` already knows; at first, and now and then, all of them anew.
    pub(super) async fn record(&self, record: Bytes, purges: &Purges) -> io::Result<()> {
        let records = self.records.read().await;
        if records.fetch_add(1, Ordering::Relaxed) < MOST_RECORDS {
            return self.disk.record_purge(record).await;
        }
        drop(records);
        self.record_all(purges).await
    }

    async fn record_all(&self, purges: &Purges) -> io::Result<()> {
        let records = self.records.write().await;
        self.disk.replace_purges(purges.records()).await?;
        records.store(0, Ordering::Relaxed);
        Ok(())
    }
}

impl Zone {
    /// The same as [`Zone::find`] from disk, where that said [`Found::Ask`]; what is small is in memory afterwards.
    pub async fn read(&self, key: &Key, request: &HeaderMap) -> Found {
        let found = self.read_one(key, request).await;
        match self.searches.ruled(key) {
            Some(ruled) => found.or_newer(self.read_one(&ruled, request).await),
            None => found,
        }
    }

    async fn read_one(&self, key: &Key, request: &HeaderMap) -> Found {
        let Some(disk) = self.disk().filter(|disk| disk.may_have(key)) else {
            return Found::Nothing;
        };
        let (purges, request) = (Arc::clone(&self.purges), request.clone());
        let stored = disk.load(key, move |meta| {
            purges.standing(meta) != Standing::Void
                && selects(&meta.vary, &meta.selected_by, &request)
        });
        let Some(Stored { meta, body }) = stored.await else { return Found::Nothing };
        let length = body.length();
        let Some(body) = self.promote(body).await else { return Found::Nothing };
        let entry = Entry::new(meta, body, length);
        let entry = if entry.body.is_in_memory() { self.store(entry) } else { Arc::new(entry) };
        // Once more: it may have been purged while it was read.
        let standing = self.purges.standing(&entry.meta);
        Found::with(entry, standing)
    }

    /// The body in memory if it is small; nothing if it cannot be read.
    async fn promote(&self, body: DiskBody) -> Option<Body> {
        if body.length() > self.limits().largest_in_memory.min(MOST_PROMOTED) {
            return Some(Body::Disk(body));
        }
        if let Some(whole) = body.whole() {
            return Some(Body::of(whole));
        }
        let mut pieces = Vec::new();
        let mut offset = 0;
        while offset < body.length() {
            let piece = body.read(offset, PIECE).await.ok().filter(|piece| !piece.is_empty())?;
            offset += piece.len() as u64;
            // A copy, for what comes may be part of a larger buffer.
            pieces.push(Bytes::copy_from_slice(&piece));
        }
        Some(Body::Memory(pieces.into()))
    }

    /// Forgets all that is on disk for `key`: it is outdated, and what is newer is in memory alone, or nowhere.
    pub fn remove_from_disk(&self, key: &Key) -> impl Future<Output = ()> + Send + use<'_> {
        let disk = self.disk().filter(|disk| disk.may_have(key));
        let held = disk.map(|disk| (disk, key.clone()));
        async move {
            if let Some((disk, key)) = held {
                // What could not be removed is found no more by this process; the tier has counted it.
                let (Ok(()) | Err(_)) = disk.remove(&key).await;
            }
        }
    }

    /// Writes the head of `new`, which [`Zone::refresh`] made of `old`, to disk too, where that has `old`.
    pub async fn refresh_on_disk(&self, old: &Entry, new: &Entry) {
        let Some(disk) = self.disk().filter(|disk| disk.may_have(&old.meta.key)) else { return };
        if old.meta.key != new.meta.key {
            return self.remove_from_disk(&old.meta.key).await;
        }
        // What cannot be renewed is gone: the tier sees to that.
        let (Updated::Stored | Updated::Absent) =
            disk.update_head(old.meta.times, new.meta.clone()).await;
    }

    /// Learns what other processes on the same disk purged, and that alone.
    pub async fn learn(&self) {
        let Some(disk) = self.disk() else { return };
        if let Some(records) = disk.new_purges().await {
            self.purges.learn(&records);
        }
    }

    /// Gives back the room of what was purged, on disk, learns what other processes on it purged, and keeps the records of purges
    /// short: to be called now and then, first when the zone begins.
    ///
    /// # Errors
    /// When the records could not be written.
    pub async fn tend(&self) -> io::Result<Swept> {
        let Some(on_disk) = &self.disk else { return Ok(Swept::default()) };
        self.learn().await;
        on_disk.record_all(&self.purges).await?;
        let (purges, searches) = (Arc::clone(&self.purges), Arc::clone(&self.searches));
        let recalls = searches.recalls();
        let is_void = move |meta: &Meta| {
            let is_void = purges.standing(meta) == Standing::Void;
            if recalls && !is_void {
                searches.recall(meta);
            }
            is_void
        };
        let swept = on_disk.disk.sweep(is_void).await;
        if recalls && !swept.is_partial {
            self.searches.have_recalled();
        }
        Ok(swept)
    }
}

/// All purges are written anew when so many have been added.
const MOST_RECORDS: u64 = 8192;

/// What is larger stays on disk: nobody waits for it to be read as a whole.
const MOST_PROMOTED: u64 = 1024 * 1024;

/// Bytes asked for at once.
const PIECE: usize = 256 * 1024;
