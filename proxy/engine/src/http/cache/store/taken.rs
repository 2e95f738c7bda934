//! What an answer is taken for, and what is made of one that is a part.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use pingora_http::ResponseHeader;
use switchback_cache::policy::{self, Asked, Storable, Unstorable};
use switchback_cache::{Head, Times};

use super::{Receiving, Unwanted};
use crate::http::cache::parts::{Next, Taken};

impl Receiving {
    /// The head to go on with; none if nothing can be made of the answer.
    pub(super) fn taken(&mut self, head: Head, times: Times) -> Option<Head> {
        let fetch = Arc::clone(&self.fetch);
        let Some(partly) = &fetch.partly else { return Some(head) };
        match partly.take(head, times, &fetch.settings) {
            Taken::Whole(head) => Some(head),
            Taken::Part(head, range) => {
                self.promised.get_or_insert(range.length());
                self.part = Some(range);
                Some(head)
            }
            Taken::Rest(head, joining) => {
                self.promised = Some(joining.complete());
                self.joining = Some(joining);
                Some(head)
            }
            Taken::Unfit => None,
        }
    }

    /// What it may be stored with, if it may.
    pub(super) fn storable(
        &self,
        head: &Head,
        times: Times,
    ) -> Result<Storable, Option<Unstorable>> {
        let fetch = &self.fetch;
        let is_too_large = self.promised.is_some_and(|length| length > fetch.settings.max_object);
        if is_too_large || fetch.no_store.load(Ordering::Relaxed) {
            return Err(None);
        }
        let asked = Asked { method: &Method::GET, headers: &fetch.client };
        let rules = &fetch.settings.rules;
        if let Some(range) = self.part {
            range.complete.ok_or(Some(Unstorable::Part))?;
            let storable = policy::storable_part(asked, head, times, rules);
            return storable.map(|(storable, _)| storable).map_err(Some);
        }
        match &fetch.slice {
            Some(slice) if head.status == StatusCode::PARTIAL_CONTENT => {
                slice.whole_of(head).ok_or(Some(Unstorable::Part))?;
                let storable = policy::storable_part(asked, head, times, rules);
                storable.map(|(storable, _)| storable).map_err(Some)
            }
            // The whole goes where the first slice would be.
            Some(slice) if !slice.is_first() => Err(None),
            _ => policy::storable(asked, head, times, rules).map_err(Some),
        }
    }

    /// More of the body; [`Receiving::end`] follows on the last of it.
    pub(in super::super) async fn body(
        &mut self,
        bytes: Bytes,
        is_last: bool,
    ) -> Result<(), Unwanted> {
        let Some(mut joining) = self.joining.take() else { return self.take(bytes, is_last).await };
        while let Some(piece) = joining.before() {
            self.take(piece, false).await?;
        }
        let mut next = joining.arrives(bytes);
        loop {
            match next {
                Next::Piece(bytes, is_last) => self.take(bytes, is_last).await?,
                Next::Nothing => break,
                Next::TooMuch => return Err(Unwanted),
            }
            next = joining.after();
        }
        self.joining = Some(joining);
        Ok(())
    }
}

/// The length of a body, as its head has it.
pub(super) fn length(head: &ResponseHeader) -> Option<u64> {
    if matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return None;
    }
    head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
