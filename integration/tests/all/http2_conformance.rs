//! The public HTTP/2 conformance list, restated.

use switchback_integration::h2_conformance;

#[test]
fn http2_is_spoken_as_the_public_list_wants_it() {
    let found = h2_conformance();
    assert!(found.cases > 120, "{} cases are too few", found.cases);
    assert!(found.failures.is_empty(), "{:#?} of {} cases", found.failures, found.cases);
}
