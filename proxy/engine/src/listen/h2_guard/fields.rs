//! Counts the fields of an encoded header block (RFC 7541) without decoding it: a field of one byte can stand for a kilobyte,
//! and decoded ones take a hundred bytes each beside their text.

/// Where in a block the last byte was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldCount {
    at: At,
    /// Fields begun so far.
    pub(super) fields: u32,
    /// Whether one of them is a pseudo-field, as far as can be told without the table of names.
    pub(super) has_pseudo: bool,
    /// Whether a name begins with the next byte, and how a colon is written there.
    colon: Colon,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Colon {
    #[default]
    Elsewhere,
    Plain,
    Huffman,
}

/// The last entry of the static table that is a pseudo-field (RFC 7541, A).
const LAST_PSEUDO: u8 = 14;
/// The code of a colon, which has seven bits.
const HUFFMAN_COLON: u8 = 0b101_1100;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before a field.
    #[default]
    Field,
    /// Within a number whose value does not matter.
    Number(Then),
    /// Before the length of a string.
    Length(Then),
    /// Within that: what is known of it, and the weight of the next seven bits.
    LongLength(u32, u8, Then),
    /// Within a string of which this many bytes are missing.
    Text(u32, Then),
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Field,
    Name,
    Value,
}

impl FieldCount {
    /// Takes in more of the block.
    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if let At::Text(left, then) = self.at {
                self.has_pseudo |= match std::mem::take(&mut self.colon) {
                    Colon::Elsewhere => false,
                    Colon::Plain => byte == b':',
                    Colon::Huffman => byte >> 1 == HUFFMAN_COLON,
                };
                let here = (left as usize).min(bytes.len());
                bytes = bytes.get(here..).unwrap_or_default();
                // `here` is no more than `left`.
                self.at = text(left - u32::try_from(here).unwrap_or(left), then);
                continue;
            }
            bytes = rest;
            self.at = match self.at {
                At::Field => self.begin(byte),
                At::Number(then) if byte & 0x80 != 0 => At::Number(then),
                At::Number(then) => after(then),
                At::Length(then) => self.length(byte, then),
                At::LongLength(length, weight, then) => more_length(length, weight, byte, then),
                At::Text(..) => self.at,
            };
        }
    }

    fn length(&mut self, byte: u8, then: Then) -> At {
        self.colon = match (then, byte & 0x80) {
            (Then::Name, 0) => Colon::Plain,
            (Then::Name, _) => Colon::Huffman,
            _ => Colon::Elsewhere,
        };
        match byte & 0x7f {
            0x7f => At::LongLength(0x7f, 0, then),
            length => text(u32::from(length), then),
        }
    }

    fn begin(&mut self, byte: u8) -> At {
        let (prefix, is_literal) = match byte {
            0x80.. => (0x7f, false),
            0x40.. => (0x3f, true),
            0x20.. => return number(byte, 0x1f, Then::Field),
            _ => (0x0f, true),
        };
        self.fields = self.fields.saturating_add(1);
        self.has_pseudo |= (1..=LAST_PSEUDO).contains(&(byte & prefix));
        match (is_literal, byte & prefix) {
            (false, _) => number(byte, prefix, Then::Field),
            (true, 0) => At::Length(Then::Name),
            (true, _) => number(byte, prefix, Then::Value),
        }
    }
}

fn number(byte: u8, prefix: u8, then: Then) -> At {
    if byte & prefix == prefix { At::Number(then) } else { after(then) }
}

/// What comes once a number or a string is over.
fn after(then: Then) -> At {
    match then {
        Then::Field => At::Field,
        // A name was named by number: its value comes.
        Then::Name | Then::Value => At::Length(Then::Value),
    }
}

fn text(left: u32, then: Then) -> At {
    match (left, then) {
        (0, Then::Name) => At::Length(Then::Value),
        (0, Then::Value | Then::Field) => At::Field,
        (left, then) => At::Text(left, then),
    }
}

