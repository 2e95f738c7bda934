//! Which coding an answer is sent with (RFC 9110 section 12.5.3).

use crate::Capabilities;
use crate::coding::Coding;

/// How many codings can be offered.
const MOST: usize = 8;

/// The codings that can be had, the server's favourite first; what is sent as it is can always be had, and comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    codings: [Coding; MOST],
    count: u8,
}

/// With what an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// With this.
    Send(Coding),
    /// The client refuses all that can be had, what is as it is too. It is answered with that all the same, as a client that
    /// cannot read an answer is no worse off than one that gets none; a 406 is as right.
    NothingSuits,
}

/// What is done to a response that has a coding already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// The client takes it as it is.
    AsItIs,
    /// It is decoded.
    Decode,
    /// It is decoded and given this coding.
    Recode(Coding),
}

impl Offer {
    /// Nothing but what is as it is.
    pub const NONE: Self = Self { codings: [Coding::Identity; MOST], count: 0 };
    /// For what is coded once and sent often: the smallest first.
    pub const STORED: Self = Self::NONE.and(Coding::Br).and(Coding::Zstd).and(Coding::Gzip);
    /// For what is coded for one client while it arrives: the cheapest first.
    pub const STREAMED: Self = Self::NONE.and(Coding::Zstd).and(Coding::Br).and(Coding::Gzip);

    /// These, in this order. What stands there twice, what nobody makes and what is as it is are left out.
    #[must_use]
    pub fn of(codings: &[Coding]) -> Self {
        let makes = |coding: &Coding| !matches!(coding, Coding::Identity | Coding::Deflate);
        let mut offer = Self::NONE;
        for &coding in codings.iter().filter(|coding| makes(coding)) {
            if !offer.codings().contains(&coding) {
                offer = offer.and(coding);
            }
        }
        offer
    }

    /// The same, where a dictionary is at hand that the client has: nothing is smaller. Of the two codings that need one, those are
    /// offered that are offered without.
    #[must_use]
    pub fn with_dictionary(self) -> Self {
        let mut offer = Self::NONE;
        for (with, without) in [(Coding::Dcz, Coding::Zstd), (Coding::Dcb, Coding::Br)] {
            if self.codings().contains(&without) {
                offer = offer.and(with);
            }
        }
        for &coding in self.codings().iter().filter(|coding| !coding.needs_dictionary()) {
            offer = offer.and(coding);
        }
        offer
    }

