//! What is coded is decoded again: by our decoders whatever the pieces, and by programs of other hands.
#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod bodies;
#[cfg(test)]
mod programs;

use bytes::Bytes;
use proptest::prelude::*;
use switchback_variant::{
    Broken, Coding, Decoder, Dictionary, Encoder, Levels, Limits, decode_whole, encode_whole,
};

use crate::bodies::{MADE, bodies, decoder, dictionary, drain, encoder, noise, script};

#[test]
fn every_body_comes_back_whole_from_each_coding_and_level() {
    let dictionary = dictionary();
    for (coding, levels) in
        MADE.into_iter().flat_map(|one| [(one, Levels::FAST), (one, Levels::BEST)])
    {
        for body in bodies() {
            let coded = encode_whole(coding, levels.of(coding), &body, Some(&dictionary)).unwrap();
            let whole = decode_whole(coding, &coded, Limits::default(), Some(&dictionary));
            assert!(whole.as_ref() == Ok(&body), "{coding:?} of {} bytes", body.len());
        }
    }
}

#[test]
fn a_length_that_turns_out_wrong_costs_bytes_and_nothing_else() {
    let body = script(1000, 1);
    for coding in [Coding::Gzip, Coding::Br, Coding::Zstd] {
        for level in [1, 3, 5, 9] {
            for length in [None, Some(0), Some(10), Some(5000), Some(u64::MAX)] {
                let mut out = Vec::new();
                let mut encoder = Encoder::new(coding, level, length).unwrap();
                encoder.push(&body, &mut out).unwrap();
                encoder.finish(&mut out).unwrap();
                let whole = decode_whole(coding, &out, Limits::default(), None);
                assert!(whole.as_ref() == Ok(&body), "{coding:?} {level} {length:?}");
                assert!(out.len() < body.len() / 2);
            }
        }
    }
}

#[test]
fn encoders_and_decoders_go_from_thread_to_thread() {
    fn goes<T: Send>() {}
    goes::<Encoder>();
    goes::<Decoder>();
}

#[test]
fn a_body_is_decoded_whatever_the_pieces_and_the_room() {
    let dictionary = dictionary();
    let body = script(300, 3);
    for coding in MADE {
        let coded =
            encode_whole(coding, Levels::FAST.of(coding), &body, Some(&dictionary)).unwrap();
        for (piece, room) in [(1, 1000), (7, 7), (coded.len(), 1), (coded.len(), 1 << 20)] {
            let mut decoder = decoder(coding, Limits::default(), &dictionary);
            let mut out = Vec::new();
            for piece in coded.chunks(piece) {
                out.extend(drain(&mut decoder, piece, room).unwrap());
            }
            assert_eq!(decoder.finish(), Ok(()), "{coding:?}");
            assert!(out == body, "{coding:?}, {piece} bytes at a time, {room} bytes of room");
        }
    }
}

#[test]
fn what_is_short_of_its_end_is_not_whole() {
    let dictionary = dictionary();
    let body = script(20, 3);
    for coding in MADE.into_iter().filter(|&coding| coding != Coding::Identity) {
        let coded =
            encode_whole(coding, Levels::FAST.of(coding), &body, Some(&dictionary)).unwrap();
        for length in 0..coded.len() {
            let whole =
                decode_whole(coding, &coded[..length], Limits::default(), Some(&dictionary));
            assert!(whole.is_err(), "{coding:?} cut to {length} of {}", coded.len());
        }
    }
}

#[test]
fn a_body_with_a_flipped_bit_ends_one_way_or_another() {
    let dictionary = dictionary();
    let body = script(20, 3);
    let limits = Limits { output: 1 << 20, ..Limits::default() };
    for coding in MADE {
        let coded =
            encode_whole(coding, Levels::FAST.of(coding), &body, Some(&dictionary)).unwrap();
        for at in 0..coded.len() * 8 {
            let mut flipped = coded.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            if let Ok(whole) = decode_whole(coding, &flipped, limits, Some(&dictionary)) {
                assert!(whole.len() <= 1 << 20);
            }
        }
    }
}

