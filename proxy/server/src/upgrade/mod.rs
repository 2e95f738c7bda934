//! Giving way to a newer binary without losing a connection.
//!
//! The predecessor starts the successor with a private socket as its standard input, over which it sends descriptors of
//! everything it listens on. The successor gets ready with them, accepting nothing; says so; is told to go; accepts; says so;
//! and only then the predecessor lets go and drains. Whatever goes wrong before, the predecessor has given nothing away.

mod activation;
mod link;
mod predecessor;
mod successor;

pub(crate) use predecessor::{Estate, Heir, hand_over};
pub(crate) use successor::{Heritage, Predecessor};

/// Set for a successor: its standard input is the link to its predecessor.
const UPGRADE: &str = "SWITCHBACK_UPGRADE";
/// What both ends must understand alike.
const VERSION: u32 = 1;
