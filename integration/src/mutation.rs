//! Configurations with one token gone, doubled or swapped with another.

/// A mutated text.
#[derive(Clone, Debug)]
pub struct Mutation {
    /// What was done.
    pub what: String,
    /// The outcome.
    pub text: String,
}

/// `count` mutations of `text`, the same for the same `seed`.
#[must_use]
pub fn mutations(text: &str, count: usize, seed: u64) -> Vec<Mutation> {
    let tokens = tokens(text);
    let words: Vec<usize> = (0..tokens.len()).filter(|&at| !tokens[at].trim().is_empty()).collect();
    let mut random = Random(seed.max(1));
    let mut pick = || words[random.below(words.len())];
    (0..count)
        .map(|number| {
            let (first, second) = (pick(), pick());
            let mut mutated = tokens.clone();
            let what = match number % 3 {
                0 => {
                    mutated[first] = "";
                    format!("without {:?}", tokens[first])
                }
                1 => {
                    mutated.insert(first, tokens[first]);
                    format!("with {:?} twice", tokens[first])
                }
                _ => {
                    mutated.swap(first, second);
                    format!("with {:?} and {:?} swapped", tokens[first], tokens[second])
                }
            };
            Mutation { what: format!("{what} (token {first})"), text: mutated.concat() }
        })
        .collect()
}

/// Words, strings, single signs, and the white space between them.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => rest[1..].find(['"', '\n']).map_or(rest.len(), |end| end + 2),
            _ if is_word(first) => rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after;
    }
    tokens
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.')
}

/// Marsaglia's xorshift: enough to choose tokens, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from(self.0 % bound).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::{mutations, tokens};

    #[test]
    fn tokens_put_together_are_the_text() {
        let text = "[[a]]\nb = \"x y\" # c\nd = { e = 1.5 }\n";
        assert_eq!(tokens(text).concat(), text);
    }

    #[test]
    fn every_mutation_differs_unless_equal_tokens_were_swapped() {
        let text = "[a]\nb = 1\nc = 2\n";
        let same = mutations(text, 30, 7).iter().filter(|mutation| mutation.text == text).count();
        assert!(same < 10, "{same} of 30 are the text itself");
    }
}
