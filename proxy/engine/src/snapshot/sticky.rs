//! Which endpoint a visitor stays with, and in which shard.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use switchback_conf::plan::{EndpointPlan, StickyCookiePlan, StickyPlan, StickyTo, UpstreamPlan};
use switchback_upstream::{Learned, Memory};
use switchback_value::Template;

use super::resident::Resident;
use super::shards::Shard;

/// By what requests stay with an endpoint.
#[derive(Debug)]
pub(crate) enum Sticky {
    /// By a cookie of ours.
    Cookie(Box<Cookie>),
    /// By what this comes to.
    Route(Template),
    /// By a session that an endpoint has begun.
    Learned(Box<Sessions>),
}

/// A cookie of ours.
///
/// Its value stands for a shard, an endpoint, or both, by their names: nobody who lacks the secret can make it, or tell them from it.
/// What it stands for is looked up: values are worked out when a snapshot is made. One that is believed for a while says until when,
/// too, and is signed once more.
#[derive(Debug)]
pub(crate) struct Cookie {
    /// Its name.
    pub(crate) name: Box<str>,
    /// What follows its value, but for `Secure`.
    pub(crate) attributes: Box<str>,
    /// Whether it has `Secure`; `None` is where the client came over TLS.
    pub(crate) secure: Option<bool>,
    /// Whether its shard is asked before that of the key.
    pub(crate) is_before_key: bool,
    to: StickyTo,
    has_shards: bool,
    upstream: Box<str>,
    /// The first one signs.
    keys: Box<[hmac::Key]>,
    max_age: Option<Duration>,
}

/// What a cookie says that is to be believed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'h> {
    /// What stands for a shard, for an endpoint, or for both in this order, if they are there.
    token: &'h [u8],
    has_shards: bool,
    /// Whether it is time for a new one.
    is_due: bool,
}

/// What stands for each endpoint of some that are chosen from.
#[derive(Debug)]
pub(crate) struct Stays {
    endpoints: HashMap<Box<[u8]>, usize>,
    /// What clients are told.
    tokens: Box<[Box<str>]>,
}

/// What stands for each shard.
pub(crate) type Places = HashMap<Box<[u8]>, usize>;

/// Sessions that endpoints have begun.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// What of an answer names one.
    pub(crate) from: Vec<Template>,
    /// What of a request does.
    pub(crate) by: Vec<Template>,
    /// Who has which. Outlives snapshots.
    pub(crate) learned: Arc<Learned>,
    /// How many, and how long.
    pub(crate) memory: Memory,
}

/// Of an upstream whose requests stay.
pub(super) fn assemble(upstream: &UpstreamPlan, resident: &Resident) -> Option<Sticky> {
    Some(match upstream.sticky.as_ref()? {
        StickyPlan::Cookie(plan) => {
            Sticky::Cookie(Box::new(Cookie::new(plan, upstream, &resident.sticky_secret)))
        }
        StickyPlan::Route(template) => Sticky::Route(template.clone()),
        StickyPlan::Learn(plan) => Sticky::Learned(Box::new(Sessions {
            from: plan.from.clone(),
            by: plan.by.clone(),
            learned: resident.learned(&upstream.name),
            memory: Memory { most: plan.most, forget: plan.forget },
        })),
    })
}

impl Sticky {
    /// What stands for each of these endpoints. The addresses of one name are endpoints of their own.
    pub(super) fn stays(&self, endpoints: &[&EndpointPlan]) -> Option<Stays> {
        match self {
            Self::Cookie(cookie) if cookie.to == StickyTo::Endpoint => {
                let mut bearers: HashMap<&str, usize> = HashMap::new();
                endpoints.iter().for_each(|one| *bearers.entry(&one.id).or_default() += 1);
                let tokens = |endpoint: &&EndpointPlan| {
                    let is_shared = bearers.get(&*endpoint.id).is_some_and(|count| *count > 1);
                    let address = is_shared.then(|| endpoint.address.to_string());
                    let names = std::iter::once(&*endpoint.id).chain(address.as_deref());
                    cookie.tokens(&names.collect::<Vec<_>>())
                };
                Some(Stays::of(endpoints.iter().map(tokens)))
            }
            Self::Route(_) => {
                Some(Stays::of(endpoints.iter().map(|endpoint| vec![endpoint.id.clone()])))
            }
            Self::Cookie(_) | Self::Learned(_) => None,
        }
    }

