//! The threads that encode in the background, and what is kept to encode against.

use super::build::Findings;
use super::{Plan, VariantsPlan};
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::Config;

/// The threads that encode in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodersPlan {
    /// How many; `None` is one less than there are cores, and at least one.
    pub threads: Option<u16>,
    /// How much of each kind may wait; `None` is twice as many as there are threads.
    pub queue: Option<u32>,
}

/// What is kept to encode against, of all routes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DictionariesPlan {
    /// Bytes of memory.
    pub memory: u64,
}

pub(super) fn encoders(config: &Config) -> EncodersPlan {
    let encoders = &config.encoders;
    EncodersPlan {
        threads: encoders.threads.as_ref().and_then(|count| count.value().try_into().ok()),
        queue: encoders.queue.as_ref().map(|count| count.value()),
    }
}

pub(super) fn dictionaries(config: &Config) -> DictionariesPlan {
    DictionariesPlan { memory: config.dictionaries.memory.bytes() }
}

/// Settings for what no route has are probably forgotten.
pub(super) fn check_use(config: &Config, plan: &Plan, findings: &mut Findings<'_>) {
    let some_route =
        |has: fn(&VariantsPlan) -> bool| plan.routes.iter().any(|route| has(&route.variants));
    let mut no_effect = |at: Option<&Location>, message: &str| {
        let Some(at) = at.filter(|at| at.file().is_some()) else { return };
        findings.missing(Diagnostic::warning(Code::NoEffect, at.clone(), message));
    };
    let encodes = plan.routes.iter().any(|route| {
        route.cache.is_some()
            && route.variants.encode.as_ref().is_some_and(|own| own.best.is_some())
    });
    if !encodes && !some_route(|variants| variants.images.is_some()) {
        let encoders = &config.encoders;
        let message =
            "`encoders` has no effect: no route has `images`, or `encode` with `best` and `cache`";
        let queue = encoders.queue.as_ref().map(|count| &count.at);
        no_effect(encoders.threads.as_ref().map(|count| &count.at).or(queue), message);
    }
    if !some_route(|variants| variants.dictionary.is_some()) {
        let message = "`dictionaries` has no effect: no route has a `dictionary`";
        no_effect(Some(&config.dictionaries.memory.at), message);
    }
}
