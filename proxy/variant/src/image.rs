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
    pub const fn short(self) -> &'static str {
        match self {
            Self::Avif => "avif",
            Self::Webp => "webp",
            Self::Jxl => "jxl",
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Gif => "gif",
        }
    }

    /// For `Content-Type`.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.media_type())
    }

    /// The type of this name, in any case; parameters do not count.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        let (kind, rest) = name.split_at_checked(b"image/".len())?;
        if !kind.eq_ignore_ascii_case(b"image/") {
            return None;
        }
        let short = rest.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii_end();
        Self::ALL.into_iter().find(|one| short.eq_ignore_ascii_case(one.short().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_found_by_its_name() {
        for image in ImageType::ALL {
            assert_eq!(image.media_type(), format!("image/{}", image.short()));
            let written = format!("{}; x=y", image.media_type().to_uppercase());
            assert_eq!(ImageType::named(written.as_bytes()), Some(image));
        }
        for other in ["", "image", "image/", "image/webpx", "video/webp", "image/svg+xml"] {
            assert_eq!(ImageType::named(other.as_bytes()), None, "{other}");
        }
    }
}
