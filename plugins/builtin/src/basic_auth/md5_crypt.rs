//! `$apr1$` and `$1$`: MD5 a thousand times over, as Apache's `htpasswd -m` and old systems write passwords.

use md5::{Digest, Md5};

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What stands behind the salt. `magic` is `$apr1$` or `$1$`; of the salt, 8 bytes count.
pub(super) fn hash(password: &[u8], salt: &[u8], magic: &str) -> String {
    let salt = salt.get(..8).unwrap_or(salt);
    let inner =
        Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut outer = Md5::new().chain_update(password).chain_update(magic).chain_update(salt);
    for piece in password.chunks(16) {
        outer.update(inner.get(..piece.len()).unwrap_or(&inner));
    }
    let mut bits = password.len();
    while bits > 0 {
        // A bit that is set adds a zero, one that is not the first letter: an old mistake that everybody keeps.
        outer.update(if bits & 1 == 1 { &[0][..] } else { password.get(..1).unwrap_or_default() });
        bits >>= 1;
    }
    let mut last = outer.finalize();
    for round in 0..1000 {
        let (first, second) =
            if round % 2 == 1 { (password, &last[..]) } else { (&last[..], password) };
        let mut next = Md5::new().chain_update(first);
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        last = next.chain_update(second).finalize();
    }
    written(&last.into())
}

/// Three bytes in four signs, the lowest bits first.
fn written(digest: &[u8; 16]) -> String {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *digest;
    let groups = [[a, g, m], [b, h, n], [c, i, o], [d, j, p], [e, k, f]];
    let mut text = String::with_capacity(22);
    for [high, middle, low] in groups {
        push(&mut text, u32::from_be_bytes([0, high, middle, low]), 4);
    }
    push(&mut text, l.into(), 2);
    text
}

fn push(text: &mut String, mut bits: u32, signs: usize) {
    for _ in 0..signs {
        let sign = ALPHABET.get((bits & 63) as usize).copied().unwrap_or(b'.');
        text.push(sign.into());
        bits >>= 6;
    }
}
