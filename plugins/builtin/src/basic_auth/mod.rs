//! `basic-auth`: lets users through whose name and password are in a file (RFC 7617).

mod htpasswd;
mod md5_crypt;
mod verified;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{
    Answer, Background, BuildError, Counter, Flow, Operating, Plugin, Refused, Request, Setup,
    hooks,
};

use crate::option::{changeable_header, positive, quotable, read};
use crate::units::Time;
use crate::watched::{self, Watched, watch};
use htpasswd::{Stored, Users};
use verified::Verified;

/// Lets users through whose name and password are known.
pub(crate) struct BasicAuth {
    inline: Users,
    file: Option<Watched<Users>>,
    challenge: String,
    user_header: Option<HeaderName>,
    hide: bool,
    verified: Verified,
    hashing: AtomicUsize,
    most_hashing: usize,
    hashed: Counter,
}

/// Lets users through whose name and password are known, and asks others for them with 401. The name is `$plugin_user` then. Hashes may be
/// of bcrypt, argon2, apr1, `{SHA}`, `{SSHA}`, sha256crypt and sha512crypt; they are computed beside the threads that serve requests, and
/// not again for a while once a password was right.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// A file as `htpasswd` makes it: `htpasswd -B -c users alice`. It is read again when it changes; one that is wrong then changes
    /// nothing.
    file: Option<PathBuf>,
    /// Hashes of passwords by user, beside or instead of a file.
    users: BTreeMap<String, String>,
    /// What users are told the password is for.
    realm: String,
    /// The header that tells the upstream the name; `""` for none. What the client sends by that name never gets there.
    user_header: String,
    /// Whether `Authorization` is taken out of the request before it is sent to the upstream.
    hide: bool,
    /// How many passwords that were right are remembered, as an HMAC; 0 for none.
    cache: usize,
    /// For how long.
    cache_time: Time,
    /// How many hashes may be computed at once; requests beyond it are answered with 503, so that guessing does not take all processors.
    hashing: u64,
    /// How often the file is looked at; `"0"` for never.
    refresh: Time,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            file: None,
            users: BTreeMap::new(),
            realm: "Restricted".into(),
            user_header: String::new(),
            hide: false,
            cache: 1024,
            cache_time: Time::seconds(600),
            hashing: 8,
            refresh: watched::PERIOD,
        }
    }
}

/// What a request's credentials are.
enum Checked {
    Right,
    Wrong,
    /// Too many are being checked.
    Busy,
    /// The host cannot compute now.
    Failed(String),
}

#[hooks]
impl Plugin for BasicAuth {
    const NAME: &'static str = "basic-auth";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    type State = ();

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        if options.file.is_none() && options.users.is_empty() {
            return Err(BuildError::new("", "nobody has a password")
                .with_help("say who in `file` or `users`"));
        }
        let mut inline = Users::default();
        for (name, hash) in &options.users {
            let added = inline.add(name, hash);
            added.map_err(|why| BuildError::new(format!("users.{name}"), why))?;
        }
        let file = match &options.file {
            Some(file) => {
                watch("refresh", options.refresh, setup)?;
                Some(Watched::open("file", file, setup, Users::parse)?)
            }
            None => None,
        };
        let user_header = match options.user_header.as_str() {
            "" => None,
            name => Some(read("user_header", name, changeable_header)?),
        };
        let hashing = positive("hashing", options.hashing)?;
        let verified = Verified::new(options.cache, options.cache_time.0)
            .ok_or_else(|| BuildError::new("", "the system has no random numbers"))?;
        // The slowest hash that is allowed takes about a second, and some may wait before it.
        setup.timeout(Duration::from_secs(10));
        let realm = quotable("realm", &options.realm)?;
        Ok(Self {
            inline,
            file,
            challenge: format!("Basic realm=\"{realm}\", charset=\"UTF-8\""),
            user_header,
            hide: options.hide,
            verified,
            hashing: AtomicUsize::new(0),
            most_hashing: usize::try_from(hashing).unwrap_or(usize::MAX),
            hashed: setup.counter("basic_auth_hashes_total", "Passwords hashed.", &[])?,
        })
    }

    async fn on_request(&self, (): &mut (), request: &mut Request<'_>) -> Flow {
        let Some((user, password)) = credentials(request) else { return self.ask() };
        match self.check(&user, password, request).await {
            Checked::Right => match self.tell(&user, request) {
                Ok(()) => Flow::Continue,
                Err(refused) => Flow::fail(format!("user `{user}`: {refused}")),
            },
            Checked::Wrong => self.ask(),
            Checked::Busy => Answer::plain(503).with_header("retry-after", "1").into(),
            Checked::Failed(why) => Flow::fail(why),
        }
    }

    async fn on_upstream_request(&self, (): &mut (), request: &mut Request<'_>) -> Flow {
        match if self.hide { request.remove_header("authorization") } else { Ok(()) } {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(format!("header `authorization`: {refused}")),
        }
    }

    async fn on_tick(&self, background: &mut Background<'_>) {
        if let Some(file) = &self.file {
            file.refresh(background).await;
        }
    }
}