    /// What stands for the shard of this name: the first is what clients are told.
    pub(super) fn of_shard(&self, name: &str) -> Vec<Box<str>> {
        match self {
            Self::Cookie(cookie) => cookie.tokens(&["", "shard", name]),
            _ => Vec::new(),
        }
    }
}

/// What stands for each of these shards.
pub(super) fn places(shards: &[Arc<Shard>]) -> Places {
    let tokens = |shard: &Shard| shard.tokens.iter().map(|token| token.as_bytes().into()).collect();
    let all = shards.iter().zip(0..).flat_map(|(shard, index)| {
        let tokens: Vec<_> = tokens(shard);
        tokens.into_iter().map(move |token| (token, index))
    });
    all.collect()
}

impl Stays {
    /// Of each endpoint what clients are told, and what else stands for it.
    fn of(endpoints: impl Iterator<Item = Vec<Box<str>>>) -> Self {
        let mut stays = Self { endpoints: HashMap::new(), tokens: Box::default() };
        let mut told = Vec::new();
        for (tokens, index) in endpoints.zip(0..) {
            told.push(tokens.first().cloned().unwrap_or_default());
            let tokens = tokens.into_iter().map(str::into_boxed_bytes);
            // Of several that are called alike, the first.
            for token in tokens {
                stays.endpoints.entry(token).or_insert(index);
            }
        }
        stays.tokens = told.into();
        stays
    }

    /// The endpoint that this stands for; `None` where it is of nobody who is here, or forged.
    pub(crate) fn endpoint(&self, token: &[u8]) -> Option<usize> {
        self.endpoints.get(token).copied()
    }

    /// What stands for that endpoint.
    pub(crate) fn token(&self, endpoint: usize) -> Option<&str> {
        self.tokens.get(endpoint).map(|token| &**token)
    }
}

impl Cookie {
    fn new(plan: &StickyCookiePlan, upstream: &UpstreamPlan, own: &Secret) -> Self {
        let key = |secret: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mut keys: Box<[_]> = plan.secrets.iter().map(|secret| key(secret.as_bytes())).collect();
        if keys.is_empty() {
            keys = Box::new([key(&own.0)]);
        }
        Self {
            name: plan.name.clone(),
            attributes: plan.attributes.clone(),
            secure: plan.secure,
            is_before_key: plan.is_before_key,
            to: plan.to,
            has_shards: upstream.shards.is_some(),
            upstream: upstream.name.clone(),
            keys,
            max_age: plan.max_age,
        }
    }

    /// What stands for something of the upstream, by each of the secrets. An endpoint is called by one name, or two.
    fn tokens(&self, names: &[&str]) -> Vec<Box<str>> {
        let parts = [&[&*self.upstream, &*self.name], names].concat();
        self.keys.iter().map(|key| sign(key, &parts).into()).collect()
    }

    /// What a cookie with this value says, if that is to be believed `now`, in seconds.
    pub(crate) fn read<'h>(&self, value: &'h [u8], now: u64) -> Option<Said<'h>> {
        let said = |token, is_due| Said { token, has_shards: self.has_shards, is_due };
        let Some(age) = self.max_age else { return Some(said(value, false)) };
        let mut parts = value.split(|byte| *byte == b'.');
        let (token, end, mark) = (parts.next()?, parts.next()?, parts.next()?);
        let (told, end) = (token, std::str::from_utf8(end).ok()?);
        let is_ours = |key: &hmac::Key| {
            let own = std::str::from_utf8(told).map(|told| sign(key, &[ENDS, told, end]));
            own.is_ok_and(|own| {
                constant_time::verify_slices_are_equal(own.as_bytes(), mark).is_ok()
            })
        };
        if parts.next().is_some() || !self.keys.iter().any(is_ours) {
            return None;
        }
        let left = u64::from_str_radix(end, 16).ok()?.checked_sub(now).filter(|left| *left > 0)?;
        Some(said(token, left <= age.as_secs() / 2))
    }

    /// The value of a cookie that says `token` from `now` on.
    pub(crate) fn write(&self, token: &str, now: u64) -> String {
        let (Some(age), Some(key)) = (self.max_age, self.keys.first()) else {
            return token.to_owned();
        };
        let end = format!("{:x}", now.saturating_add(age.as_secs()));
        format!("{token}.{end}.{}", sign(key, &[ENDS, token, &end]))
    }
}

