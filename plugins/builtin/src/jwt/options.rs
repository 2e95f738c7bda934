//! What an operator may say of tokens.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{BuildError, Setup};

use super::Jwt;
use super::algorithm::Algorithm;
use super::key_set::KeySet;
use super::keys::{Fetched, Keys, Service};
use super::token::Rules;
use crate::credential::Place;
use crate::option::{changeable_header, each, own_variable, quotable, read};
use crate::units::Time;
use crate::watched::{self, Watched, watch};

/// Lets requests through that carry a good token (a JWT), and answers others with 401, or 403 if the token is good but not enough. A token
/// is verified by keys of one of `jwks_file`, `jwks` and `secret_file`, by the algorithms that are allowed for them and nothing that the
/// token says: `none` does not exist, and a public key never verifies as a secret.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// A file with a set of keys (RFC 7517). It is read again when it changes; one that is wrong then changes nothing.
    jwks_file: Option<PathBuf>,
    /// A service that publishes a set of keys. It is asked regularly, and at once for a token of a key that is not known.
    jwks: Option<JwksOptions>,
    /// A file with the secret of HS256, HS384 or HS512, which must be allowed in `algorithms`.
    secret_file: Option<PathBuf>,
    /// Algorithms that are allowed; all with public keys, unless they are named here.
    algorithms: Vec<Algorithm>,
    /// Where tokens are looked for, in this order: `"bearer"`, `"header:x-token"`, `"cookie:session"`, `"query:access_token"`. The first
    /// that is there counts.
    from: Vec<String>,
    /// The claim `iss` must be one of these; not looked at if there is none here.
    issuers: Vec<String>,
    /// The claim `aud` must be, or have, one of these; not looked at if there is none here.
    audiences: Vec<String>,
    /// Claims that must be there. `exp` and `nbf` are looked at wherever they are.
    required: Vec<String>,
    /// Claims that must have one of these values, else 403: `{ "realm_access.roles" = ["admin"], scope = ["write"] }`. Of a list, and of
    /// the words in `scope`, one is enough.
    claims: BTreeMap<String, Vec<String>>,
    /// Headers that tell the upstream claims: `{ x-user = "sub" }`; lists with commas. What the client sends by these names never gets
    /// there.
    headers: BTreeMap<String, String>,
    /// Variables that get claims: `{ plugin_tenant = "tenant" }`.
    variables: BTreeMap<String, String>,
    /// By how much clocks may differ.
    leeway: Time,
    /// Whether requests without a token pass as well; one that is wrong is refused all the same.
    optional: bool,
    /// Whether the token is taken out of the request before it is sent to the upstream.
    hide: bool,
    /// What a 401 says the token is for.
    realm: String,
    /// How often a file is looked at; `"0"` for never.
    refresh: Time,
}

/// A service that publishes its keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JwksOptions {
    /// The upstream that is asked.
    upstream: String,
    /// Path and query that it is asked for.
    #[serde(default = "well_known")]
    path: String,
    /// How long keys are used before they are fetched again. Those that are gone then are not used any more; if none can be fetched, those
    /// from before are.
    #[serde(default = "refresh")]
    refresh: Time,
    /// How long to wait after a try, whatever came of it, so that tokens of unknown keys are no way to burden the service.
    #[serde(default = "pause")]
    pause: Time,
    /// How long one try may take.
    #[serde(default = "timeout")]
    timeout: Time,
}

fn well_known() -> String {
    "/.well-known/jwks.json".into()
}

const fn refresh() -> Time {
    Time::seconds(600)
}

const fn pause() -> Time {
    Time::seconds(10)
}

const fn timeout() -> Time {
    Time::seconds(2)
}

impl Default for Options {
    fn default() -> Self {
        Self {
            jwks_file: None,
            jwks: None,
            secret_file: None,
            algorithms: Algorithm::asymmetric(),
            from: vec!["bearer".into()],
            issuers: Vec::new(),
            audiences: Vec::new(),
            required: vec!["exp".into()],
            claims: BTreeMap::new(),
            headers: BTreeMap::new(),
            variables: BTreeMap::new(),
            leeway: Time::seconds(30),
            optional: false,
            hide: false,
            realm: "API".into(),
            refresh: watched::PERIOD,
        }
    }
}

