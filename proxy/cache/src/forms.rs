//! Where the forms of a stored response are, for whoever has that in hand: no second look-up.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::entry::Entry;

/// Forms of a stored response, as they were found last, by what whoever noted them calls them.
///
/// None is kept here: what memory has given up, or has something else in place of, is not found here either.
#[derive(Debug, Default)]
pub(crate) struct Forms(Mutex<Vec<Noted>>);

#[derive(Debug)]
struct Noted {
    mark: u64,
    form: Weak<Entry>,
    /// How often it was found here.
    uses: u64,
}

/// As many as there are codings, and some more.
const MOST: usize = 6;

impl Forms {
    /// The form of this mark, and how often it was found before.
    pub(crate) fn find(&self, mark: u64) -> Option<(Arc<Entry>, u64)> {
        let mut noted = self.0.lock();
        let noted = noted.iter_mut().find(|noted| noted.mark == mark)?;
        let form = noted.form.upgrade()?;
        noted.uses += 1;
        Some((form, noted.uses - 1))
    }

    /// Notes where the form of this mark is. Of too many, the one that was noted first goes.
    pub(crate) fn note(&self, mark: u64, form: &Arc<Entry>) {
        let mut noted = self.0.lock();
        noted.retain(|noted| noted.mark != mark && noted.form.strong_count() > 0);
        if noted.len() >= MOST {
            noted.remove(0);
        }
        noted.push(Noted { mark, form: Arc::downgrade(form), uses: 0 });
    }
}
