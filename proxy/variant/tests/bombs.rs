//! A body that comes to much more than it is long needs no more memory than any other, and no more time than is allowed. Alone in
//! its process, because that is what is measured.
#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::fs;

use switchback_variant::{Broken, Coding, Decoder, Encoder, Levels, Limits, Step};

const MIB: usize = 1 << 20;
/// Zeros; the bench has eighty times as many.
const LENGTH: usize = 128 * MIB;
const ROOM: usize = 64 * 1024;

fn bomb(coding: Coding) -> Vec<u8> {
    let mut encoder = Encoder::new(coding, Levels::FAST.of(coding), None).unwrap();
    let zeros = vec![0; MIB];
    let mut out = Vec::new();
    for _ in 0..LENGTH / MIB {
        encoder.push(&zeros, &mut out).unwrap();
    }
    encoder.finish(&mut out).unwrap();
    out
}

/// Of this process, in KiB.
fn memory(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// How much a run of `work` has taken at its height, in KiB.
fn peak(work: impl FnOnce()) -> usize {
    // The highest is from now on.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS");
    work();
    memory("VmHWM").saturating_sub(before)
}

/// How much a bomb comes to, portion by portion.
fn decode(coding: Coding, bomb: &[u8], limits: Limits) -> (usize, Result<(), Broken>) {
    let mut decoder = Decoder::new(coding, limits).unwrap();
    let mut input = bomb;
    let mut out = Vec::with_capacity(ROOM);
    let zeros = [0; ROOM];
    let mut length = 0;
    loop {
        let step = decoder.decode(&mut input, &mut out, ROOM);
        assert!(out.len() <= ROOM && zeros.starts_with(&out));
        length += out.len();
        out.clear();
        match step {
            Ok(Step::Full) => {}
            Ok(Step::Wants | Step::End) => return (length, decoder.finish()),
            Err(broken) => return (length, Err(broken)),
        }
    }
}

#[test]
fn a_bomb_goes_off_in_two_mebibytes() {
    for coding in [Coding::Gzip, Coding::Br, Coding::Zstd] {
        let bomb = bomb(coding);
        assert!(bomb.len() < LENGTH / 200, "{coding:?} makes {} bytes of it", bomb.len());
        let taken = peak(|| {
            assert_eq!(decode(coding, &bomb, Limits::default()), (LENGTH, Ok(())), "{coding:?}");
        });
        assert!(taken < 2048, "{coding:?} takes {taken} KiB");
        let limits = Limits { output: 10 * MIB as u64, ..Limits::default() };
        let (length, end) = decode(coding, &bomb, limits);
        assert_eq!(end, Err(Broken::TooLong(limits.output)));
        assert!(length <= 10 * MIB, "{coding:?} gives {length} bytes");
    }
}
