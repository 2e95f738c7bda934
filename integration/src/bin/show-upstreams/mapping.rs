//! Which shard has a key.

use switchback_integration::Show;

/// Balance, movement and cost of each mapping.
pub(crate) fn all(show: &mut Show, _quick: bool) {
    show.say("mapping: not yet");
}
