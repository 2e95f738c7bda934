//! Tokens: JWS in its compact form (RFC 7515), and the claims in it (RFC 7519).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;

/// The longest token that is looked at.
const LONGEST: usize = 16 << 10;

/// A token whose signature nobody has verified.
pub(super) struct Token<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    /// What is signed.
    pub(super) message: &'t [u8],
    pub(super) signature: Vec<u8>,
    payload: &'t str,
}

/// Why a token does not count. For the client: nothing in it tells more than the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rejected(pub(super) &'static str);

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Names of headers that must be understood: none is.
    crit: Option<Value>,
}

impl<'t> Token<'t> {
    /// Takes `text` apart.
    pub(super) fn parse(text: &'t str) -> Result<Self, Rejected> {
        const MALFORMED: Rejected = Rejected("not a signed token");
        if text.len() > LONGEST {
            return Err(Rejected("the token is too long"));
        }
        let (message, signature) = text.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, payload) = message.split_once('.').ok_or(MALFORMED)?;
        if payload.contains('.') {
            return Err(MALFORMED);
        }
        let header: Header =
            decoded(header).and_then(|json| serde_json::from_slice(&json).ok()).ok_or(MALFORMED)?;
        if header.crit.is_some() {
            return Err(Rejected("the token wants something understood that is not"));
        }
        let algorithm = Algorithm::from_name(&header.alg)
            .ok_or(Rejected("the token's algorithm is not allowed"))?;
        let signature = decoded(signature).ok_or(MALFORMED)?;
        Ok(Self { algorithm, key_id: header.kid, message: message.as_bytes(), signature, payload })
    }

    /// The claims. To be asked for once the signature is verified.
    pub(super) fn claims(&self) -> Result<Claims, Rejected> {
        decoded(self.payload)
            .and_then(|json| serde_json::from_slice(&json).ok())
            .map(Claims)
            .ok_or(Rejected("the token's claims are no JSON object"))
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

/// What a token says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Claims(Map<String, Value>);

/// What claims must be.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// One of these; any if empty.
    pub(super) issuers: Vec<String>,
    /// One of these; any if empty.
    pub(super) audiences: Vec<String>,
    /// These are there.
    pub(super) required: Vec<String>,
    /// Seconds by which clocks may differ.
    pub(super) leeway: f64,
}

impl Claims {
    /// Whether the token counts at `now` (seconds since 1970).
    pub(super) fn check(&self, rules: &Rules, now: f64) -> Result<(), Rejected> {
        if !rules.required.iter().all(|path| self.at(path).is_some()) {
            return Err(Rejected("the token lacks a claim"));
        }
        if self.time("exp")?.is_some_and(|end| now >= end + rules.leeway) {
            return Err(Rejected("the token has expired"));
        }
        if self.time("nbf")?.is_some_and(|begin| now < begin - rules.leeway) {
            return Err(Rejected("the token does not count yet"));
        }
        if !rules.issuers.is_empty() && !self.is_any("iss", &rules.issuers, false) {
            return Err(Rejected("the token is of another issuer"));
        }
        if !rules.audiences.is_empty() && !self.is_any("aud", &rules.audiences, true) {
            return Err(Rejected("the token is for another audience"));
        }
        Ok(())
    }

    /// Whether the claim at `path` is one of `values`, has one of them in its list, or, for `scope`, among its words.
    pub(super) fn has_any(&self, path: &str, values: &[String]) -> bool {
        let is_one = |text: &str| values.iter().any(|value| value == text);
        match self.at(path) {
            Some(Value::String(words)) if path == "scope" => words.split(' ').any(is_one),
            Some(Value::Array(list)) => list.iter().filter_map(scalar).any(|value| is_one(&value)),
            Some(value) => scalar(value).is_some_and(|value| is_one(&value)),
            None => false,
        }
    }

    /// The claim at `path` as text: texts, numbers and truths as they are, lists of them with commas, anything else as JSON.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let value = self.at(path)?;
        let list =
            value.as_array().and_then(|list| list.iter().map(scalar).collect::<Option<Vec<_>>>());
        Some(match list {
            Some(list) => list.join(","),
            None => scalar(value).unwrap_or_else(|| value.to_string()),
        })
    }

    /// A claim by its name, or by names of objects within each other: `realm_access.roles`. A name with dots in it comes first.
    fn at(&self, path: &str) -> Option<&Value> {
        if let Some(value) = self.0.get(path) {
            return Some(value).filter(|value| !value.is_null());
        }
        let (first, rest) = path.split_once('.')?;
        let mut value = self.0.get(first)?;
        for name in rest.split('.') {
            value = value.as_object()?.get(name)?;
        }
        Some(value).filter(|value| !value.is_null())
    }

    fn time(&self, name: &str) -> Result<Option<f64>, Rejected> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => {
                value.as_f64().map(Some).ok_or(Rejected("a time in the token is no number"))
            }
        }
    }

    /// Exactly a text, or a list of them where that is allowed.
    fn is_any(&self, name: &str, values: &[String], may_be_list: bool) -> bool {
        let is_one =
            |value: &Value| value.as_str().is_some_and(|text| values.iter().any(|one| one == text));
        match self.0.get(name) {
            Some(Value::Array(list)) if may_be_list => list.iter().any(is_one),
            Some(value) => is_one(value),
            None => false,
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}
