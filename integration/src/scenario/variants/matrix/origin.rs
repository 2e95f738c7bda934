//! An origin that sends every cell, and knows its tags.

use super::cells::{Cell, Framing};
use crate::origin::{Choice, Origin, Received, Step};

/// Serves all of these.
pub(super) fn origin(cells: &[Cell]) -> Origin {
    cells.iter().fold(Origin::start(), |origin, cell| {
        let (tag, (head, body), framing) = (cell.tag(), cell.answer(), cell.framing);
        let head = format!("ETag: {tag}\r\n{head}");
        let choice = Choice::new(move |asked| answer(asked, &tag, &head, (&body, framing)));
        origin.serve(&cell.target(), crate::origin::Answer::Chosen(choice))
    })
}

fn answer(asked: &Received, tag: &str, head: &str, (body, framing): (&[u8], Framing)) -> Vec<Step> {
    let known = asked.headers.get("if-none-match").unwrap_or_default();
    if known.contains(tag) {
        return vec![Step::send(format!("HTTP/1.1 304 Same\r\n{head}\r\n")), Step::Next];
    }
    let begun = |line: &str| Step::send(format!("HTTP/1.1 200 Fine\r\n{head}{line}\r\n\r\n"));
    match framing {
        Framing::Length => vec![
            begun(&format!("Content-Length: {}", body.len())),
            Step::Send(body.to_vec()),
            Step::Next,
        ],
        Framing::UntilClose => vec![begun("Connection: close"), Step::Send(body.to_vec())],
        Framing::Chunks(size) => {
            let chunks = body.chunks(size).flat_map(chunk).chain(*b"0\r\n\r\n").collect();
            vec![begun("Transfer-Encoding: chunked"), Step::Send(chunks), Step::Next]
        }
        Framing::Pieces => {
            let mut steps = vec![begun("Transfer-Encoding: chunked")];
            let (mut rest, mut length) = (body, 1);
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(length.min(rest.len()));
                steps.push(Step::Send(chunk(piece)));
                (rest, length) = (after, length * 3);
            }
            steps.extend([Step::send("0\r\n\r\n"), Step::Next]);
            steps
        }
    }
}

fn chunk(piece: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
}
