//! Files of names and hashed passwords, as `htpasswd` and its kin write them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use aws_lc_rs::{constant_time, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha_crypt::{Sha256Params, Sha512Params};

use super::md5_crypt;
use crate::watched::lines;

/// Users by name.
#[derive(Debug, Default)]
pub(super) struct Users {
    by_name: HashMap<String, Arc<Stored>>,
    /// What a name that is not known is tried against, so that it takes as long as one that is.
    decoy: Option<Arc<Stored>>,
}

impl Users {
    /// Reads `name:hash` lines; more behind a second colon is ignored, as in nginx.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut users = Self::default();
        for (number, line) in lines(text) {
            let added = match line.split_once(':') {
                Some((name, rest)) => users.add(name, rest.split(':').next().unwrap_or(rest)),
                None => Err("no `:` between name and hash".into()),
            };
            added.map_err(|why| format!("line {number}: {why}"))?;
        }
        Ok(users)
    }

    /// Adds one more.
    pub(super) fn add(&mut self, name: &str, hash: &str) -> Result<(), String> {
        let is_name =
            !name.is_empty() && !name.contains(':') && !name.chars().any(char::is_control);
        if !is_name {
            return Err("no name of a user".into());
        }
        let stored = Arc::new(Stored::parse(hash)?);
        if self.by_name.insert(name.to_owned(), stored.clone()).is_some() {
            return Err(format!("`{name}` is there twice"));
        }
        // The slowest: a name that is not known must not be faster to refuse than one that is.
        if self.decoy.as_ref().is_none_or(|decoy| decoy.cost() < stored.cost()) {
            self.decoy = Some(stored);
        }
        Ok(())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Arc<Stored>> {
        self.by_name.get(name)
    }

    pub(super) fn decoy(&self) -> Option<&Arc<Stored>> {
        self.decoy.as_ref()
    }
}

/// A hashed password.
pub(super) struct Stored {
    text: String,
    scheme: Scheme,
}

impl fmt::Debug for Stored {
    /// Hashes are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stored(..)")
    }
}

