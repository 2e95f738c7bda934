//! Variables by name, looked up in the registry once.

use std::collections::HashMap;

use parking_lot::RwLock;
use switchback_value::Variable;

/// What names stand for that plugins have asked for.
#[derive(Debug, Default)]
pub(crate) struct VariableNames(RwLock<HashMap<Box<str>, Option<Variable>>>);

/// Names that are kept: a plugin that makes them up has them looked up each time.
const MOST: usize = 1024;

impl VariableNames {
    /// What `then` makes of the variable of that name, if there is one.
    pub(super) fn with<T>(
        &self,
        name: &str,
        then: impl FnOnce(&Variable) -> Option<T>,
    ) -> Option<T> {
        if let Some(known) = self.0.read().get(name) {
            return known.as_ref().and_then(then);
        }
        let found = Variable::from_name(name);
        {
            let mut known = self.0.write();
            if known.len() < MOST {
                known.insert(name.into(), found.clone());
            }
        }
        found.as_ref().and_then(then)
    }
}
