//! What an action does to a key, wherever the keys are kept.

use std::time::Duration;

use bytes::Bytes;

use crate::operation::{OperationError, Outcome, StoreAction};

/// What is to become of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// That value, for that long.
    Put(Bytes, Option<Duration>),
    /// That value, for as long as the one that was there.
    Replace(Bytes),
    /// It is forgotten.
    Remove,
}

impl StoreAction {
    /// What follows from it where `there` is what the key has.
    ///
    /// # Errors
    ///
    /// [`OperationError::Failed`]: something is added to what is no number, or the sum is none of 64 bits.
    pub fn apply(&self, there: Option<&Bytes>) -> Result<(Change, Outcome), OperationError> {
        Ok(match self {
            Self::Get => {
                (Change::None, there.map_or(Outcome::Done, |value| Outcome::Value(value.clone())))
            }
            Self::Put { value, ttl } => (Change::Put(value.clone(), *ttl), Outcome::Done),
            Self::Swap { expected, .. } if expected.as_ref() != there => {
                (Change::None, Outcome::Swapped { done: false, now: there.cloned() })
            }
            Self::Swap { value, ttl, .. } => {
                let now = Some(value.clone());
                (Change::Put(value.clone(), *ttl), Outcome::Swapped { done: true, now })
            }
            Self::Add { delta, ttl } => {
                let before = there.map_or(Some(0), |value| number(value));
                let sum = before.and_then(|before| before.checked_add(*delta));
                let sum = Bytes::from(sum.ok_or(OperationError::Failed)?.to_string());
                let change = match there {
                    Some(_) => Change::Replace(sum.clone()),
                    None => Change::Put(sum.clone(), *ttl),
                };
                (change, Outcome::Value(sum))
            }
            Self::Remove => (Change::Remove, Outcome::Done),
        })
    }
}

fn number(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_is_done_only_where_the_expected_value_is() {
        let (one, two) = (Bytes::from("1"), Bytes::from("2"));
        let swap = |expected| StoreAction::Swap { expected, value: two.clone(), ttl: None };
        let done = |done, now| Outcome::Swapped { done, now };
        let put = Change::Put(two.clone(), None);
        let cases = [
            (None, None, (put.clone(), done(true, Some(two.clone())))),
            (None, Some(&one), (Change::None, done(false, Some(one.clone())))),
            (Some(one.clone()), Some(&one), (put, done(true, Some(two.clone())))),
            (Some(one.clone()), None, (Change::None, done(false, None))),
        ];
        for (expected, there, wanted) in cases {
            assert_eq!(swap(expected).apply(there), Ok(wanted));
        }
    }

    #[test]
    fn a_number_keeps_its_time_when_it_is_added_to() {
        let ttl = Some(Duration::from_secs(1));
        let add = |delta| StoreAction::Add { delta, ttl };
        let value = |text: &'static str| Bytes::from(text);
        let outcome = |text| Outcome::Value(value(text));
        assert_eq!(add(2).apply(None), Ok((Change::Put(value("2"), ttl), outcome("2"))));
        let there = value("2");
        assert_eq!(add(-3).apply(Some(&there)), Ok((Change::Replace(value("-1")), outcome("-1"))));
        assert_eq!(add(1).apply(Some(&value("one"))), Err(OperationError::Failed));
        assert_eq!(add(1).apply(Some(&value("9223372036854775807"))), Err(OperationError::Failed));
    }
}
