//! What a client can do with an answer, read once from the head of its request.

use http::HeaderMap;

use crate::coding::Coding;
use crate::dictionary::Digest;
use crate::image::ImageType;
use crate::segment::{Segment, Signs};
use crate::weight::{Elements, FULL, Weight, thousandths, weighed};

/// What a client can do.
///
/// A small value of fixed size: reading it allocates nothing, and copying it is cheaper than looking up a header. Whatever
/// cannot be read counts as not said; a weight that cannot be read refuses what it stands with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    codings: Choices<{ Coding::ALL.len() }>,
    images: Choices<{ ImageType::ALL.len() }>,
    /// `image/*`
    any_image: Option<Weight>,
    hints: Hints,
    dictionary: Option<Digest>,
    segment: Segment,
}

/// Weights by number; what is not named has that of `any`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Choices<const COUNT: usize> {
    named: [Option<Weight>; COUNT],
    any: Option<Weight>,
}

impl<const COUNT: usize> Default for Choices<COUNT> {
    fn default() -> Self {
        Self { named: [None; COUNT], any: None }
    }
}

impl<const COUNT: usize> Choices<COUNT> {
    /// Of what is said twice the last counts.
    fn set(&mut self, index: usize, weight: Weight) {
        if let Some(place) = self.named.get_mut(index) {
            *place = Some(weight);
        }
    }

    fn named(&self, index: usize) -> Option<Weight> {
        self.named.get(index).copied().flatten()
    }
}

/// Client Hints and `Save-Data`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// The user wants few bytes.
    pub save_data: bool,
    /// How wide an image will be shown, in pixels of the screen (`Sec-CH-Width`, `Width`).
    pub width: Option<u16>,
    /// How wide the page is, in CSS pixels (`Sec-CH-Viewport-Width`, `Viewport-Width`).
    pub viewport_width: Option<u16>,
    /// Thousandths of pixels of the screen for each CSS pixel (`Sec-CH-DPR`, `DPR`).
    pub dpr: Option<u16>,
}

impl Capabilities {
    /// Reads the lines of a head: names in any case, values as they came.
    #[must_use]
    pub fn read<'a>(lines: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut reading = Reading::default();
        for (name, value) in lines {
            reading.note(name, value);
        }
        reading.finish()
    }

    /// [`Capabilities::read`] for a map of headers.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        Self::read(headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())))
    }

    /// How much a client wants a coding: 0 to 1000, 0 where it refuses it or says nothing of it. What is sent as it is counts
    /// as wanted only where the client names it; see [`Capabilities::takes_identity`].
    #[must_use]
    pub fn weight(&self, coding: Coding) -> u16 {
        let named = self.codings.named(coding as usize);
        match coding {
            Coding::Identity => named.unwrap_or(0),
            // `*` stands for what everybody knows; whoever has a dictionary names its coding.
            Coding::Dcb | Coding::Dcz => named.unwrap_or(0),
            Coding::Gzip | Coding::Deflate | Coding::Br | Coding::Zstd => {
                named.or(self.codings.any).unwrap_or(0)
            }
        }
    }

    /// Whether a client can be sent this coding.
    #[must_use]
    pub fn takes(&self, coding: Coding) -> bool {
        match coding {
            Coding::Identity => self.takes_identity(),
            Coding::Dcb | Coding::Dcz => self.weight(coding) > 0 && self.dictionary.is_some(),
            _ => self.weight(coding) > 0,
        }
    }

    /// Everybody does who has not refused it, by its name or by a `*` (RFC 9110 section 12.5.3).
    #[must_use]
    pub fn takes_identity(&self) -> bool {
        self.codings.named(Coding::Identity as usize).or(self.codings.any) != Some(0)
    }

    /// Whether an image of type `stored` may be sent as `wanted`: the client names that type itself, and does not weigh it
    /// below the stored one. Wildcards promise nothing, because everybody sends them.
    #[must_use]
    pub fn takes_image(&self, wanted: ImageType, stored: ImageType) -> bool {
        let named = |image: ImageType| self.images.named(image as usize);
        let instead = named(stored).or(self.any_image).or(self.images.any).unwrap_or(0);
        wanted == stored || named(wanted).is_some_and(|weight| weight > 0 && weight >= instead)
    }

    /// Client Hints and `Save-Data`.
    #[must_use]
    pub fn hints(&self) -> Hints {
        self.hints
    }

    /// The dictionary that the client has for this URL, where it may be used: the request does not come from a page of another
    /// origin. Whether the connection is secure is not known here.
    #[must_use]
    pub fn dictionary(&self) -> Option<Digest> {
        self.dictionary
    }

    /// The kind of the client.
    #[must_use]
    pub fn segment(&self) -> Segment {
        self.segment
    }
}

/// A value while its lines are read.
#[derive(Default)]
struct Reading {
    known: Capabilities,
    signs: Signs,
    dictionaries: u8,
    is_foreign: bool,
}

