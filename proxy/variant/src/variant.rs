//! One form of a response, and the few bytes that name it.

use std::fmt;

use crate::coding::Coding;
use crate::dictionary::Digest;
use crate::image::ImageType;

/// What an image has been made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageForm {
    /// Its type.
    pub format: ImageType,
    /// Its width in pixels; `None`: that of the original.
    pub width: Option<u16>,
    /// 1 to 100; 100 where nothing is lost.
    pub quality: u8,
}

/// One form of a response. The default is the response as it came.
///
/// What differs only in how hard an encoder has tried is the same variant: a better one takes the place of a worse one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Variant {
    coding: Option<Coding>,
    /// The first half of its hash: enough to tell dictionaries of one site apart.
    dictionary: Option<[u8; HALF]>,
    image: Option<ImageForm>,
}

const HALF: usize = 16;

/// The longest is that of a dictionary.
const LONGEST: usize = 40;

/// The name of a variant: a part of the key under which it is stored, and of its tag. Lower-case letters, digits and `-`; different
/// variants have different names, and what is as it came is `id`.
#[derive(Clone, Copy)]
pub struct Token {
    bytes: [u8; LONGEST],
    length: u8,
}

impl Variant {
    /// The response as it came.
    pub const ORIGINAL: Self = Self { coding: None, dictionary: None, image: None };

    /// With a coding that needs no dictionary; what is as it is is [`Variant::ORIGINAL`].
    #[must_use]
    pub fn coded(coding: Coding) -> Self {
        let coding = (coding != Coding::Identity).then_some(coding);
        Self { coding, ..Self::ORIGINAL }
    }

    /// With a coding and the dictionary that was used; that counts for nothing where the coding needs none.
    #[must_use]
    pub fn with_dictionary(coding: Coding, dictionary: &Digest) -> Self {
        let half = dictionary.as_bytes().first_chunk().copied();
        let dictionary = half.filter(|_| coding.needs_dictionary());
        Self { dictionary, ..Self::coded(coding) }
    }

    /// An image. Images are never coded as well: they are small already.
    #[must_use]
    pub fn image(form: ImageForm) -> Self {
        Self { image: Some(form), ..Self::ORIGINAL }
    }

    /// How it is coded.
    #[must_use]
    pub fn coding(&self) -> Coding {
        self.coding.unwrap_or(Coding::Identity)
    }

    /// Whether who has this dictionary, or none, can decode it, as far as dictionaries go.
    #[must_use]
    pub fn suits_dictionary(&self, known: Option<&Digest>) -> bool {
        let known = || known.and_then(|known| known.as_bytes().first_chunk().copied());
        self.dictionary.is_none_or(|own| known() == Some(own))
    }

    /// What it was made into, if it is an image that was made.
    #[must_use]
    pub fn image_form(&self) -> Option<ImageForm> {
        self.image
    }

    /// Whether it is the response as it came.
    #[must_use]
    pub fn is_original(&self) -> bool {
        *self == Self::ORIGINAL
    }

    /// Its name.
    #[must_use]
    pub fn token(&self) -> Token {
        let mut token = Token { bytes: [0; LONGEST], length: 0 };
        match self.image {
            Some(form) => token.push_image(form),
            None => match self.coding {
                Some(coding) => token.push(coding.name().as_bytes()),
                None => token.push(b"id"),
            },
        }
        if let Some(dictionary) = self.dictionary {
            token.push(b"-");
            token.push_hex(&dictionary);
        }
        token
    }

    /// The variant of this name.
    #[must_use]
    pub fn named(token: &[u8]) -> Option<Self> {
        let mut parts = token.split(|&byte| byte == b'-');
        let first = parts.next()?;
        let rest = (parts.next(), parts.next(), parts.next());
        let variant = match (first, rest) {
            (b"id", (None, None, None)) => Self::ORIGINAL,
            (name, (None, None, None)) => Self::coded(Coding::named(name)?),
            (name, (Some(hash), None, None)) if hash.len() == 2 * HALF => {
                Self { dictionary: Some(unhex(hash)?), ..Self::coded(Coding::named(name)?) }
            }
            (name, (Some(quality), width, None)) => Self::image(ImageForm {
                format: ImageType::ALL.into_iter().find(|one| one.short().as_bytes() == name)?,
                quality: number(quality.strip_prefix(b"q")?)?.try_into().ok()?,
                width: match width {
                    Some(width) => Some(number(width.strip_prefix(b"w")?)?),
                    None => None,
                },
            }),
            _ => return None,
        };
        // One name each: other ways to write a number, or another coding with a hash, are no names.
        (variant.token().as_bytes() == token && variant.is_sound()).then_some(variant)
    }

    fn is_sound(&self) -> bool {
        self.dictionary.is_some() == self.coding().needs_dictionary()
    }
}

