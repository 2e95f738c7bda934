//! To which kind of client a request belongs, as far as its head tells.
//!
//! Only a page can know what its browser runs, so the cookie that the smart client sets counts for more than anything else.
//! Without it the head is asked for signs, and what bears none is no browser.

/// What scripts a client runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Script {
    /// Modules and what came with them.
    Modern,
    /// Plain scripts.
    Legacy,
    /// None, or it is no browser.
    #[default]
    None,
}

/// What works behind the pages of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Worker {
    /// A service worker.
    Service,
    /// A shared worker.
    Shared,
    /// Nothing, as far as is known.
    #[default]
    None,
}

/// The kind of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Segment {
    /// `$segment`.
    pub script: Script,
    /// `$segment_worker`.
    pub worker: Worker,
}

/// The cookie in which the smart client says what it found: `modern`, `legacy` or `none`, and behind a dot `service`, `shared`
/// or `none`.
pub const SEGMENT_COOKIE: &str = "switchback-segment";

impl Script {
    /// For paths, logs and conditions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Modern => "modern",
            Self::Legacy => "legacy",
            Self::None => "none",
        }
    }

    fn named(name: &[u8]) -> Option<Self> {
        [Self::Modern, Self::Legacy, Self::None]
            .into_iter()
            .find(|one| one.name().as_bytes() == name)
    }
}

impl Worker {
    /// For paths, logs and conditions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Shared => "shared",
            Self::None => "none",
        }
    }

    fn named(name: &[u8]) -> Option<Self> {
        [Self::Service, Self::Shared, Self::None]
            .into_iter()
            .find(|one| one.name().as_bytes() == name)
    }
}

/// What has been seen of a head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Signs {
    /// The cookie.
    said: Option<Segment>,
    is_browser: bool,
    is_modern: bool,
    worker: Worker,
}

impl Signs {
    /// One line of cookies. Of two cookies of the name the first counts, as browsers send the closer path first.
    pub(crate) fn note_cookies(&mut self, line: &[u8]) {
        for cookie in line.split(|&byte| byte == b';').map(<[u8]>::trim_ascii) {
            let Some(value) = cookie.strip_prefix(SEGMENT_COOKIE.as_bytes()) else { continue };
            let Some(value) = value.strip_prefix(b"=") else { continue };
            self.said = self.said.or(said(value));
        }
    }

    /// Every browser since Netscape has called itself so.
    pub(crate) fn note_user_agent(&mut self, line: &[u8]) {
        self.is_browser |= line.starts_with(b"Mozilla/");
    }

    /// `Sec-Fetch-Dest`, which is younger in every browser than modules are.
    pub(crate) fn note_destination(&mut self, line: &[u8]) {
        self.is_modern = true;
        match line.trim_ascii() {
            b"serviceworker" => self.worker = Worker::Service,
            b"sharedworker" => self.worker = Worker::Shared,
            _ => {}
        }
    }

    /// Anything else that only browsers with modules send.
    pub(crate) fn note_modern(&mut self) {
        self.is_modern = true;
    }

    pub(crate) fn segment(self) -> Segment {
        let script = match (self.is_modern, self.is_browser) {
            (true, _) => Script::Modern,
            (false, true) => Script::Legacy,
            (false, false) => Script::None,
        };
        self.said.unwrap_or(Segment { script, worker: self.worker })
    }
}

/// The value of the cookie; one that is not understood says nothing.
fn said(value: &[u8]) -> Option<Segment> {
    let mut parts = value.split(|&byte| byte == b'.');
    let script = Script::named(parts.next()?)?;
    let worker = parts.next().map_or(Some(Worker::None), Worker::named)?;
    parts.next().is_none().then_some(Segment { script, worker })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(line: &str) -> Segment {
        let mut signs = Signs::default();
        signs.note_cookies(line.as_bytes());
        signs.segment()
    }

    #[test]
    fn the_cookie_says_it_or_nothing() {
        let of = |script, worker| Segment { script, worker };
        for (line, expected) in [
            ("switchback-segment=modern.service", of(Script::Modern, Worker::Service)),
            ("a=b; switchback-segment=legacy; c=d", of(Script::Legacy, Worker::None)),
            ("switchback-segment=none.shared", of(Script::None, Worker::Shared)),
            ("switchback-segment=x; switchback-segment=modern", of(Script::Modern, Worker::None)),
            ("switchback-segment=modern.x", Segment::default()),
            ("switchback-segment=modern.service.x", Segment::default()),
            ("switchback-segment=Modern", Segment::default()),
            ("switchback-segments=modern", Segment::default()),
            ("x-switchback-segment=modern", Segment::default()),
            ("", Segment::default()),
        ] {
            assert_eq!(cookie(line), expected, "{line:?}");
        }
    }

    #[test]
    fn the_cookie_counts_for_more_than_signs_do() {
        let mut signs = Signs::default();
        signs.note_user_agent(b"Mozilla/5.0 (X11; Linux x86_64)");
        assert_eq!(signs.segment().script, Script::Legacy);
        signs.note_destination(b"serviceworker");
        assert_eq!(signs.segment(), Segment { script: Script::Modern, worker: Worker::Service });
        signs.note_cookies(b"switchback-segment=none");
        assert_eq!(signs.segment(), Segment::default());
    }
}
