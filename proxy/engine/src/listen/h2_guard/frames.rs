//! Frame by frame through a stream of bytes that may be cut anywhere (RFC 9113, 4.1). Nothing is kept of it but where it is.

use super::budget::{Excess, Received, Sent};
use super::fields::FieldCount;

/// Length of a frame's head.
const HEAD: usize = 9;
/// Length of what a client sends before its first frame.
const PREFACE: u32 = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// The head of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Head {
    length: u32,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Head {
    fn of([l2, l1, l0, kind, flags, s3, s2, s1, s0]: [u8; HEAD]) -> Self {
        let stream = u32::from_be_bytes([s3 & 0x7f, s2, s1, s0]);
        Self { length: u32::from_be_bytes([0, l2, l1, l0]), kind, flags, stream }
    }

    fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Where in a stream of frames the last byte was.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    bytes: [u8; HEAD],
    have: u8,
    head: Head,
    /// Bytes of the payload that are missing.
    left: u32,
}

/// What a piece of the stream is.
enum Piece<'b> {
    Head(Head),
    Payload(&'b [u8]),
}

impl Cursor {
    /// Splits the next piece off.
    fn next<'b>(&mut self, bytes: &mut &'b [u8]) -> Option<Piece<'b>> {
        if self.left > 0 {
            let here = bytes.len().min(self.left as usize);
            let (piece, rest) =
                bytes.split_at_checked(here).filter(|(piece, _)| !piece.is_empty())?;
            *bytes = rest;
            // `here` is no more than `left`.
            self.left -= u32::try_from(here).unwrap_or(self.left);
            return Some(Piece::Payload(piece));
        }
        while usize::from(self.have) < HEAD {
            let (&byte, rest) = bytes.split_first()?;
            *bytes = rest;
            if let Some(place) = self.bytes.get_mut(usize::from(self.have)) {
                *place = byte;
            }
            self.have += 1;
        }
        self.have = 0;
        self.head = Head::of(self.bytes);
        self.left = self.head.length;
        Some(Piece::Head(self.head))
    }

    fn is_between(&self) -> bool {
        self.have == 0 && self.left == 0
    }
}

/// How large one request's headers may be as they are sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockLimits {
    /// CONTINUATION frames.
    pub(super) continuations: u32,
    /// Bytes, encoded.
    pub(super) bytes: u32,
    /// Fields.
    pub(super) fields: u32,
}

/// A header block that has not ended.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    continuations: u32,
    bytes: u32,
    /// Whether it comes after a request.
    trails: bool,
    count: FieldCount,
}

/// What comes from the client.
#[derive(Debug)]
pub(super) struct Inbound {
    limits: BlockLimits,
    preface: u32,
    cursor: Cursor,
    /// Bytes before the fields in the frame at hand: a pad length, a priority.
    before: u32,
    /// Padding after them.
    padding: u32,
    block: Option<Block>,
    /// How often it was between frames and header blocks.
    ended: u32,
    /// The newest stream; none before the first frame.
    newest: Option<u32>,
}

impl Inbound {
    /// Before the preface.
    pub(super) fn new(limits: BlockLimits) -> Self {
        Self {
            limits,
            preface: PREFACE,
            cursor: Cursor::default(),
            before: 0,
            padding: 0,
            block: None,
            ended: 0,
            newest: None,
        }
    }

    /// Changes whenever what has begun has ended.
    pub(super) fn ended(&self) -> u32 {
        self.ended
    }

    /// Whether a frame other than DATA, or a header block, has begun and not ended.
    pub(super) fn is_within(&self) -> bool {
        let is_data = self.cursor.left > 0 && self.cursor.head.kind == DATA;
        self.block.is_some() || !self.cursor.is_between() && !is_data
    }

