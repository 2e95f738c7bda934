//! Percent-encoding of what goes into targets.

/// Appends a decoded path as it stands in a request line: all but what a path may hold is encoded, also `%`, `?` and `#`.
pub(crate) fn encode_path(path: &[u8], out: &mut Vec<u8>) {
    encode(path, out, |byte| is_unreserved(byte) || b"/!$&'()*+,;=:@".contains(&byte));
}

/// Appends decoded text as a value in a query: all but letters, digits and `-._~` is encoded.
pub(crate) fn encode_component(text: &[u8], out: &mut Vec<u8>) {
    encode(text, out, is_unreserved);
}

/// Appends text that is encoded already, as far as it is: only what no target may hold at all is encoded.
pub(crate) fn encode_rest(text: &[u8], out: &mut Vec<u8>) {
    encode(text, out, |byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte));
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn encode(text: &[u8], out: &mut Vec<u8>, stays: impl Fn(u8) -> bool) {
    for byte in text {
        if stays(*byte) {
            out.push(*byte);
        } else {
            out.push(b'%');
            out.extend([byte >> 4, byte & 15].map(hexadecimal));
        }
    }
}

const fn hexadecimal(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'A' + digit - 10 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = text;
        while let [byte, behind @ ..] = rest {
            match (byte, behind) {
                (b'%', [high, low, behind @ ..]) => {
                    let digits = [*high, *low];
                    out.push(
                        u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap(),
                    );
                    rest = behind;
                }
                _ => {
                    out.push(*byte);
                    rest = behind;
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_to_itself(text: Vec<u8>) {
            for encode in [encode_path, encode_component] {
                let mut out = Vec::new();
                encode(&text, &mut out);
                prop_assert!(out.iter().all(|byte| byte.is_ascii_graphic() && !b"?#\"<>\\".contains(byte)));
                prop_assert_eq!(decode(&out), text.clone());
            }
        }

        #[test]
        fn what_is_a_target_already_stays(text in "[a-z0-9%/?&=+.-]{0,20}") {
            let mut out = Vec::new();
            encode_rest(text.as_bytes(), &mut out);
            prop_assert_eq!(out, text.into_bytes());
        }
    }
}
