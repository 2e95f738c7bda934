//! The public HTTP/2 conformance list, restated: each case is bytes and what a server must make of them.
//!
//! As in that list, closing the connection is always good enough where an error is wanted, and what is written on closed
//! connections is nobody's fault. Sections are those of RFC 7540 (`h2`) and RFC 7541 (`hpack`), by which the list is ordered.

use std::time::Duration;

use crate::config::config;
use crate::h2::{Frame, FrameClient, PREFACE, encode_fields};
use crate::origin::Origin;
use crate::patience::Deadline;
use crate::proxy::Proxy;

const PROTOCOL: u32 = 1;
const FLOW: u32 = 3;
const CLOSED: u32 = 5;
const SIZE: u32 = 6;
const REFUSED: u32 = 7;
const COMPRESSION: u32 = 9;

const END: u8 = Frame::END_STREAM | Frame::END_HEADERS;
const HEAD: u8 = Frame::END_HEADERS;

/// What the server must do.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// End the connection, with one of these.
    Connection(&'static [u32]),
    /// Reset the stream with one of these, or end the connection.
    Stream(&'static [u32]),
    /// Answer on stream 1.
    Answer,
    /// Answer a PING that follows, as if nothing had been.
    Nothing,
    /// The same, or close.
    NothingOrClose,
    /// Send such a frame, with these flags.
    Frame(u8, u8),
    /// Send DATA of exactly so many bytes first.
    Data(usize),
}
use Wanted::{Answer, Connection, Data, Nothing, NothingOrClose, Stream};

struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    /// Sent once stream 1 has been answered in full.
    after_answer: Vec<u8>,
    wanted: Wanted,
}

fn case(name: &'static str, wanted: Wanted, frames: &[Vec<u8>]) -> Case {
    Case { name, bytes: frames.concat(), after_answer: Vec::new(), wanted }
}

fn after_answer(name: &'static str, wanted: Wanted, frames: &[Vec<u8>]) -> Case {
    Case { name, bytes: get(1), after_answer: frames.concat(), wanted }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    Frame::new(kind, flags, stream, payload).to_bytes()
}

fn fields(method: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own =
        [(":method", method), (":scheme", "http"), (":path", "/"), (":authority", "localhost")];
    encode_fields(&[&own, more].concat())
}

fn headers(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    frame(Frame::HEADERS, flags, stream, block)
}

fn get(stream: u32) -> Vec<u8> {
    headers(END, stream, &fields("GET", &[]))
}

fn post(stream: u32) -> Vec<u8> {
    headers(HEAD, stream, &fields("POST", &[]))
}

fn data(flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(Frame::DATA, flags, stream, payload)
}

fn priority(stream: u32, on: u32) -> Vec<u8> {
    frame(Frame::PRIORITY, 0, stream, &[&on.to_be_bytes()[..], &[255]].concat())
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(Frame::RST_STREAM, 0, stream, &code.to_be_bytes())
}

fn settings(id: u16, value: u32) -> Vec<u8> {
    let payload = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(Frame::SETTINGS, 0, 0, &payload)
}

fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(Frame::WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

fn continuation(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    frame(Frame::CONTINUATION, flags, stream, block)
}

fn ping(flags: u8) -> Vec<u8> {
    frame(Frame::PING, flags, 0, b"h2spec!!")
}

const ACKED: Wanted = Wanted::Frame(Frame::PING, Frame::ACK);

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn generic() -> Vec<Case> {
    let (block, half) = (fields("GET", &[]), fields("GET", &[]).len() / 2);
    let padded = [&[4][..], &block, &[0; 4]].concat();
    let prioritised = [&[0, 0, 0, 0, 7][..], &block].concat();
    let both = [&[4, 0, 0, 0, 0, 7][..], &block, &[0; 4]].concat();
    vec![
        case(
            "generic 1: SETTINGS after the preface",
            Wanted::Frame(Frame::SETTINGS, Frame::ACK),
            &[],
        ),
        case("generic 2: PRIORITY on an idle stream", Answer, &[priority(1, 0), get(1)]),
        case("generic 2: WINDOW_UPDATE on a half-closed stream", Answer, &[get(1), window(1, 1)]),
        case("generic 2: PRIORITY on a half-closed stream", Answer, &[get(1), priority(1, 0)]),
        case("generic 2: RST_STREAM on a half-closed stream", Nothing, &[get(1), reset(1, 8)]),
        after_answer("generic 2: PRIORITY on a closed stream", Nothing, &[priority(1, 0)]),
        case("generic 3.1: DATA", Answer, &[post(1), data(1, 1, b"test")]),
        case(
            "generic 3.1: several DATA",
            Answer,
            &[post(1), data(0, 1, b"test"), data(1, 1, b"test")],
        ),
        case("generic 3.1: padded DATA", Answer, &[post(1), data(9, 1, b"\x05test\0\0\0\0\0")]),
        case("generic 3.2: HEADERS", Answer, &[get(1)]),
        case("generic 3.2: padded HEADERS", Answer, &[headers(END | 8, 1, &padded)]),
        case("generic 3.2: HEADERS with priority", Answer, &[headers(END | 0x20, 1, &prioritised)]),
        case("generic 3.2: HEADERS with both", Answer, &[headers(END | 0x28, 1, &both)]),
        case("generic 3.3: PRIORITY with weight 1", Answer, &[frame(2, 0, 1, &[0; 5]), get(1)]),
        case("generic 3.3: PRIORITY with weight 256", Answer, &[priority(1, 0), get(1)]),
        case("generic 3.3: PRIORITY on a dependency", Answer, &[priority(1, 3), get(1)]),
        case("generic 3.3: exclusive PRIORITY", Answer, &[priority(1, 0x8000_0003), get(1)]),
        case(
            "generic 3.3: PRIORITY for an idle stream, then a lower one",
            Answer,
            &[priority(5, 3), get(1)],
        ),
        case("generic 3.4: RST_STREAM", Nothing, &[post(1), reset(1, 8)]),
        case(
            "generic 3.5: SETTINGS",
            Wanted::Frame(Frame::SETTINGS, Frame::ACK),
            &[settings(3, 100)],
        ),
        case("generic 3.7: PING", ACKED, &[ping(0)]),
        case("generic 3.8: GOAWAY", NothingOrClose, &[frame(Frame::GOAWAY, 0, 0, &[0; 8])]),
        case("generic 3.9: WINDOW_UPDATE of the connection", Answer, &[window(0, 1), get(1)]),
        case("generic 3.9: WINDOW_UPDATE of a stream", Answer, &[get(1), window(1, 1)]),
        case(
            "generic 3.10: CONTINUATION",
            Answer,
            &[headers(1, 1, &block[..half]), continuation(4, 1, &block[half..])],
        ),
        case(
            "generic 3.10: several CONTINUATION",
            Answer,
            &[
                headers(1, 1, &block[..half]),
                continuation(0, 1, &block[half..half + 3]),
                continuation(4, 1, &block[half + 3..]),
            ],
        ),
        case("generic 4: GET", Answer, &[get(1)]),
        case("generic 4: HEAD", Answer, &[headers(END, 1, &fields("HEAD", &[]))]),
        case("generic 4: POST", Answer, &[post(1), data(1, 1, b"test")]),
        case(
            "generic 4: POST with trailers",
            Answer,
            &[
                headers(HEAD, 1, &fields("POST", &[("trailer", "x-test")])),
                data(0, 1, b"test"),
                headers(END, 1, &encode_fields(&[("x-test", "ok")])),
            ],
        ),
        case("generic 4: OPTIONS", Answer, &[headers(END, 1, &fields("OPTIONS", &[]))]),
    ]
}

/// A GET whose last field is written like this.
fn with_field(field: &[u8]) -> Vec<u8> {
    headers(END, 1, &[&fields("GET", &[])[..], field].concat())
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn generic_hpack() -> Vec<Case> {
    vec![
        case(
            "generic 5: indexed field",
            Answer,
            &[headers(END, 1, b"\x82\x86\x84\x41\x09localhost")],
        ),
        case(
            "generic 5: dynamic index",
            Answer,
            &[headers(END, 1, b"\x82\x86\x84\x41\x09localhost\x40\x01a\x01b\xbe\xbf")].map(
                |bytes| {
                    // The authority twice would be malformed: the newest entry alone.
                    let mut bytes = bytes;
                    bytes.pop();
                    bytes[2] -= 1;
                    bytes
                },
            ),
        ),
        case(
            "generic 5: literal with indexing, known name",
            Answer,
            &[with_field(b"\x7a\x04test")],
        ),
        case(
            "generic 5: literal with indexing, Huffman",
            Answer,
            &[with_field(b"\x7a\x83\x49\x50\x9f")],
        ),
        case(
            "generic 5: literal with indexing, new name",
            Answer,
            &[with_field(b"\x40\x06x-test\x04test")],
        ),
        case(
            "generic 5: literal with indexing, new name, Huffman",
            Answer,
            &[with_field(b"\x40\x85\xf2\xb4\xa8\x49\x7f\x83\x49\x50\x9f")],
        ),
        case(
            "generic 5: literal without indexing, known name",
            Answer,
            &[with_field(b"\x0f\x2b\x04test")],
        ),
        case(
            "generic 5: literal without indexing, new name",
            Answer,
            &[with_field(b"\x00\x06x-test\x04test")],
        ),
        case(
            "generic 5: literal never indexed, known name",
            Answer,
            &[with_field(b"\x1f\x2b\x04test")],
        ),
        case(
            "generic 5: literal never indexed, new name",
            Answer,
            &[with_field(b"\x10\x06x-test\x04test")],
        ),
        case(
            "generic 5: table size update",
            Answer,
            &[headers(END, 1, &[b"\x20\x3f\xe1\x1f", &fields("GET", &[])[..]].concat())],
        ),
        case(
            "generic 5: one table size update",
            Answer,
            &[headers(END, 1, &[b"\x20", &fields("GET", &[])[..]].concat())],
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn frames_and_streams() -> Vec<Case> {
    let block = fields("GET", &[]);
    let large = [&block[..], &encode_fields(&[("x-dummy", "x"); 2000])].concat();
    let open = headers(Frame::END_STREAM, 1, &block);
    let mut undefined = ping(0x16);
    let mut reserved = ping(0);
    undefined[4] = 0x16;
    reserved[5] = 0x80;
    let itself = [&1_u32.to_be_bytes()[..], &[255], &block].concat();
    vec![
        case("h2 4.1/1: frame of unknown type", ACKED, &[frame(0x16, 0, 0, &[0; 8]), ping(0)]),
        case("h2 4.1/2: undefined flags", ACKED, &[undefined]),
        case("h2 4.1/3: reserved bit", ACKED, &[reserved]),
        case("h2 4.2/1: DATA of 2^14 bytes", Answer, &[post(1), data(1, 1, &[b'x'; 16_384])]),
        case(
            "h2 4.2/2: DATA that is too large",
            Stream(&[SIZE]),
            &[post(1), data(1, 1, &[b'x'; 16_385])],
        ),
        case(
            "h2 4.2/3: HEADERS that are too large",
            Connection(&[SIZE]),
            &[headers(END, 1, &large)],
        ),
        case(
            "h2 4.3/1: invalid header block",
            Connection(&[COMPRESSION]),
            &[headers(END, 1, b"\x40\x01a")],
        ),
        case(
            "h2 4.3/2: PRIORITY within a header block",
            Connection(&[PROTOCOL]),
            &[open.clone(), priority(1, 0), continuation(4, 1, b"")],
        ),
        case(
            "h2 4.3/3: HEADERS of another stream within a block",
            Connection(&[PROTOCOL]),
            &[open.clone(), get(3)],
        ),
        case("h2 5.1/1: idle: DATA", Connection(&[PROTOCOL]), &[data(1, 1, b"test")]),
        case("h2 5.1/2: idle: RST_STREAM", Connection(&[PROTOCOL]), &[reset(1, 8)]),
        case("h2 5.1/3: idle: WINDOW_UPDATE", Connection(&[PROTOCOL]), &[window(1, 100)]),
        case(
            "h2 5.1/4: idle: CONTINUATION",
            Connection(&[PROTOCOL]),
            &[continuation(4, 1, &block)],
        ),
        case("h2 5.1/5: half closed: DATA", Stream(&[CLOSED]), &[get(1), data(1, 1, b"test")]),
        case("h2 5.1/6: half closed: HEADERS", Stream(&[CLOSED]), &[get(1), get(1)]),
        case(
            "h2 5.1/7: half closed: CONTINUATION",
            Connection(&[CLOSED, PROTOCOL]),
            &[get(1), continuation(4, 1, &block)],
        ),
        case(
            "h2 5.1/8: reset: DATA",
            Stream(&[CLOSED]),
            &[post(1), reset(1, 8), data(1, 1, b"test")],
        ),
        case("h2 5.1/9: reset: HEADERS", Stream(&[CLOSED]), &[post(1), reset(1, 8), get(1)]),
        case(
            "h2 5.1/10: reset: CONTINUATION",
            Connection(&[CLOSED, PROTOCOL]),
            &[post(1), reset(1, 8), continuation(4, 1, &block)],
        ),
        after_answer("h2 5.1/11: closed: DATA", Stream(&[CLOSED]), &[data(1, 1, b"test")]),
        after_answer("h2 5.1/12: closed: HEADERS", Connection(&[CLOSED]), &[get(1)]),
        after_answer(
            "h2 5.1/13: closed: CONTINUATION",
            Connection(&[CLOSED, PROTOCOL]),
            &[continuation(4, 1, &block)],
        ),
        case("h2 5.1.1/1: even stream", Connection(&[PROTOCOL]), &[get(2)]),
        case("h2 5.1.1/2: smaller stream", Connection(&[PROTOCOL]), &[get(5), get(3)]),
        case(
            "h2 5.1.2/1: more streams than allowed",
            Stream(&[PROTOCOL, REFUSED]),
            &[settings(4, 0), (0..101).flat_map(|number| get(2 * number + 1)).collect()],
        ),
        case(
            "h2 5.3.1/1: HEADERS that depend on themselves",
            Stream(&[PROTOCOL]),
            &[headers(END | 0x20, 1, &itself)],
        ),
        case("h2 5.3.1/2: PRIORITY that depends on itself", Stream(&[PROTOCOL]), &[priority(3, 3)]),
        case(
            "h2 5.4.1/1: GOAWAY after a connection error",
            Wanted::Frame(Frame::GOAWAY, 0),
            &[frame(Frame::PING, 0, 3, &[0; 8])],
        ),
        case(
            "h2 5.4.1/2: close after a connection error",
            Connection(&[]),
            &[frame(Frame::PING, 0, 3, &[0; 8])],
        ),
        case("h2 5.5/1: unknown extension", ACKED, &[frame(0xff, 0, 0, b"x"), ping(0)]),
        case(
            "h2 5.5/2: unknown extension within a header block",
            Connection(&[PROTOCOL]),
            &[open, frame(0xff, 0, 1, b"x"), continuation(4, 1, b"")],
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn frame_definitions() -> Vec<Case> {
    let block = fields("GET", &[]);
    let open = headers(Frame::END_STREAM, 1, &block);
    let bad_padding = [&[255][..], &block].concat();
    vec![
        case("h2 6.1/1: DATA on stream 0", Connection(&[PROTOCOL]), &[data(1, 0, b"test")]),
        case(
            "h2 6.1/2: DATA on a stream that is not open",
            Stream(&[CLOSED]),
            &[get(1), data(1, 1, b"test")],
        ),
        case(
            "h2 6.1/3: DATA with too much padding",
            Connection(&[PROTOCOL]),
            &[post(1), data(9, 1, b"\x06test\0")],
        ),
        case(
            "h2 6.2/1: HEADERS without end, then PRIORITY",
            Connection(&[PROTOCOL]),
            &[open.clone(), priority(1, 0)],
        ),
        case(
            "h2 6.2/2: HEADERS without end, then another stream's",
            Connection(&[PROTOCOL]),
            &[open.clone(), get(3)],
        ),
        case("h2 6.2/3: HEADERS on stream 0", Connection(&[PROTOCOL]), &[get(0)]),
        case(
            "h2 6.2/4: HEADERS with too much padding",
            Connection(&[PROTOCOL]),
            &[headers(END | 8, 1, &bad_padding)],
        ),
        case("h2 6.3/1: PRIORITY on stream 0", Connection(&[PROTOCOL]), &[priority(0, 1)]),
        case(
            "h2 6.3/2: PRIORITY of another length",
            Stream(&[SIZE]),
            &[post(1), frame(Frame::PRIORITY, 0, 1, &[0; 4])],
        ),
        case("h2 6.4/1: RST_STREAM on stream 0", Connection(&[PROTOCOL]), &[reset(0, 8)]),
        case("h2 6.4/2: RST_STREAM on an idle stream", Connection(&[PROTOCOL]), &[reset(1, 8)]),
        case(
            "h2 6.4/3: RST_STREAM of another length",
            Connection(&[SIZE]),
            &[post(1), frame(Frame::RST_STREAM, 0, 1, &[0; 3])],
        ),
        case(
            "h2 6.5/1: SETTINGS ACK with a payload",
            Connection(&[SIZE]),
            &[frame(Frame::SETTINGS, Frame::ACK, 0, &[0; 1])],
        ),
        case(
            "h2 6.5/2: SETTINGS on a stream",
            Connection(&[PROTOCOL]),
            &[frame(Frame::SETTINGS, 0, 1, &[0, 3, 0, 0, 0, 100])],
        ),
        case(
            "h2 6.5/3: SETTINGS of another length",
            Connection(&[SIZE]),
            &[frame(Frame::SETTINGS, 0, 0, &[0; 3])],
        ),
        case("h2 6.5.2/1: ENABLE_PUSH of 2", Connection(&[PROTOCOL]), &[settings(2, 2)]),
        case(
            "h2 6.5.2/2: INITIAL_WINDOW_SIZE above the maximum",
            Connection(&[FLOW]),
            &[settings(4, 0x8000_0000)],
        ),
        case(
            "h2 6.5.2/3: MAX_FRAME_SIZE below the minimum",
            Connection(&[PROTOCOL]),
            &[settings(5, 16_383)],
        ),
        case(
            "h2 6.5.2/4: MAX_FRAME_SIZE above the maximum",
            Connection(&[PROTOCOL]),
            &[settings(5, 16_777_216)],
        ),
        case("h2 6.5.2/5: unknown setting", ACKED, &[settings(0xff, 1), ping(0)]),
        case(
            "h2 6.5.3/1: the last of several values counts",
            Data(1),
            &[frame(Frame::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 100, 0, 4, 0, 0, 0, 1]), get(1)],
        ),
        case(
            "h2 6.5.3/2: SETTINGS are acknowledged",
            Wanted::Frame(Frame::SETTINGS, Frame::ACK),
            &[settings(3, 1)],
        ),
        case("h2 6.7/1: PING", ACKED, &[ping(0)]),
        case("h2 6.7/2: PING with ACK", ACKED, &[ping(Frame::ACK), ping(0)]),
        case(
            "h2 6.7/3: PING on a stream",
            Connection(&[PROTOCOL]),
            &[frame(Frame::PING, 0, 1, &[0; 8])],
        ),
        case(
            "h2 6.7/4: PING of another length",
            Connection(&[SIZE]),
            &[frame(Frame::PING, 0, 0, &[0; 6])],
        ),
        case(
            "h2 6.8/1: GOAWAY on a stream",
            Connection(&[PROTOCOL]),
            &[frame(Frame::GOAWAY, 0, 1, &[0; 8])],
        ),
        case(
            "h2 6.9/1: WINDOW_UPDATE of 0 for the connection",
            Connection(&[PROTOCOL]),
            &[window(0, 0)],
        ),
        case(
            "h2 6.9/2: WINDOW_UPDATE of 0 for a stream",
            Stream(&[PROTOCOL]),
            &[post(1), window(1, 0)],
        ),
        case(
            "h2 6.9/3: WINDOW_UPDATE of another length",
            Connection(&[SIZE]),
            &[frame(Frame::WINDOW_UPDATE, 0, 0, &[0; 3])],
        ),
        case("h2 6.9.1/1: a window of one byte", Data(1), &[settings(4, 1), get(1)]),
        case(
            "h2 6.9.1/2: the connection's window overflows",
            Connection(&[FLOW]),
            &[window(0, 0x7fff_ffff), window(0, 0x7fff_ffff)],
        ),
        case(
            "h2 6.9.1/3: a stream's window overflows",
            Stream(&[FLOW]),
            &[post(1), window(1, 0x7fff_ffff), window(1, 0x7fff_ffff)],
        ),
        case(
            "h2 6.9.2/1: a window that opens after the request",
            Data(1),
            &[settings(4, 0), get(1), settings(4, 1)],
        ),
        case("h2 6.9.2/2: a window that was negative", Data(3), &[settings(4, 3), get(1)]),
        case(
            "h2 6.9.2/3: an initial window above the maximum",
            Connection(&[FLOW]),
            &[settings(4, 0xffff_ffff)],
        ),
        case(
            "h2 6.10/1: several CONTINUATION",
            Answer,
            &[
                headers(1, 1, &block[..9]),
                continuation(0, 1, &block[9..20]),
                continuation(4, 1, &block[20..]),
            ],
        ),
        case(
            "h2 6.10/2: CONTINUATION, then another frame",
            Connection(&[PROTOCOL]),
            &[open.clone(), continuation(0, 1, b""), data(1, 1, b"test")],
        ),
        case(
            "h2 6.10/3: CONTINUATION on stream 0",
            Connection(&[PROTOCOL]),
            &[open.clone(), continuation(4, 0, b"")],
        ),
        case(
            "h2 6.10/4: CONTINUATION after whole HEADERS",
            Connection(&[PROTOCOL]),
            &[post(1), continuation(4, 1, b"")],
        ),
        case(
            "h2 6.10/5: CONTINUATION after the last CONTINUATION",
            Connection(&[PROTOCOL]),
            &[headers(0, 1, &block), continuation(4, 1, b""), continuation(4, 1, b"")],
        ),
        case(
            "h2 6.10/6: CONTINUATION after DATA",
            Connection(&[PROTOCOL]),
            &[post(1), data(0, 1, b"test"), continuation(4, 1, b"")],
        ),
        case(
            "h2 7/1: GOAWAY with an unknown code",
            NothingOrClose,
            &[frame(Frame::GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff])],
        ),
        case("h2 7/2: RST_STREAM with an unknown code", NothingOrClose, &[post(1), reset(1, 0xff)]),
    ]
}

/// A request with these fields alone.
fn only(name: &'static str, fields: &[(&str, &str)]) -> Case {
    case(name, Stream(&[PROTOCOL]), &[headers(END, 1, &encode_fields(fields))])
}

/// A request with this field after those that it needs.
fn plus(name: &'static str, field: (&str, &str)) -> Case {
    case(name, Stream(&[PROTOCOL]), &[headers(END, 1, &fields("GET", &[field]))])
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn messages() -> Vec<Case> {
    const METHOD: (&str, &str) = (":method", "GET");
    const SCHEME: (&str, &str) = (":scheme", "http");
    const PATH: (&str, &str) = (":path", "/");
    const HOST: (&str, &str) = (":authority", "localhost");
    let with_length = |length| headers(HEAD, 1, &fields("POST", &[("content-length", length)]));
    let trailers = |flags, fields: &[(&str, &str)]| headers(flags, 1, &encode_fields(fields));
    vec![
        case(
            "h2 8.1/1: second HEADERS that do not end the stream",
            Stream(&[PROTOCOL]),
            &[post(1), data(0, 1, b"test"), trailers(HEAD, &[("x-test", "ok")])],
        ),
        plus("h2 8.1.2/1: a name in upper case", ("X-TEST", "ok")),
        plus("h2 8.1.2.1/1: unknown pseudo-field", (":test", "ok")),
        plus("h2 8.1.2.1/2: pseudo-field of answers", (":status", "200")),
        case(
            "h2 8.1.2.1/3: pseudo-field in trailers",
            Stream(&[PROTOCOL]),
            &[post(1), data(0, 1, b"test"), trailers(END, &[METHOD])],
        ),
        only(
            "h2 8.1.2.1/4: pseudo-field after others",
            &[METHOD, SCHEME, HOST, ("x-test", "ok"), PATH],
        ),
        plus("h2 8.1.2.2/1: a field of the connection", ("connection", "keep-alive")),
        plus("h2 8.1.2.2/2: TE other than trailers", ("te", "trailers, deflate")),
        only("h2 8.1.2.3/1: empty path", &[METHOD, SCHEME, (":path", ""), HOST]),
        only("h2 8.1.2.3/2: no method", &[SCHEME, PATH, HOST]),
        only("h2 8.1.2.3/3: no scheme", &[METHOD, PATH, HOST]),
        only("h2 8.1.2.3/4: no path", &[METHOD, SCHEME, HOST]),
        only("h2 8.1.2.3/5: two methods", &[METHOD, METHOD, SCHEME, PATH, HOST]),
        only("h2 8.1.2.3/6: two schemes", &[METHOD, SCHEME, SCHEME, PATH, HOST]),
        only("h2 8.1.2.3/7: two paths", &[METHOD, SCHEME, PATH, PATH, HOST]),
        case(
            "h2 8.1.2.6/1: content-length other than that of DATA",
            Stream(&[PROTOCOL]),
            &[with_length("1"), data(1, 1, b"test")],
        ),
        case(
            "h2 8.1.2.6/2: content-length other than that of several DATA",
            Stream(&[PROTOCOL]),
            &[with_length("1"), data(0, 1, b"test"), data(1, 1, b"test")],
        ),
        case(
            "h2 8.2/1: PUSH_PROMISE",
            Connection(&[PROTOCOL]),
            &[frame(Frame::PUSH_PROMISE, 4, 1, &[&[0, 0, 0, 3], &fields("GET", &[])[..]].concat())],
        ),
        // Not in the public list, but of its kind.
        plus("own: transfer-encoding", ("transfer-encoding", "chunked")),
        plus("own: upgrade", ("upgrade", "h2c")),
        plus("own: line end in a value", ("x-test", "a\r\nb: c")),
        plus("own: NUL in a value", ("x-test", "a\0b")),
        plus("own: space in a name", ("x test", "ok")),
        only("own: space in the path", &[METHOD, SCHEME, (":path", "/a b"), HOST]),
        only("own: two authorities", &[METHOD, SCHEME, PATH, HOST, (":authority", "other")]),
        case(
            "own: two content lengths",
            Stream(&[PROTOCOL]),
            &[
                headers(
                    HEAD,
                    1,
                    &fields("POST", &[("content-length", "4"), ("content-length", "5")]),
                ),
                data(1, 1, b"test"),
            ],
        ),
    ]
}

fn hpack() -> Vec<Case> {
    let bad = |name, field: &[u8]| case(name, Connection(&[COMPRESSION]), &[with_field(field)]);
    vec![
        bad("hpack 2.3.3/1: an index that is not there", b"\xc6"),
        bad("hpack 2.3.3/2: a name that is not there", b"\x7f\x07\x05empty"),
        bad("hpack 4.2/1: table size at the end of a block", b"\x21"),
        bad(
            "hpack 5.2/1: padding of more than 7 bits",
            b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff",
        ),
        bad("hpack 5.2/2: padding of zeros", b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"),
        bad(
            "hpack 5.2/3: a string with EOS",
            b"\x00\x85\xf2\xb2\x4a\x84\xff\x88\xff\xff\xff\xff\xff\xff\xff\xff",
        ),
        bad("hpack 6.1/1: index 0", b"\x80"),
        case(
            "hpack 6.3/1: a table larger than allowed",
            Connection(&[COMPRESSION]),
            &[headers(END, 1, &[b"\x3f\xff\xff\x03", &fields("GET", &[])[..]].concat())],
        ),
    ]
}

/// What came of a case, if not what was wanted.
fn judge(client: &mut FrameClient, wanted: Wanted) -> Result<(), String> {
    let deadline = Deadline::after(Duration::from_secs(10));
    let mut seen = Vec::new();
    loop {
        let frame = match client.next(deadline) {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                let fine = matches!(wanted, Connection(_) | Stream(_) | NothingOrClose);
                return if fine { Ok(()) } else { Err(format!("closed after {seen:?}")) };
            }
            Err(_) => return Err(format!("nothing more after {seen:?}")),
        };
        let is_done = match (wanted, frame.kind) {
            (Connection(codes) | Stream(codes), Frame::GOAWAY) => {
                frame.number(4).is_some_and(|code| codes.contains(&code))
            }
            (Stream(codes), Frame::RST_STREAM) => {
                frame.number(0).is_some_and(|code| codes.contains(&code))
            }
            (Answer, Frame::HEADERS) => frame.stream == 1,
            (Nothing | NothingOrClose, Frame::PING) => frame.flags == Frame::ACK,
            (Wanted::Frame(kind, flags), _) => frame.kind == kind && frame.flags == flags,
            (Data(length), Frame::DATA) if frame.payload.len() == length => true,
            (Data(_), Frame::DATA) => return Err(format!("other DATA: {frame:?}")),
            _ => false,
        };
        if is_done {
            return Ok(());
        }
        seen.push((frame.kind, frame.flags, frame.stream, frame.payload));
    }
}

fn run(proxy: &Proxy, case: &Case) -> Result<(), String> {
    let mut client = FrameClient::greet(proxy.address("web"), &[]);
    let closed = |_| format!("nothing came of a greeting before: {}", case.name);
    let greeted = client.find(Deadline::soon(), |frame| frame.kind == Frame::SETTINGS);
    greeted.map_err(closed)?.ok_or("closed at the greeting")?;
    // What is written on a closed connection is lost, which is the case's own affair.
    let _taken = client.send(&case.bytes);
    if !case.after_answer.is_empty() {
        let is_end = |frame: &Frame| {
            frame.stream == 1 && frame.kind <= 1 && frame.flags & Frame::END_STREAM != 0
        };
        client
            .find(Deadline::soon(), is_end)
            .map_err(closed)?
            .ok_or("closed instead of answered")?;
        let _taken = client.send(&case.after_answer);
    }
    if matches!(case.wanted, Nothing | NothingOrClose) {
        let _taken = client.send(&ping(0));
    }
    judge(&mut client, case.wanted)
}

/// What came of the cases, each played before a proxied origin.
#[derive(Clone, Debug, Default)]
pub struct H2Conformance {
    /// Cases played.
    pub cases: usize,
    /// Those that did not end as the list wants, each with what came instead.
    pub failures: Vec<String>,
}

/// Plays all cases of ours.
///
/// # Panics
/// When the proxy does not start.
#[must_use]
#[track_caller]
pub fn h2_conformance() -> H2Conformance {
    let origin = Origin::start();
    let proxy = Proxy::start(&config().web("h2c = true").site("").proxy_to(&origin));
    let sections: [fn() -> Vec<Case>; 6] =
        [generic, generic_hpack, frames_and_streams, frame_definitions, messages, hpack];
    let mut found = H2Conformance::default();
    for case in sections.into_iter().flat_map(|section| section()) {
        found.judged(case.name, run(&proxy, &case));
    }
    for (name, bytes) in prefaces() {
        found.judged(name, preface(&proxy, &bytes));
    }
    found
}

impl H2Conformance {
    fn judged(&mut self, name: &str, outcome: Result<(), String>) {
        self.cases += 1;
        self.failures.extend(outcome.err().map(|failure| format!("{name}: {failure}")));
    }
}

/// What a connection must not begin with.
fn prefaces() -> [(&'static str, Vec<u8>); 3] {
    [
        ("3.5: another protocol", b"INVALID CONNECTION PREFACE\r\n\r\n".to_vec()),
        ("3.5: a preface that ends otherwise", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r".to_vec()),
        ("3.5: a first frame other than SETTINGS", [PREFACE, &ping(0)].concat()),
    ]
}

/// The connection must end, whatever is said before.
fn preface(proxy: &Proxy, bytes: &[u8]) -> Result<(), String> {
    let mut client = FrameClient::connect(proxy.address("web"));
    if !client.send(bytes) {
        return Err("nobody reads".to_owned());
    }
    // An answer in HTTP/1 may come first.
    match client.find(Deadline::soon(), |frame| frame.kind == Frame::GOAWAY) {
        Ok(_) => Ok(()),
        Err(_) => Err("the connection goes on".to_owned()),
    }
}
