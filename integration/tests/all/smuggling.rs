//! Whatever bytes clients send, an origin parses the requests that the proxy logged, and no others.

use switchback_integration::{ByteStream, Random, cut_everywhere, fuzz, smuggling};

#[test]
fn an_origin_parses_what_the_proxy_logged() {
    let found = smuggling(6_000, 1, 32);
    assert!(found.differences.is_empty(), "{:#?}", found.differences);
    assert_eq!((found.streams, found.stuck), (6_000, 0));
    assert!(found.requests >= 6_000, "{} requests are too few", found.requests);
}

#[test]
fn a_head_that_is_let_through_is_sound_for_a_parser_of_another_hand() {
    let mut random = Random::new(4);
    for number in 0..20_000 {
        let stream = ByteStream::hostile(&mut random, number);
        for tolerant in [b'0', b'1'] {
            fuzz("request_head", &[&[tolerant], &stream.bytes[..]].concat());
        }
        let body = stream.bytes.windows(4).position(|window| window == b"\r\n\r\n");
        fuzz("chunked_body", body.map_or(&[], |body| &stream.bytes[body + 4..]));
    }
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
