//! Byte streams that a client may send: sound requests, nearly sound ones and hostile ones, made from a seed.

mod hostile;
mod random;
mod sound;
mod strict;

pub use random::Random;
pub(crate) use strict::{Framing, Message, message};

/// What one client sends, and what an origin must get of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByteStream {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What any sound parser finds in them; `None` where they are meant to be broken.
    pub intended: Option<Vec<Intended>>,
}

/// A request that must arrive as it was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intended {
    /// Its method.
    pub method: String,
    /// Path and query of its target; no other request has the same.
    pub target: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl ByteStream {
    /// A sound stream: some requests one behind the other, none of which ends the connection. `number` marks their targets.
    #[must_use]
    pub fn sound(random: &mut Random, number: u64) -> Self {
        let mut bytes = Vec::new();
        let mut intended = Vec::new();
        for index in 0..=random.below(6).saturating_sub(3) {
            let request = sound::request(random, &mark(number, index));
            bytes.extend_from_slice(&request.bytes);
            intended.push(request.intended);
        }
        Self { bytes, intended: Some(intended) }
    }

    /// A broken stream: sound requests of which some were tampered with. What comes after them is no request.
    #[must_use]
    pub fn hostile(random: &mut Random, number: u64) -> Self {
        let mut bytes = Vec::new();
        let requests = 1 + random.below(3);
        let broken = random.below(requests);
        for index in 0..requests {
            let mut request = sound::request(random, &mark(number, index)).bytes;
            if index == broken {
                for _ in 0..=random.below(3) / 2 {
                    hostile::break_somehow(random, &mut request);
                }
            }
            bytes.extend_from_slice(&request);
        }
        Self { bytes, intended: None }
    }
}

/// What no other request has in its target. With the numbers alone, one byte that was tampered with would make the target of
/// another one.
fn mark(number: u64, index: usize) -> String {
    let plain = format!("{number}-{index}");
    let check = fingerprint(plain.as_bytes());
    format!("{plain}-{check:016x}")
}

/// A number that stands for these bytes (FNV-1a).
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_stream_is_what_the_strict_parser_reads() {
        let mut random = Random::new(1);
        for number in 0..2_000 {
            let stream = ByteStream::sound(&mut random, number);
            let mut rest = &stream.bytes[..];
            for intended in stream.intended.unwrap() {
                let found = message(rest).unwrap().expect("a whole message");
                assert_eq!((&found.method, &found.body), (&intended.method, &intended.body));
                assert!(found.target.ends_with(&intended.target), "{found:?}");
                rest = &rest[found.length..];
            }
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn no_tampered_digit_makes_the_mark_of_another_request() {
        for number in [1, 1_687_700] {
            let whole = mark(number, 0);
            for at in 0..whole.len() {
                for digit in b'0'..=b'9' {
                    let mut tampered = whole.clone().into_bytes();
                    tampered[at] = digit;
                    let tampered = String::from_utf8(tampered).unwrap();
                    let mut parts = tampered.split('-').map(str::parse::<u64>);
                    let Some((Ok(number), Ok(index))) = parts.next().zip(parts.next()) else {
                        continue;
                    };
                    let other = mark(number, usize::try_from(index).unwrap());
                    assert!(tampered == whole || tampered != other, "{tampered}");
                }
            }
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_streams_and_another_one_others() {
        let stream = |seed| ByteStream::hostile(&mut Random::new(seed), 1);
        assert_eq!(stream(5), stream(5));
        assert_ne!(stream(5), stream(6));
    }

    #[test]
    fn hostile_streams_are_mostly_refused_by_the_strict_parser() {
        let mut random = Random::new(2);
        let mut refused = 0;
        for number in 0..1_000 {
            let stream = ByteStream::hostile(&mut random, number);
            let mut rest = &stream.bytes[..];
            let is_sound = loop {
                match message(rest) {
                    Ok(Some(found)) => rest = &rest[found.length..],
                    Ok(None) => break rest.is_empty(),
                    Err(_) => break false,
                }
            };
            refused += usize::from(!is_sound);
        }
        assert!((300..1_000).contains(&refused), "{refused} of 1000");
    }
}
