//! A client of HTTP/2 made of frames, which may be anything: it checks nothing that it sends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::patience::Deadline;

/// What a client sends before its first frame.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame (RFC 9113, 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; the first bit is reserved.
    pub stream: u32,
    /// What follows its head.
    pub payload: Vec<u8>,
}

impl Frame {
    /// DATA.
    pub const DATA: u8 = 0;
    /// HEADERS.
    pub const HEADERS: u8 = 1;
    /// PRIORITY.
    pub const PRIORITY: u8 = 2;
    /// RST_STREAM.
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS.
    pub const SETTINGS: u8 = 4;
    /// PUSH_PROMISE.
    pub const PUSH_PROMISE: u8 = 5;
    /// PING.
    pub const PING: u8 = 6;
    /// GOAWAY.
    pub const GOAWAY: u8 = 7;
    /// WINDOW_UPDATE.
    pub const WINDOW_UPDATE: u8 = 8;
    /// CONTINUATION.
    pub const CONTINUATION: u8 = 9;
    /// The flag END_STREAM.
    pub const END_STREAM: u8 = 0x1;
    /// The flag ACK.
    pub const ACK: u8 = 0x1;
    /// The flag END_HEADERS.
    pub const END_HEADERS: u8 = 0x4;
    /// The flag PADDED.
    pub const PADDED: u8 = 0x8;
    /// The flag PRIORITY.
    pub const PRIORITISED: u8 = 0x20;

    /// Any frame.
    #[must_use]
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    /// As it is sent.
    ///
    /// # Panics
    /// When it is longer than a frame can be.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).expect("a frame of less than 4 GiB");
        let [_, l2, l1, l0] = length.to_be_bytes();
        let mut bytes = vec![l2, l1, l0, self.kind, self.flags];
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// The number at this place of its payload.
    #[must_use]
    pub fn number(&self, at: usize) -> Option<u32> {
        let bytes = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }
}

/// Fields as the simplest encoder writes them (RFC 7541): no table, no Huffman.
///
/// # Panics
/// When a name or a value is longer than 16 KiB.
#[must_use]
pub fn encode_fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        encode_text(name.as_bytes(), &mut block);
        encode_text(value.as_bytes(), &mut block);
    }
    block
}

fn encode_text(text: &[u8], block: &mut Vec<u8>) {
    match u8::try_from(text.len()).ok().filter(|length| *length < 0x7f) {
        Some(length) => block.push(length),
        None => {
            let left = text.len() - 0x7f;
            let low = u8::try_from(left & 0x7f).expect("seven bits");
            let high = u8::try_from(left >> 7).expect("a short text");
            block.extend([0x7f, low | 0x80, high]);
        }
    }
    block.extend(text);
}

/// The fields of a GET of `path`.
#[must_use]
pub fn get_fields(path: &str) -> Vec<(&'static str, &str)> {
    vec![(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "localhost")]
}

/// One connection, in plain text.
pub struct FrameClient {
    stream: TcpStream,
    received: Vec<u8>,
}

impl FrameClient {
    /// Connects and sends nothing.
    ///
    /// # Panics
    /// When nobody answers.
    #[must_use]
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_nodelay(true).expect("a connected socket");
        stream.set_write_timeout(Some(Duration::from_secs(5))).expect("a connected socket");
        Self { stream, received: Vec::new() }
    }

    /// Connects, and sends the preface, these settings and an acknowledgement of the other side's.
    ///
    /// # Panics
    /// When nobody answers.
    #[must_use]
    #[track_caller]
    pub fn greet(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut client = Self::connect(address);
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        let hello = [
            PREFACE,
            &Frame::new(Frame::SETTINGS, 0, 0, payload).to_bytes(),
            &Frame::new(Frame::SETTINGS, Frame::ACK, 0, []).to_bytes(),
        ]
        .concat();
        let _taken = client.send(&hello);
        client
    }

    /// Sends these bytes; says whether the other side still takes them.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends this frame; says whether the other side still takes it.
    pub fn send_frame(&mut self, frame: &Frame) -> bool {
        self.send(&frame.to_bytes())
    }

    /// Asks for `path` on this stream.
    pub fn get(&mut self, stream: u32, path: &str) -> bool {
        let flags = Frame::END_STREAM | Frame::END_HEADERS;
        self.send_frame(&Frame::new(
            Frame::HEADERS,
            flags,
            stream,
            encode_fields(&get_fields(path)),
        ))
    }

    /// The next frame; `None` when the connection is closed.
    ///
    /// # Errors
    /// When nothing comes before the deadline.
    pub fn next(&mut self, deadline: Deadline) -> Result<Option<Frame>, Silence> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Ok(Some(frame));
            }
            if deadline.has_passed() {
                return Err(Silence);
            }
            self.stream.set_read_timeout(Some(deadline.left())).expect("an open socket");
            let mut piece = [0; 16 * 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return Ok(None),
                Ok(read) => self.received.extend(&piece[..read]),
                Err(error) if is_time_out(&error) => return Err(Silence),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_reset) => return Ok(None),
            }
        }
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let head = self.received.get(..9)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let payload = self.received.get(9..9 + length)?.to_vec();
        self.received.drain(..9 + length);
        Some(Frame { kind, flags, stream, payload })
    }

    /// The next frame that `wanted` takes; `None` when the connection is closed before.
    ///
    /// # Errors
    /// When it does not come before the deadline.
    pub fn find(
        &mut self,
        deadline: Deadline,
        wanted: impl Fn(&Frame) -> bool,
    ) -> Result<Option<Frame>, Silence> {
        loop {
            match self.next(deadline)? {
                Some(frame) if wanted(&frame) => return Ok(Some(frame)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
}

/// Nothing came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence;

fn is_time_out(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
