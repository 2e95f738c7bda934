//! `key-auth`: lets requests through that carry a known key.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use aws_lc_rs::digest;
use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{
    Answer, Background, BuildError, Flow, Plugin, Refused, Request, Setup, hooks,
};

use crate::credential::Place;
use crate::option::{changeable_header, each, quotable, read};
use crate::units::Time;
use crate::watched::{self, Watched, lines, watch};

/// Lets requests through that carry a known key.
pub(crate) struct KeyAuth {
    places: Vec<Place>,
    inline: Consumers,
    file: Option<Watched<Consumers>>,
    consumer_header: Option<HeaderName>,
    hide: bool,
    challenge: String,
}

/// By the SHA-256 of the key: who looks up one that is wrong learns nothing from the time it takes.
type Consumers = HashMap<[u8; 32], String>;

/// Lets requests through that carry a known key, and answers others with 401. Who a key belongs to is `$plugin_consumer` then. Only
/// digests of keys are stored: keys must be long and random, as `openssl rand -hex 24` makes them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Where keys are looked for, in this order: `"header:x-api-key"`, `"bearer"`, `"query:api_key"`, `"cookie:key"`. The first that is
    /// there counts.
    from: Vec<String>,
    /// Digests of keys by who they belong to: `{ alice = ["sha256:9f86d0…"] }`, made with `printf %s KEY | sha256sum`.
    keys: BTreeMap<String, Vec<String>>,
    /// A file with more of them, one a line, the consumer first: `alice sha256:9f86d0…`. `#` begins a comment. It is read again when it
    /// changes; one that is wrong then changes nothing.
    file: Option<PathBuf>,
    /// The header that tells the upstream who the key belongs to; `""` for none. What the client sends by that name never gets there.
    consumer_header: String,
    /// Whether the key is taken out of the request before it is sent to the upstream.
    hide: bool,
    /// What a 401 says the key is for.
    realm: String,
    /// How often the file is looked at; `"0"` for never.
    refresh: Time,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            from: vec!["header:x-api-key".into()],
            keys: BTreeMap::new(),
            file: None,
            consumer_header: "x-consumer".into(),
            hide: true,
            realm: "API".into(),
            refresh: watched::PERIOD,
        }
    }
}

#[hooks]
impl Plugin for KeyAuth {
    const NAME: &'static str = "key-auth";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    type State = ();

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        let places = each("from", &options.from, Place::parse)?;
        if places.is_empty() {
            return Err(BuildError::new("from", "no place to look for keys"));
        }
        if options.keys.is_empty() && options.file.is_none() {
            return Err(
                BuildError::new("", "nobody has a key").with_help("say who in `keys` or `file`")
            );
        }
        let realm = quotable("realm", &options.realm)?;
        let scheme = if places.contains(&Place::Bearer) { "Bearer" } else { "ApiKey" };
        let consumer_header = match options.consumer_header.as_str() {
            "" => None,
            name => Some(read("consumer_header", name, changeable_header)?),
        };
        let file = match &options.file {
            Some(file) => {
                watch("refresh", options.refresh, setup)?;
                Some(Watched::open("file", file, setup, consumers)?)
            }
            None => None,
        };
        Ok(Self {
            places,
            inline: inline(&options.keys)?,
            file,
            consumer_header,
            hide: options.hide,
            challenge: format!("{scheme} realm=\"{realm}\""),
        })
    }

    async fn on_request(&self, (): &mut (), request: &mut Request<'_>) -> Flow {
        let key = self.places.iter().find_map(|place| place.read(request));
        let Some(consumer) = key.and_then(|key| self.consumer(&key)) else {
            return Answer::plain(401).with_header("www-authenticate", &self.challenge).into();
        };
        match self.tell(&consumer, request) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(format!("consumer `{consumer}`: {refused}")),
        }
    }

    async fn on_upstream_request(&self, (): &mut (), request: &mut Request<'_>) -> Flow {
        if !self.hide {
            return Flow::Continue;
        }
        match self.places.iter().try_for_each(|place| place.hide(request)) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(format!("the key cannot be hidden: {refused}")),
        }
    }

    async fn on_tick(&self, background: &mut Background<'_>) {
        if let Some(file) = &self.file {
            file.refresh(background).await;
        }
    }
}

impl KeyAuth {
    fn consumer(&self, key: &str) -> Option<String> {
        let digest = sha256(key.as_bytes())?;
        if let Some(consumer) = self.inline.get(&digest) {
            return Some(consumer.clone());
        }
        self.file.as_ref()?.current().get(&digest).cloned()
    }

    fn tell(&self, consumer: &str, request: &mut Request<'_>) -> Result<(), Refused> {
        if let Some(header) = &self.consumer_header {
            request.set_header(header, consumer)?;
        }
        request.set_variable("plugin_consumer", consumer)
    }
}

fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().ok()
}

fn inline(keys: &BTreeMap<String, Vec<String>>) -> Result<Consumers, BuildError> {
    let mut consumers = Consumers::new();
    for (consumer, digests) in keys {
        for (index, digest) in digests.iter().enumerate() {
            let path = format!("keys.{consumer}[{index}]");
            add(&mut consumers, consumer, digest).map_err(|why| BuildError::new(path, why))?;
        }
    }
    Ok(consumers)
}

fn consumers(text: &str) -> Result<Consumers, String> {
    let mut consumers = Consumers::new();
    for (number, line) in lines(text) {
        let added = match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            [consumer, digest] => add(&mut consumers, consumer, digest),
            _ => Err("not a consumer, a blank and a digest".into()),
        };
        added.map_err(|why| format!("line {number}: {why}"))?;
    }
    Ok(consumers)
}

fn add(consumers: &mut Consumers, consumer: &str, text: &str) -> Result<(), String> {
    if consumer.is_empty() || !consumer.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the name of a consumer is of visible ASCII signs".into());
    }
    // What is written may be a key: it is not repeated.
    let digest = digest_of(text).ok_or(
        "not sha256: and 64 hexadecimal digits, as `printf %s KEY | sha256sum` writes them",
    )?;
    match consumers.insert(digest, consumer.to_owned()) {
        Some(other) if other != consumer => Err(format!("`{other}` has the same key")),
        _ => Ok(()),
    }
}

fn digest_of(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64)?;
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let is_hexadecimal = pair.iter().all(u8::is_ascii_hexdigit);
        let pair = std::str::from_utf8(pair).ok().filter(|_| is_hexadecimal)?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(digest)
}

/// Takes any text for a file of keys.
pub(crate) fn check_file(text: &str) {
    let _ = consumers(text);
}

#[cfg(test)]
mod tests;
