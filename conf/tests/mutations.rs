//! Damaged configurations are refused or read, but never break the reader, and the answer is always the same.

#![cfg(test)]

use std::collections::BTreeMap;
use std::path::Path;

use switchback_conf::{format, load_text};

/// How many damaged texts are tried.
const DAMAGED: u64 = 400;

/// A small generator of numbers: the same in every run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap() % bound
    }
}

fn texts() -> Vec<String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [package.join("examples"), package.join("tests/golden")];
    let entries = folders.iter().flat_map(|folder| folder.read_dir().unwrap());
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// Words, and every other character by itself.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (token, after) = rest.split_at(word.max(if word == 0 { first.len_utf8() } else { 0 }));
        tokens.push(token);
        rest = after;
    }
    tokens
}

/// One token less, one twice, two in each other's place, or the text cut.
fn damage(text: &str, dice: &mut Dice) -> String {
    let mut tokens = tokens(text);
    for _ in 0..=dice.below(3) {
        if tokens.len() < 2 {
            break;
        }
        let (one, other) = (dice.below(tokens.len()), dice.below(tokens.len()));
        match dice.below(9) {
            0..3 => drop(tokens.remove(one)),
            3..5 => tokens.insert(one, tokens[one]),
            5..8 => tokens.swap(one, other),
            _ => tokens.truncate(one),
        }
    }
    tokens.concat()
}

#[test]
fn tokens_make_up_the_text() {
    for text in texts() {
        assert_eq!(tokens(&text).concat(), text);
    }
}

#[test]
fn damaged_configurations_never_panic_and_always_give_the_same() {
    let texts = texts();
    let (mut refused, mut accepted) = (0, 0);
    for seed in 1..=DAMAGED {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let text = damage(&texts[dice.below(texts.len())], &mut dice);
        let outcome = load_text("damaged.toml", &text, &BTreeMap::new());
        let again = load_text("damaged.toml", &text, &BTreeMap::new());
        assert_eq!(outcome.report(), again.report(), "seed {seed}:\n{text}");
        assert_eq!(outcome.value.is_none(), outcome.has_errors(), "seed {seed}:\n{text}");
        match &outcome.value {
            Some(_) => accepted += 1,
            None => refused += 1,
        }
    }
    assert!(refused > DAMAGED / 2 && accepted > 0, "{refused} refused, {accepted} accepted");
}

#[test]
fn damaged_configurations_are_laid_out_without_changing_what_they_say() {
    let texts = texts();
    for seed in 1..=DAMAGED {
        let mut dice = Dice(seed.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        let text = damage(&texts[dice.below(texts.len())], &mut dice);
        let is_toml = toml::de::DeTable::parse(&text).is_ok();
        assert_eq!(format(&text).is_ok(), is_toml, "seed {seed}:\n{text}");
        let Ok(laid_out) = format(&text) else { continue };
        assert_eq!(format(&laid_out).as_deref().ok(), Some(&*laid_out), "seed {seed}:\n{text}");
        // Integers beyond 64 bits are TOML, but no value of that package.
        let Ok(before) = toml::from_str::<toml::Table>(&text) else { continue };
        assert_eq!(
            toml::from_str::<toml::Table>(&laid_out).as_ref(),
            Ok(&before),
            "seed {seed}:\n{text}\n{laid_out}"
        );
        assert_eq!(
            text.matches('#').count(),
            laid_out.matches('#').count(),
            "seed {seed}:\n{text}\n{laid_out}"
        );
    }
}
