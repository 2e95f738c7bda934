//! Programs of other hands read what is coded here, and are read.

use std::io::Write as _;
use std::process::{Command, Stdio};

use switchback_variant::{Broken, Coding, Dictionary, Levels, Limits, decode_whole, encode_whole};

use crate::bodies::{bodies, dictionary, encoder, noise};

/// What a program makes of its input.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let child =
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| {
        panic!("{program}: {error}; integration/setup.sh test installs it")
    });
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program} {arguments:?}");
    output.stdout
}

/// Pushed in pieces, with a flush behind every third.
fn in_pieces(coding: Coding, levels: Levels, body: &[u8], dictionary: &Dictionary) -> Vec<u8> {
    let (mut encoder, mut out) = encoder(coding, levels, dictionary);
    for (at, piece) in body.chunks(4001).enumerate() {
        encoder.push(piece, &mut out).unwrap();
        if at % 3 == 0 {
            encoder.flush(&mut out).unwrap();
        }
    }
    encoder.finish(&mut out).unwrap();
    out
}

#[test]
fn programs_of_other_hands_decode_what_was_coded_here() {
    let dictionary = dictionary();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(dictionary.bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let programs: [(Coding, &str, &[&str]); 4] = [
        (Coding::Gzip, "gzip", &["-dc"]),
        (Coding::Br, "brotli", &["-dc"]),
        (Coding::Zstd, "zstd", &["-dcq"]),
        (Coding::Dcz, "zstd", &["-dcqD", path]),
    ];
    for (coding, program, arguments) in programs {
        for (levels, body) in [Levels::FAST, Levels::BEST]
            .into_iter()
            .flat_map(|one| bodies().into_iter().map(move |body| (one, body)))
        {
            let whole = encode_whole(coding, levels.of(coding), &body, Some(&dictionary)).unwrap();
            assert!(run(program, arguments, &whole) == body, "{coding:?} of {} bytes", body.len());
            let pieces = in_pieces(coding, levels, &body, &dictionary);
            assert!(
                run(program, arguments, &pieces) == body,
                "{coding:?} of {} bytes in pieces",
                body.len()
            );
        }
    }
}

#[test]
fn what_programs_of_other_hands_have_coded_is_decoded_here() {
    for (coding, program, arguments) in [
        (Coding::Gzip, "gzip", &["-c9"][..]),
        (Coding::Br, "brotli", &["-cq", "9", "-w", "24"]),
        (Coding::Zstd, "zstd", &["-cq19"]),
    ] {
        for body in bodies() {
            let coded = run(program, arguments, &body);
            let whole = decode_whole(coding, &coded, Limits::default(), None);
            assert!(whole.as_ref() == Ok(&body), "{coding:?} of {} bytes", body.len());
        }
    }
}

#[test]
fn windows_beyond_those_of_http_are_refused() {
    let body = noise(3 << 20);
    let coded = run("zstd", &["-cq", "--long=27"], &body);
    assert_eq!(
        decode_whole(Coding::Zstd, &coded, Limits::default(), None),
        Err(Broken::Malformed(Coding::Zstd))
    );
    // A large window of Brotli is an extension that browsers do not know.
    let large = run("brotli", &["-cq", "5", "--large_window=30"], &body);
    assert_eq!(
        decode_whole(Coding::Br, &large, Limits::default(), None),
        Err(Broken::Malformed(Coding::Br))
    );
}