#[test]
fn a_body_of_several_members_is_one_body() {
    let [one, two] = [script(10, 1), script(10, 2)];
    for coding in [Coding::Gzip, Coding::Zstd] {
        let code = |body: &[u8]| encode_whole(coding, 1, body, None).unwrap();
        let coded = [code(&one), code(&[]), code(&two)].concat();
        for room in [1, 100, 1 << 16] {
            let mut decoder = Decoder::new(coding, Limits::default()).unwrap();
            assert_eq!(drain(&mut decoder, &coded, room).unwrap(), [&one[..], &two].concat());
            assert_eq!(decoder.finish(), Ok(()));
        }
    }
}

#[test]
fn what_follows_a_body_is_ignored() {
    for coding in [Coding::Gzip, Coding::Br] {
        let mut coded = encode_whole(coding, 1, b"body", None).unwrap();
        coded.extend_from_slice(b"\0\0 and more");
        assert_eq!(decode_whole(coding, &coded, Limits::default(), None).unwrap(), b"body");
    }
}

#[test]
fn both_kinds_of_deflate_are_understood() {
    let body = script(100, 1);
    for has_wrapping in [false, true] {
        let mut compress = flate2::Compress::new(flate2::Compression::fast(), has_wrapping);
        let mut coded = Vec::with_capacity(1 << 16);
        compress.compress_vec(&body, &mut coded, flate2::FlushCompress::Finish).unwrap();
        let whole = decode_whole(Coding::Deflate, &coded, Limits::default(), None);
        assert!(whole.as_ref() == Ok(&body));
    }
}

#[test]
fn another_dictionary_is_noticed_before_anything_is_decoded() {
    let other = Dictionary::new(Bytes::from_static(b"something else")).unwrap();
    for coding in [Coding::Dcb, Coding::Dcz] {
        let coded = encode_whole(coding, 3, b"body", Some(&dictionary())).unwrap();
        let whole = decode_whole(coding, &coded, Limits::default(), Some(&other));
        assert_eq!(whole, Err(Broken::Dictionary));
        assert_eq!(decode_whole(coding, &coded, Limits::default(), None), Err(Broken::Dictionary));
    }
}

#[test]
fn a_new_version_costs_little_for_who_has_the_old_one() {
    let [old, new] = [script(4000, 1), script(4000, 2)];
    let dictionary = Dictionary::new(Bytes::from(old)).unwrap();
    for (coding, without) in [(Coding::Dcb, Coding::Br), (Coding::Dcz, Coding::Zstd)] {
        for levels in [Levels::FAST, Levels::BEST] {
            let code = |coding| {
                encode_whole(coding, levels.of(coding), &new, Some(&dictionary)).unwrap().len()
            };
            let (with, without) = (code(coding), code(without));
            assert!(with * 20 < new.len() && with * 3 < without, "{coding:?}: {with} of {without}");
        }
    }
}

#[test]
fn fast_levels_use_all_of_a_large_dictionary() {
    let old = noise(2 << 20);
    let new = [&old[..1000], b"changed", &old[1000..]].concat();
    let dictionary = Dictionary::new(Bytes::from(old)).unwrap();
    for (coding, level) in [(Coding::Dcz, 1), (Coding::Dcz, 3), (Coding::Dcb, 4)] {
        let coded = encode_whole(coding, level, &new, Some(&dictionary)).unwrap();
        assert!(coded.len() * 100 < new.len(), "{coding:?} {level}: {} bytes", coded.len());
    }
}

#[test]
fn a_dictionary_serves_a_body_that_is_larger_than_a_window() {
    // 8 MiB is the window of dcz, so that the dictionary is out of reach for what comes last.
    let dictionary = Dictionary::new(Bytes::from(noise(3 << 20))).unwrap();
    let body = [noise(3 << 20), noise(6 << 20), noise(3 << 20)].concat();
    for coding in [Coding::Dcb, Coding::Dcz] {
        let coded = encode_whole(coding, 2, &body, Some(&dictionary)).unwrap();
        let whole = decode_whole(coding, &coded, Limits::default(), Some(&dictionary));
        assert!(whole.as_ref() == Ok(&body), "{coding:?}");
    }
}

