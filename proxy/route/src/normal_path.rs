//! The one path that match, access control, rewrite and cache key see.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

/// What becomes of an encoded slash, `%2F`, in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EncodedSlash {
    /// It stays `%2F`: a character of its segment, distinct from `/`. With `..` beside it the request is refused.
    #[default]
    Keep,
    /// It becomes `/`, as in nginx.
    Decode,
    /// The request is refused.
    Refuse,
}

/// A path that is decoded once and has neither `.`, `..` nor `//` left to resolve.
///
/// Every percent-encoded byte is decoded, with three exceptions, which are written in upper case: `%25`, so that a
/// percent sign that was sent encoded never passes for an encoding; `%2F` under [`EncodedSlash::Keep`]; and bytes that
/// are not UTF-8. Normalising a normal path therefore gives the same path. `\`, `;` and all else have no meaning here
/// and stay.
///
/// It borrows from what was received where normalising only cut its end off or changed nothing, and takes nothing from
/// the heap then.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NormalPath<'a>(Cow<'a, str>);

impl<'a> NormalPath<'a> {
    /// Normalises the path of a request target, without its query.
    pub fn parse(raw: &'a str, slash: EncodedSlash) -> Result<Self, PathError> {
        Self::from_bytes(raw.as_bytes(), slash)
    }

    /// [`NormalPath::parse`] for a path that need not be UTF-8: other bytes are treated as if they were encoded.
    pub fn from_bytes(raw: &'a [u8], slash: EncodedSlash) -> Result<Self, PathError> {
        let Some(mut rest) = raw.strip_prefix(b"/") else { return Err(PathError::NoLeadingSlash) };
        if is_plain(raw) {
            return Ok(Self(String::from_utf8_lossy(raw)));
        }
        let mut written = Written::root_of(raw);
        loop {
            let end = written.read_segment(&mut rest, slash)?;
            match (written.segment(), end) {
                (b"" | b".", _) => written.truncate(written.segment),
                (b"..", _) => written.climb()?,
                _ if written.hides_climb() => return Err(PathError::HiddenClimb),
                (_, End::Slash) => written.start_segment(),
                (_, End::Path) => {}
            }
            if end == End::Path {
                return Ok(Self(written.into_text()));
            }
        }
    }

    /// The root, `/`.
    pub const fn root() -> NormalPath<'static> {
        NormalPath(Cow::Borrowed("/"))
    }

    /// The path, as all decisions see it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same path, on the heap.
    pub fn into_owned(self) -> NormalPath<'static> {
        NormalPath(Cow::Owned(self.0.into_owned()))
    }

    /// The path as it may stand in a request line: what RFC 3986 section 3.3 does not let stand in a path is encoded.
    /// Normalising the result gives this path again.
    pub fn to_encoded(&self) -> Cow<'_, str> {
        let Some(first) = self.0.bytes().position(|byte| !may_stand_in_path(byte)) else {
            return Cow::Borrowed(&self.0);
        };
        let (plain, rest) = self.0.split_at(first);
        let mut encoded = String::with_capacity(self.0.len() + 2 * rest.len());
        encoded.push_str(plain);
        for byte in rest.bytes() {
            match may_stand_in_path(byte) {
                true => encoded.push(char::from(byte)),
                false => encoded.extend(escape(byte).map(char::from)),
            }
        }
        Cow::Owned(encoded)
    }
}

impl fmt::Display for NormalPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `path` is normal at first sight, as most are. Written without branches: the compiler makes it look at many
/// bytes at once.
fn is_plain(path: &[u8]) -> bool {
    let begins_odd_segment =
        |(byte, next): (&u8, &u8)| (*byte == b'/') & ((*next == b'/') | (*next == b'.'));
    let is_odd = |byte: &u8| !(b' '..=b'~').contains(byte) | (*byte == b'%');
    let pairs = path.iter().zip(path.get(1..).unwrap_or_default());
    !pairs.fold(false, |odd, pair| odd | begins_odd_segment(pair))
        & !path.iter().fold(false, |odd, byte| odd | is_odd(byte))
}

/// What ended a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Slash,
    Path,
}

/// The normal path as far as it is known. As long as it is a beginning of `raw`, it is not copied.
struct Written<'a> {
    raw: &'a [u8],
    /// How much of `raw` it is, while `own` is `None`.
    kept: usize,
    own: Option<Vec<u8>>,
    /// Where its last segment begins.
    segment: usize,
    /// Where the part of its last segment begins that no encoded slash interrupts.
    part: usize,
}