impl Said<'_> {
    /// What stands for a shard.
    pub(crate) fn shard(&self) -> Option<&[u8]> {
        self.token.get(..TOKEN).filter(|_| self.has_shards)
    }

    /// What stands for an endpoint.
    pub(crate) fn endpoint(&self) -> &[u8] {
        let begins = if self.has_shards { TOKEN } else { 0 };
        self.token.get(begins..).unwrap_or_default()
    }

    /// Whether this is what it is to say, for a while longer.
    pub(crate) fn will_do(&self, token: &str) -> bool {
        self.token == token.as_bytes() && !self.is_due
    }
}

/// What nobody outside of this process knows.
#[derive(Clone)]
pub(crate) struct Secret(Box<[u8]>);

impl Default for Secret {
    /// From the keys that the standard library has from the operating system.
    fn default() -> Self {
        let parts = (0..4_u8).map(|part| RandomState::new().hash_one(part).to_le_bytes());
        Self(parts.flatten().collect())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// The signature of these.
fn sign(key: &hmac::Key, parts: &[&str]) -> String {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    }
    let tag = context.sign();
    BASE64_URL_SAFE_NO_PAD.encode(tag.as_ref().get(..TAG).unwrap_or_default())
}

/// Bytes of a tag that are sent: half of it cannot be guessed either.
const TAG: usize = 16;

/// The characters that these are sent as.
const TOKEN: usize = 22;

/// What the signature of the time of a cookie begins with.
const ENDS: &str = "ends";

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(secrets: &[&str], max_age: Option<u64>) -> Cookie {
        let key = |secret: &&str| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Cookie {
            name: "stay".into(),
            attributes: "".into(),
            secure: None,
            is_before_key: false,
            to: StickyTo::Endpoint,
            has_shards: true,
            upstream: "app".into(),
            keys: secrets.iter().map(key).collect(),
            max_age: max_age.map(Duration::from_secs),
        }
    }

    #[test]
    fn a_cookie_is_believed_until_its_time_is_over_and_due_after_half_of_it() {
        let cookie = cookie(&["one"], Some(100));
        let value = cookie.write("token", 1_000);
        let read = |now| cookie.read(value.as_bytes(), now).map(|said| said.is_due);
        assert_eq!([1_000, 1_049, 1_050, 1_099].map(read), [false, false, true, true].map(Some));
        assert_eq!([1_100, 5_000].map(read), [None; 2]);
        let said = cookie.read(value.as_bytes(), 1_000).unwrap();
        assert!(said.will_do("token") && !said.will_do("other"));
        assert!(!cookie.read(value.as_bytes(), 1_050).unwrap().will_do("token"));
    }

    #[test]
    fn no_part_of_a_cookie_can_be_another() {
        let cookie = cookie(&["one", "two"], Some(100));
        let value = cookie.write("token", 1_000);
        let mut forged: Vec<Vec<u8>> = Vec::new();
        for place in 0..value.len() {
            let mut other = value.clone().into_bytes();
            other[place] ^= 1;
            forged.push(other);
        }
        forged.extend([&b""[..], b"token", b"token.", b"..", b"token.ffffffffff."].map(Vec::from));
        forged.push([value.as_bytes(), b".x"].concat());
        for other in forged {
            let shown = String::from_utf8_lossy(&other);
            assert!(cookie.read(&other, 1_000).is_none(), "{shown} for {value}");
        }
    }

    #[test]
    fn each_secret_is_believed_and_the_first_one_signs() {
        let (old, new) = (cookie(&["one"], Some(100)), cookie(&["two", "one"], Some(100)));
        let value = old.write("token", 1_000);
        assert!(new.read(value.as_bytes(), 1_000).is_some());
        let value = new.write("token", 1_000);
        assert!(old.read(value.as_bytes(), 1_000).is_none());
        let tokens = new.tokens(&["a"]);
        assert_eq!(tokens.len(), 2);
        assert_eq!(tokens[1..], old.tokens(&["a"]));
    }

    #[test]
    fn what_stands_for_a_shard_stands_before_what_stands_for_its_endpoint() {
        let cookie = cookie(&["one"], None);
        let token = |names: &[&str]| cookie.tokens(names).remove(0);
        let (shard, endpoint) = (token(&["", "shard", "a"]), token(&["a"]));
        assert_ne!(shard, endpoint);
        assert_eq!(shard.len(), TOKEN);
        let both = format!("{shard}{endpoint}");
        let said = cookie.read(both.as_bytes(), 0).unwrap();
        assert_eq!((said.shard(), said.endpoint()), (Some(shard.as_bytes()), endpoint.as_bytes()));
        let said = cookie.read(b"short", 0).unwrap();
        assert_eq!((said.shard(), said.endpoint()), (None, &b""[..]));
    }
}
