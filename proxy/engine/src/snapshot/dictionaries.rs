//! Against what routes encode.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use switchback_conf::plan::{DictionaryPlan, Plan};
use switchback_conf::{Code, Diagnostic};
use switchback_variant::{Announcement, Pattern};

/// Against what a route encodes: earlier versions of its answers, and what clients are told of them.
#[derive(Debug)]
pub(crate) struct DictionarySettings {
    /// Which paths are versions of one thing.
    pub(crate) pattern: Arc<Pattern>,
    /// `Use-As-Dictionary`.
    pub(crate) announcement: HeaderValue,
    /// How long a version is kept, since it was sent last.
    pub(crate) max_age: Duration,
}

/// Those of a plan.
pub(super) fn assemble(
    plan: &DictionaryPlan,
    found: &mut Vec<Diagnostic>,
) -> Option<Arc<DictionarySettings>> {
    let mut wrong = |message: String| {
        found.push(Diagnostic::error(Code::Assemble, plan.at.clone(), message));
    };
    let pattern = Pattern::parse(plan.pattern.as_str());
    let pattern = pattern.map_err(|error| wrong(error.to_string())).ok()?;
    let announcement = Announcement::new(&pattern, &[], plan.id.as_deref());
    let announcement = announcement.map_err(|error| wrong(error.to_string())).ok()?;
    Some(Arc::new(DictionarySettings {
        pattern: Arc::new(pattern),
        announcement: announcement.header(),
        max_age: plan.max_age,
    }))
}

/// How many bytes may be kept to encode against: none where no route does that.
pub(super) fn room(plan: &Plan) -> usize {
    let is_used = plan.routes.iter().any(|route| route.variants.dictionary.is_some());
    let memory = plan.dictionaries.memory;
    if is_used { usize::try_from(memory).unwrap_or(usize::MAX) } else { 0 }
}
