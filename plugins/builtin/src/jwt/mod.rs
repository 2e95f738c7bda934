//! `jwt`: lets requests through that carry a good token (RFC 7519, RFC 8725).

mod algorithm;
mod key_set;
mod keys;
mod options;
mod token;

use http::HeaderName;
use switchback_plugin::{
    Answer, Background, BuildError, Flow, Operating, Plugin, Refused, Request, Setup, hooks,
};

use crate::credential::Place;
use algorithm::Algorithm;
use key_set::Said;
use keys::Keys;
use options::Options;
use token::{Claims, Rejected, Rules, Token};

/// Lets requests through that carry a good token.
pub(crate) struct Jwt {
    places: Vec<Place>,
    algorithms: Vec<Algorithm>,
    keys: Keys,
    rules: Rules,
    /// Claims, each of which must have one of the values.
    matching: Vec<(String, Vec<String>)>,
    /// Names of headers and the claims that they get.
    headers: Vec<(HeaderName, String)>,
    /// Names of variables and the claims that they get.
    variables: Vec<(String, String)>,
    optional: bool,
    hide: bool,
    realm: String,
}

/// What became of a token.
enum Outcome {
    Good(Claims),
    Bad(Rejected),
    /// No key that is there has made it, as far as can be seen.
    UnknownKey,
    /// There are no keys.
    NoKeys,
}

#[hooks]
impl Plugin for Jwt {
    const NAME: &'static str = "jwt";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    type State = ();

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        options.build(setup)
    }

    async fn on_request(&self, (): &mut (), request: &mut Request<'_>) -> Flow {
        // Owned: what comes of it is written into the request.
        let found = self.places.iter().find_map(|place| place.read(request));
        let Some(token) = found.map(std::borrow::Cow::into_owned) else {
            return if self.optional { self.tell(None, request) } else { self.refuse(None) };
        };
        let mut outcome = self.judge(&token, request.now());
        if matches!(outcome, Outcome::UnknownKey | Outcome::NoKeys)
            && self.keys.renew(request).await
        {
            outcome = self.judge(&token, request.now());
        }
        match outcome {
            Outcome::Good(claims) => self.admit(&claims, request),
            Outcome::Bad(why) => self.refuse(Some(&why)),
            Outcome::UnknownKey => {
                self.refuse(Some(&Rejected("the token is of no key that is known")))
            }
            Outcome::NoKeys => Flow::fail("no keys yet: see the log for why"),
        }
    }

    async fn on_upstream_request(&self, (): &mut (), request: &mut Request<'_>) -> Flow {
        if !self.hide {
            return Flow::Continue;
        }
        match self.places.iter().try_for_each(|place| place.hide(request)) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(format!("the token cannot be hidden: {refused}")),
        }
    }

    async fn on_tick(&self, background: &mut Background<'_>) {
        self.keys.tick(background).await;
    }
}

impl Jwt {
    /// Nothing of a token is believed, but which key and which of the allowed algorithms to try, before its signature is verified.
    fn judge(&self, text: &str, now: u64) -> Outcome {
        let token = match Token::parse(text) {
            Ok(token) => token,
            Err(why) => return Outcome::Bad(why),
        };
        if !self.algorithms.contains(&token.algorithm) {
            return Outcome::Bad(Rejected("the token's algorithm is not allowed"));
        }
        let Some(keys) = self.keys.current() else { return Outcome::NoKeys };
        let said =
            keys.verify(token.key_id.as_deref(), token.algorithm, token.message, &token.signature);
        match said {
            Said::Good => {}
            Said::Bad => return Outcome::Bad(Rejected("the token's signature is wrong")),
            Said::Unknown => return Outcome::UnknownKey,
        }
        let seconds = std::time::Duration::from_nanos(now).as_secs_f64();
        let checked = token.claims().and_then(|claims| {
            claims.check(&self.rules, seconds)?;
            Ok(claims)
        });
        checked.map_or_else(Outcome::Bad, Outcome::Good)
    }

    fn admit(&self, claims: &Claims, request: &mut Request<'_>) -> Flow {
        let lacking = self.matching.iter().any(|(path, values)| !claims.has_any(path, values));
        if !lacking {
            return self.tell(Some(claims), request);
        }
        let challenge = format!("Bearer realm=\"{}\", error=\"insufficient_scope\"", self.realm);
        Answer::plain(403).with_header("www-authenticate", challenge).into()
    }

    /// As RFC 6750 wants it: a request without a token is told nothing of errors.
    fn refuse(&self, why: Option<&Rejected>) -> Flow {
        let mut challenge = format!("Bearer realm=\"{}\"", self.realm);
        if let Some(Rejected(why)) = why {
            challenge.push_str(", error=\"invalid_token\", error_description=\"");
            challenge.push_str(why);
            challenge.push('"');
        }
        Answer::plain(401).with_header("www-authenticate", challenge).into()
    }

    /// Writes claims into headers and variables. Without a token, or where it lacks a claim, nobody else's word for it is left.
    fn tell(&self, claims: Option<&Claims>, request: &mut Request<'_>) -> Flow {
        let text = |path: &str| claims.and_then(|claims| claims.text(path)).unwrap_or_default();
        let tell = |request: &mut Request<'_>| -> Result<(), Refused> {
            for (header, path) in &self.headers {
                let value = text(path);
                // A header of its own, or half of one, is nothing that a claim can make.
                if value.is_empty() || value.bytes().any(|byte| byte.is_ascii_control()) {
                    request.remove_header(header)?;
                } else {
                    request.set_header(header, value)?;
                }
            }
            for (variable, path) in &self.variables {
                request.set_variable(variable, text(path))?;
            }
            Ok(())
        };
        match tell(request) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(format!("a claim: {refused}")),
        }
    }
}

/// Takes any text for a token: its parts are read, and no key of its own is found to have signed it.
pub(crate) fn check_token(text: &str) {
    if let Ok(token) = Token::parse(text) {
        let keys = key_set::KeySet::default();
        let id = token.key_id.as_deref();
        let said = keys.verify(id, token.algorithm, token.message, &token.signature);
        assert_eq!(said, Said::Unknown, "no key has signed it");
        // Whatever they are: nobody asks before the signature is verified.
        let _ = token.claims().map(|claims| claims.check(&Rules::default(), 0.0));
    }
}

/// Takes any bytes for a set of keys.
pub(crate) fn check_key_set(bytes: &[u8]) {
    let _ = key_set::KeySet::parse(bytes, &Algorithm::asymmetric());
}

#[cfg(test)]
mod tests;