impl<'a> Written<'a> {
    /// The slash that `raw` begins with.
    fn root_of(raw: &'a [u8]) -> Self {
        Self { raw, kept: 1, own: None, segment: 1, part: 1 }
    }

    /// Takes the next segment off `rest`, with the slash behind it, and writes it decoded, without the slash.
    fn read_segment(&mut self, rest: &mut &[u8], slash: EncodedSlash) -> Result<End, PathError> {
        loop {
            self.push(take_plain(rest));
            let Some((byte, behind)) = decode_first(rest)? else { return Ok(End::Path) };
            let is_encoded = rest.first() == Some(&b'%');
            match byte {
                0 => return Err(PathError::Nul),
                _ if byte.is_ascii_control() => return Err(PathError::Control),
                b'/' if !is_encoded || slash == EncodedSlash::Decode => {
                    *rest = behind;
                    return Ok(End::Slash);
                }
                b'/' if slash == EncodedSlash::Refuse => return Err(PathError::EncodedSlash),
                b'/' => self.push_encoded_slash()?,
                b'%' => self.push(b"%25"),
                0x80.. => {
                    self.push_character(rest);
                    continue;
                }
                _ => self.push(&[byte]),
            }
            *rest = behind;
        }
    }

    /// Takes a character off `rest` that is not ASCII, or the one byte that begins none, and writes it.
    fn push_character(&mut self, rest: &mut &[u8]) {
        let mut character = [0; 4];
        let mut ahead = *rest;
        for length in 1..=character.len() {
            let Ok(Some((byte, behind))) = decode_first(ahead) else { break };
            (character[length - 1], ahead) = (byte, behind);
            match str::from_utf8(&character[..length]) {
                Ok(_) => {
                    self.push(&character[..length]);
                    *rest = ahead;
                    return;
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => break,
            }
        }
        if let Ok(Some((byte, behind))) = decode_first(rest) {
            self.push(&escape(byte));
            *rest = behind;
        }
    }

    fn push_encoded_slash(&mut self) -> Result<(), PathError> {
        if self.part() == b".." {
            return Err(PathError::HiddenClimb);
        }
        self.push(b"%2F");
        self.part = self.as_bytes().len();
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) {
        match &mut self.own {
            Some(own) => own.extend_from_slice(bytes),
            None if self.raw[self.kept..].starts_with(bytes) => self.kept += bytes.len(),
            None => {
                let mut own = Vec::with_capacity(self.raw.len());
                own.extend_from_slice(&self.raw[..self.kept]);
                own.extend_from_slice(bytes);
                self.own = Some(own);
            }
        }
    }

    fn start_segment(&mut self) {
        self.push(b"/");
        self.segment = self.as_bytes().len();
        self.part = self.segment;
    }

    /// Takes off the last segment, which is `..`, and the one before it.
    fn climb(&mut self) -> Result<(), PathError> {
        let parent = &self.as_bytes()[..self.segment - 1];
        match memchr::memrchr(b'/', parent) {
            Some(slash) => self.truncate(slash + 1),
            None => return Err(PathError::AboveRoot),
        }
        Ok(())
    }

    /// Cuts it to `length`, which is where a segment begins.
    fn truncate(&mut self, length: usize) {
        match &mut self.own {
            Some(own) => own.truncate(length),
            None => self.kept = length,
        }
        (self.segment, self.part) = (length, length);
    }

    fn hides_climb(&self) -> bool {
        self.part > self.segment && self.part() == b".."
    }

    fn segment(&self) -> &[u8] {
        &self.as_bytes()[self.segment..]
    }

    fn part(&self) -> &[u8] {
        &self.as_bytes()[self.part..]
    }

    fn as_bytes(&self) -> &[u8] {
        self.own.as_deref().unwrap_or(&self.raw[..self.kept])
    }

    /// Only UTF-8 was written, so that nothing is replaced here.
    fn into_text(self) -> Cow<'a, str> {
        match self.own {
            None => String::from_utf8_lossy(&self.raw[..self.kept]),
            Some(own) => Cow::Owned(
                String::from_utf8(own)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
            ),
        }
    }
}

/// Takes off `rest` the ASCII characters in front that stand for themselves and end no segment.
fn take_plain<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'/' | b'%');
    let end = rest.iter().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
    let (plain, behind) = rest.split_at(end);
    *rest = behind;
    plain
}

