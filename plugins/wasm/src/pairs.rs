//! Lists of fields as proxy-wasm writes them: their number, the lengths of each name and value, then names and values, each with a
//! zero behind it.

/// More than that many pairs are refused: what a module sends is not to be trusted.
pub const MAX_PAIRS: usize = 1024;
/// A list that is longer is refused.
pub const MAX_BYTES: usize = 1 << 20;

/// A list of fields that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// One field of a list, borrowed from it.
pub type Pair<'a> = (&'a [u8], &'a [u8]);

/// Reads a list. An empty one may be no bytes at all, or a single zero.
///
/// # Errors
///
/// [`Malformed`] for one that is cut short, has bytes behind its end, lacks a zero, or exceeds [`MAX_PAIRS`] or [`MAX_BYTES`].
pub fn decode(list: &[u8]) -> Result<Vec<Pair<'_>>, Malformed> {
    if list.is_empty() || list == [0] {
        return Ok(Vec::new());
    }
    if list.len() > MAX_BYTES {
        return Err(Malformed);
    }
    let (count, rest) = number(list)?;
    if count > MAX_PAIRS {
        return Err(Malformed);
    }
    let (mut lengths, mut text) = rest.split_at_checked(count * 8).ok_or(Malformed)?;
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let (name_length, rest) = number(lengths)?;
        let (value_length, rest) = number(rest)?;
        lengths = rest;
        let (name, rest) = terminated(text, name_length)?;
        let (value, rest) = terminated(rest, value_length)?;
        text = rest;
        pairs.push((name, value));
    }
    if text.is_empty() { Ok(pairs) } else { Err(Malformed) }
}

fn number(bytes: &[u8]) -> Result<(usize, &[u8]), Malformed> {
    let (number, rest) = bytes.split_first_chunk::<4>().ok_or(Malformed)?;
    Ok((u32::from_le_bytes(*number) as usize, rest))
}

fn terminated(bytes: &[u8], length: usize) -> Result<(&[u8], &[u8]), Malformed> {
    let (text, rest) = bytes.split_at_checked(length).ok_or(Malformed)?;
    match rest.split_first() {
        Some((0, rest)) => Ok((text, rest)),
        _ => Err(Malformed),
    }
}

/// A list that is being written.
#[derive(Default)]
pub struct Encoder {
    lengths: Vec<u8>,
    text: Vec<u8>,
    count: u32,
}

impl Encoder {
    /// Adds one field.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        for part in [name, value] {
            self.lengths.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            self.text.extend_from_slice(part);
            self.text.push(0);
        }
        self.count += 1;
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many bytes the list has.
    #[must_use]
    pub fn size(&self) -> usize {
        4 + self.lengths.len() + self.text.len()
    }

    /// Writes the list behind what is in `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.size());
        out.extend(self.count.to_le_bytes());
        out.extend_from_slice(&self.lengths);
        out.extend_from_slice(&self.text);
    }
}

/// What the fuzz target `wasm_pairs` promises: a list that is read is, written again, the same; one that is cut short is no list.
///
/// # Panics
///
/// When that is not so.
pub fn check_pairs(bytes: &[u8]) {
    let Ok(pairs) = decode(bytes) else { return };
    let mut encoder = Encoder::default();
    for (name, value) in &pairs {
        encoder.push(name, value);
    }
    let mut again = Vec::new();
    encoder.write(&mut again);
    if pairs.is_empty() {
        assert_eq!(decode(&again), Ok(Vec::new()), "an empty list is read again");
        return;
    }
    assert_eq!(again, bytes, "a list is written as it was read");
    let cuts = (0..bytes.len().min(256)).chain([bytes.len() - 1]).filter(|cut| *cut > 1);
    for cut in cuts {
        assert_eq!(bytes.get(..cut).map(decode), Some(Err(Malformed)), "cut at {cut}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_specification_is_written_and_read() {
        let list = b"\x02\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x02\0\0\0a\x001\0b\x0022\0";
        let expected: Vec<Pair<'_>> = vec![(b"a", b"1"), (b"b", b"22")];
        assert_eq!(decode(list), Ok(expected));
        check_pairs(list);
    }

    #[test]
    fn an_empty_list_is_nothing_or_one_zero_or_a_count_of_none() {
        for list in [&b""[..], b"\0", b"\0\0\0\0"] {
            assert_eq!(decode(list), Ok(Vec::new()));
        }
    }

    #[test]
    fn counts_and_lengths_that_lie_are_refused() {
        let lies = [
            &b"\xff\xff\xff\xff"[..],
            b"\x01\x04\0\0",
            b"\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xffa\0b\0",
            b"\x01\0\0\0\x01\0\0\0\x01\0\0\0a\x01b\0",
            b"\x01\0\0\0\x01\0\0\0\x01\0\0\0a\0b\0more",
            b"\0\0\0\0x",
        ];
        for list in lies {
            assert_eq!(decode(list), Err(Malformed), "{}", list.escape_ascii());
        }
        assert_eq!(decode(&vec![0; MAX_BYTES + 1]), Err(Malformed));
    }

    #[test]
    fn more_pairs_than_the_limit_are_refused() {
        let list = |count: usize| {
            let mut encoder = Encoder::default();
            (0..count).for_each(|_| encoder.push(b"n", b"v"));
            let mut list = Vec::new();
            encoder.write(&mut list);
            list
        };
        assert_eq!(decode(&list(MAX_PAIRS)).map(|pairs| pairs.len()), Ok(MAX_PAIRS));
        assert_eq!(decode(&list(MAX_PAIRS + 1)), Err(Malformed));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            pairs in prop::collection::vec((".{0,20}", prop::collection::vec(any::<u8>(), 0..20)), 0..20),
        ) {
            let mut encoder = Encoder::default();
            for (name, value) in &pairs {
                encoder.push(name.as_bytes(), value);
            }
            let mut list = Vec::new();
            encoder.write(&mut list);
            prop_assert_eq!(list.len(), encoder.size());
            let read = decode(&list).unwrap();
            prop_assert_eq!(read.len(), pairs.len());
            for ((name, value), (read_name, read_value)) in pairs.iter().zip(read) {
                prop_assert_eq!(name.as_bytes(), read_name);
                prop_assert_eq!(&value[..], read_value);
            }
            check_pairs(&list);
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            check_pairs(&bytes);
        }
    }
}
