//! A body that is decoded, or coded anew, as its client takes it.
//!
//! Pingora's filter gives one piece out for each that came in, and what a piece decodes to may be anything. So such a body passes
//! as it came, and whoever writes it to the client draws it through its coder, a portion at a time, when the client has taken what
//! was drawn before. The coder goes there with the head of the answer.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use pingora_http::ResponseHeader;

use super::coder::{Coder, Failed, Step};

/// What a body is drawn through.
#[derive(Debug)]
pub(crate) struct Drawn(Coder);

/// On its way to who writes the body, in the extensions of the head: those have to be cloneable, and one taker has it.
#[derive(Clone)]
struct Handed(Arc<Mutex<Option<Box<Drawn>>>>);

impl Drawn {
    /// Has the body behind this head drawn through `coder`.
    pub(super) fn hand(coder: Coder, head: &mut ResponseHeader) {
        let drawn = Box::new(Self(coder));
        head.extensions_mut().insert(Handed(Arc::new(Mutex::new(Some(drawn)))));
    }

    /// Whether the body behind this head is to be drawn.
    pub(crate) fn is_wanted(head: &ResponseHeader) -> bool {
        head.extensions.get::<Handed>().is_some()
    }

    /// What the body behind this head is to be drawn through, for the first who asks.
    pub(crate) fn taken(head: &ResponseHeader) -> Option<Box<Self>> {
        head.extensions.get::<Handed>()?.0.lock().take()
    }

    /// Takes some from the front of `piece`, and appends a portion of what it comes to.
    ///
    /// # Errors
    /// The body is broken: the client must see that.
    pub(crate) fn draw(&mut self, piece: &mut &[u8], out: &mut Vec<u8>) -> io::Result<Step> {
        let step = self.0.step(piece, out);
        self.checked(step)
    }

    /// Brings out what is inside when nothing more is at hand.
    ///
    /// # Errors
    /// As for [`Drawn::draw`].
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !self.0.is_dirty() {
            return Ok(());
        }
        let flushed = self.0.flush(out);
        self.checked(flushed)
    }

    /// Ends the body. One that never began is as empty as it was.
    ///
    /// # Errors
    /// As for [`Drawn::draw`]; also where it has not come to its end.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if self.0.is_untouched() {
            return Ok(());
        }
        let finished = self.0.finish(out);
        self.checked(finished)
    }

    fn checked<T>(&self, made: Result<T, Failed>) -> io::Result<T> {
        made.map_err(|failed| {
            self.0.count_failure();
            failed.into()
        })
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use switchback_variant::{Coding, Flush};

    use super::super::coder::Recipe;
    use super::*;

    /// What decodes a body of this coding.
    pub(crate) fn drawn(coding: Coding) -> Box<Drawn> {
        let (decode, flush) = (Some(coding), Flush::WhenQuiet);
        let recipe = Recipe { decode, encode: None, flush, dictionary: None };
        Box::new(Drawn(Coder::new(recipe, 1, None, &Arc::default()).unwrap()))
    }
}