/// The first byte of `rest`, decoded, and what stands behind it.
fn decode_first(rest: &[u8]) -> Result<Option<(u8, &[u8])>, PathError> {
    match rest {
        [] => Ok(None),
        [b'%', high, low, behind @ ..] => match (hex_digit(*high), hex_digit(*low)) {
            (Some(high), Some(low)) => Ok(Some((high << 4 | low, behind))),
            _ => Err(PathError::BadEncoding),
        },
        [b'%', ..] => Err(PathError::BadEncoding),
        [byte, behind @ ..] => Ok(Some((*byte, behind))),
    }
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn escape(byte: u8) -> [u8; 3] {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    [b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// `pchar` of RFC 3986, the slash, and the percent sign, which in a normal path always begins an encoding.
fn may_stand_in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte)
}

/// Why a path is refused. Each is the client's fault: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// Also the empty path.
    #[error("the path does not begin with a slash")]
    NoLeadingSlash,
    /// Raw or encoded.
    #[error("the path holds a NUL")]
    Nul,
    /// One of ASCII's, raw or encoded.
    #[error("the path holds a control character")]
    Control,
    /// A percent sign without two hexadecimal digits.
    #[error("the path holds a percent sign that is not followed by two hexadecimal digits")]
    BadEncoding,
    /// More `..` than segments before it.
    #[error("the path climbs above the root")]
    AboveRoot,
    /// `%2F` under [`EncodedSlash::Refuse`].
    #[error("the path holds an encoded slash")]
    EncodedSlash,
    /// `..` beside a `%2F` that is kept: who decodes the slash behind us would climb out of the path that we judged.
    #[error("the path hides a `..` behind an encoded slash")]
    HiddenClimb,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(raw: &str) -> Result<String, PathError> {
        NormalPath::parse(raw, EncodedSlash::Keep).map(|path| path.as_str().to_owned())
    }

    fn decoded(raw: &str) -> Result<String, PathError> {
        NormalPath::parse(raw, EncodedSlash::Decode).map(|path| path.as_str().to_owned())
    }

    fn refusing(raw: &str) -> Result<String, PathError> {
        NormalPath::parse(raw, EncodedSlash::Refuse).map(|path| path.as_str().to_owned())
    }

    fn is_borrowed(raw: &str) -> bool {
        matches!(NormalPath::parse(raw, EncodedSlash::Keep), Ok(NormalPath(Cow::Borrowed(_))))
    }

    #[track_caller]
    fn check(cases: &[(&str, Result<&str, PathError>)]) {
        for (raw, expected) in cases {
            assert_eq!(normal(raw), expected.map(str::to_owned), "{raw:?}");
        }
    }

    #[test]
    fn dot_segments_are_resolved_however_they_are_written() {
        check(&[
            ("/a/../b", Ok("/b")),
            ("/a/%2e%2e/b", Ok("/b")),
            ("/a/%2E%2e/b", Ok("/b")),
            ("/a/.%2e/b", Ok("/b")),
            ("/a/%2e./b", Ok("/b")),
            ("/a/b/../../c", Ok("/c")),
            ("/a/..", Ok("/")),
            ("/a/b/..", Ok("/a/")),
            ("/a/%2e", Ok("/a/")),
            ("/./a/./b/.", Ok("/a/b/")),
            ("/.", Ok("/")),
            ("/..", Err(PathError::AboveRoot)),
            ("/../a", Err(PathError::AboveRoot)),
            ("/a/../../b", Err(PathError::AboveRoot)),
            ("/%2e%2e/a", Err(PathError::AboveRoot)),
            ("/a/../..", Err(PathError::AboveRoot)),
            ("//..", Err(PathError::AboveRoot)),
            ("/a//../b", Ok("/b")),
        ]);
    }

    #[test]
    fn what_is_encoded_twice_is_decoded_once() {
        check(&[
            ("/a/%252e%252e/b", Ok("/a/%252e%252e/b")),
            ("/a/%25%32%65/b", Ok("/a/%252e/b")),
            ("/%2525", Ok("/%2525")),
            ("/%25", Ok("/%25")),
        ]);
    }

    #[test]
    fn overlong_utf_8_is_never_a_dot_a_slash_or_a_nul() {
        check(&[
            ("/a/%c0%ae%c0%ae/b", Ok("/a/%C0%AE%C0%AE/b")),
            ("/a/%e0%80%ae/b", Ok("/a/%E0%80%AE/b")),
            ("/a/..%c0%af..", Ok("/a/..%C0%AF..")),
            ("/%c0%80", Ok("/%C0%80")),
        ]);
    }

    #[test]
    fn a_kept_slash_is_no_slash_and_hides_no_climb() {
        check(&[
            ("/a%2fb", Ok("/a%2Fb")),
            ("/a%2Fb", Ok("/a%2Fb")),
            ("/a/..%2f", Err(PathError::HiddenClimb)),
            ("/a/..%2fb", Err(PathError::HiddenClimb)),
            ("/a/b%2f..", Err(PathError::HiddenClimb)),
            ("/a/b%2f../c", Err(PathError::HiddenClimb)),
            ("/a/b%2f%2e%2E%2fc", Err(PathError::HiddenClimb)),
            ("/a/b..%2fc", Ok("/a/b..%2Fc")),
            ("/a/b%2f..c", Ok("/a/b%2F..c")),
            ("/a/b%2f...", Ok("/a/b%2F...")),
            ("/a/%2f/b", Ok("/a/%2F/b")),
        ]);
    }

    #[test]
    fn slashes_in_a_row_are_one() {
        check(&[("//", Ok("/")), ("//a///b//", Ok("/a/b/")), ("/a/.//./b", Ok("/a/b"))]);
    }

    #[test]
    fn dots_in_names_and_meanings_of_other_servers_are_left_alone() {
        check(&[
            ("/...", Ok("/...")),
            ("/a./b../..c/.d", Ok("/a./b../..c/.d")),
            ("/a/..;/b", Ok("/a/..;/b")),
            ("/a;x=1/b;y", Ok("/a;x=1/b;y")),
            ("/a\\..\\b", Ok("/a\\..\\b")),
            ("/a%5c..%5Cb", Ok("/a\\..\\b")),
            ("/a?b#c", Ok("/a?b#c")),
            ("/a%3Fb%23c", Ok("/a?b#c")),
        ]);
    }

    #[test]
    fn control_characters_are_refused() {
        check(&[
            ("/a%00", Err(PathError::Nul)),
            ("/a\0", Err(PathError::Nul)),
            ("/a%0d%0aX: y", Err(PathError::Control)),
            ("/a\r\n", Err(PathError::Control)),
            ("/a\t", Err(PathError::Control)),
            ("/a%1F", Err(PathError::Control)),
            ("/a%7f", Err(PathError::Control)),
            ("/a\x7f", Err(PathError::Control)),
        ]);
    }

    #[test]
    fn a_percent_sign_that_encodes_nothing_is_refused() {
        check(&[
            ("/%", Err(PathError::BadEncoding)),
            ("/%2", Err(PathError::BadEncoding)),
            ("/%g0", Err(PathError::BadEncoding)),
            ("/%0g", Err(PathError::BadEncoding)),
            ("/%u002e", Err(PathError::BadEncoding)),
            ("/%/a", Err(PathError::BadEncoding)),
            ("/%c3%", Err(PathError::BadEncoding)),
            ("/%c3%c3%g", Err(PathError::BadEncoding)),
        ]);
    }

    #[test]
    fn what_begins_without_a_slash_is_refused() {
        check(&[
            ("", Err(PathError::NoLeadingSlash)),
            ("a/b", Err(PathError::NoLeadingSlash)),
            ("*", Err(PathError::NoLeadingSlash)),
            ("%2fa", Err(PathError::NoLeadingSlash)),
            ("\\a", Err(PathError::NoLeadingSlash)),
        ]);
    }

    #[test]
    fn every_character_is_decoded_once() {
        for (raw, expected) in [
            ("/%41%5a%61%7A%30%39", "/AZaz09"),
            ("/%20%7e", "/ ~"),
            ("/%C3%a9", "/é"),
            ("/%e2%82%ac", "/€"),
            ("/%F0%9F%A6%80x", "/🦀x"),
            ("/é€🦀", "/é€🦀"),
            ("/%80a", "/%80a"),
            ("/%C3", "/%C3"),
            ("/%C3/%A9", "/%C3/%A9"),
            ("/%C3(", "/%C3("),
            ("/%C3%C3%A9", "/%C3é"),
            ("/%e2%82x", "/%E2%82x"),
            ("/%f0%9f%a6", "/%F0%9F%A6"),
            ("/%ff%fe", "/%FF%FE"),
            ("/%ed%a0%80", "/%ED%A0%80"),
        ] {
            assert_eq!(normal(raw).as_deref(), Ok(expected), "{raw:?}");
        }
    }

    #[test]
    fn raw_bytes_that_are_not_utf_8_are_written_encoded() {
        let normal = |raw| {
            NormalPath::from_bytes(raw, EncodedSlash::Keep).map(|path| path.as_str().to_owned())
        };
        assert_eq!(normal(b"/\xff").as_deref(), Ok("/%FF"));
        assert_eq!(normal(b"/a\xc3/\xa9").as_deref(), Ok("/a%C3/%A9"));
        assert_eq!(normal(b"/\xc3%a9").as_deref(), Ok("/é"));
        assert_eq!(normal(b"/x\xc0\xae").as_deref(), Ok("/x%C0%AE"));
        assert_eq!(normal(b"/a\x80/..").as_deref(), Ok("/"));
    }

    #[test]
    fn decoded_slashes_part_segments() {
        assert_eq!(decoded("/a%2Fb%2fc").as_deref(), Ok("/a/b/c"));
        assert_eq!(decoded("/a/..%2fb").as_deref(), Ok("/b"));
        assert_eq!(decoded("/a%2f%2e%2e%2fb").as_deref(), Ok("/b"));
        assert_eq!(decoded("/a%2f/b%2f").as_deref(), Ok("/a/b/"));
        assert_eq!(decoded("/..%2fb"), Err(PathError::AboveRoot));
        assert_eq!(decoded("%2fa"), Err(PathError::NoLeadingSlash));
        assert_eq!(decoded("/%252f").as_deref(), Ok("/%252f"));
    }

    #[test]
    fn encoded_slashes_are_refused_on_demand() {
        assert_eq!(refusing("/a%2fb"), Err(PathError::EncodedSlash));
        assert_eq!(refusing("/a%2F"), Err(PathError::EncodedSlash));
        assert_eq!(refusing("/a/%252f/").as_deref(), Ok("/a/%252f/"));
    }

    #[test]
    fn a_path_is_borrowed_where_nothing_changed_but_its_end() {
        for raw in [
            "/",
            "/a/b.c",
            "/a/",
            "/.well-known/x",
            "/é",
            "/%25%2F%FF",
            "/a/.",
            "/a/..",
            "/a//",
            "/a/b/../",
        ] {
            assert!(is_borrowed(raw), "{raw:?}");
        }
        for raw in ["//a", "/%61", "/%2f", "/a/./b", "/%ff", "/a/../b"] {
            assert!(!is_borrowed(raw), "{raw:?}");
        }
    }

    #[test]
    fn what_goes_on_after_a_climb_need_not_be_copied() {
        assert!(is_borrowed("/a/../a"));
        assert_eq!(normal("/a/../a/b").as_deref(), Ok("/a/b"));
        assert_eq!(normal("/a/../.a").as_deref(), Ok("/.a"));
    }

    #[test]
    fn an_owned_path_is_the_same_path() {
        let path = NormalPath::parse("/a/b", EncodedSlash::Keep).unwrap();
        let owned = path.clone().into_owned();
        assert_eq!(owned, path);
        assert_eq!(owned.to_string(), "/a/b");
    }

    #[test]
    fn what_may_not_stand_in_a_request_line_is_encoded_again() {
        for (raw, encoded) in [
            ("/a/b-._~!$&'()*+,;=:@", "/a/b-._~!$&'()*+,;=:@"),
            ("/%25%2f%fF", "/%25%2F%FF"),
            ("/a%20b", "/a%20b"),
            (
                "/%3F%23%5B%5D%22%3C%3E%5C%5E%60%7B%7C%7D",
                "/%3F%23%5B%5D%22%3C%3E%5C%5E%60%7B%7C%7D",
            ),
            ("/é x", "/%C3%A9%20x"),
        ] {
            let path = NormalPath::parse(raw, EncodedSlash::Keep).unwrap();
            assert_eq!(path.to_encoded(), encoded, "{raw:?}");
        }
        let plain = NormalPath::parse("/a%25", EncodedSlash::Keep).unwrap();
        assert!(matches!(plain.to_encoded(), Cow::Borrowed("/a%25")));
    }
}
