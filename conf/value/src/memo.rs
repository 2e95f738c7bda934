//! Values computed at most once per request.

use once_cell::sync::OnceCell;

/// A value that is computed when it is first asked for, and then kept.
///
/// For implementors of [`Facts`](crate::Facts), whose methods take `&self` and may be asked for the same thing often.
#[derive(Clone, Debug)]
pub struct Memo<T>(OnceCell<T>);

impl<T> Memo<T> {
    /// A value not computed yet.
    pub const fn new() -> Self {
        Self(OnceCell::new())
    }

    /// The value; `compute` runs only if nobody asked before.
    pub fn value_or(&self, compute: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(compute)
    }

    /// The value, if it was computed already.
    pub fn known(&self) -> Option<&T> {
        self.0.get()
    }

    /// Drops the value, because what it was computed from has changed.
    pub fn forget(&mut self) {
        self.0.take();
    }
}

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Memo;

    #[test]
    fn the_value_is_computed_once() {
        let memo = Memo::new();
        assert_eq!(memo.known(), None);
        assert_eq!(memo.value_or(|| 7), &7);
        assert_eq!(memo.value_or(|| 8), &7);
        assert_eq!(memo.known(), Some(&7));
    }

    #[test]
    fn a_forgotten_value_is_computed_again() {
        let mut memo = Memo::default();
        memo.value_or(|| 7);
        memo.forget();
        assert_eq!(memo.known(), None);
        assert_eq!(memo.value_or(|| 8), &8);
    }

    #[test]
    fn it_may_be_shared_between_threads() {
        fn shared<T: Send + Sync>(_: &T) {}
        shared(&Memo::<Vec<u8>>::new());
    }
}
