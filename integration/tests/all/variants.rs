//! What `make show-variants` plays in full, in small.

use switchback_integration::{OtherHand, matrix};

#[test]
fn curl_reads_every_form_and_finds_it_named_right() {
    let found = matrix(OtherHand::Curl, true).expect("installed by integration/setup.sh");
    assert!(found.answers > 1000 && found.unread == 0, "{} answers", found.answers);
    assert!(found.faults.is_empty(), "{:#?}", found.faults);
}
