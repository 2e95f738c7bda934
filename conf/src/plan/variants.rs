//! What is made of a route's answers for clients that can do more: encodings, and smaller images.

use std::sync::Arc;

use http::header;

use super::build::Findings;
use super::{
    CachePlan, Coding, DictionaryPlan, EncodePlan, ImagesPlan, dictionary, encode, images,
};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{Cache, CacheOrOff, Encode, OrOff, Route, Site};

/// What is made of a route's answers for clients that can do more. Routes that have a part from their site share it.
#[derive(Clone, Debug, Default)]
pub struct VariantsPlan {
    /// How answers are encoded.
    pub encode: Option<Arc<EncodePlan>>,
    /// Against what; never without `encode` and a cache.
    pub dictionary: Option<Arc<DictionaryPlan>>,
    /// What is made of images; never without a cache.
    pub images: Option<Arc<ImagesPlan>>,
}

impl VariantsPlan {
    /// Whether it does not matter what a client can do.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.encode.is_none() && self.dictionary.is_none() && self.images.is_none()
    }
}

/// What a route has under one key.
enum Said<'a, T> {
    Nothing,
    /// What its site says.
    Inherited,
    /// What it says itself, and where.
    Own(&'a T, &'a Location),
}

/// The variants of the routes of a site that do not say so themselves.
pub(super) fn of_site(
    site: &At<Site>,
    cache: Option<&CachePlan>,
    findings: &mut Findings<'_>,
) -> VariantsPlan {
    check_vary(site.cache.as_ref(), (is_on(&site.encode), is_on(&site.images)), findings);
    let routes = || site.routes.iter().map(|route| &route.value);
    let encoded: Vec<_> =
        routes().filter(|route| route.encode.is_none() && has_body(route)).collect();
    let needs = encoded.iter().map(|_| None);
    let encode = of_key("encode", site.encode.as_ref(), needs, findings).map(|(table, _)| {
        let is_kept = encoded.iter().any(|route| kept(route, site).is_none());
        encode::plan(table, is_kept, findings)
    });
    let of_upstreams = || routes().filter(|route| route.proxy.is_some());
    let inherit = of_upstreams().filter(|route| route.dictionary.is_none());
    let needs = inherit.map(|route| encoded_and_kept(route, site));
    let dictionary = of_key("dictionary", site.dictionary.as_ref(), needs, findings)
        .map(|(table, at)| dictionary::plan(table, at, findings));
    let inherit = of_upstreams().filter(|route| route.images.is_none());
    let needs = inherit.map(|route| kept(route, site));
    let images = of_key("images", site.images.as_ref(), needs, findings)
        .map(|(table, _)| images::plan(table, cache, findings));
    VariantsPlan { encode, dictionary, images }
}

/// What a site says under one key, if it is on. `needs` is, of each route that has it from the site, what it lacks for that.
fn of_key<'a, T>(
    key: &str,
    said: Option<&'a At<OrOff<T>>>,
    needs: impl Iterator<Item = Option<Lack>>,
    findings: &mut Findings<'_>,
) -> Option<(&'a T, &'a Location)> {
    let said = said?;
    let OrOff::On(table) = &said.value else {
        findings.missing(useless(key, &said.at));
        return None;
    };
    // `None`, that nothing is lacking, is the least.
    match needs.min() {
        Some(None) => {}
        Some(Some(lack)) => findings.missing(lack.diagnostic(key, &said.at)),
        None => {
            let message = format!("`{key}` has no effect: every route has its own, or none for it");
            findings.missing(Diagnostic::warning(Code::NoEffect, said.at.clone(), message));
        }
    }
    Some((table, &said.at))
}

/// The variants of a route: as it says itself, or else its site.
pub(super) fn of_route(
    route: &At<Route>,
    (site, of_site): (&Site, &VariantsPlan),
    cache: Option<&CachePlan>,
    findings: &mut Findings<'_>,
) -> VariantsPlan {
    let is_encoded = encode_of(route, site).is_some();
    let has_images = is_on(&route.images) || (route.images.is_none() && is_on(&site.images));
    check_vary(route.cache.as_ref(), (is_encoded, has_images), findings);
    let encode = match said("encode", &route.encode, &site.encode, findings) {
        Said::Nothing => None,
        Said::Inherited => of_site.encode.clone().filter(|_| has_body(route)),
        Said::Own(own, at) => {
            if !has_body(route) {
                let message = "`encode` has no effect: this route has no bodies of its own";
                findings.report(Diagnostic::warning(Code::NoEffect, at.clone(), message));
            }
            Some(encode::plan(own, kept(route, site).is_none(), findings))
        }
    };
    let lack = encoded_and_kept(route, site);
    let dictionary = match said("dictionary", &route.dictionary, &site.dictionary, findings) {
        Said::Nothing => None,
        Said::Inherited => of_site.dictionary.clone().filter(|_| lack.is_none()),
        Said::Own(own, at) => {
            lack.into_iter().for_each(|lack| findings.report(lack.diagnostic("dictionary", at)));
            Some(dictionary::plan(own, at, findings))
        }
    };
    let lack = kept(route, site);
    let images = match said("images", &route.images, &site.images, findings) {
        Said::Nothing => None,
        Said::Inherited => of_site.images.clone().filter(|_| lack.is_none()),
        Said::Own(own, at) => {
            lack.into_iter().for_each(|lack| findings.report(lack.diagnostic("images", at)));
            Some(images::plan(own, cache, findings))
        }
    };
    VariantsPlan { encode, dictionary, images }
}

