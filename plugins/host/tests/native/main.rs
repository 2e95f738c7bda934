//! Native modules that are written in C, as others write them: from the header alone.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod compiler;
mod gate;
mod loading;
mod rogue;
