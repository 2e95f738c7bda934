//! What clients are sent of what is stored, by their `Accept-Encoding`, without reading it each time.

use std::sync::OnceLock;

use http::{HeaderMap, HeaderValue, header};
use switchback_variant::{Capabilities, Choice, Needs, Offer, usual_codings};

/// An offer, and what was chosen of it for lines that came before.
#[derive(Debug)]
pub(crate) struct Choices {
    offer: Offer,
    /// Of lines that most clients send.
    usual: Box<[(&'static str, Choice)]>,
    /// Of others, as they come.
    learnt: [OnceLock<(Box<[u8]>, Choice)>; MOST],
}

/// So many lines are learnt, and none that is longer: whoever sends many makes others no worse off than they were without.
const MOST: usize = 16;
const LONGEST: usize = 64;

impl Choices {
    /// Of this offer.
    pub(crate) fn of(offer: Offer) -> Self {
        let chosen = |line: &'static str| {
            let said = [(&b"accept-encoding"[..], line.as_bytes())];
            (line, offer.choose(&Capabilities::read(said, Needs::CODINGS)))
        };
        let usual = usual_codings().map(chosen).collect();
        Self { usual, learnt: Default::default(), offer }
    }

    /// What a client is sent that says this.
    pub(crate) fn choose(&self, headers: &HeaderMap) -> Choice {
        let read = || self.offer.choose(&Capabilities::of(headers, Needs::CODINGS));
        let mut lines = headers.get_all(header::ACCEPT_ENCODING).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return read() };
        match self.usual.iter().find(|(usual, _)| *line == *usual) {
            Some((_, choice)) => *choice,
            None if line.len() <= LONGEST => self.learn(line, read),
            None => read(),
        }
    }

    fn learn(&self, line: &HeaderValue, read: impl Fn() -> Choice) -> Choice {
        for place in &self.learnt {
            match place.get() {
                Some((known, choice)) if **known == *line.as_bytes() => return *choice,
                Some(_) => {}
                None => {
                    let choice = read();
                    // Whoever was sooner has the place; the next one takes another.
                    let _taken = place.set((line.as_bytes().into(), choice));
                    return choice;
                }
            }
        }
        read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchback_variant::Coding;

    fn said(lines: &[&str]) -> HeaderMap {
        let line = |line: &&str| (header::ACCEPT_ENCODING, HeaderValue::from_str(line).unwrap());
        lines.iter().map(line).collect()
    }

    #[test]
    fn what_is_learnt_is_what_would_be_read() {
        let offer = || Offer::of(&[Coding::Br, Coding::Zstd, Coding::Gzip]);
        let choices = Choices::of(offer());
        let weighed = |weight: usize| format!("br;q=0.{weight}, gzip;q=0.{}", 999 - weight);
        let lines: Vec<String> = (100..900).step_by(20).map(weighed).collect();
        let long = format!("{}br", "x, ".repeat(LONGEST));
        let others = ["gzip", "gzip, deflate, br, zstd", "*", "identity;q=0, *;q=0", "", &long];
        for line in lines.iter().map(String::as_str).chain(others).cycle().take(200) {
            let headers = said(&[line]);
            let read = offer().choose(&Capabilities::of(&headers, Needs::CODINGS));
            assert_eq!(choices.choose(&headers), read, "{line}");
        }
        let learnt = choices.learnt.iter().filter_map(OnceLock::get);
        assert!(learnt.clone().all(|(line, _)| line.starts_with(b"br;q=0.")));
        assert_eq!(learnt.count(), MOST);
    }

    #[test]
    fn several_lines_are_read_together() {
        let choices = Choices::of(Offer::of(&[Coding::Br, Coding::Gzip]));
        for _ in 0..2 {
            assert_eq!(choices.choose(&said(&["br;q=0", "gzip"])), Choice::Send(Coding::Gzip));
            assert_eq!(choices.choose(&said(&["br;q=0"])), Choice::Send(Coding::Identity));
            assert_eq!(choices.choose(&said(&[])), Choice::Send(Coding::Identity));
        }
    }
}
