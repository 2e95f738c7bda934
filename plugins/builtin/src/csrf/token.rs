//! Tokens of a signed double submit: <https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html>.

use aws_lc_rs::{constant_time, hmac, rand};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderName;
use switchback_plugin::{Fact, Request};

use crate::credential;

/// What tokens are made and known by: `RANDOM.SIGNATURE`, where the signature is over the session and the random part.
pub(super) struct Token {
    cookie: String,
    header: HeaderName,
    session: Option<String>,
    key: hmac::Key,
}

impl Token {
    pub(super) fn new(
        cookie: String,
        header: HeaderName,
        session: Option<String>,
        secret: &[u8],
    ) -> Self {
        Self { cookie, header, session, key: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// Whether `request` has the same good token in its cookie and its header.
    pub(super) fn is_carried_by(&self, request: &Request<'_>) -> bool {
        let (Some(cookie), Some(header)) =
            (credential::cookie(request, &self.cookie), request.header(&self.header))
        else {
            return false;
        };
        constant_time::verify_slices_are_equal(cookie.as_bytes(), header.as_bytes()).is_ok()
            && self.is_good(&cookie, request)
    }

    /// Whether `request` has a good token in its cookie.
    pub(super) fn is_known_to(&self, request: &Request<'_>) -> bool {
        credential::cookie(request, &self.cookie).is_some_and(|token| self.is_good(&token, request))
    }

    /// A cookie with a new token. Scripts must be able to read it; other sites are not to send it.
    pub(super) fn cookie(&self, request: &Request<'_>) -> Option<String> {
        let mut random = [0; 18];
        rand::fill(&mut random).ok()?;
        let random = BASE64_URL_SAFE_NO_PAD.encode(random);
        let signature = hmac::sign(&self.key, &self.signed(&random, request));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        let must_be_secure =
            self.cookie.starts_with("__Host-") || self.cookie.starts_with("__Secure-");
        let is_secure = must_be_secure || request.fact(Fact::Scheme) == "https";
        let secure = if is_secure { "; Secure" } else { "" };
        Some(format!("{}={random}.{signature}; Path=/; SameSite=Lax{secure}", self.cookie))
    }

    fn is_good(&self, token: &str, request: &Request<'_>) -> bool {
        let Some((random, signature)) = token.split_once('.') else { return false };
        let Ok(signature) = BASE64_URL_SAFE_NO_PAD.decode(signature) else { return false };
        hmac::verify(&self.key, &self.signed(random, request), &signature).is_ok()
    }

    /// The random part has no zero byte, and so has only one way to be read.
    fn signed(&self, random: &str, request: &Request<'_>) -> Vec<u8> {
        let session = self.session.as_ref().and_then(|name| credential::cookie(request, name));
        [random.as_bytes(), b"\0", session.unwrap_or_default().as_bytes()].concat()
    }
}
