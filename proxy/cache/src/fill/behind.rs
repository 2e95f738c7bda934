//! What is no longer in memory of a body that arrives, for those who are behind.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::disk::{Growing, ReadError};

/// The file of a body that arrives, and what was last read of it: many who are behind are so at about the same place.
#[derive(Debug)]
pub(super) struct Behind {
    file: Growing,
    turns: Semaphore,
    /// With where each begins; the newest last.
    remembered: Mutex<VecDeque<(u64, Bytes)>>,
}

/// What is read at once.
const PIECE: u64 = 256 * 1024;
/// Pieces that are remembered.
const MOST: usize = 2;
/// Readings at a time: a crowd waits here, and not in the line of the disk, where others would not find room.
const TURNS: usize = 4;

impl Behind {
    pub(super) fn new(file: Growing) -> Self {
        Self { file, turns: Semaphore::new(TURNS), remembered: Mutex::default() }
    }

    /// How many bytes of the body it has.
    pub(super) fn written(&self) -> u64 {
        self.file.written()
    }

    /// Some bytes from `position` on, which is before [`Behind::written`].
    pub(super) async fn read(&self, position: u64) -> Result<Bytes, ReadError> {
        if let Some(bytes) = self.remembered(position) {
            return Ok(bytes);
        }
        let _turn = self.turns.acquire().await.map_err(|_| ReadError::Failed)?;
        if let Some(bytes) = self.remembered(position) {
            return Ok(bytes);
        }
        let begins = position / PIECE * PIECE;
        let bytes = self.file.read(begins, PIECE as usize).await?;
        let part = part(begins, &bytes, position).ok_or(ReadError::Failed);
        self.remember(begins, bytes);
        part
    }

    fn remembered(&self, position: u64) -> Option<Bytes> {
        let remembered = self.remembered.lock();
        remembered.iter().rev().find_map(|(begins, bytes)| part(*begins, bytes, position))
    }

    fn remember(&self, begins: u64, bytes: Bytes) {
        let mut remembered = self.remembered.lock();
        if remembered.len() == MOST {
            remembered.pop_front();
        }
        remembered.push_back((begins, bytes));
    }
}

fn part(begins: u64, bytes: &Bytes, position: u64) -> Option<Bytes> {
    let skip = usize::try_from(position.checked_sub(begins)?).ok()?;
    (skip < bytes.len()).then(|| bytes.slice(skip..))
}
