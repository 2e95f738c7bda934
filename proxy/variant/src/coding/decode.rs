//! Decoders, all behind one type, within limits: bombs go off in small rooms.

use thiserror::Error;

use crate::coding::Coding;
use crate::dictionary::{Dictionary, Preamble};

mod br;
mod inflate;
mod zstd;

/// A body is being decoded.
///
/// Output comes in portions: [`Decoder::decode`] appends at most as much as there is room for, so that a body that grows a
/// thousandfold needs no more memory than any other. What the decoder itself holds is bounded by the window, which is at most
/// 32 KiB for gzip, 16 MiB for Brotli and [`Limits::window`] for Zstandard. What follows
/// the end of a body is ignored, except with Zstandard, where it has to be another frame.
pub struct Decoder {
    kind: Kind,
    preamble: Option<Expected>,
    /// How much may still come, and might at first.
    left: u64,
    most: u64,
    has_ended: bool,
}

enum Kind {
    Identity,
    Inflate(inflate::Inflate),
    Br(Box<br::Br>),
    Zstd(zstd::Zstd),
}

/// A preamble, while it comes in.
struct Expected {
    preamble: Preamble,
    seen: usize,
}

/// How much a decoder takes upon itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many bytes a whole body may come to.
    pub output: u64,
    /// The largest window of Zstandard, in bytes. RFC 9659 lets everybody use 8 MiB.
    pub window: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { output: u64::MAX, window: 8 << 20 }
    }
}

/// What a decoder wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// More input: all that there was has been taken, and all that it came to is out.
    Wants,
    /// More room: nothing has been lost, and it is called again with what is left of the input, which may be nothing.
    Full,
    /// Nothing: the body is complete.
    End,
}

/// Why a body could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Broken {
    /// It is not what it says it is.
    #[error("the body is not valid {}", .0.name())]
    Malformed(Coding),
    /// It ends too early.
    #[error("the {} body ends too early", .0.name())]
    Truncated(Coding),
    /// It comes to more than was allowed.
    #[error("the body comes to more than {0} bytes")]
    TooLong(u64),
    /// It was made with another dictionary, or needs one.
    #[error("the body was made with another dictionary")]
    Dictionary,
}

impl Decoder {
    /// For a body of this coding.
    ///
    /// # Errors
    /// [`Broken::Dictionary`] where the coding needs one.
    pub fn new(coding: Coding, limits: Limits) -> Result<Self, Broken> {
        let kind = match coding {
            Coding::Identity => Kind::Identity,
            Coding::Gzip => Kind::Inflate(inflate::Inflate::gzip()),
            Coding::Deflate => Kind::Inflate(inflate::Inflate::deflate()),
            Coding::Br => Kind::Br(Box::new(br::Br::new(&[]))),
            Coding::Zstd => Kind::Zstd(zstd::Zstd::new(limits.window, &[])?),
            Coding::Dcb | Coding::Dcz => return Err(Broken::Dictionary),
        };
        Ok(Self {
            kind,
            preamble: None,
            left: limits.output,
            most: limits.output,
            has_ended: false,
        })
    }

    /// How many bytes a decoder of this coding may hold, within the usual limits.
    #[must_use]
    pub const fn memory(coding: Coding) -> u64 {
        let mebibytes = match coding {
            Coding::Identity => 0,
            Coding::Gzip | Coding::Deflate => 1,
            Coding::Zstd | Coding::Dcz => 9,
            Coding::Br | Coding::Dcb => 17,
        };
        mebibytes << 20
    }

    /// For a body that was made with this dictionary.
    ///
    /// # Errors
    /// [`Broken::Dictionary`] where the coding takes none.
    pub fn with_dictionary(
        coding: Coding,
        limits: Limits,
        dictionary: &Dictionary,
    ) -> Result<Self, Broken> {
        let kind = match coding {
            Coding::Dcb => Kind::Br(Box::new(br::Br::new(dictionary.bytes()))),
            Coding::Dcz => Kind::Zstd(zstd::Zstd::new(limits.window, dictionary.bytes())?),
            _ => return Err(Broken::Dictionary),
        };
        let preamble =
            dictionary.digest().preamble(coding).map(|preamble| Expected { preamble, seen: 0 });
        Ok(Self { kind, preamble, left: limits.output, most: limits.output, has_ended: false })
    }

