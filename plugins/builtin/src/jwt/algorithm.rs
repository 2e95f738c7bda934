//! Algorithms that sign tokens (RFC 7518, RFC 8037), and keys that verify by one of them and no other.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An algorithm. There is no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub(super) enum Algorithm {
    /// HMAC with SHA-256: whoever verifies can sign as well.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSA, PKCS #1 v1.5, SHA-256.
    RS256,
    /// RSA, PKCS #1 v1.5, SHA-384.
    RS384,
    /// RSA, PKCS #1 v1.5, SHA-512.
    RS512,
    /// RSA, PSS, SHA-256.
    PS256,
    /// RSA, PSS, SHA-384.
    PS384,
    /// RSA, PSS, SHA-512.
    PS512,
    /// ECDSA with P-256 and SHA-256.
    ES256,
    /// ECDSA with secp256k1 and SHA-256.
    ES256K,
    /// ECDSA with P-384 and SHA-384.
    ES384,
    /// ECDSA with P-521 and SHA-512.
    ES512,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// All of them.
    const ALL: [Self; 14] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES256K,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
    ];

    /// Those with a public key.
    pub(super) fn asymmetric() -> Vec<Self> {
        Self::ALL.into_iter().filter(|algorithm| algorithm.hmac().is_none()).collect()
    }

    /// By its name in a token or a key, which is told apart by case.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Its name in a token or a key.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES256K => "ES256K",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }

    pub(super) fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Self::HS256 => Some(hmac::HMAC_SHA256),
            Self::HS384 => Some(hmac::HMAC_SHA384),
            Self::HS512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::RS256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::RS384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::RS512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            Self::PS256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
            Self::PS384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
            Self::PS512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
            _ => None,
        }
    }

    /// The name of the curve, how many bytes a coordinate has, and how signatures are verified.
    fn curve(self) -> Option<(&'static str, usize, &'static EcdsaVerificationAlgorithm)> {
        match self {
            Self::ES256 => Some(("P-256", 32, &signature::ECDSA_P256_SHA256_FIXED)),
            Self::ES256K => Some(("secp256k1", 32, &signature::ECDSA_P256K1_SHA256_FIXED)),
            Self::ES384 => Some(("P-384", 48, &signature::ECDSA_P384_SHA384_FIXED)),
            Self::ES512 => Some(("P-521", 66, &signature::ECDSA_P521_SHA512_FIXED)),
            _ => None,
        }
    }
}

/// What a key is made of. Which algorithms it may verify by follows from it, and never from a token.
pub(super) enum Material {
    /// An RSA key's modulus and exponent.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    /// A point on a curve.
    Curve { name: String, x: Vec<u8>, y: Vec<u8> },
    /// A key of Ed25519.
    Edwards(Vec<u8>),
    /// A shared secret.
    Secret(Vec<u8>),
}

/// A key for one algorithm.
pub(super) enum Verifier {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

impl Material {
    /// The key for `algorithm`, if it is of that kind, well made and long enough.
    pub(super) fn verifier(&self, algorithm: Algorithm) -> Option<Verifier> {
        match self {
            Self::Rsa { modulus, exponent } => {
                let components = RsaPublicKeyComponents { n: modulus, e: exponent };
                let long_enough = (2048..=8192).contains(&(modulus.len() * 8));
                let parsed = components.to_parsed_public_key(algorithm.rsa()?).ok();
                parsed.filter(|_| long_enough).map(Verifier::Public)
            }
            Self::Curve { name, x, y } => {
                let (curve, size, verification) = algorithm.curve()?;
                if name != curve || x.len() != size || y.len() != size {
                    return None;
                }
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                ParsedPublicKey::new(verification, point).ok().map(Verifier::Public)
            }
            Self::Edwards(key) if algorithm == Algorithm::EdDSA => {
                ParsedPublicKey::new(&signature::ED25519, key).ok().map(Verifier::Public)
            }
            Self::Edwards(_) => None,
            Self::Secret(secret) => {
                let hmac = algorithm.hmac()?;
                // RFC 7518, section 3.2: a secret is as long as the digest, or longer.
                let long_enough = secret.len() >= hmac.digest_algorithm().output_len();
                long_enough.then(|| Verifier::Secret(Box::new(hmac::Key::new(hmac, secret))))
            }
        }
    }
}

impl Verifier {
    /// Whether `signature` is one of `message`.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}
