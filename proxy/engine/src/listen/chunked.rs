//! Finds the end of a chunked body in raw bytes (RFC 9112, 7.1) without decoding it.
//!
//! Strict: what two parsers could read differently is refused, so that the bytes may be passed on as they are.

/// Where in a chunked body a scan stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChunkedScan {
    state: State,
    /// Bytes of the current size line or trailer section.
    line: usize,
    /// Bytes left of the current chunk.
    left: u64,
}

/// What a scan has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// All bytes belong to the body, and more are to come.
    Open,
    /// The body ends after this many of the bytes.
    End(usize),
}

/// The bytes are not a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed chunked body")]
pub(crate) struct Malformed;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    SizeStart,
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

/// Longest chunk extension, and longest trailer section.
const LONGEST_LINE: usize = 8 * 1024;

impl ChunkedScan {
    /// Goes over the next bytes of the stream.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Result<Scanned, Malformed> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if self.state == State::Data {
                let here = (bytes.len() - at) as u64;
                let taken = here.min(self.left);
                self.left -= taken;
                // `taken` is at most the length of a slice.
                at += usize::try_from(taken).map_err(|_| Malformed)?;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.step(*byte)?;
            at += 1;
            if self.state == State::Done {
                return Ok(Scanned::End(at));
            }
        }
        Ok(Scanned::Open)
    }

    /// Bytes that are missing of the chunk at hand; none between chunks.
    pub(crate) fn data_left(&self) -> u64 {
        if self.state == State::Data { self.left } else { 0 }
    }

    fn step(&mut self, byte: u8) -> Result<(), Malformed> {
        self.state = match (self.state, byte) {
            (State::SizeStart, _) => self.size_digit(byte)?,
            (State::Size, b';') => self.extension(byte)?,
            (State::Size | State::Extension, b'\r') => State::SizeLf,
            (State::Size, _) => self.size_digit(byte)?,
            (State::Extension, _) => self.extension(byte)?,
            (State::SizeLf, b'\n') => self.after_size_line(),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::SizeStart,
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerName, b':') => self.trailer(State::TrailerValue)?,
            (State::TrailerStart | State::TrailerName, _) if is_name(byte) => {
                self.trailer(State::TrailerName)?
            }
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => {
                self.trailer(State::TrailerValue)?
            }
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::Done,
            _ => return Err(Malformed),
        };
        Ok(())
    }

    fn size_digit(&mut self, byte: u8) -> Result<State, Malformed> {
        let digit = (byte as char).to_digit(16).ok_or(Malformed)?;
        let shifted = self.left.checked_mul(16).ok_or(Malformed)?;
        self.left = shifted.checked_add(u64::from(digit)).ok_or(Malformed)?;
        self.line += 1;
        // Sixteen digits say 2^64; more are padding, which only smuggling needs.
        if self.line > 16 { Err(Malformed) } else { Ok(State::Size) }
    }

    fn extension(&mut self, byte: u8) -> Result<State, Malformed> {
        self.line += 1;
        let printable = matches!(byte, b'\t' | b' '..=b'~');
        if printable && self.line <= LONGEST_LINE { Ok(State::Extension) } else { Err(Malformed) }
    }

    fn trailer(&mut self, next: State) -> Result<State, Malformed> {
        self.line += 1;
        if self.line <= LONGEST_LINE { Ok(next) } else { Err(Malformed) }
    }

    fn after_size_line(&mut self) -> State {
        self.line = 0;
        if self.left == 0 { State::TrailerStart } else { State::Data }
    }
}

/// Whether the name of a header may have this byte (RFC 9110, 5.6.2).
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(bytes: &[u8]) -> Result<Scanned, Malformed> {
        ChunkedScan::default().scan(bytes)
    }

    #[test]
    fn the_end_is_found_and_what_follows_is_left() {
        assert_eq!(scan(b"5\r\nhello\r\n0\r\n\r\nGET / "), Ok(Scanned::End(15)));
        assert_eq!(scan(b"0\r\n\r\n"), Ok(Scanned::End(5)));
        let decorated = b"a;x=\"1\"\r\n0123456789\r\n0\r\nA: b\r\nC: d\r\n\r\n";
        assert_eq!(scan(decorated), Ok(Scanned::End(decorated.len())));
        assert_eq!(scan(b"5\r\nhel"), Ok(Scanned::Open));
        assert_eq!(scan(b""), Ok(Scanned::Open));
    }

    #[test]
    fn what_parsers_read_differently_is_refused() {
        let bad: [&[u8]; 26] = [
            b"\r\n",
            b"5\nhello",
            b"0x5\r\n",
            b"+5\r\n",
            b" 5\r\n",
            b"5 \r\n",
            b";\r\n",
            b"5\r\r\n",
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\n",
            b"10000000000000000\r\n",
            b"00000000000000005\r\n",
            b"5;\n",
            b"0\r\n\n",
            b"0\r\nA: b\n",
            b"0\r\n\rX",
            b"5;\x00",
            b"5;a\x7f",
            b"5;a=\xe9",
            b"0\r\nA: b\0",
            b"0\r\nA b: c\r\n",
            b"0\r\nA : c\r\n",
            b"0\r\nA\r\n",
            b"0\r\n: a\r\n",
            b"0\r\nA: b\r\n c\r\n",
            b"0\r\nA: b\rC\r\n",
        ];
        for bytes in bad {
            assert_eq!(scan(bytes), Err(Malformed), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let mut extension = b"5;".to_vec();
        extension.resize(LONGEST_LINE + 3, b'x');
        assert_eq!(scan(&extension), Err(Malformed));
        let mut trailer = b"0\r\nA: ".to_vec();
        trailer.resize(LONGEST_LINE + 10, b'x');
        assert_eq!(scan(&trailer), Err(Malformed));
    }

    proptest! {
        #[test]
        fn cutting_the_bytes_anywhere_changes_nothing(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in proptest::collection::vec(1_usize..9, 1..200),
        ) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\nT: v\r\n\r\n");
            let length = body.len();
            body.extend_from_slice(b"next");
            prop_assert_eq!(scan(&body), Ok(Scanned::End(length)));

            let mut scan = ChunkedScan::default();
            let mut at = 0;
            for cut in cuts.into_iter().cycle() {
                let piece = &body[at..(at + cut).min(body.len())];
                match scan.scan(piece) {
                    Ok(Scanned::Open) => at += piece.len(),
                    Ok(Scanned::End(end)) => { prop_assert_eq!(at + end, length); break; }
                    Err(error) => prop_assert!(false, "{}", error),
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = scan(&bytes);
        }
    }
}
