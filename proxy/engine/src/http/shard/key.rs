//! The key of a request.

use std::cell::RefCell;

use switchback_upstream::shard::KeyForm;
use switchback_value::{Facts, Piece, Template};

/// Room that a thread keeps for the next key; one of a longer key is given back.
const KEPT: usize = 8 * 1024;

/// What `then` makes of the key of a request; `None` where a variable of it has no value. Once a thread has made some keys, it
/// allocates nothing.
pub(super) fn with<T>(
    template: &Template,
    form: &KeyForm,
    facts: &dyn Facts,
    then: impl FnOnce(&[u8]) -> T,
) -> Option<T> {
    thread_local! {
        static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let mut key = ROOM.take();
    key.clear();
    let made = render(template, form, facts, &mut key).then(|| then(&key));
    if key.capacity() <= KEPT {
        ROOM.replace(key);
    }
    made
}

/// Whether every variable has a value.
fn render(template: &Template, form: &KeyForm, facts: &dyn Facts, key: &mut Vec<u8>) -> bool {
    for piece in template.pieces() {
        match piece {
            Piece::Literal(text) => key.extend_from_slice(text.as_bytes()),
            Piece::Variable(variable) => {
                match facts.fact(variable).filter(|value| !value.is_empty()) {
                    Some(value) => form.append(&value, key),
                    None => return false,
                }
            }
        }
    }
    true
}
