//! The lists of cases, as text beside this file.

use std::collections::HashSet;
use std::path::Path;

use super::case::Case;
use super::text::parse;

/// A list of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Every MUST and SHOULD of the documents.
    Documents,
    /// The public list, restated.
    Public,
}

/// The texts of a list, each with its name.
type Texts = &'static [(&'static str, &'static str)];

macro_rules! texts {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!($name))),*] };
}

const DOCUMENTS: Texts = texts![
    "rfc/storing.cases",
    "rfc/reusing.cases",
    "rfc/validating.cases",
    "rfc/directives.cases",
    "rfc/conditions.cases",
    "rfc/ranges.cases",
    "rfc/extensions.cases",
];

const PUBLIC: Texts = texts![
    "public/freshness.cases",
    "public/storing.cases",
    "public/vary.cases",
    "public/conditions.cases",
    "public/fields.cases",
];

impl List {
    /// Its cases, or all mistakes in its texts.
    pub(super) fn cases(self) -> Result<Vec<Case>, Vec<String>> {
        let texts = match self {
            Self::Documents => DOCUMENTS,
            Self::Public => PUBLIC,
        };
        let (mut cases, mut faults) = (Vec::new(), Vec::new());
        for (name, text) in texts {
            match parse(name, text) {
                Ok(found) => cases.extend(found),
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() { Ok(cases) } else { Err(faults) }
    }
}

/// What is wrong with the lists themselves: what cannot be read, names that stand twice or nowhere, sections that are
/// missing, tests that are named and do not exist.
#[must_use]
pub fn case_faults() -> Vec<String> {
    [List::Documents, List::Public].into_iter().flat_map(faults_of).collect()
}

fn faults_of(list: List) -> Vec<String> {
    let cases = match list.cases() {
        Ok(cases) => cases,
        Err(faults) => return faults,
    };
    let mut faults = Vec::new();
    let mut names = HashSet::new();
    for case in &cases {
        if !names.insert(case.id.as_str()) {
            faults.push(format!("[{}] stands twice", case.id));
        }
    }
    for case in &cases {
        for after in case.after.iter().filter(|after| !names.contains(after.as_str())) {
            faults.push(format!("[{}] builds upon [{after}], which is nowhere", case.id));
        }
        if list == List::Documents && !case.section.starts_with("RFC ") {
            faults.push(format!("[{}] names no section", case.id));
        }
        if let Some(fault) = case.elsewhere.as_deref().and_then(missing_test) {
            faults.push(format!("[{}] {fault}", case.id));
        }
    }
    faults
}

/// Why `file: name` names no unit test.
fn missing_test(place: &str) -> Option<String> {
    let Some((file, name)) = place.split_once(": ") else {
        return Some(format!("`{place}` names no test"));
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let source = std::fs::read_to_string(root.join(file)).unwrap_or_default();
    let is_there = source.contains(&format!("fn {name}("));
    (!is_there).then(|| format!("there is no test {name} in {file}"))
}
