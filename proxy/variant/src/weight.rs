//! Lists with weights, as `Accept` and its kin are (RFC 9110 section 12.4.2).

/// A weight in thousandths: 0 refuses, 1000 is the most.
pub(crate) type Weight = u16;

/// What stands without a weight.
pub(crate) const FULL: Weight = 1000;

/// The elements of one line, each as its name and its weight. A comma between double quotes is part of its element; empty elements
/// are skipped. A weight that cannot be read is 0: nobody is sent what they may have refused.
pub(crate) struct Elements<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (&'a [u8], Weight);

    fn next(&mut self) -> Option<(&'a [u8], Weight)> {
        while !self.0.is_empty() {
            // Nearly all elements are a name alone: it ends at the first of these, and so does the search for them.
            let end = self.0.iter().position(|byte| matches!(byte, b',' | b';' | b'"'));
            let (name, rest) = self.0.split_at_checked(end.unwrap_or(self.0.len()))?;
            let (element, weight) = match rest.first() {
                None | Some(b',') => {
                    self.0 = rest.get(1..).unwrap_or_default();
                    (name, FULL)
                }
                Some(_) => {
                    let (element, rest) = split_once_unquoted(self.0, b',');
                    self.0 = rest;
                    let (name, parameters) = split_once_unquoted(element, b';');
                    (name, weight_of(parameters))
                }
            };
            let name = element.trim_ascii();
            if !name.is_empty() {
                return Some((name, weight));
            }
        }
        None
    }
}

/// The weight among the parameters of an element, the most where there is none.
fn weight_of(mut parameters: &[u8]) -> Weight {
    while !parameters.is_empty() {
        let (parameter, after) = split_once_unquoted(parameters, b';');
        if let [b'q' | b'Q', b'=', value @ ..] = parameter.trim_ascii() {
            return thousandths(value).unwrap_or(0);
        }
        parameters = after;
    }
    FULL
}

/// What stands before the first `at` that is not between double quotes, and what stands behind it.
fn split_once_unquoted(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (index, &byte) in text.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ if byte == at && !is_quoted => {
                let (before, behind) = text.split_at(index);
                return (before, behind.get(1..).unwrap_or_default());
            }
            _ => {}
        }
    }
    (text, &[])
}

/// `0` to `1` with at most three digits behind the point.
pub(crate) fn thousandths(value: &[u8]) -> Option<Weight> {
    let (whole, digits) = match value {
        [whole @ (b'0' | b'1')] => (whole, [].as_slice()),
        [whole @ (b'0' | b'1'), b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let mut weight = Weight::from(whole - b'0');
    for index in 0..3 {
        let digit = digits.get(index).copied().unwrap_or(b'0');
        weight = weight * 10 + Weight::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    (weight <= FULL).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_split_at_commas_that_are_not_quoted() {
        let elements: Vec<_> =
            Elements(b" a ,, b;x=\"1,\\\",2\" ; q=0.5,;q=0.1,c,\"d,e\"").collect();
        assert_eq!(elements, [(&b"a"[..], 1000), (b"b", 500), (b"c", 1000), (b"\"d,e\"", 1000)]);
    }

    #[test]
    fn a_weight_is_the_one_that_is_said_or_none_where_it_cannot_be_read() {
        for (element, weight) in [
            ("x", 1000),
            ("x;q=1", 1000),
            ("x;q=1.000", 1000),
            ("x ; Q=0.8", 800),
            ("x;q=0.001", 1),
            ("x;q=0.", 0),
            ("x;q=0", 0),
            ("x;level=9;q=0.25", 250),
            ("x;q=1.001", 0),
            ("x;q=2", 0),
            ("x;q=", 0),
            ("x;q=.5", 0),
            ("x;q=0.1234", 0),
            ("x;q=-1", 0),
            ("x;q=0.x", 0),
        ] {
            let read: Vec<_> = Elements(element.as_bytes()).collect();
            assert_eq!(read, [(&b"x"[..], weight)], "{element}");
        }
    }
}
