//! Entity tags of files.

use http::HeaderValue;
use switchback_representation::Short;

/// An `ETag` as nginx makes them: time of the last change and size, both hexadecimal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntityTag(Short);

impl EntityTag {
    pub(crate) fn of(modified: i64, size: u64) -> Self {
        Self(Short::quoted_pair(modified.cast_unsigned(), size))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(crate) fn to_value(self) -> HeaderValue {
        self.0.to_value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_those_of_nginx() {
        assert_eq!(EntityTag::of(784_111_777, 20).as_bytes(), br#""2ebc98a1-14""#);
        assert_eq!(EntityTag::of(0, 0).as_bytes(), br#""0-0""#);
        let longest = br#""ffffffffffffffff-ffffffffffffffff""#;
        assert_eq!(EntityTag::of(-1, u64::MAX).as_bytes(), longest);
    }
}