#[test]
fn what_is_coded_while_somebody_waits_is_decoded_with_little_memory() {
    let body = noise(3 << 20);
    for (level, window) in [(Levels::FAST.zstd, 1 << 20), (Levels::BEST.zstd, 8 << 20)] {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(Coding::Zstd, level, None).unwrap();
        encoder.push(&body, &mut out).unwrap();
        encoder.finish(&mut out).unwrap();
        let decode = |window| {
            let limits = Limits { window, ..Limits::default() };
            decode_whole(Coding::Zstd, &out, limits, None)
        };
        assert!(decode(window).as_ref() == Ok(&body));
        assert_eq!(decode(window / 2), Err(Broken::Malformed(Coding::Zstd)));
    }
}

fn any_coding() -> impl Strategy<Value = Coding> {
    prop::sample::select(MADE.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn what_has_been_flushed_is_all_there_and_the_end_comes(
        coding in any_coding(),
        pieces in prop::collection::vec(("[ -~]{0,40}", 0_usize..3000, any::<bool>()), 0..12),
    ) {
        let dictionary = dictionary();
        let (mut encoder, first) = encoder(coding, Levels::FAST, &dictionary);
        let mut decoder = decoder(coding, Limits::default(), &dictionary);
        let mut decoded = drain(&mut decoder, &first, 1000).unwrap();
        let mut body = Vec::new();
        for (text, length, is_flushed) in pieces {
            let piece = [text.into_bytes(), noise(length)].concat();
            body.extend_from_slice(&piece);
            let mut out = Vec::new();
            encoder.push(&piece, &mut out).unwrap();
            if is_flushed {
                encoder.flush(&mut out).unwrap();
                prop_assert!(!encoder.is_dirty());
                let length = out.len();
                encoder.flush(&mut out).unwrap();
                prop_assert_eq!(out.len(), length, "a second flush costs something");
            }
            decoded.extend(drain(&mut decoder, &out, 1000).unwrap());
            if is_flushed {
                prop_assert!(decoded == body, "{:?} keeps something back", coding);
            }
        }
        let mut out = Vec::new();
        encoder.finish(&mut out).unwrap();
        decoded.extend(drain(&mut decoder, &out, 1000).unwrap());
        prop_assert!(decoded == body);
        prop_assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn anything_is_coded_at_any_level_with_any_length(
        coding in any_coding(),
        level in 0_u8..=9,
        length in any::<Option<u16>>(),
        parts in prop::collection::vec((any::<u8>(), 0_usize..2000, 0_usize..500), 0..8),
    ) {
        let parts = parts.into_iter().map(|(byte, run, other)| [vec![byte; run], noise(other)].concat());
        let body = parts.collect::<Vec<_>>().concat();
        let dictionary = dictionary();
        let mut out = Vec::new();
        let length = length.map(u64::from);
        let encoder = match coding.needs_dictionary() {
            true => Encoder::with_dictionary(coding, level, length, &dictionary, &mut out),
            false => Encoder::new(coding, level, length),
        };
        let mut encoder = encoder.unwrap();
        encoder.push(&body, &mut out).unwrap();
        encoder.finish(&mut out).unwrap();
        let whole = decode_whole(coding, &out, Limits::default(), Some(&dictionary));
        prop_assert!(whole.as_ref() == Ok(&body));
    }

    #[test]
    fn any_bytes_are_survived(
        coding in prop::sample::select(Coding::ALL.to_vec()),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        room in 1_usize..100,
    ) {
        let dictionary = dictionary();
        let decoder = match coding.needs_dictionary() {
            true => Decoder::with_dictionary(coding, Limits::default(), &dictionary),
            false => Decoder::new(coding, Limits::default()),
        };
        let _ = drain(&mut decoder.unwrap(), &bytes, room);
    }
}