fn more_length(length: u32, weight: u8, byte: u8, then: Then) -> At {
    let more = u32::from(byte & 0x7f).checked_shl(u32::from(weight)).unwrap_or(u32::MAX);
    let length = length.saturating_add(more);
    if byte & 0x80 != 0 {
        At::LongLength(length, weight.saturating_add(7).min(28), then)
    } else {
        text(length, then)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(block: &[u8]) -> u32 {
        let mut count = FieldCount::default();
        count.take(block);
        count.fields
    }

    #[test]
    fn each_form_of_a_field_is_one() {
        for (block, fields) in [
            (&b"\x82"[..], 1),
            (b"\x82\x84\x87", 3),
            // Index 255, which takes two bytes.
            (b"\xff\x80\x01\x82", 2),
            // A literal with a new name, indexed or not, or never.
            (b"\x40\x01a\x02bc\x82", 2),
            (b"\x00\x01a\x00\x82", 2),
            (b"\x10\x01a\x81\x00\x82", 2),
            // With a known name.
            (b"\x41\x03abc\x0f\x13\x01x\x82", 3),
            // A table size is no field.
            (b"\x20\x3f\xe1\x1f\x82", 1),
        ] {
            assert_eq!(count(block), fields, "{block:02x?}");
        }
    }

    #[test]
    fn pseudo_fields_are_told_apart() {
        let has_pseudo = |block: &[u8]| {
            let mut count = FieldCount::default();
            count.take(block);
            count.has_pseudo
        };
        let pseudo: [&[u8]; 5] =
            [b"\x82", b"\x42\x03GET", b"\x02\x03GET", b"\x00\x02:x\x01y", b"\x00\x82\xb9\x0f\x01y"];
        assert!(pseudo.into_iter().all(has_pseudo));
        let plain: [&[u8]; 4] =
            [b"\x8f", b"\x4f\x01:", b"\x00\x02x:\x01:", b"\x00\x83\x49\x50\x9f\x01y"];
        assert!(!plain.into_iter().any(has_pseudo));
    }

    #[test]
    fn a_long_string_is_one_field() {
        let mut block = b"\x00\x01a\x7f\x81\x02".to_vec();
        block.extend(std::iter::repeat_n(0x82, 127 + 1 + 256));
        block.push(0x82);
        assert_eq!(count(&block), 2);
    }

    /// Fields as they may be written, each with its bytes.
    fn field() -> impl Strategy<Value = Vec<u8>> {
        let string = proptest::collection::vec(any::<u8>(), 0..300).prop_map(|text| {
            let mut bytes = Vec::new();
            match u8::try_from(text.len()) {
                Ok(short) if short < 0x7f => bytes.push(short),
                _ => {
                    let left = text.len() - 0x7f;
                    bytes.extend([0x7f, 0x80 | (left & 0x7f) as u8, (left >> 7) as u8]);
                }
            }
            bytes.extend(text);
            bytes
        });
        prop_oneof![
            (1_u8..0x7f).prop_map(|index| vec![0x80 | index]),
            (prop_oneof![Just(0x40_u8), Just(0), Just(0x10)], string.clone(), string.clone())
                .prop_map(|(form, name, value)| [vec![form], name, value].concat()),
            (prop_oneof![0x41_u8..0x7f, 1_u8..0x0f, 0x11_u8..0x1f], string)
                .prop_map(|(form, value)| [vec![form], value].concat()),
        ]
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_count_is_right(
            fields in proptest::collection::vec(field(), 0..20),
            cuts in proptest::collection::vec(1_usize..40, 1..50),
        ) {
            let block = fields.concat();
            let mut counted = FieldCount::default();
            let (mut rest, mut cuts) = (&block[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, more) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                counted.take(piece);
                rest = more;
            }
            prop_assert_eq!(counted.fields as usize, fields.len());
            prop_assert_eq!(counted.at, At::Field);
        }

        #[test]
        fn any_bytes_are_borne(block in proptest::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert!(count(&block) as usize <= block.len());
        }
    }
}
