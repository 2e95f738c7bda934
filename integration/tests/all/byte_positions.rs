//! A client may stop at any byte: nothing of it stays.

use switchback_integration::positions;

#[test]
fn a_client_that_stops_at_any_byte_leaves_nothing() {
    let found = positions(if cfg!(debug_assertions) { 7 } else { 1 }, 2);
    assert!(found.leaks.is_empty(), "{:#?}", found.leaks);
    assert_eq!(found.unended, 0, "{found:?}");
    assert!(found.connections > 600, "{found:?}");
    assert!(found.lengths.iter().all(|(_, length)| *length > 50), "{found:?}");
}