impl Options {
    pub(super) fn build(self, setup: &mut Setup<'_>) -> Result<Jwt, BuildError> {
        let places = each("from", &self.from, Place::parse)?;
        if places.is_empty() {
            return Err(BuildError::new("from", "no place to look for tokens"));
        }
        if self.algorithms.is_empty() {
            return Err(BuildError::new("algorithms", "no algorithm is allowed"));
        }
        if let Some((path, _)) = self.claims.iter().find(|(_, values)| values.is_empty()) {
            return Err(BuildError::new(format!("claims.{path}"), "no value is good"));
        }
        Ok(Jwt {
            places,
            keys: self.keys(setup)?,
            headers: pairs("headers", &self.headers, changeable_header)?,
            variables: pairs("variables", &self.variables, own_variable)?,
            realm: quotable("realm", &self.realm)?,
            algorithms: self.algorithms,
            rules: Rules {
                issuers: self.issuers,
                audiences: self.audiences,
                required: self.required,
                leeway: self.leeway.0.as_secs_f64(),
            },
            matching: self.claims.into_iter().collect(),
            optional: self.optional,
            hide: self.hide,
        })
    }

    fn keys(&self, setup: &mut Setup<'_>) -> Result<Keys, BuildError> {
        let algorithms = self.algorithms.clone();
        match (&self.jwks_file, &self.jwks, &self.secret_file) {
            (Some(file), None, None) => {
                watch("refresh", self.refresh, setup)?;
                let parse = move |text: &str| KeySet::parse(text.as_bytes(), &algorithms);
                Watched::open("jwks_file", file, setup, parse).map(Keys::File)
            }
            (None, Some(service), None) => service.build(algorithms, setup),
            (None, None, Some(file)) => {
                watch("refresh", self.refresh, setup)?;
                let parse = move |text: &str| {
                    KeySet::secret(text.trim_end_matches(['\r', '\n']).as_bytes(), &algorithms)
                };
                Watched::open("secret_file", file, setup, parse).map(Keys::File)
            }
            _ => Err(BuildError::new("", "keys come from one place")
                .with_help("say one of `jwks_file`, `jwks` and `secret_file`")),
        }
    }
}

impl JwksOptions {
    fn build(&self, algorithms: Vec<Algorithm>, setup: &mut Setup<'_>) -> Result<Keys, BuildError> {
        setup.upstream("jwks.upstream", &self.upstream)?;
        let is_target = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if !self.path.starts_with('/') || !self.path.bytes().all(is_target) {
            let message = "a path begins with `/`, and has neither blanks nor `#`";
            return Err(BuildError::new("jwks.path", message));
        }
        for (path, time, least) in [
            ("jwks.refresh", self.refresh, Duration::from_secs(1)),
            ("jwks.pause", self.pause, Duration::from_millis(100)),
            ("jwks.timeout", self.timeout, Duration::from_millis(10)),
        ] {
            if time.0 < least {
                return Err(BuildError::new(path, format!("not below {least:?}")));
            }
        }
        // The first tick comes at once: keys are there before most requests are.
        setup.every(self.pause.0);
        setup.timeout(self.timeout.0 + Duration::from_millis(500));
        Ok(Keys::Service(Box::new(Service {
            upstream: self.upstream.clone(),
            path: self.path.clone(),
            algorithms,
            refresh: self.refresh.0,
            pause: self.pause.0,
            timeout: self.timeout.0,
            current: ArcSwapOption::empty(),
            fetched: Mutex::new(Fetched::default()),
            is_fetching: AtomicBool::new(false),
        })))
    }
}

fn pairs<T>(
    path: &str,
    pairs: &BTreeMap<String, String>,
    reader: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<(T, String)>, BuildError> {
    let located = |(name, claim): (&String, &String)| {
        Ok((read(&format!("{path}.{name}"), name, &reader)?, claim.clone()))
    };
    pairs.iter().map(located).collect()
}
