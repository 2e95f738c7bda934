//! A body that is decoded, or coded anew, as the client takes it.

use std::io;

use bytes::Bytes;
use h2::Reason;
use pingora_error::ErrorType::WriteError;
use pingora_error::{Error, Result};

use super::Session;
use crate::http::encode::{Drawn, Step};

impl Session {
    /// Sends what comes of `data`, a portion at a time. Unlike a body that passes as it came, it is waited for here: what it comes
    /// to may be anything, and is made no sooner than there is room for it.
    pub(super) async fn draw(&mut self, data: Bytes, end: bool) -> Result<()> {
        let mut rest = &*data;
        let mut has_more = !rest.is_empty();
        while has_more {
            let step = self.portion(|drawn, out| drawn.draw(&mut rest, out)).await?;
            has_more = step == Some(Step::More);
            if has_more {
                // Others have their turn between two portions.
                tokio::task::yield_now().await;
            }
        }
        if !end {
            return self.portion(Drawn::flush).await.map(drop);
        }
        self.end_drawn().await?;
        self.send(Bytes::new(), true).await
    }

    /// Sends what the end of the body brings.
    pub(super) async fn end_drawn(&mut self) -> Result<()> {
        self.portion(Drawn::finish).await?;
        self.drawn = None;
        Ok(())
    }

    /// Sends what `make` makes. Where that fails, the client sees that its answer is not whole.
    async fn portion<T>(
        &mut self,
        make: impl FnOnce(&mut Drawn, &mut Vec<u8>) -> io::Result<T>,
    ) -> Result<Option<T>> {
        let Some(drawn) = &mut self.drawn else { return Ok(None) };
        let mut out = Vec::new();
        match make(drawn, &mut out) {
            Ok(made) => {
                self.send(out.into(), false).await?;
                Ok(Some(made))
            }
            Err(broken) => {
                self.drawn = None;
                self.reset(Reason::INTERNAL_ERROR);
                Err(Error::because(WriteError, "recoding the response body", broken).into_down())
            }
        }
    }
}