impl Reading {
    /// Compared by their lengths first: most lines of a head are none of these.
    fn note(&mut self, name: &[u8], value: &[u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let hints = &mut self.known.hints;
        match name.len() {
            3 if is("dpr") => hints.dpr = ratio(value),
            5 if is("width") => hints.width = pixels(value),
            6 if is("accept") => self.note_accept(value),
            6 if is("cookie") => self.signs.note_cookies(value),
            9 if is("save-data") => hints.save_data |= is_on(value),
            9 if is("sec-ch-ua") => self.signs.note_modern(),
            10 if is("sec-ch-dpr") => hints.dpr = ratio(value),
            10 if is("user-agent") => self.signs.note_user_agent(value),
            12 if is("sec-ch-width") => hints.width = pixels(value),
            14 if is("sec-fetch-dest") => self.signs.note_destination(value),
            14 if is("sec-fetch-site") => self.is_foreign |= is_foreign(value),
            14 if is("viewport-width") => hints.viewport_width = pixels(value),
            15 if is("accept-encoding") => self.note_codings(value),
            20 if is("available-dictionary") => self.note_dictionary(value),
            21 if is("sec-ch-viewport-width") => hints.viewport_width = pixels(value),
            _ => {}
        }
    }

    fn note_codings(&mut self, line: &[u8]) {
        let codings = &mut self.known.codings;
        for (name, weight) in Elements(line).map(weighed) {
            match Coding::named(name) {
                Some(coding) => codings.set(coding as usize, weight),
                None if name == b"*" => codings.any = Some(weight),
                None => {}
            }
        }
    }

    fn note_accept(&mut self, line: &[u8]) {
        for (name, weight) in Elements(line).map(weighed) {
            match ImageType::named(name) {
                Some(image) => self.known.images.set(image as usize, weight),
                None if name == b"*/*" => self.known.images.any = Some(weight),
                None if name.eq_ignore_ascii_case(b"image/*") => {
                    self.known.any_image = Some(weight);
                }
                None => {}
            }
        }
    }

    fn note_dictionary(&mut self, line: &[u8]) {
        self.dictionaries = self.dictionaries.saturating_add(1);
        self.known.dictionary = Digest::parse(line);
    }

    fn finish(mut self) -> Capabilities {
        // A structured field that is no list stands on one line (RFC 8941 section 4.2).
        if self.is_foreign || self.dictionaries > 1 {
            self.known.dictionary = None;
        }
        if self.known.images.named(ImageType::Avif as usize).is_some() {
            self.signs.note_modern();
        }
        self.known.segment = self.signs.segment();
        self.known
    }
}

/// `Save-Data: on`, perhaps with parameters.
fn is_on(value: &[u8]) -> bool {
    value.split(|&byte| byte == b';').next().is_some_and(|token| token.trim_ascii() == b"on")
}

/// A page of another origin asks. `none` is the user, and who says nothing is no browser or an old one.
fn is_foreign(value: &[u8]) -> bool {
    !matches!(value.trim_ascii(), b"same-origin" | b"none")
}

/// A whole number above 0; one that is too large is the largest.
fn pixels(value: &[u8]) -> Option<u16> {
    let digits = value.trim_ascii();
    if digits.is_empty() || digits.len() > MOST_DIGITS {
        return None;
    }
    let mut number = 0_u16;
    for byte in digits {
        let digit = byte.is_ascii_digit().then(|| u16::from(byte - b'0'))?;
        number = number.saturating_mul(10).saturating_add(digit);
    }
    (number > 0).then_some(number)
}

/// As many as a number of a structured field has at most.
const MOST_DIGITS: usize = 15;

/// A number above 0 with at most three digits behind the point that count, in thousandths.
fn ratio(value: &[u8]) -> Option<u16> {
    let value = value.trim_ascii();
    let point = value.iter().position(|&byte| byte == b'.').unwrap_or(value.len());
    let (whole, digits) = value.split_at_checked(point)?;
    let whole = if whole == b"0" { 0 } else { pixels(whole)? };
    let digits = digits.get(1..).unwrap_or_default();
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut written = [b'0'; 5];
    written[1] = b'.';
    for (place, digit) in written.iter_mut().skip(2).zip(digits) {
        *place = *digit;
    }
    let ratio = whole.saturating_mul(FULL).saturating_add(thousandths(&written)?);
    (ratio > 0).then_some(ratio)
}

/// Keeps the promises of [`Capabilities`] for any lines: one `name: value` a line. For the fuzzer.
///
/// # Panics
/// When a promise is broken.
pub fn check_capabilities(data: &[u8]) {
    let lines = data.split(|&byte| byte == b'\n').take(32).filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some((line.get(..colon)?, line.get(colon + 1..)?))
    });
    let client = Capabilities::read(lines);
    let has_codings = Coding::ALL.into_iter().any(|coding| client.weight(coding) > 0);
    for coding in Coding::ALL {
        assert!(client.weight(coding) <= FULL, "{client:?}");
    }
    for offer in [crate::Offer::STORED, crate::Offer::STREAMED.with_dictionary()] {
        match offer.choose(&client) {
            crate::Choice::Send(coding) => assert!(client.takes(coding), "{coding:?} {client:?}"),
            crate::Choice::NothingSuits => assert!(!client.takes_identity(), "{client:?}"),
        }
    }
    assert!(has_codings || client.dictionary().is_none() || !client.takes(Coding::Dcz));
    for image in ImageType::ALL {
        assert!(client.takes_image(image, image));
    }
}

#[cfg(test)]
mod tests;