    /// Tells of the frames in `bytes`.
    pub(super) fn scan(
        &mut self,
        mut bytes: &[u8],
        mut tell: impl FnMut(Received) -> Result<(), Excess>,
    ) -> Result<(), Excess> {
        let preface = bytes.len().min(self.preface as usize);
        bytes = bytes.get(preface..).unwrap_or_default();
        self.preface -= u32::try_from(preface).unwrap_or(self.preface);
        while let Some(piece) = self.cursor.next(&mut bytes) {
            match piece {
                Piece::Head(head) => self.head(head, &mut tell)?,
                Piece::Payload(payload) => self.payload(payload, &mut tell)?,
            }
            self.ended = self.ended.wrapping_add(u32::from(!self.is_within()));
        }
        Ok(())
    }

    fn head(
        &mut self,
        head: Head,
        tell: &mut impl FnMut(Received) -> Result<(), Excess>,
    ) -> Result<(), Excess> {
        (self.before, self.padding) = (0, 0);
        // The codec takes any frame for the first (RFC 9113, 3.4).
        if self.newest.is_none() && head.kind != SETTINGS {
            return Err(Excess::Malformed);
        }
        let newest = self.newest.get_or_insert(0);
        match head.kind {
            HEADERS => {
                self.before = u32::from(head.has(PADDED)) + 5 * u32::from(head.has(PRIORITY));
                let trails = head.stream <= *newest;
                *newest = head.stream.max(*newest);
                self.block = Some(Block { bytes: head.length, trails, ..Block::default() });
                self.check_block()?;
                tell(Received::Headers(head.stream))?;
                self.end_block();
                Ok(())
            }
            CONTINUATION => {
                if let Some(block) = &mut self.block {
                    block.bytes = block.bytes.saturating_add(head.length);
                    // The last one is no part of a flood.
                    block.continuations += u32::from(!head.has(END_HEADERS));
                }
                self.check_block()?;
                self.end_block();
                Ok(())
            }
            // With padding, its first byte tells whether there is anything else.
            DATA if head.has(END_STREAM) || head.length > u32::from(head.has(PADDED)) => Ok(()),
            DATA => tell(Received::EmptyData),
            RST_STREAM => tell(Received::Reset(head.stream)),
            SETTINGS => tell(Received::Settings),
            PING => tell(Received::Ping),
            WINDOW_UPDATE => tell(Received::WindowUpdate),
            _ => tell(Received::Other),
        }
    }

    fn payload(
        &mut self,
        payload: &[u8],
        tell: &mut impl FnMut(Received) -> Result<(), Excess>,
    ) -> Result<(), Excess> {
        let Head { length, kind, flags, .. } = self.cursor.head;
        let seen = length - self.cursor.left - u32::try_from(payload.len()).unwrap_or(0);
        let is_padded = seen == 0 && flags & PADDED != 0;
        let padding = payload.first().copied().filter(|_| is_padded).map(u32::from);
        match (kind, padding) {
            (DATA, Some(padding))
                if padding + 1 >= length && flags & END_STREAM == 0 && length > 1 =>
            {
                tell(Received::EmptyData)?;
            }
            (HEADERS, Some(padding)) => self.padding = padding,
            _ => {}
        }
        if matches!(kind, HEADERS | CONTINUATION) {
            self.fields(payload, seen)?;
        }
        Ok(())
    }

    /// Counts the fields in a piece of a frame of which `seen` bytes have been before.
    fn fields(&mut self, payload: &[u8], seen: u32) -> Result<(), Excess> {
        let Some(block) = &mut self.block else { return Ok(()) };
        let skipped = (self.before.saturating_sub(seen) as usize).min(payload.len());
        let after = self.padding.saturating_sub(self.cursor.left) as usize;
        let end = payload.len().saturating_sub(after).max(skipped);
        block.count.take(payload.get(skipped..end).unwrap_or_default());
        if block.count.fields > self.limits.fields {
            return Err(Excess::Fields);
        }
        // The codec drops them there without a word (RFC 9113, 8.1).
        if block.trails && block.count.has_pseudo {
            return Err(Excess::Malformed);
        }
        self.end_block();
        Ok(())
    }

