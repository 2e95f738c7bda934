//! Whatever bytes clients send, an origin parses the requests that the proxy logged, and no others.

use switchback_integration::{ByteStream, Random, cut_everywhere, smuggling};

#[test]
fn an_origin_parses_what_the_proxy_logged() {
    let found = smuggling(6_000, 1, 32);
    assert!(found.differences.is_empty(), "{:#?}", found.differences);
    assert_eq!((found.streams, found.stuck), (6_000, 0));
    assert!(found.requests >= 6_000, "{} requests are too few", found.requests);
}

#[test]
fn an_origin_parses_the_same_wherever_the_bytes_are_cut() {
    let mut random = Random::new(3);
    for number in 0..3 {
        let sound = ByteStream::sound(&mut random, number);
        assert_eq!(cut_everywhere(&sound), [""; 0], "{}", sound.bytes.escape_ascii());
        let hostile = ByteStream::hostile(&mut random, number);
        assert_eq!(cut_everywhere(&hostile), [""; 0], "{}", hostile.bytes.escape_ascii());
    }
}
