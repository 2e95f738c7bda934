//! Which endpoint a visitor stays with.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderValue;
use switchback_conf::plan::{EndpointPlan, StickyCookiePlan, StickyPlan, UpstreamPlan};
use switchback_value::Template;

use super::resident::Resident;

/// By what requests stay with an endpoint: values are worked out here, so that a request only looks them up.
#[derive(Debug)]
pub(crate) struct Sticky {
    /// What says it.
    pub(crate) by: By,
    /// The endpoint of each value.
    endpoints: HashMap<Box<[u8]>, usize>,
}

/// What says which endpoint.
#[derive(Debug)]
pub(crate) enum By {
    /// A cookie of ours.
    Cookie {
        /// Its name.
        name: Box<str>,
        /// The `Set-Cookie` of each endpoint, without and with `Secure`.
        lines: Box<[[HeaderValue; 2]]>,
        /// Whether it has `Secure`; `None` is where the client came over TLS.
        secure: Option<bool>,
    },
    /// What this comes to.
    Route(Template),
}

impl Sticky {
    /// The endpoint of a value; `None` where it is of nobody who is here, or forged.
    pub(crate) fn endpoint(&self, value: &[u8]) -> Option<usize> {
        self.endpoints.get(value).copied()
    }
}

/// Of an upstream whose requests stay, and has these endpoints now.
pub(super) fn assemble(
    upstream: &UpstreamPlan,
    endpoints: &[EndpointPlan],
    resident: &Resident,
) -> Option<Box<Sticky>> {
    let sticky = match upstream.sticky.as_ref()? {
        StickyPlan::Cookie(plan) => of_cookie(plan, (upstream, endpoints), resident)?,
        StickyPlan::Route(template) => {
            // Of the addresses of one name, the first.
            let ids = endpoints.iter().enumerate().rev();
            let endpoints = ids.map(|(index, endpoint)| (endpoint.id.as_bytes().into(), index));
            let endpoints = endpoints.collect();
            Sticky { by: By::Route(template.clone()), endpoints }
        }
    };
    Some(Box::new(sticky))
}

fn of_cookie(
    plan: &StickyCookiePlan,
    (upstream, endpoints): (&UpstreamPlan, &[EndpointPlan]),
    resident: &Resident,
) -> Option<Sticky> {
    let key = match &plan.secret {
        Some(secret) => hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
        None => hmac::Key::new(hmac::HMAC_SHA256, resident.sticky_secret.as_bytes()),
    };
    let mut bearers: HashMap<&str, usize> = HashMap::new();
    endpoints.iter().for_each(|endpoint| *bearers.entry(&endpoint.id).or_default() += 1);
    let one = |endpoint: &EndpointPlan| {
        let parts = [&*upstream.name, &*plan.name, &*endpoint.id];
        // The addresses of one name are endpoints of their own.
        let is_shared = bearers.get(&*endpoint.id).is_some_and(|count| *count > 1);
        let address = is_shared.then(|| endpoint.address.to_string());
        let parts: Vec<&str> = parts.into_iter().chain(address.as_deref()).collect();
        value(&key, &parts)
    };
    let values: Vec<String> = endpoints.iter().map(one).collect();
    let line = |value: &String, end: &str| {
        HeaderValue::try_from(format!("{}={value}{}{end}", plan.name, plan.attributes)).ok()
    };
    let lines = values.iter().map(|value| Some([line(value, "")?, line(value, "; Secure")?]));
    let by = By::Cookie {
        name: plan.name.clone(),
        lines: lines.collect::<Option<_>>()?,
        secure: plan.secure,
    };
    let endpoints = values.into_iter().map(|value| value.into_bytes().into()).zip(0..).collect();
    Some(Sticky { by, endpoints })
}

/// What nobody outside of this process knows.
#[derive(Clone)]
pub(crate) struct Secret(Box<[u8]>);

impl Secret {
    fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

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

/// What stands for an endpoint: nobody who lacks the key can make it, or tell the endpoint from it.
fn value(key: &hmac::Key, parts: &[&str]) -> String {
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
