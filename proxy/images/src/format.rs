//! Formats that pictures come in and go out in, and how their bytes and media types tell them.

/// A format that pictures are read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Photos, mostly.
    Jpeg,
    /// Screenshots, drawings, logos; APNG too.
    Png,
    /// At most 256 colours; often animated.
    Gif,
    /// Lossy or lossless; sometimes animated.
    WebP,
}

impl Format {
    /// What the first bytes say. The declared type is not asked.
    pub fn sniff(bytes: &[u8]) -> Sniffed {
        match bytes {
            [0xff, 0xd8, 0xff, ..] => Sniffed::Picture(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Sniffed::Picture(Self::Png),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Sniffed::Picture(Self::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
                Sniffed::Picture(Self::WebP)
            }
            _ if is_drawing(bytes) => Sniffed::Vector,
            _ => Sniffed::Other,
        }
    }

    /// The format that a `Content-Type` declares; parameters are left aside.
    pub fn declared(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let known = [
            ("image/jpeg", Self::Jpeg),
            ("image/jpg", Self::Jpeg),
            ("image/pjpeg", Self::Jpeg),
            ("image/png", Self::Png),
            ("image/apng", Self::Png),
            ("image/x-png", Self::Png),
            ("image/gif", Self::Gif),
            ("image/webp", Self::WebP),
        ];
        let found = known.iter().find(|(name, _)| essence.eq_ignore_ascii_case(name));
        found.map(|&(_, format)| format)
    }

    /// Its name, as in `X-Media`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::WebP => "webp",
        }
    }
}

/// What the first bytes of a body say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniffed {
    /// A picture that is read here.
    Picture(Format),
    /// SVG, which is never turned into pixels.
    Vector,
    /// Anything else.
    Other,
}

/// A format that pictures are made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Understood by every browser since 2020. Still or animated.
    WebP,
    /// Smaller, and ten times as dear to make: for the background. Still only. Made in builds with the feature `avif`; see
    /// [`Target::is_built`].
    Avif,
}

impl Target {
    /// Whether this build makes it.
    pub fn is_built(self) -> bool {
        match self {
            Self::WebP => true,
            Self::Avif => cfg!(feature = "avif"),
        }
    }

    /// The media type of what is made.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::WebP => "image/webp",
            Self::Avif => "image/avif",
        }
    }

    /// Its name, in configuration and in `X-Media`.
    pub fn name(self) -> &'static str {
        match self {
            Self::WebP => "webp",
            Self::Avif => "avif",
        }
    }

    /// The longest side that the format can say.
    pub(crate) fn longest_side(self) -> u32 {
        match self {
            Self::WebP => 16_383,
            Self::Avif => 65_536,
        }
    }
}

/// Whether it begins as an SVG does: a root element, after nothing but an XML declaration, comments and a type.
fn is_drawing(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let head = bytes.get(..1024).unwrap_or(bytes);
    head.starts_with(b"<") && memchr::memmem::find(head, b"<svg").is_some()
}

#[cfg(test)]
mod tests {
    use super::{Format, Sniffed};

    #[test]
    fn first_bytes_tell_the_format() {
        for (bytes, expected) in [
            (b"\xff\xd8\xff\xe0\x00\x10JFIF".as_slice(), Sniffed::Picture(Format::Jpeg)),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Sniffed::Picture(Format::Png)),
            (b"GIF87a", Sniffed::Picture(Format::Gif)),
            (b"GIF89a\x01", Sniffed::Picture(Format::Gif)),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Sniffed::Picture(Format::WebP)),
            (b"RIFF\x10\0\0\0WAVEfmt ", Sniffed::Other),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Sniffed::Vector),
            (b"\xef\xbb\xbf  <?xml version='1.0'?>\n<!-- a --><svg>", Sniffed::Vector),
            (b"<html><body>", Sniffed::Other),
            (b"GIF8", Sniffed::Other),
            (b"", Sniffed::Other),
        ] {
            assert_eq!(Format::sniff(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn declared_types_are_read_without_their_parameters_and_case() {
        assert_eq!(Format::declared("Image/JPEG; q=1"), Some(Format::Jpeg));
        assert_eq!(Format::declared("image/apng"), Some(Format::Png));
        assert_eq!(Format::declared("image/svg+xml"), None);
        assert_eq!(Format::declared("application/octet-stream"), None);
    }
}