    /// Takes from the front of `input` and appends at most `room` bytes to `out`.
    ///
    /// # Errors
    /// When the body is broken or too long. What has been appended before is right.
    pub fn decode(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        room: usize,
    ) -> Result<Step, Broken> {
        if let Some(expected) = &mut self.preamble
            && !expected.take(input)?
        {
            return Ok(Step::Wants);
        }
        self.preamble = None;
        if self.has_ended {
            *input = &[];
            return Ok(Step::End);
        }
        let start = out.len();
        let step = self.step(input, out, room)?;
        let came = (out.len() - start) as u64;
        let Some(left) = self.left.checked_sub(came) else {
            out.truncate(start);
            return Err(Broken::TooLong(self.most));
        };
        self.left = left;
        self.has_ended = step == Step::End;
        Ok(step)
    }

    /// That the input has ended.
    ///
    /// # Errors
    /// When the body has not.
    pub fn finish(&self) -> Result<(), Broken> {
        match &self.kind {
            Kind::Identity => Ok(()),
            Kind::Inflate(inflate) if inflate.is_between_members() => Ok(()),
            Kind::Zstd(zstd) if zstd.is_between_frames() => Ok(()),
            _ if self.has_ended => Ok(()),
            Kind::Inflate(inflate) => Err(Broken::Truncated(inflate.coding())),
            Kind::Br(_) => Err(Broken::Truncated(Coding::Br)),
            Kind::Zstd(_) => Err(Broken::Truncated(Coding::Zstd)),
        }
    }

    fn step(&mut self, input: &mut &[u8], out: &mut Vec<u8>, room: usize) -> Result<Step, Broken> {
        match &mut self.kind {
            Kind::Identity => {
                let (taken, rest) = input.split_at(room.min(input.len()));
                out.extend_from_slice(taken);
                *input = rest;
                Ok(if rest.is_empty() { Step::Wants } else { Step::Full })
            }
            Kind::Inflate(inflate) => inflate.step(input, out, room),
            Kind::Br(br) => br.step(input, out, room),
            Kind::Zstd(zstd) => zstd.step(input, out, room),
        }
    }
}

impl Expected {
    /// Whether all of it has come.
    fn take(&mut self, input: &mut &[u8]) -> Result<bool, Broken> {
        let expected = self.preamble.as_bytes().get(self.seen..).unwrap_or_default();
        let (came, rest) = input.split_at(expected.len().min(input.len()));
        if !expected.starts_with(came) {
            return Err(Broken::Dictionary);
        }
        self.seen += came.len();
        *input = rest;
        Ok(came.len() == expected.len())
    }
}

/// A whole body at once, of at most [`Limits::output`] bytes.
///
/// # Errors
/// When the body is broken, too long, or ends too early.
pub fn decode_whole(
    coding: Coding,
    body: &[u8],
    limits: Limits,
    dictionary: Option<&Dictionary>,
) -> Result<Vec<u8>, Broken> {
    let mut decoder = match dictionary {
        Some(dictionary) if coding.needs_dictionary() => {
            Decoder::with_dictionary(coding, limits, dictionary)?
        }
        _ => Decoder::new(coding, limits)?,
    };
    let (mut input, mut out) = (body, Vec::new());
    while decoder.decode(&mut input, &mut out, 64 * 1024)? == Step::Full {}
    decoder.finish()?;
    Ok(out)
}

/// Decodes anything within its limits. The first byte says of which coding it is said to be and how much room there is. For the
/// fuzzer.
///
/// # Panics
/// When a promise is broken.
pub fn check_decoder(data: &[u8]) {
    let Some((&first, body)) = data.split_first() else { return };
    let coding = Coding::ALL.get(usize::from(first & 7)).copied().unwrap_or(Coding::Br);
    let room = 1 + usize::from(first >> 3) * 40;
    let limits = Limits { output: 1 << 20, ..Limits::default() };
    let plain =
        bytes::Bytes::from_static(b"a dictionary of a few words, for bodies of a few words");
    let decoder = match Dictionary::new(plain) {
        Ok(dictionary) if coding.needs_dictionary() => {
            Decoder::with_dictionary(coding, limits, &dictionary)
        }
        _ => Decoder::new(coding, limits),
    };
    let Ok(mut decoder) = decoder else { return };
    let (mut input, mut out, mut came) = (body, Vec::new(), 0);
    loop {
        let before = input.len();
        let step = decoder.decode(&mut input, &mut out, room);
        assert!(out.len() <= room && input.len() <= before, "{} bytes into {room}", out.len());
        came += out.len();
        assert!(came as u64 <= limits.output, "{came} bytes");
        match step {
            Ok(Step::Full) => {
                assert!(!out.is_empty() || input.len() < before, "{coding:?} stands still")
            }
            Ok(Step::Wants | Step::End) => {
                assert!(input.is_empty(), "{coding:?} leaves {} bytes", input.len());
                return;
            }
            Err(_) => return,
        }
        out.clear();
    }
}