impl BasicAuth {
    fn ask(&self) -> Flow {
        Answer::plain(401).with_header("www-authenticate", &self.challenge).into()
    }

    async fn check(&self, user: &str, password: Vec<u8>, request: &mut Request<'_>) -> Checked {
        let (stored, is_known) = self.stored(user);
        let Some(stored) = stored else { return Checked::Wrong };
        let name = self.verified.name(user, &password, stored.text());
        let now = request.now();
        if is_known && self.verified.contains(&name, now) {
            return Checked::Right;
        }
        self.hashed.add(1);
        let right = if stored.is_slow() {
            let Some(_place) = Hashing::begin(&self.hashing, self.most_hashing) else {
                return Checked::Busy;
            };
            match request.blocking(move || stored.verify(&password)).await {
                Ok(right) => right,
                Err(error) => {
                    return Checked::Failed(format!("a password is not checked: {error}"));
                }
            }
        } else {
            stored.verify(&password)
        };
        if !(right && is_known) {
            return Checked::Wrong;
        }
        self.verified.insert(name, now);
        Checked::Right
    }

    /// The hash of a user, or for one that is not known, one that takes as long.
    fn stored(&self, user: &str) -> (Option<Arc<Stored>>, bool) {
        let file = self.file.as_ref().map(Watched::current);
        let all = || std::iter::once(&self.inline).chain(file.as_ref().map(|file| &***file));
        match all().find_map(|users| users.get(user)) {
            Some(stored) => (Some(stored.clone()), true),
            None => {
                let decoys = all().filter_map(Users::decoy);
                (decoys.max_by_key(|stored| stored.cost()).cloned(), false)
            }
        }
    }

    fn tell(&self, user: &str, request: &mut Request<'_>) -> Result<(), Refused> {
        if let Some(header) = &self.user_header {
            request.set_header(header, user)?;
        }
        request.set_variable("plugin_user", user)
    }
}

/// The name and the password of `Authorization: Basic`, if they are there.
fn credentials(request: &Request<'_>) -> Option<(String, Vec<u8>)> {
    /// Some programs leave the padding out.
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let header = request.header("authorization")?;
    let (scheme, encoded) = header.split_once(' ')?;
    let encoded = encoded.trim();
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64.decode(encoded).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (user, password) = decoded.split_at_checked(colon)?;
    let user = String::from_utf8(user.to_vec()).ok()?;
    Some((user, password.get(1..)?.to_vec()))
}

/// One hash that is being computed.
struct Hashing<'h>(&'h AtomicUsize);

impl<'h> Hashing<'h> {
    fn begin(count: &'h AtomicUsize, most: usize) -> Option<Self> {
        let place = Self(count);
        // Given back when it is dropped, also where there was no room for it.
        (count.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Hashing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes any text for a file of users.
pub(crate) fn check_file(text: &str) {
    let _ = Users::parse(text);
}

#[cfg(test)]
mod tests;
