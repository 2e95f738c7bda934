//! What a plugin has to do with the client while it is asked: it may tell it something, and ask for its body.

use bytes::Bytes;
use parking_lot::Mutex;
use switchback_plugin::{OperationError, Refused};
use tokio::sync::oneshot;

use crate::http::cache::ahead::Interim;

/// What is wanted of the client. Looked at between two steps of a plugin.
#[derive(Default)]
pub(super) struct Talk {
    interims: Mutex<Vec<Interim>>,
    body: Mutex<Option<Wanted>>,
}

/// A body that a plugin waits for.
pub(super) struct Wanted {
    /// No more bytes than that.
    pub(super) limit: usize,
    /// Where it goes.
    pub(super) to: oneshot::Sender<Arrived>,
}

/// A whole body, or why there is none.
pub(super) type Arrived = Result<Bytes, OperationError>;

/// How many interim responses may wait.
const MOST: usize = 32;

impl Talk {
    pub(super) fn tell(&self, interim: Interim) -> Result<(), Refused> {
        let mut interims = self.interims.lock();
        if interims.len() >= MOST {
            return Err(Refused::Full);
        }
        interims.push(interim);
        Ok(())
    }

    pub(super) fn want_body(&self, limit: usize) -> Result<oneshot::Receiver<Arrived>, Refused> {
        let mut body = self.body.lock();
        if body.as_ref().is_some_and(|wanted| !wanted.to.is_closed()) {
            return Err(Refused::Full);
        }
        let (to, arriving) = oneshot::channel();
        *body = Some(Wanted { limit, to });
        Ok(arriving)
    }

    pub(super) fn take_interims(&self) -> Vec<Interim> {
        std::mem::take(&mut *self.interims.lock())
    }

    pub(super) fn take_body(&self) -> Option<Wanted> {
        self.body.lock().take()
    }

    pub(super) fn is_silent(&self) -> bool {
        self.interims.lock().is_empty() && self.body.lock().is_none()
    }
}
