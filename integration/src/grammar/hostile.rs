//! What attackers do to sound requests.

use super::Random;

/// Header lines that change where a request ends, for those who believe them.
const LINES: [&[u8]; 44] = [
    b"Content-Length: 5",
    b"Content-Length: 0",
    b"Content-Length: +5",
    b"Content-Length: -1",
    b"Content-Length: 5, 5",
    b"Content-Length: 5,6",
    b"Content-Length: 0x5",
    b"Content-Length: 5 ",
    b"Content-Length: 5\x0b",
    b"Content-Length: 05",
    b"Content-Length:",
    b"Content-Length: 99999999999999999999",
    b"Content-Length : 5",
    b"Content_Length: 5",
    b"Content-Length\t: 5",
    b" Content-Length: 5",
    b"\tTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: ,chunked",
    b"Transfer-Encoding: chunked;x=1",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding: \"chunked\"",
    b"Transfer-Encoding : chunked",
    b"Transfer_Encoding: chunked",
    b"Transfer-Encoding: chunked\r\n ",
    b"X: y\r\n Transfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"X: y\0",
    b"Host: a",
    b"Host: b",
    b"Host:",
    b"Host: a b",
    b": empty",
    b"no colon",
    b"Connection: close, X-Conn, Host, Content-Length, Transfer-Encoding",
    b"Connection: Upgrade\r\nUpgrade: websocket",
    b"X-Conn: 1 1",
    b"Expect: 100-continue",
];

/// First lines that are none.
const FIRST: [&[u8]; 18] = [
    b"GET  /x HTTP/1.1",
    b"GET /x  HTTP/1.1",
    b"GET\t/x HTTP/1.1",
    b" GET /x HTTP/1.1",
    b"GET /x HTTP/1.1 ",
    b"GET /x HTTP/1.2",
    b"GET /x HTTP/1.0",
    b"GET /x HTTP/2.0",
    b"GET /x HTTP/0.9",
    b"GET /x",
    b"GET /x#y HTTP/1.1",
    b"GET http://b/x HTTP/1.1",
    b"GET http://u@a/x HTTP/1.1",
    b"GET /<x>`{|}^\\ HTTP/1.1",
    b"GET /\xe9\xff HTTP/1.1",
    b"CONNECT a:80 HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"GET * HTTP/1.1",
];

const BYTES: &[u8] = b"\0\r\n \t:;,0159afxX/?#%\"\\\x0b\x7f\x80\xff=()@";

/// Tampers with `request` in one way.
pub(super) fn break_somehow(random: &mut Random, request: &mut Vec<u8>) {
    match random.below(13) {
        0 => insert_byte(random, request),
        1 => {
            let at = random.below(request.len());
            request.remove(at);
        }
        2 => {
            let at = random.below(request.len());
            request[at] = BYTES[random.below(BYTES.len())];
        }
        3..=6 => insert_line(random, request),
        7 => replace_line_end(random, request),
        8 => {
            let first = FIRST[random.below(FIRST.len())];
            let end = find(request, b"\r\n", 0).unwrap_or(0);
            request.splice(..end, first.iter().copied());
        }
        9 => repeat_line(random, request),
        10 => {
            let end = random.below(request.len());
            request.truncate(end.max(1));
        }
        11 => drop_line(random, request),
        _ => {
            let at = random.below(request.len());
            let part: Vec<u8> = request[at..].iter().copied().take(1 + random.below(12)).collect();
            request.splice(at..at, part);
        }
    }
}

fn insert_byte(random: &mut Random, request: &mut Vec<u8>) {
    let at = random.below(request.len());
    request.insert(at, BYTES[random.below(BYTES.len())]);
}

/// Where the lines of a request end, those of its body too.
fn line_ends(request: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut from = 0;
    while let Some(at) = find(request, b"\r\n", from) {
        ends.push(at);
        from = at + 2;
    }
    ends
}

fn some_line_end(random: &mut Random, request: &[u8]) -> Option<usize> {
    let ends = line_ends(request);
    (!ends.is_empty()).then(|| ends[random.below(ends.len())])
}

fn insert_line(random: &mut Random, request: &mut Vec<u8>) {
    // Mostly in the head, where it means something.
    let ends = line_ends(request);
    let head = ends.iter().position(|end| request[*end..].starts_with(b"\r\n\r\n"));
    let Some(end) = ends.get(random.below(head.unwrap_or_default() + 1)).copied() else { return };
    let line = [b"\r\n", LINES[random.below(LINES.len())]].concat();
    request.splice(end..end, line);
}

fn replace_line_end(random: &mut Random, request: &mut Vec<u8>) {
    let Some(end) = some_line_end(random, request) else { return };
    let other =
        random.pick(&["\n", "\r", "\r\r\n", "\n\r", "", "\r\n ", "\r\n\t", "\x0b\r\n", "\0\r\n"]);
    request.splice(end..end + 2, other.bytes());
}

fn repeat_line(random: &mut Random, request: &mut Vec<u8>) {
    let Some(end) = some_line_end(random, request) else { return };
    let line: Vec<u8> =
        request[end..].iter().copied().skip(2).take_while(|byte| *byte != b'\r').collect();
    request.splice(end..end, [b"\r\n", &line[..]].concat());
}

fn drop_line(random: &mut Random, request: &mut Vec<u8>) {
    let Some(end) = some_line_end(random, request) else { return };
    let next = find(request, b"\r\n", end + 2).unwrap_or(request.len());
    request.drain(end..next);
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let found = bytes.get(from..)?.windows(what.len()).position(|window| window == what);
    found.map(|at| at + from)
}
