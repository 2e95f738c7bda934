//! What is received, as it is written to disk.

use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use switchback_cache::disk::{GivenUp, Growing, Stored, Writer};
use switchback_cache::{Meta, Zone};
use tokio::time::timeout;

/// An entry that is written as it is received. Nobody locks it: Pingora's sessions have to be `Sync`.
pub(super) struct Written {
    writer: Mutex<Writer>,
    /// The last bytes.
    last: Bytes,
}

/// How long the disk may take for a piece, or to put an entry in its place; then it does without.
const PATIENCE: Duration = Duration::from_secs(5);

impl Written {
    /// `None` where there is no disk, or it does not take it. `promised` is its length, where that is known.
    pub(super) fn begin(zone: &Zone, meta: &Meta, promised: Option<u64>) -> Option<Self> {
        let writer = zone.disk()?.writer(meta.clone(), promised)?;
        Some(Self { writer: Mutex::new(writer), last: Bytes::new() })
    }

    /// What is written, for those who read it meanwhile.
    pub(super) fn reader(&mut self) -> Growing {
        self.writer.get_mut().reader()
    }

    /// Waits until the disk has taken what was before.
    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<(), GivenUp> {
        timeout(PATIENCE, self.writer.get_mut().write(bytes)).await.unwrap_or(Err(GivenUp))
    }

    /// Holds the last bytes back until nobody waits for the disk any more.
    pub(super) fn hold(&mut self, last: Bytes) {
        self.last = last;
    }

    /// Has the disk take the last bytes, and put the entry in its place.
    pub(super) async fn finish(self) -> Option<Stored> {
        let mut writer = self.writer.into_inner();
        let stored = timeout(PATIENCE, async {
            writer.write(self.last).await?;
            writer.finish().await
        });
        stored.await.ok()?.ok()
    }
}