impl Token {
    /// The name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    fn push(&mut self, bytes: &[u8]) {
        let left = self.bytes.iter_mut().skip(usize::from(self.length));
        for (place, &byte) in left.zip(bytes) {
            *place = byte;
            self.length += 1;
        }
    }

    fn push_hex(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.push(&[hex(byte >> 4), hex(byte & 15)]);
        }
    }

    fn push_image(&mut self, form: ImageForm) {
        self.push(form.format.short().as_bytes());
        self.push(b"-q");
        self.push_number(u16::from(form.quality));
        if let Some(width) = form.width {
            self.push(b"-w");
            self.push_number(width);
        }
    }

    fn push_number(&mut self, number: u16) {
        let digit = |by: u16| b'0' + u8::try_from(number / by % 10).unwrap_or_default();
        let digits = [10_000, 1000, 100, 10, 1].map(digit);
        let zeros = digits.iter().take_while(|&&digit| digit == b'0').count().min(4);
        self.push(digits.get(zeros..).unwrap_or_default());
    }
}

impl fmt::Display for Token {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.as_str())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, to)
    }
}

/// The digit of a number below 16.
pub(crate) fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

/// Lower-case digits, as [`hex`] writes them.
pub(crate) fn unhex<const COUNT: usize>(digits: &[u8]) -> Option<[u8; COUNT]> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; COUNT];
    let (pairs, rest) = digits.as_chunks::<2>();
    for (place, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *place = nibble(high)? << 4 | nibble(low)?;
    }
    (pairs.len() == COUNT && rest.is_empty()).then_some(bytes)
}

fn number(digits: &[u8]) -> Option<u16> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn image(format: ImageType, quality: u8, width: Option<u16>) -> Variant {
        Variant::image(ImageForm { format, width, quality })
    }

    #[test]
    fn a_variant_has_a_short_name() {
        let dictionary = Digest::of(b"x");
        for (variant, name) in [
            (Variant::default(), "id"),
            (Variant::coded(Coding::Identity), "id"),
            (Variant::coded(Coding::Br), "br"),
            (Variant::coded(Coding::Zstd), "zstd"),
            (
                Variant::with_dictionary(Coding::Dcz, &dictionary),
                "dcz-2d711642b726b04401627ca9fbac32f5",
            ),
            (Variant::with_dictionary(Coding::Br, &dictionary), "br"),
            (image(ImageType::Webp, 80, None), "webp-q80"),
            (image(ImageType::Avif, 100, Some(960)), "avif-q100-w960"),
            (image(ImageType::Webp, 1, Some(u16::MAX)), "webp-q1-w65535"),
        ] {
            assert_eq!(variant.token().as_str(), name);
            assert_eq!(Variant::named(name.as_bytes()), Some(variant));
        }
        assert!(Variant::coded(Coding::Identity).is_original());
    }

    #[test]
    fn what_is_made_with_a_dictionary_is_for_those_who_have_it() {
        let (own, other) = (Digest::of(b"x"), Digest::of(b"y"));
        let made = Variant::with_dictionary(Coding::Dcz, &own);
        assert!(made.suits_dictionary(Some(&own)));
        assert!(!made.suits_dictionary(Some(&other)) && !made.suits_dictionary(None));
        assert!(Variant::coded(Coding::Br).suits_dictionary(None));
    }

    #[test]
    fn other_words_are_no_names() {
        for name in [
            "",
            "-",
            "identity",
            "BR",
            "x-gzip",
            "br-",
            "br-q80",
            "dcz",
            "webp",
            "webp-q080",
            "webp-q+8",
            "webp-q300",
            "webp-q80-w",
            "webp-q80-w1-",
            "webp-w1",
            "id-q1",
            "webp-q0-w70000",
            "br-2d711642b726b04401627ca9fbac32f5",
            "dcz-2D711642B726B04401627CA9FBAC32F5",
            "dcz-2d711642b726b04401627ca9fbac32",
        ] {
            assert_eq!(Variant::named(name.as_bytes()), None, "{name}");
        }
    }

    pub(crate) fn any_variant() -> impl Strategy<Value = Variant> {
        let coded = prop::sample::select(Coding::ALL.to_vec()).prop_map(|coding| match coding {
            Coding::Dcb | Coding::Dcz => Variant::with_dictionary(coding, &Digest::of(b"y")),
            coding => Variant::coded(coding),
        });
        let images =
            (prop::sample::select(ImageType::ALL.to_vec()), any::<u8>(), any::<Option<u16>>());
        prop_oneof![
            coded,
            images.prop_map(|(format, quality, width)| image(format, quality, width))
        ]
    }

    proptest! {
        #[test]
        fn names_are_read_back(one in any_variant(), other in any_variant()) {
            prop_assert_eq!(Variant::named(one.token().as_bytes()), Some(one));
            prop_assert_eq!(one == other, one.token().as_bytes() == other.token().as_bytes());
        }

        #[test]
        fn any_words_are_read(name in "(br|dcz|webp|id)?(-[a-z0-9]{0,33}){0,3}|[ -~]{0,50}") {
            if let Some(variant) = Variant::named(name.as_bytes()) {
                let token = variant.token();
                prop_assert_eq!(token.as_str(), name);
            }
        }
    }
}
