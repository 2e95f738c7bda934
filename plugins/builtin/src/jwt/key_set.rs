//! Sets of keys (RFC 7517): what verifies tokens.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::algorithm::{Algorithm, Material, Verifier};

/// Keys, each with the algorithms that it may verify by.
#[derive(Default)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

struct Key {
    id: Option<String>,
    verifiers: Vec<(Algorithm, Verifier)>,
}

/// What a set of keys says to a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// One of them has made it.
    Good,
    /// None that it may be from has.
    Bad,
    /// None has the id that is asked for, or is of that kind: perhaps a newer set has.
    Unknown,
}

/// More keys are more than anybody rotates through.
const MOST_KEYS: usize = 100;

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

/// The members of a key that mean something here (RFC 7517 section 4, RFC 7518 section 6).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

impl KeySet {
    /// Reads a set. Keys that cannot verify by any of `algorithms` are left out, as RFC 7517 wants it.
    ///
    /// # Errors
    ///
    /// No JSON of that form, or nothing is left.
    pub(super) fn parse(text: &[u8], algorithms: &[Algorithm]) -> Result<Self, String> {
        let set: Jwks = serde_json::from_slice(text)
            .map_err(|error| format!("not a set of keys (RFC 7517): {error}"))?;
        if set.keys.len() > MOST_KEYS {
            return Err(format!("more than {MOST_KEYS} keys"));
        }
        let read = |value| serde_json::from_value(value).ok();
        let keys: Vec<Key> = set
            .keys
            .into_iter()
            .filter_map(read)
            .filter_map(|jwk: Jwk| jwk.key(algorithms))
            .collect();
        if keys.is_empty() {
            return Err("no key in it can verify by the algorithms that are allowed".into());
        }
        Ok(Self { keys })
    }

    /// Of one secret.
    pub(super) fn secret(secret: &[u8], algorithms: &[Algorithm]) -> Result<Self, String> {
        let material = Material::Secret(secret.to_vec());
        let verifiers = verifiers(&material, algorithms);
        let wanted = algorithms.iter().filter(|algorithm| algorithm.hmac().is_some()).count();
        if wanted == 0 {
            return Err("a secret needs one of HS256, HS384 and HS512 in `algorithms`".into());
        }
        if verifiers.len() < wanted {
            return Err(
                "the secret is shorter than RFC 7518 wants: 32 bytes for HS256, 48 for HS384, \
                        64 for HS512"
                    .into(),
            );
        }
        Ok(Self { keys: vec![Key { id: None, verifiers }] })
    }

    /// Whether one of the keys that have `id` (or no id of their own), and are meant for `algorithm`, has signed `message`.
    pub(super) fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Said {
        let mut said = Said::Unknown;
        for key in &self.keys {
            let may_be = match (id, key.id.as_deref()) {
                (Some(wanted), Some(own)) => wanted == own,
                _ => true,
            };
            let fits = key.verifiers.iter().find(|(own, _)| may_be && *own == algorithm);
            let Some((_, verifier)) = fits else { continue };
            if verifier.verifies(message, signature) {
                return Said::Good;
            }
            said = Said::Bad;
        }
        said
    }
}

impl Jwk {
    fn key(self, algorithms: &[Algorithm]) -> Option<Key> {
        let is_for_signing = self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.key_ops.as_ref().is_none_or(|uses| uses.iter().any(|one| one == "verify"));
        if !is_for_signing {
            return None;
        }
        let material = self.material()?;
        let verifiers = match &self.alg {
            Some(name) => {
                let own = Algorithm::from_name(name).filter(|own| algorithms.contains(own))?;
                verifiers(&material, &[own])
            }
            None => verifiers(&material, algorithms),
        };
        (!verifiers.is_empty()).then_some(Key { id: self.kid, verifiers })
    }

    fn material(&self) -> Option<Material> {
        match self.kty.as_str() {
            "RSA" => Some(Material::Rsa {
                modulus: number(self.n.as_deref()?)?,
                exponent: number(self.e.as_deref()?)?,
            }),
            "EC" => Some(Material::Curve {
                name: self.crv.clone()?,
                x: bytes(self.x.as_deref()?)?,
                y: bytes(self.y.as_deref()?)?,
            }),
            "OKP" if self.crv.as_deref() == Some("Ed25519") => {
                Some(Material::Edwards(bytes(self.x.as_deref()?)?))
            }
            "oct" => Some(Material::Secret(bytes(self.k.as_deref()?)?)),
            _ => None,
        }
    }
}

fn verifiers(material: &Material, algorithms: &[Algorithm]) -> Vec<(Algorithm, Verifier)> {
    let made =
        algorithms.iter().map(|algorithm| Some((*algorithm, material.verifier(*algorithm)?)));
    made.flatten().collect()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

/// Without zeros before it, which some write though they should not.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = bytes(text)?;
    let begin = bytes.iter().position(|byte| *byte != 0)?;
    bytes.get(begin..).map(<[u8]>::to_vec)
}