enum Scheme {
    /// `$2y$`, `$2b$`, `$2a$`: `htpasswd -B`
    Bcrypt { cost: u32 },
    /// `$argon2id$` and its brothers: `argon2`, `mkpasswd`
    Argon2 { memory: u32, rounds: u32 },
    /// `$apr1$` and `$1$`: `htpasswd -m`
    Md5 { magic: &'static str, salt: String, hash: String },
    /// `{SHA}` and `{SSHA}`: `htpasswd -s`
    Sha1 { salt: Vec<u8>, digest: Vec<u8> },
    /// `$5$`: `htpasswd -2`
    Sha256 { salt: String, rounds: usize, hash: String },
    /// `$6$`: `htpasswd -5`, `mkpasswd -m sha-512`
    Sha512 { salt: String, rounds: usize, hash: String },
}

/// What one password may cost a processor: about a second.
const MOST_BCRYPT: u32 = 14;
const MOST_ROUNDS: usize = 1_000_000;
const MOST_MEMORY: u32 = 256 << 10;
const MOST_ARGON2: u32 = 4 << 20;

impl Stored {
    /// Reads a hash. What is written is not repeated in errors: it may be a password.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let scheme = match text {
            _ if text.starts_with("$2") => bcrypt(text),
            _ if text.starts_with("$argon2") => argon2(text),
            _ if text.starts_with("$apr1$") => md5(text, "$apr1$"),
            _ if text.starts_with("$1$") => md5(text, "$1$"),
            _ if text.starts_with("{SHA}") => sha1(text.trim_start_matches("{SHA}"), false),
            _ if text.starts_with("{SSHA}") => sha1(text.trim_start_matches("{SSHA}"), true),
            _ if text.starts_with("$5$") => sha_crypt(text, 43).map(|(salt, rounds, hash)| {
                Scheme::Sha256 { salt, rounds, hash }
            }),
            _ if text.starts_with("$6$") => sha_crypt(text, 86).map(|(salt, rounds, hash)| {
                Scheme::Sha512 { salt, rounds, hash }
            }),
            _ => Err("no hash that is known: bcrypt, argon2, apr1, {SHA}, {SSHA}, sha256crypt or \
                      sha512crypt (`htpasswd -B` makes one of bcrypt); neither plain passwords nor crypt(3) of DES"
                .into()),
        };
        Ok(Self { text: text.to_owned(), scheme: scheme? })
    }

    /// The hash as it is written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it takes long enough to be done beside the way: more than some 100 us.
    pub(super) fn is_slow(&self) -> bool {
        !matches!(self.scheme, Scheme::Sha1 { .. })
    }

    /// Microseconds, roughly: to tell the slowest.
    pub(super) fn cost(&self) -> u64 {
        match &self.scheme {
            Scheme::Bcrypt { cost } => 50_u64 << cost,
            Scheme::Argon2 { memory, rounds } => u64::from(*memory) * u64::from(*rounds),
            Scheme::Md5 { .. } => 300,
            Scheme::Sha1 { .. } => 1,
            Scheme::Sha256 { rounds, .. } | Scheme::Sha512 { rounds, .. } => *rounds as u64 / 2,
        }
    }

    /// Whether `password` is the one. Takes as long for one that is nearly right as for any other.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let same = |made: &[u8], stored: &[u8]| {
            constant_time::verify_slices_are_equal(made, stored).is_ok()
        };
        match &self.scheme {
            Scheme::Bcrypt { .. } => bcrypt::verify(password, &self.text).unwrap_or(false),
            Scheme::Argon2 { .. } => PasswordHash::new(&self.text)
                .is_ok_and(|stored| Argon2::default().verify_password(password, &stored).is_ok()),
            Scheme::Md5 { magic, salt, hash } => {
                same(md5_crypt::hash(password, salt.as_bytes(), magic).as_bytes(), hash.as_bytes())
            }
            Scheme::Sha1 { salt, digest } => same(sha1_of(password, salt).as_ref(), digest),
            Scheme::Sha256 { salt, rounds, hash } => {
                let made = Sha256Params::new(*rounds).and_then(|parameters| {
                    sha_crypt::sha256_crypt_b64(password, salt.as_bytes(), &parameters)
                });
                made.is_ok_and(|made| same(made.as_bytes(), hash.as_bytes()))
            }
            Scheme::Sha512 { salt, rounds, hash } => {
                let made = Sha512Params::new(*rounds).and_then(|parameters| {
                    sha_crypt::sha512_crypt_b64(password, salt.as_bytes(), &parameters)
                });
                made.is_ok_and(|made| same(made.as_bytes(), hash.as_bytes()))
            }
        }
    }
}

fn bcrypt(text: &str) -> Result<Scheme, String> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| "not a hash of bcrypt")?;
    let cost = parts.get_cost();
    if !(4..=MOST_BCRYPT).contains(&cost) {
        return Err(format!("bcrypt with a cost of {cost}: 4 to {MOST_BCRYPT} are allowed"));
    }
    Ok(Scheme::Bcrypt { cost })
}

fn argon2(text: &str) -> Result<Scheme, String> {
    let hash = PasswordHash::new(text).map_err(|_| "not a hash of argon2")?;
    let parameters = argon2::Params::try_from(&hash).map_err(|_| "not a hash of argon2")?;
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err("a hash of argon2 without salt or digest".into());
    }
    let (memory, rounds) = (parameters.m_cost(), parameters.t_cost());
    if memory > MOST_MEMORY || memory.saturating_mul(rounds) > MOST_ARGON2 {
        return Err("argon2 with more than 256 MiB, or more than 4 GiB in all rounds".into());
    }
    Ok(Scheme::Argon2 { memory, rounds })
}

fn md5(text: &str, magic: &'static str) -> Result<Scheme, String> {
    let rest = text.strip_prefix(magic).and_then(|rest| rest.split_once('$'));
    match rest.filter(|(_, hash)| hash.len() == 22 && !hash.contains('$')) {
        Some((salt, hash)) => Ok(Scheme::Md5 { magic, salt: salt.into(), hash: hash.into() }),
        None => Err(format!("not a hash of {magic}")),
    }
}

