//! Requests as RFC 9112 has them, in all their variety.

use super::{Intended, Random};

/// A sound request.
pub(super) struct Sound {
    pub(super) bytes: Vec<u8>,
    pub(super) intended: Intended,
}

const METHODS: [&str; 10] =
    ["GET", "GET", "GET", "POST", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "M-SEARCH"];

const PATHS: [&str; 12] = [
    "",
    "",
    "/",
    "/a/b",
    "/%41%2e",
    "/~x",
    "/a;b=c",
    "/:@!$&'()*+,;=",
    "/a//b",
    "?",
    "?a=b&c=/?",
    "/x?GET%20/y%20HTTP/1.1",
];

const FIELDS: [&str; 18] = [
    "Accept: */*",
    "accept:text/html",
    "X-Empty:",
    "X-Empty: ",
    "X-Tab:\tvalue\t",
    "X-Inner: a \t b",
    "X-High: \u{e9}\u{fc}",
    "Cookie: a=b; c=d",
    "Cookie: e=\"f\"",
    "User-Agent: Mozilla/5.0 (X11; Linux)",
    "!#$%&'*+-.^`|~: token",
    "X-Request: GET /evil HTTP/1.1",
    "X-Chunk: 0",
    "TE: trailers",
    "X-Forwarded-For: 1.2.3.4",
    "Connection: keep-alive",
    "Connection: X-Hop",
    "X-Hop: 1",
];

/// Bodies that look like something else if their end is missed.
const BODIES: [&str; 10] = [
    "",
    "x",
    "\r\n",
    "0\r\n\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\n\r\nPOST /evil HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
    "a body of some bytes, longer than the others",
    "\0\u{1}\u{7f}\u{ff}",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
];

/// A request whose target holds `mark`.
pub(super) fn request(random: &mut Random, mark: &str) -> Sound {
    let method = random.pick(&METHODS);
    let target = format!("/s/{mark}{}", random.pick(&PATHS));
    let host = random.pick(&["a", "a.example:80", "[::1]"]);
    let is_absolute = random.one_in(12);
    let prefix = if is_absolute { format!("http://{host}") } else { String::new() };
    let blank = if random.one_in(16) { "\r\n" } else { "" };
    let mut bytes = format!("{blank}{method} {prefix}{target} HTTP/1.1\r\n").into_bytes();
    let mut fields: Vec<Vec<u8>> =
        vec![[random.pick(&["Host: ", "host:", "HOST:\t "]).as_bytes(), host.as_bytes()].concat()];
    for _ in 0..random.below(4) {
        fields.push(random.pick(&FIELDS).as_bytes().to_vec());
    }
    let body = random.pick(&BODIES).as_bytes().to_vec();
    let framed = match random.below(if method == "GET" { 8 } else { 3 }) {
        0 => {
            let name = random.pick(&["Content-Length: ", "content-length:", "Content-Length:  "]);
            fields.push(format!("{name}{}", body.len()).into_bytes());
            body.clone()
        }
        1 => {
            let name = random.pick(&["Transfer-Encoding: ", "transfer-encoding:"]);
            fields.push(format!("{name}{}", random.pick(&["chunked", "Chunked"])).into_bytes());
            chunked(random, &body)
        }
        _ => Vec::new(),
    };
    let body = if framed.is_empty() { Vec::new() } else { body };
    let length = fields.len();
    fields.swap(0, random.below(length));
    for field in fields {
        bytes.extend_from_slice(&field);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&framed);
    Sound { bytes, intended: Intended { method: method.to_owned(), target, body } }
}

fn chunked(random: &mut Random, body: &[u8]) -> Vec<u8> {
    let mut framed = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(1 + random.below(rest.len()));
        let size = chunk.len();
        let size = match random.below(4) {
            0 => format!("{size:X}"),
            1 => format!("{size:04x}"),
            _ => format!("{size:x}"),
        };
        let extension = random.pick(&["", "", "", ";a", ";a=b", ";a=\"b;c\""]);
        framed.extend_from_slice(format!("{size}{extension}\r\n").as_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
        rest = behind;
    }
    let last = random.pick(&["0", "0", "00", "0;a=b"]);
    let trailers = random.pick(&["", "", "T: v\r\n", "A: b\r\nContent-Length: 5\r\n"]);
    framed.extend_from_slice(format!("{last}\r\n{trailers}\r\n").as_bytes());
    framed
}
