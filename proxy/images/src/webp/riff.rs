//! The container of WebP (RFC 9649, section 2): a colour profile put into what the encoder wrote, and frames taken out.

/// In the flags of an extended file: there is a profile.
const PROFILE: u8 = 0x20;
/// And: some of it is transparent.
const ALPHA: u8 = 0x10;
/// Flags, reserved bytes, and the sides of the canvas less one.
const EXTENDED: usize = 10;

/// The same picture with this profile. `None` if it is no WebP.
pub(super) fn with_profile(webp: &[u8], profile: &[u8], size: (u32, u32)) -> Option<Vec<u8>> {
    let chunks = webp.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WEBP")?;
    let (mut extended, images) = match chunks.strip_prefix(b"VP8X") {
        Some(rest) => {
            let content: [u8; EXTENDED] = rest.get(4..4 + EXTENDED)?.try_into().ok()?;
            (content, rest.get(4 + EXTENDED..)?)
        }
        None => (canvas(size, is_transparent(chunks)), chunks),
    };
    extended[0] |= PROFILE;
    let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
    put(&mut file, b"VP8X", &extended)?;
    put(&mut file, b"ICCP", profile)?;
    file.extend_from_slice(images);
    with_length(file)
}

/// Writes the length of a file into its head.
fn with_length(mut file: Vec<u8>) -> Option<Vec<u8>> {
    let length = u32::try_from(file.len().checked_sub(8)?).ok()?;
    file.get_mut(4..8)?.copy_from_slice(&length.to_le_bytes());
    Some(file)
}

/// A file of its own with the picture of one frame of an animation. `None` if it is too long for one.
pub(crate) fn still(image: &[u8], size: (u32, u32)) -> Option<Vec<u8>> {
    let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
    if image.starts_with(b"ALPH") {
        put(&mut file, b"VP8X", &canvas(size, true))?;
    }
    file.extend_from_slice(image);
    with_length(file)
}

fn canvas((width, height): (u32, u32), is_transparent: bool) -> [u8; EXTENDED] {
    let [w0, w1, w2, _] = width.saturating_sub(1).to_le_bytes();
    let [h0, h1, h2, _] = height.saturating_sub(1).to_le_bytes();
    [if is_transparent { ALPHA } else { 0 }, 0, 0, 0, w0, w1, w2, h0, h1, h2]
}

/// Of a simple file only the lossless coding can be: it says so after its sides (section 3.4).
fn is_transparent(chunks: &[u8]) -> bool {
    chunks.starts_with(b"VP8L") && chunks.get(12).is_some_and(|byte| byte & 0x10 != 0)
}

/// Appends a chunk, with a zero after an odd length.
fn put(file: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) -> Option<()> {
    file.extend_from_slice(name);
    file.extend_from_slice(&u32::try_from(content.len()).ok()?.to_le_bytes());
    file.extend_from_slice(content);
    if content.len() % 2 == 1 {
        file.push(0);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::with_profile;

    #[test]
    fn what_is_no_webp_gets_no_profile() {
        for bytes in [b"".as_slice(), b"RIFF", b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0short"] {
            assert_eq!(with_profile(bytes, b"profile", (1, 1)), None);
        }
    }

    #[test]
    fn an_odd_profile_is_padded_and_the_length_holds() {
        let simple = b"RIFF\x0e\0\0\0WEBPVP8 \x02\0\0\0ab";
        let file = with_profile(simple, b"odd", (300, 2)).unwrap();
        let expected = b"RIFF\x2c\0\0\0WEBP\
            VP8X\x0a\0\0\0\x20\0\0\0\x2b\x01\0\x01\0\0\
            ICCP\x03\0\0\0odd\0\
            VP8 \x02\0\0\0ab";
        assert_eq!(file.escape_ascii().to_string(), expected.escape_ascii().to_string());
        assert_eq!(file.len(), 0x2c + 8);
    }
}