fn said<'a, T>(
    key: &str,
    own: &'a Option<At<OrOff<T>>>,
    of_site: &Option<At<OrOff<T>>>,
    findings: &mut Findings<'_>,
) -> Said<'a, T> {
    match own {
        None if is_on(of_site) => Said::Inherited,
        None => Said::Nothing,
        Some(At { value: OrOff::On(table), at }) => Said::Own(table, at),
        Some(At { value: OrOff::Off, at }) => {
            if !is_on(of_site) {
                findings.report(useless(key, at));
            }
            Said::Nothing
        }
    }
}

/// `"off"` where nothing is on.
fn useless(key: &str, at: &Location) -> Diagnostic {
    let message = format!("`{key}` has no effect: without it, it is off as well");
    Diagnostic::warning(Code::NoEffect, at.clone(), message)
}

fn is_on<T>(said: &Option<At<OrOff<T>>>) -> bool {
    said.as_ref().is_some_and(|said| said.value.on().is_some())
}

/// What is missing for something to have an effect; the least that is missing comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lack {
    /// Encodings that can be made against something.
    Codings,
    /// `encode`.
    Encode,
    /// A cache of whole answers.
    Whole,
    /// A cache.
    Cache,
    /// An upstream whose answers could be kept.
    Upstream,
}

impl Lack {
    fn diagnostic(self, key: &str, at: &Location) -> Diagnostic {
        let (message, hint) = match self {
            Self::Codings => (
                "needs `br` or `zstd`, of which `encode` offers neither",
                "`codings` of `encode` says what is offered",
            ),
            Self::Encode => ("needs `encode`", "write `encode = \"on\"` beside it"),
            Self::Whole => {
                ("needs whole answers, and `cache` keeps slices", "a route without `slice`")
            }
            Self::Cache => (
                "needs `cache`: what is made of an answer is kept beside it",
                "write `cache = \"NAME\"` beside it, and `[zones.NAME]`",
            ),
            Self::Upstream => (
                "needs `cache`, and only what upstreams answer is kept",
                "a route with `proxy` and `cache`",
            ),
        };
        Diagnostic::error(Code::VariantUnfit, at.clone(), format!("`{key}` {message}")).hint(hint)
    }
}

/// What `route` lacks for its answers to be kept as a whole.
fn kept(route: &Route, site: &Site) -> Option<Lack> {
    match cache_of(route, site) {
        _ if route.proxy.is_none() => Some(Lack::Upstream),
        None => Some(Lack::Cache),
        Some(cache) => cache.slice.is_some().then_some(Lack::Whole),
    }
}

/// What it lacks for its answers to be encoded against earlier ones.
fn encoded_and_kept(route: &Route, site: &Site) -> Option<Lack> {
    let of_encode = match encode_of(route, site) {
        None => Some(Lack::Encode),
        Some(encode) => {
            let offers = |coding| {
                encode.codings.as_ref().is_none_or(|own| own.iter().any(|own| own.value == coding))
            };
            let fit = offers(Coding::Br) || offers(Coding::Zstd);
            (!fit).then_some(Lack::Codings)
        }
    };
    kept(route, site).or(of_encode)
}

fn cache_of<'a>(route: &'a Route, site: &'a Site) -> Option<&'a Cache> {
    let said = route.cache.as_ref().or(site.cache.as_ref())?;
    said.value.on().map(|cache| &cache.0)
}

fn encode_of<'a>(route: &'a Route, site: &'a Site) -> Option<&'a Encode> {
    let said = route.encode.as_ref().or(site.encode.as_ref())?;
    said.value.on().map(|encode| &encode.0)
}

/// Whether a route answers with bodies; where a rewrite leads to has its own `encode`.
fn has_body(route: &Route) -> bool {
    let Route { proxy, files, respond, action, .. } = route;
    proxy.is_some() || files.is_some() || respond.is_some() || action.is_some()
}

/// `vary` would keep each variant once more for every way in which clients write what they can do.
fn check_vary(
    cache: Option<&At<CacheOrOff>>,
    (is_encoded, has_images): (bool, bool),
    findings: &mut Findings<'_>,
) {
    let known =
        [(is_encoded, header::ACCEPT_ENCODING, "encode"), (has_images, header::ACCEPT, "images")];
    for name in cache.and_then(|cache| cache.value.on()).into_iter().flat_map(|cache| &cache.vary) {
        for (_, _, key) in known.iter().filter(|(is_on, own, _)| *is_on && *own == name.value) {
            let message = format!("`{key}` keeps variants by what `{}` means already", name.value);
            let diagnostic = Diagnostic::warning(Code::CacheUnfit, name.at.clone(), message);
            findings.report(
                diagnostic.hint("with it in `vary`, each is kept once for every way to write it"),
            );
        }
    }
}
