//! Text made by code: a page, and a bundle of scripts in two versions.

/// Numbers by chance, the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or_default() % end
    }

    /// A word; few of them are frequent, as in any language.
    fn word(&mut self) -> String {
        let rank = [12, 150, 3000][self.below(3)];
        let mut number = self.below(rank) * 2_654_435_761 % 999_983;
        let mut word = String::new();
        while number > 0 {
            word.push_str(
                [
                    "an", "be", "co", "di", "e", "fo", "ge", "hi", "is", "le", "mo", "nu", "or",
                    "pa", "re", "st", "ti",
                ][number % 17],
            );
            number /= 17;
        }
        if word.is_empty() { "a".to_owned() } else { word }
    }
}

/// Scripts as they are shipped; another version differs in one of fifty statements.
pub(crate) fn bundle(statements: usize, version: u64) -> Vec<u8> {
    let mut text = String::new();
    for at in 0..statements {
        let seed = at as u64 + 1;
        let seed = if at % 50 == 17 { seed.wrapping_mul(version) } else { seed };
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let [a, b, c, d] = [(); 4].map(|()| chance.word());
        let number = chance.below(5000);
        text.push_str(&match chance.below(6) {
            0 => format!("function {a}({b},{c}){{return {b}.{d}?{b}.{d}({c},{number}):null}}"),
            1 => format!("var {a}={b}.{c}({number}),{d}={a}.length;"),
            2 => format!("if({a}==={number}){{{b}.{c}=!0;{d}()}}else{{{b}.{c}=!1}}"),
            3 => format!("{a}.prototype.{b}=function({c}){{this.{d}={c}||{number}}};"),
            4 => format!("export const {a}=({b})=>{c}(`{d} ${{{b}}}`,{{{a}:{number}}});"),
            _ => format!("for(let i=0;i<{a}.{b};i++){c}.push({{{d}:i,id:{number}}});"),
        });
    }
    text.into_bytes()
}

/// A page of many items.
pub(crate) fn page(items: usize) -> Vec<u8> {
    let mut chance = Chance(7);
    let mut text =
        String::from("<!doctype html><html lang=\"en\"><title>Items</title><ul class=\"items\">\n");
    for at in 0..items {
        let [a, b, c, d, e] = [(); 5].map(|()| chance.word());
        let price = chance.below(100_000);
        text.push_str(&format!(
            "  <li class=\"item item-{a}\" data-id=\"{at}\"><a href=\"/{a}/{b}-{at}.html\">{c} {d}</a> <span class=\"price\">{price}</span> {e} {b}, {d} {a}.</li>\n"
        ));
    }
    text.push_str("</ul></html>\n");
    text.into_bytes()
}
