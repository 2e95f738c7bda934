//! What holds of every normal path.

use proptest::prelude::*;
use switchback_route::{EncodedSlash, NormalPath};

/// Raw paths made of what matters here, so that chance finds the odd neighbours.
pub(crate) fn raw_path() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 26] = [
        b"/", b"/", b"/", b".", b"..", b"%2e", b"%2E", b"%2f", b"%2F", b"%25", b"%", b"2", b"e",
        b"a", b"%61", b"%c3", b"%A9", b"\xc3", b"\xa9", b"\xff", b"%f0%9f", b"%a6%80", b";", b"\\",
        b"%00", b" ",
    ];
    let slashed = prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..16)
        .prop_map(|parts| [b"/".as_slice(), &parts.concat()].concat());
    prop_oneof![9 => slashed, 1 => any::<Vec<u8>>()]
}

pub(crate) fn policy() -> impl Strategy<Value = EncodedSlash> {
    prop::sample::select(vec![EncodedSlash::Keep, EncodedSlash::Decode, EncodedSlash::Refuse])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn normalising_twice_is_normalising_once(raw in raw_path(), slash in policy()) {
        if let Ok(path) = NormalPath::from_bytes(&raw, slash) {
            prop_assert_eq!(NormalPath::parse(path.as_str(), slash), Ok(path.clone()));
        }
    }

    #[test]
    fn nothing_is_left_to_resolve(raw in raw_path(), slash in policy()) {
        if let Ok(path) = NormalPath::from_bytes(&raw, slash) {
            let text = path.as_str();
            prop_assert!(text.starts_with('/'));
            prop_assert!(!text.contains("//"));
            prop_assert!(text.split('/').all(|segment| segment != "." && segment != ".."));
            prop_assert!(text.bytes().all(|byte| !byte.is_ascii_control()));
            prop_assert!(slash == EncodedSlash::Keep || !text.contains("%2F"));
        }
    }

    #[test]
    fn every_percent_sign_left_encodes_what_may_stay_encoded(raw in raw_path(), slash in policy()) {
        if let Ok(path) = NormalPath::from_bytes(&raw, slash) {
            for after in path.as_str().split('%').skip(1) {
                let byte = u8::from_str_radix(&after[..2], 16).unwrap();
                prop_assert!(byte == b'%' || byte == b'/' || byte >= 0x80);
                prop_assert_eq!(&after[..2], format!("{byte:02X}"));
            }
        }
    }

    #[test]
    fn what_was_encoded_again_is_the_same_path(raw in raw_path(), slash in policy()) {
        if let Ok(path) = NormalPath::from_bytes(&raw, slash) {
            let encoded = path.to_encoded();
            prop_assert!(encoded.is_ascii() && !encoded.contains(' '));
            prop_assert_eq!(NormalPath::parse(&encoded, slash), Ok(path.clone()));
        }
    }
}