    /// What is offered, in its order.
    #[must_use]
    pub fn codings(&self) -> &[Coding] {
        self.codings.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// The client's weights decide, and the order of the offer between equal ones. What is sent as it is comes first only where
    /// the client names it and weighs it higher than all else; it comes last where the client does not name it.
    #[must_use]
    pub fn choose(&self, client: &Capabilities) -> Choice {
        let mut best = Coding::Identity;
        let mut heaviest = 0;
        for &coding in self.codings().iter().filter(|&&coding| client.takes(coding)) {
            let weight = client.weight(coding);
            if weight > heaviest {
                (best, heaviest) = (coding, weight);
            }
        }
        match client.weight(Coding::Identity) > heaviest || heaviest == 0 {
            true if client.takes_identity() => Choice::Send(Coding::Identity),
            true => Choice::NothingSuits,
            false => Choice::Send(best),
        }
    }

    /// What is done for a client to a response of this coding. What the client takes it gets without work, unless it would rather
    /// have it uncoded; what it does not take is decoded, and coded anew only where it does not take that either.
    #[must_use]
    pub fn handle(&self, stored: Coding, client: &Capabilities) -> Handling {
        let is_second_best = client.weight(Coding::Identity) > client.weight(stored);
        if client.takes(stored) && (stored == Coding::Identity || !is_second_best) {
            return Handling::AsItIs;
        }
        match (client.takes_identity(), self.choose(client)) {
            (false, Choice::Send(coding)) => Handling::Recode(coding),
            (true, _) | (false, Choice::NothingSuits) => match stored {
                Coding::Identity => Handling::AsItIs,
                _ => Handling::Decode,
            },
        }
    }

    const fn and(mut self, coding: Coding) -> Self {
        if (self.count as usize) < MOST {
            self.codings[self.count as usize] = coding;
            self.count += 1;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Needs;

    fn client(lines: &[&str]) -> Capabilities {
        let lines = lines.iter().map(|line| (&b"Accept-Encoding"[..], line.as_bytes()));
        let hash = b":pZGm1Av0IEBKARczz7exkNYsZb8LzaMrV7J32a2fFG4=:";
        Capabilities::read(lines.chain([(&b"Available-Dictionary"[..], &hash[..])]), Needs::ALL)
    }

    #[test]
    fn the_client_weighs_and_the_server_breaks_ties() {
        use Choice::{NothingSuits, Send};
        for (lines, expected) in [
            (&[][..], Send(Coding::Identity)),
            (&[""], Send(Coding::Identity)),
            (&["gzip"], Send(Coding::Gzip)),
            (&["gzip, deflate, br, zstd"], Send(Coding::Br)),
            (&["gzip, deflate", "zstd"], Send(Coding::Zstd)),
            (&["GZIP", "Br ; q=0.5"], Send(Coding::Gzip)),
            (&["x-gzip"], Send(Coding::Gzip)),
            (&["deflate"], Send(Coding::Identity)),
            (&["*"], Send(Coding::Br)),
            (&["*;q=0.5, gzip"], Send(Coding::Gzip)),
            (&["*, br;q=0"], Send(Coding::Zstd)),
            (&["gzip;q=0"], Send(Coding::Identity)),
            (&["gzip;q=0.001"], Send(Coding::Gzip)),
            (&["br;q=0.8, gzip;q=0.9, zstd;q=0.85"], Send(Coding::Gzip)),
            (&["br;q=x, gzip;q=0.1"], Send(Coding::Gzip)),
            (&["identity, gzip;q=0.5"], Send(Coding::Identity)),
            (&["identity;q=0.5, gzip;q=0.5"], Send(Coding::Gzip)),
            (&["identity;q=0.6, gzip;q=0.5"], Send(Coding::Identity)),
            (&["identity;q=0, gzip;q=0.1"], Send(Coding::Gzip)),
            (&["identity;q=0"], NothingSuits),
            (&["*;q=0"], NothingSuits),
            (&["*;q=0, identity;q=0.1"], Send(Coding::Identity)),
            (&["*;q=0, gzip"], Send(Coding::Gzip)),
            (&["identity;q=0, compress"], NothingSuits),
            (&["gzip, deflate, br, zstd, dcb, dcz"], Send(Coding::Br)),
        ] {
            assert_eq!(Offer::STORED.choose(&client(lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_streamed_takes_the_cheapest_of_equals() {
        let all = client(&["gzip, deflate, br, zstd"]);
        assert_eq!(Offer::STREAMED.choose(&all), Choice::Send(Coding::Zstd));
        assert_eq!(Offer::NONE.choose(&all), Choice::Send(Coding::Identity));
    }

    #[test]
    fn a_dictionary_comes_first_where_the_client_names_its_coding() {
        let offer = Offer::STORED.with_dictionary();
        for (lines, expected) in [
            ("gzip, br, zstd, dcb, dcz", Coding::Dcz),
            ("gzip, br, zstd, dcb", Coding::Dcb),
            ("gzip, br, zstd, dcz;q=0, dcb;q=0.5", Coding::Br),
            ("gzip, br, zstd", Coding::Br),
            ("*", Coding::Br),
        ] {
            assert_eq!(offer.choose(&client(&[lines])), Choice::Send(expected), "{lines}");
        }
        let without = Capabilities::read([(&b"accept-encoding"[..], &b"dcz, br"[..])], Needs::ALL);
        assert_eq!(offer.choose(&without), Choice::Send(Coding::Br));
    }

    #[test]
    fn an_offer_names_each_coding_once_and_none_that_nobody_makes() {
        use Coding::{Br, Deflate, Gzip, Identity, Zstd};
        let offer = Offer::of(&[Gzip, Br, Gzip, Identity, Deflate, Zstd]);
        assert_eq!(offer.codings(), [Gzip, Br, Zstd]);
        let offer = offer.with_dictionary().with_dictionary();
        assert_eq!(offer.codings(), [Coding::Dcz, Coding::Dcb, Gzip, Br, Zstd]);
        let offer = Offer::of(&[Gzip, Br]).with_dictionary();
        assert_eq!(offer.codings(), [Coding::Dcb, Gzip, Br]);
    }

    #[test]
    fn what_a_client_does_not_take_is_decoded() {
        use Handling::{AsItIs, Decode, Recode};
        for (line, stored, expected) in [
            ("gzip, br", Coding::Br, AsItIs),
            ("gzip;q=0.1, br", Coding::Gzip, AsItIs),
            ("gzip;q=0.1, identity;q=0.2", Coding::Gzip, Decode),
            ("gzip;q=0.2, identity;q=0.2", Coding::Gzip, AsItIs),
            ("gzip", Coding::Identity, AsItIs),
            ("gzip", Coding::Br, Decode),
            ("", Coding::Gzip, Decode),
            ("", Coding::Identity, AsItIs),
            ("deflate", Coding::Deflate, AsItIs),
            ("identity;q=0, zstd", Coding::Br, Recode(Coding::Zstd)),
            ("identity;q=0, zstd", Coding::Identity, Recode(Coding::Zstd)),
            ("identity;q=0", Coding::Br, Decode),
            ("identity;q=0", Coding::Identity, AsItIs),
        ] {
            assert_eq!(Offer::STORED.handle(stored, &client(&[line])), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_chosen_that_the_client_refuses_or_wants_less(
            lines in prop::collection::vec(
                "((gzip|br|zstd|deflate|dcz|dcb|identity|\\*|x)(;q=(0(\\.[0-9]{1,3})?|1|y))?,? ?){0,6}|[ -~]{0,40}",
                0..4,
            ),
        ) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let client = client(&lines);
            for offer in [Offer::NONE, Offer::STORED, Offer::STREAMED.with_dictionary()] {
                match offer.choose(&client) {
                    Choice::NothingSuits => {
                        prop_assert!(!client.takes_identity());
                        prop_assert!(!offer.codings().iter().any(|coding| client.takes(*coding)));
                    }
                    Choice::Send(chosen) => {
                        prop_assert!(client.takes(chosen));
                        let is_wanted_more = |other: &Coding| client.weight(*other) > client.weight(chosen);
                        prop_assert!(!offer.codings().iter().any(is_wanted_more), "{chosen:?}");
                    }
                }
            }
        }
    }
}