fn sha1(text: &str, salted: bool) -> Result<Scheme, String> {
    let bytes = BASE64_STANDARD.decode(text).map_err(|_| "not a hash of SHA-1 in base64")?;
    match bytes.split_at_checked(20) {
        Some((digest, salt)) if salted || salt.is_empty() => {
            Ok(Scheme::Sha1 { salt: salt.into(), digest: digest.into() })
        }
        _ => Err("not a hash of SHA-1 in base64".into()),
    }
}

fn sha1_of(password: &[u8], salt: &[u8]) -> digest::Digest {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(password);
    context.update(salt);
    context.finish()
}

/// `$6$rounds=5000$salt$hash`
fn sha_crypt(text: &str, length: usize) -> Result<(String, usize, String), String> {
    let parts: Vec<&str> = text.split('$').skip(2).collect();
    let (rounds, salt, hash) = match *parts.as_slice() {
        [salt, hash] => (sha_crypt::ROUNDS_DEFAULT, salt, hash),
        [rounds, salt, hash] => {
            let rounds = rounds.strip_prefix("rounds=").and_then(|rounds| rounds.parse().ok());
            (rounds.ok_or("not a hash of sha256crypt or sha512crypt")?, salt, hash)
        }
        _ => return Err("not a hash of sha256crypt or sha512crypt".into()),
    };
    if hash.len() != length || salt.is_empty() {
        return Err("not a hash of sha256crypt or sha512crypt".into());
    }
    if !(sha_crypt::ROUNDS_MIN..=MOST_ROUNDS).contains(&rounds) {
        return Err(format!("{rounds} rounds: 1000 to {MOST_ROUNDS} are allowed"));
    }
    Ok((salt.into(), rounds, hash.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verifies(hash: &str, password: &str) -> bool {
        Stored::parse(hash).unwrap().verify(password.as_bytes())
    }

    #[test]
    fn hashes_of_other_programs_are_known() {
        for (hash, password) in [
            // From Apache's own documentation of password formats.
            ("$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/", "myPassword"),
            ("{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=", "myPassword"),
            ("$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC", "myPassword"),
            // Made by OpenSSL: a blank, nothing at all, and more than MD5's sixteen bytes.
            ("$apr1$Abcd1234$ki2fp5Ymdhuw8pEsa/4rK0", "correct horse"),
            (
                "$apr1$Abcd1234$gcoqDxCpW3wbW.TPQJVjH.",
                "a password of more than sixteen bytes, and then some",
            ),
            // From the tests of Argon2's authors.
            (
                "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
                "password",
            ),
            // The examples of SHA-crypt's specification; made by OpenSSL.
            (
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
                "Hello world!",
            ),
            ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"),
            (
                "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA",
                "Hello world!",
            ),
        ] {
            assert!(verifies(hash, password), "{hash}");
            assert!(!verifies(hash, &format!("{password}x")), "{hash}");
            assert!(!verifies(hash, ""), "{hash}");
        }
        assert!(verifies("$1$ab$rn6aQS/o7141mj179E/zA.", ""), "made by OpenSSL, of nothing");
    }

    #[test]
    fn what_is_no_hash_is_refused_and_not_repeated() {
        for text in [
            "",
            "secret",
            "{PLAIN}secret",
            "rqXexS6ZhobKA",
            "$2y$05$short",
            "$2y$20$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC",
            "$apr1$salt",
            "$apr1$salt$short",
            "{SHA}!!",
            "{SHA}c2hvcnQ=",
            "$6$salt$short",
            "$6$rounds=1$saltstringsvn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
            "$6$rounds=x$salt$hash",
            "$argon2id$v=19$m=9999999,t=9,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$nonsense",
        ] {
            let error = Stored::parse(text).unwrap_err();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn lines_are_names_and_hashes() {
        let users =
            Users::parse("# ours\n\nalice:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=:Alice\n").unwrap();
        assert!(users.get("alice").unwrap().verify(b"myPassword"));
        assert!(users.get("bob").is_none());
        for (text, why) in [
            ("alice", "line 1: no `:`"),
            ("# x\nalice:secret", "line 2: no hash"),
            (":{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=", "line 1: no name"),
            (
                "a:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=\na:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=",
                "line 2: `a` is there twice",
            ),
        ] {
            let error = Users::parse(text).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "(\\PC{0,8}:)?[$a-z0-9{}=,/]{0,30}\\PC{0,8}") {
            let _ = Users::parse(&text);
        }
    }
}
