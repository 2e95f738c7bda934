//! However a request is cut into segments, its answer is the same, and small answers do not wait.

use std::time::Duration;

use switchback_integration::{fragments, latency};

#[test]
fn a_request_in_pieces_is_answered_like_a_whole_one() {
    let found = fragments(7);
    assert!(found.differences.is_empty(), "{:#?}", found.differences);
    assert!(found.cuts > 40, "{} cuts", found.cuts);
}

#[test]
fn a_small_answer_leaves_when_it_is_ready() {
    let measured = latency(100);
    // A wait for a full segment and its delayed acknowledgement would be 40 ms.
    assert!(measured.median < Duration::from_millis(10), "{measured:?}");
}
