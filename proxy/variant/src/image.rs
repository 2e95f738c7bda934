//! The types of images between which a client can choose.

use http::HeaderValue;

/// A type of image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ImageType {
    /// `image/avif`
    Avif,
    /// `image/webp`
    Webp,
    /// `image/jxl`
    Jxl,
    /// `image/jpeg`
    Jpeg,
    /// `image/png`
    Png,
    /// `image/gif`
    Gif,
}

impl ImageType {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Avif, Self::Webp, Self::Jxl, Self::Jpeg, Self::Png, Self::Gif];

    /// As `Content-Type` writes it.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Avif => "image/avif",
            Self::Webp => "image/webp",
            Self::Jxl => "image/jxl",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
        }
    }

    /// The type without `image/`, as keys and tags write it.
    #[must_use]
    pub fn short(self) -> &'static str {
        self.media_type().trim_start_matches("image/")
    }

    /// For `Content-Type`.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.media_type())
    }

    /// The type of this name, in any case; parameters do not count.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        let name = name.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        Self::ALL.into_iter().find(|one| name.eq_ignore_ascii_case(one.media_type().as_bytes()))
    }
}