    fn check_block(&self) -> Result<(), Excess> {
        let Some(block) = &self.block else { return Ok(()) };
        if block.continuations > self.limits.continuations {
            return Err(Excess::Continuations);
        }
        if block.bytes > self.limits.bytes { Err(Excess::HeaderBytes) } else { Ok(()) }
    }

    /// Forgets the block once all of it has been seen.
    fn end_block(&mut self) {
        if self.cursor.left == 0 && self.cursor.head.has(END_HEADERS) {
            self.block = None;
        }
    }
}

/// What goes to the client.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    cursor: Cursor,
}

impl Outbound {
    /// Whether a frame may be put in here.
    pub(super) fn is_between(&self) -> bool {
        self.cursor.is_between()
    }

    /// Tells of the frames in `bytes`.
    pub(super) fn scan(
        &mut self,
        mut bytes: &[u8],
        mut tell: impl FnMut(Sent) -> Result<(), Excess>,
    ) -> Result<(), Excess> {
        while let Some(piece) = self.cursor.next(&mut bytes) {
            let Piece::Head(head) = piece else { continue };
            match head.kind {
                DATA => tell(Sent::Data(head.stream, head.length, head.has(END_STREAM)))?,
                HEADERS => tell(Sent::Headers(head.stream, head.has(END_STREAM)))?,
                RST_STREAM => tell(Sent::Reset(head.stream))?,
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: BlockLimits = BlockLimits { continuations: 3, bytes: 1000, fields: 5 };
    const START: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [length[1], length[2], length[3], kind, flags];
        [&head, &stream.to_be_bytes()[..], payload].concat()
    }

    fn scan(pieces: &[&[u8]]) -> (Vec<Received>, Result<(), Excess>) {
        let mut inbound = Inbound::new(LIMITS);
        let mut told = Vec::new();
        for piece in pieces {
            let scanned = inbound.scan(piece, |frame| {
                told.push(frame);
                Ok(())
            });
            if scanned.is_err() {
                return (told, scanned);
            }
        }
        (told, Ok(()))
    }

    fn after_preface(frames: &[Vec<u8>]) -> (Vec<Received>, Result<(), Excess>) {
        let settings = frame(SETTINGS, 0, 0, b"");
        let (mut told, scanned) = scan(&[START, &settings, &frames.concat()]);
        told.remove(0);
        (told, scanned)
    }

    #[test]
    fn settings_come_first_and_trailers_have_no_pseudo_fields() {
        assert_eq!(scan(&[START, &frame(PING, 0, 0, &[0; 8])]).1, Err(Excess::Malformed));
        let request = frame(HEADERS, END_HEADERS, 1, b"\x82");
        let trailers = |block| [request.clone(), frame(HEADERS, END_HEADERS, 1, block)];
        assert_eq!(after_preface(&trailers(b"\x00\x01a\x01b")).1, Ok(()));
        assert_eq!(after_preface(&trailers(b"\x82")).1, Err(Excess::Malformed));
    }

    #[test]
    fn every_frame_is_told_of_once() {
        let frames = [
            frame(SETTINGS, 0, 0, &[0; 6]),
            frame(HEADERS, END_HEADERS, 1, b"\x82\x84\x87"),
            frame(DATA, 0, 1, b"x"),
            frame(DATA, 0, 1, b""),
            frame(DATA, PADDED, 1, b"\x02\0\0"),
            frame(DATA, PADDED, 1, b"\x01x\0"),
            frame(DATA, END_STREAM, 1, b""),
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
            frame(RST_STREAM, 0, 1, &[0; 4]),
            frame(PING, 0, 0, &[0; 8]),
            frame(0xee, 0, 0, b"?"),
        ];
        let told = [
            Received::Settings,
            Received::Headers(1),
            Received::EmptyData,
            Received::EmptyData,
            Received::WindowUpdate,
            Received::Reset(1),
            Received::Ping,
            Received::Other,
        ];
        assert_eq!(after_preface(&frames), (told.to_vec(), Ok(())));
    }

    #[test]
    fn padding_and_priority_are_no_fields() {
        let padded = frame(
            HEADERS,
            END_HEADERS | PADDED | PRIORITY,
            1,
            b"\x03\x82\x82\x82\x82\x82\x82\x82\x82\x82\x82\x82\x82\x82",
        );
        assert_eq!(after_preface(&[padded]).1, Ok(()), "five fields");
        let one_more = frame(HEADERS, END_HEADERS, 1, &[0x82; 6]);
        assert_eq!(after_preface(&[one_more]).1, Err(Excess::Fields));
    }

    #[test]
    fn fields_bytes_and_frames_are_counted_over_the_whole_block() {
        let start = frame(HEADERS, 0, 1, b"\x82\x84");
        let more = |flags, bytes: &[u8]| frame(CONTINUATION, flags, 1, bytes);
        let fields = [start.clone(), more(0, b"\x82\x82"), more(END_HEADERS, b"\x82\x82")];
        assert_eq!(after_preface(&fields).1, Err(Excess::Fields));
        let flood = [start.clone(), more(0, b""), more(0, b""), more(0, b""), more(0, b"")];
        assert_eq!(after_preface(&flood).1, Err(Excess::Continuations));
        let borne = [start.clone(), more(0, b""), more(0, b""), more(0, b""), more(4, b"")];
        assert_eq!(after_preface(&borne).1, Ok(()));
        let long = [start, more(0, &[0x7f; 500]), more(0, &[0x7f; 600])];
        assert_eq!(after_preface(&long).1, Err(Excess::HeaderBytes));
    }

    #[test]
    fn a_block_is_open_until_its_last_byte() {
        let mut inbound = Inbound::new(LIMITS);
        let mut feed = |bytes: &[u8]| {
            inbound.scan(bytes, |_| Ok(())).unwrap();
            inbound.is_within()
        };
        assert!(!feed(START) && !feed(&frame(SETTINGS, 0, 0, b"")));
        assert!(feed(&frame(HEADERS, 0, 1, b"\x82")));
        let last = frame(CONTINUATION, END_HEADERS, 1, b"\x84\x84");
        assert!(feed(&last[..10]) && !feed(&last[10..]));
        let data = frame(DATA, 0, 1, b"abc");
        assert!(feed(&data[..3]) && !feed(&data[3..10]) && !feed(&data[10..]));
    }

    #[test]
    fn what_is_sent_is_told_of() {
        let frames = [
            frame(SETTINGS, 0, 0, &[0; 12]),
            frame(HEADERS, END_HEADERS, 1, &[0; 40]),
            frame(DATA, 0, 1, &[0; 300]),
            frame(DATA, END_STREAM, 1, b""),
            frame(RST_STREAM, 0, 3, &[0; 4]),
        ]
        .concat();
        let mut outbound = Outbound::default();
        let mut told = Vec::new();
        for piece in frames.chunks(7) {
            let tell = |frame| {
                told.push(frame);
                Ok(())
            };
            outbound.scan(piece, tell).unwrap();
        }
        let expected = [
            Sent::Headers(1, false),
            Sent::Data(1, 300, false),
            Sent::Data(1, 0, true),
            Sent::Reset(3),
        ];
        assert_eq!(told, expected);
        assert!(outbound.is_between());
    }

    proptest! {
        /// However the bytes are cut, the same is told, and it ends at the same frame.
        #[test]
        fn cuts_change_nothing(
            frames in proptest::collection::vec(
                (0_u8..11, any::<u8>(), 0_u32..9, proptest::collection::vec(any::<u8>(), 0..60)), 0..20),
            size in 1_usize..70,
        ) {
            let frames: Vec<u8> = frames
                .iter()
                .flat_map(|(kind, flags, stream, payload)| frame(*kind, *flags, *stream, payload))
                .collect();
            let bytes = [START, &frame(SETTINGS, 0, 0, b""), &frames].concat();
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let ((whole, end), (cut, cut_end)) = (scan(&[&bytes]), scan(&pieces));
            prop_assert_eq!(whole, cut);
            prop_assert_eq!(end.is_err(), cut_end.is_err());
        }
    }
}
