//! What files are answered with, asked of real directories.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test writes itself is right")]

mod conditions;
mod escape;
mod folder;
mod kinds;
mod listing;
mod search;
mod siblings;
