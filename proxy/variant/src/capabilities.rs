//! What a client can do with an answer, read once from the head of its request.

use http::{HeaderMap, HeaderName};

use crate::coding::Coding;
use crate::dictionary::Digest;
use crate::image::ImageType;
use crate::segment::{Segment, Signs};
use crate::weight::{Elements, FULL, Weight, thousandths};

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
    /// Reads from the lines of a head what is needed: names in any case, values as they came. What is not needed may
    /// count as not said.
    #[must_use]
    pub fn read<'a>(lines: impl IntoIterator<Item = (&'a [u8], &'a [u8])>, needs: Needs) -> Self {
        let mut reading = Reading::default();
        for (name, value) in lines {
            let is_it = |field: &&Field| name.eq_ignore_ascii_case(field.name.as_str().as_bytes());
            if let Some(field) = FIELDS.iter().filter(|field| needs.meet(field.of)).find(is_it) {
                (field.note)(&mut reading, value);
            }
        }
        reading.finish()
    }

    /// [`Capabilities::read`] for a map of headers: looks up the few names that matter, and nothing else.
    #[must_use]
    pub fn of(headers: &HeaderMap, needs: Needs) -> Self {
        let mut reading = Reading::default();
        for field in FIELDS.iter().filter(|field| needs.meet(field.of)) {
            for value in headers.get_all(&field.name) {
                (field.note)(&mut reading, value.as_bytes());
            }
        }
        reading.finish()
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

/// What a route wants to know of its clients; the less, the cheaper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs(u8);

impl Needs {
    /// Nothing.
    pub const NOTHING: Self = Self(0);
    /// [`Capabilities::weight`] and what follows from it.
    pub const CODINGS: Self = Self(1);
    /// [`Capabilities::takes_image`].
    pub const IMAGES: Self = Self(2);
    /// [`Capabilities::hints`].
    pub const HINTS: Self = Self(4);
    /// [`Capabilities::dictionary`], with [`Needs::CODINGS`].
    pub const DICTIONARY: Self = Self(8 | 1);
    /// [`Capabilities::segment`].
    pub const SEGMENT: Self = Self(16);
    /// All of it.
    pub const ALL: Self = Self(31);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn meet(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// A field of a head that says something.
struct Field {
    name: HeaderName,
    of: Needs,
    note: fn(&mut Reading, &[u8]),
}

impl Field {
    const fn new(name: &'static str, of: Needs, note: fn(&mut Reading, &[u8])) -> Self {
        Self { name: HeaderName::from_static(name), of, note }
    }
}

/// For whom a dictionary is looked at.
const FOR_DICTIONARY: Needs = Needs(8);

/// In the order in which they are looked up.
static FIELDS: [Field; 15] = [
    Field::new("accept-encoding", Needs::CODINGS, Reading::note_codings),
    Field::new("available-dictionary", FOR_DICTIONARY, Reading::note_dictionary),
    Field::new("sec-fetch-site", FOR_DICTIONARY, |to, value| to.is_foreign |= is_foreign(value)),
    Field::new("accept", Needs::IMAGES.and(Needs::SEGMENT), Reading::note_accept),
    Field::new("save-data", Needs::HINTS, |to, value| to.known.hints.save_data |= is_on(value)),
    Field::new("sec-ch-width", Needs::HINTS, |to, value| {
        newer(&mut to.known.hints.width, pixels(value))
    }),
    Field::new("width", Needs::HINTS, |to, value| older(&mut to.known.hints.width, pixels(value))),
    Field::new("sec-ch-viewport-width", Needs::HINTS, |to, value| {
        newer(&mut to.known.hints.viewport_width, pixels(value));
    }),
    Field::new("viewport-width", Needs::HINTS, |to, value| {
        older(&mut to.known.hints.viewport_width, pixels(value));
    }),
    Field::new("sec-ch-dpr", Needs::HINTS, |to, value| {
        newer(&mut to.known.hints.dpr, ratio(value))
    }),
    Field::new("dpr", Needs::HINTS, |to, value| older(&mut to.known.hints.dpr, ratio(value))),
    Field::new("cookie", Needs::SEGMENT, |to, value| to.signs.note_cookies(value)),
    Field::new("sec-ch-ua", Needs::SEGMENT, |to, _| to.signs.note_modern()),
    Field::new("sec-fetch-dest", Needs::SEGMENT, |to, value| to.signs.note_destination(value)),
    Field::new("user-agent", Needs::SEGMENT, |to, value| to.signs.note_user_agent(value)),
];

/// A hint by its new name.
fn newer(hint: &mut Option<u16>, value: Option<u16>) {
    *hint = value.or(*hint);
}

/// A hint by its old name, which counts where the new one says nothing.
fn older(hint: &mut Option<u16>, value: Option<u16>) {
    *hint = hint.or(value);
}

/// What browsers write in `Accept` when they ask for an image: the line, what it names, and the weights of `image/*` and `*/*`.
static USUAL_ACCEPT: [(&str, &[ImageType], Weight, Weight); 2] = [
    (
        "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
        &[ImageType::Avif, ImageType::Webp],
        FULL,
        800,
    ),
    (
        "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
        &[ImageType::Avif, ImageType::Webp, ImageType::Png],
        800,
        500,
    ),
];

/// What browsers write in `Accept-Encoding`; anything else is taken apart, which costs ten times as much (bench `decide`).
static USUAL_CODINGS: [(&str, &[Coding]); 5] = [
    ("gzip, deflate, br, zstd", &[Coding::Gzip, Coding::Deflate, Coding::Br, Coding::Zstd]),
    ("gzip, deflate, br", &[Coding::Gzip, Coding::Deflate, Coding::Br]),
    ("gzip, deflate", &[Coding::Gzip, Coding::Deflate]),
    (
        "gzip, deflate, br, zstd, dcb, dcz",
        &[Coding::Gzip, Coding::Deflate, Coding::Br, Coding::Zstd, Coding::Dcb, Coding::Dcz],
    ),
    ("gzip", &[Coding::Gzip]),
];

/// The lines of `Accept-Encoding` that most clients send, for who wants to know beforehand what becomes of them.
pub fn usual_codings() -> impl Iterator<Item = &'static str> {
    USUAL_CODINGS.iter().map(|(line, _)| *line)
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
    fn note_codings(&mut self, line: &[u8]) {
        let codings = &mut self.known.codings;
        if let Some((_, known)) = USUAL_CODINGS.iter().find(|(usual, _)| usual.as_bytes() == line) {
            known.iter().for_each(|&coding| codings.set(coding as usize, FULL));
            return;
        }
        for (name, weight) in Elements(line) {
            match Coding::named(name) {
                Some(coding) => codings.set(coding as usize, weight),
                None if name == b"*" => codings.any = Some(weight),
                None => {}
            }
        }
    }

    fn note_accept(&mut self, line: &[u8]) {
        let usual = USUAL_ACCEPT.iter().find(|(usual, ..)| usual.as_bytes() == line);
        if let Some(&(_, named, any_image, any)) = usual {
            named.iter().for_each(|&image| self.known.images.set(image as usize, FULL));
            self.known.images.any = Some(any);
            self.known.any_image = Some(any_image);
            return;
        }
        for (name, weight) in Elements(line) {
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
    let client = Capabilities::read(lines, Needs::ALL);
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
