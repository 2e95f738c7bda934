//! What is one key, of the values that a request brings.

/// What is alike in keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Normal {
    /// `%41` is `A`. Once, and what is no such code stays as it is.
    pub decode: bool,
    /// `A` is `a`; other letters than those of ASCII stay as they are. After decoding.
    pub lowercase: bool,
}

/// A part of what a key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPart<'t> {
    /// The same text in each key.
    Literal(&'t str),
    /// What a request brings.
    Value,
}

/// How values become a key, so that two keys are alike only if their values are.
///
/// A single value stays as it is, beside literals, too: tables, pins and ranges say what the operator sees. Of several, `a-b` and
/// `c` must not become what `a` and `b-c` do: in values, the sign that the literal behind a value begins with is written as `%2D`
/// is for `-`, and so is `%`. Where two values stand together, or no such sign would do, each value ends with `|`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyForm {
    normal: Normal,
    ends: Ends,
}

/// How the end of a value is known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ends {
    /// There is one value.
    One,
    /// These signs, in no value, are what comes behind one.
    Signs(Box<[u8]>),
    /// A sign of ours.
    Bar,
}

const BAR: u8 = b'|';

impl KeyForm {
    /// The form of keys of these parts.
    #[must_use]
    pub fn new<'t>(normal: Normal, parts: impl IntoIterator<Item = KeyPart<'t>>) -> Self {
        let mut parts = parts.into_iter().filter(|part| *part != KeyPart::Literal("")).peekable();
        let (mut values, mut ends) = (0, Ends::Signs(Box::default()));
        while let Some(part) = parts.next() {
            if part != KeyPart::Value {
                continue;
            }
            values += 1;
            ends = ends.and(parts.peek());
        }
        Self { normal, ends: if values > 1 { ends } else { Ends::One } }
    }

    /// Appends a value to a key, whose literals are the caller's to append. Allocates nothing but room in `key`.
    pub fn append(&self, value: &[u8], key: &mut Vec<u8>) {
        let mut rest = value;
        while let Some((byte, behind)) = rest.split_first() {
            rest = behind;
            let mut byte = *byte;
            if self.normal.decode
                && byte == b'%'
                && let Some((decoded, behind)) = decoded(rest)
            {
                byte = decoded;
                rest = behind;
            }
            if self.normal.lowercase {
                byte = byte.to_ascii_lowercase();
            }
            if self.is_written_as_code(byte) {
                key.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
            } else {
                key.push(byte);
            }
        }
        if self.ends == Ends::Bar {
            key.push(BAR);
        }
    }

    fn is_written_as_code(&self, byte: u8) -> bool {
        match &self.ends {
            Ends::One => false,
            Ends::Signs(signs) => byte == b'%' || signs.contains(&byte),
            Ends::Bar => byte == b'%' || byte == BAR,
        }
    }
}

impl Ends {
    /// The same, where this stands behind another value.
    fn and(self, behind: Option<&KeyPart<'_>>) -> Self {
        let sign = match behind {
            None => return self,
            Some(KeyPart::Literal(text)) => text.bytes().next(),
            Some(KeyPart::Value) => None,
        };
        // A sign that codes are made of would be found in them.
        match (self, sign.filter(|sign| !sign.is_ascii_hexdigit() && *sign != b'%')) {
            (Self::Signs(signs), Some(sign)) => {
                Self::Signs(signs.iter().copied().chain([sign]).collect())
            }
            _ => Self::Bar,
        }
    }
}

fn decoded(rest: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, behind @ ..] = rest else { return None };
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(high)? << 4 | digit(low)?, behind))
}

fn digit(number: u8) -> u8 {
    match number {
        0..=9 => b'0' + number,
        _ => b'A' + number - 10,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: Normal = Normal { decode: true, lowercase: true };

    fn written(form: &KeyForm, parts: &[KeyPart<'_>], values: &[&[u8]]) -> Vec<u8> {
        let (mut key, mut values) = (Vec::new(), values.iter());
        for part in parts {
            match part {
                KeyPart::Literal(text) => key.extend_from_slice(text.as_bytes()),
                KeyPart::Value => form.append(values.next().unwrap(), &mut key),
            }
        }
        key
    }

    fn key(normal: Normal, parts: &[KeyPart<'_>], values: &[&str]) -> String {
        let form = KeyForm::new(normal, parts.iter().copied());
        let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
        String::from_utf8(written(&form, parts, &values)).unwrap()
    }

    #[test]
    fn a_single_value_stays_as_it_is() {
        assert_eq!(key(Normal::default(), &[KeyPart::Value], &["a%2Fb|C"]), "a%2Fb|C");
        let named = [KeyPart::Literal("user-"), KeyPart::Value, KeyPart::Literal("-x")];
        assert_eq!(key(Normal::default(), &named, &["a-b"]), "user-a-b-x");
    }

    #[test]
    fn case_and_codes_may_be_alike() {
        assert_eq!(key(BOTH, &[KeyPart::Value], &["%41lice%2fB%zz%4"]), "alice/b%zz%4");
        let decoded = Normal { decode: true, lowercase: false };
        assert_eq!(key(decoded, &[KeyPart::Value], &["%2541Ä"]), "%41Ä");
    }

    #[test]
    fn values_do_not_run_together() {
        let dashed = [KeyPart::Value, KeyPart::Literal("-"), KeyPart::Value];
        assert_eq!(key(Normal::default(), &dashed, &["a-b", "c"]), "a%2Db-c");
        assert_eq!(key(Normal::default(), &dashed, &["a", "b-c"]), "a-b%2Dc");
        let adjacent = [KeyPart::Value, KeyPart::Value];
        assert_eq!(key(Normal::default(), &adjacent, &["a|", "b"]), "a%7C|b|");
        // In `%2D`, a `2` would be taken for what comes behind the value.
        let digits = [KeyPart::Value, KeyPart::Literal("2"), KeyPart::Value];
        assert_eq!(key(Normal::default(), &digits, &["2", "%"]), "2|2%25|");
    }

    proptest! {
        #[test]
        fn keys_are_alike_only_if_their_values_are(
            literals in proptest::collection::vec("[-a|2%]{0,2}", 4),
            one in proptest::collection::vec("[-aA|2%D]{0,4}", 3),
            other in proptest::collection::vec("[-aA|2%D]{0,4}", 3),
            lowercase: bool,
        ) {
            let value = |text: &str| if lowercase { text.to_ascii_lowercase() } else { text.to_owned() };
            let mut parts = Vec::new();
            for (at, literal) in literals.iter().enumerate() {
                parts.push(KeyPart::Literal(literal));
                parts.extend((at < 3).then_some(KeyPart::Value));
            }
            let normal = Normal { decode: false, lowercase };
            let of = |values: &[String]| {
                key(normal, &parts, &values.iter().map(String::as_str).collect::<Vec<_>>())
            };
            let alike = one.iter().zip(&other).all(|(one, other)| value(one) == value(other));
            prop_assert_eq!(of(&one) == of(&other), alike, "{} and {}", of(&one), of(&other));
        }
    }
}
