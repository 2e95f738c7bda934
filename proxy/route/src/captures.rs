//! What a route's pattern captured, as ranges of the path.

use switchback_value::MAX_CAPTURES;

/// Ranges of the path that a route matched, one for each capture of its pattern. They take nothing from the heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captures {
    ranges: [(u32, u32); MAX_CAPTURES],
    len: u8,
}

/// A range of no path: it ends before it begins.
const ABSENT: (u32, u32) = (1, 0);

impl Captures {
    /// What the capture at `index` took of `path`, which must be the path that was matched. `None` for a group of a
    /// regex that took no part in the match, and where the pattern has fewer captures.
    pub fn get<'p>(&self, path: &'p str, index: u8) -> Option<&'p str> {
        let (start, end) = *self.ranges.get(..usize::from(self.len))?.get(usize::from(index))?;
        path.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    /// Forgets all captures.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// How many captures the pattern has.
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether the pattern has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a range of the path, or a group that took no part. No pattern has more than [`MAX_CAPTURES`]: what is beyond
    /// is dropped.
    pub(crate) fn push(&mut self, range: Option<(usize, usize)>) {
        let narrow = |(start, end)| Some((u32::try_from(start).ok()?, u32::try_from(end).ok()?));
        if let Some(free) = self.ranges.get_mut(usize::from(self.len)) {
            *free = range.and_then(narrow).unwrap_or(ABSENT);
            self.len += 1;
        }
    }

    /// Takes the last one off.
    pub(crate) fn pop(&mut self) {
        self.len = self.len.saturating_sub(1);
    }

    /// Becomes `other`, at the cost of what is in it.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        let len = other.len();
        if let (Some(to), Some(from)) = (self.ranges.get_mut(..len), other.ranges.get(..len)) {
            to.copy_from_slice(from);
        }
        self.len = other.len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_parts_of_the_path_in_order() {
        let mut captures = Captures::default();
        assert!(captures.is_empty());
        captures.push(Some((1, 3)));
        captures.push(None);
        captures.push(Some((3, 3)));
        assert_eq!(captures.len(), 3);
        assert!(!captures.is_empty());
        assert_eq!(captures.get("/ab", 0), Some("ab"));
        assert_eq!(captures.get("/ab", 1), None);
        assert_eq!(captures.get("/ab", 2), Some(""));
        assert_eq!(captures.get("/ab", 3), None);
        assert_eq!(captures.get("/ab", 255), None);
    }

    #[test]
    fn another_path_gives_nothing_but_no_panic() {
        let mut captures = Captures::default();
        captures.push(Some((1, 3)));
        assert_eq!(captures.get("/", 0), None);
        assert_eq!(captures.get("/é", 0), Some("é"));
        assert_eq!(captures.get("é/a", 0), None);
    }

    #[test]
    fn what_is_cleared_or_taken_off_is_gone() {
        let mut captures = Captures::default();
        captures.push(Some((0, 1)));
        captures.push(Some((1, 2)));
        captures.pop();
        assert_eq!((captures.len(), captures.get("/a", 1)), (1, None));
        captures.clear();
        assert_eq!((captures.len(), captures.get("/a", 0)), (0, None));
        captures.pop();
        assert_eq!(captures.len(), 0);
    }

    #[test]
    fn no_more_are_kept_than_a_pattern_may_have() {
        let mut captures = Captures::default();
        for end in 0..=MAX_CAPTURES {
            captures.push(Some((0, end)));
        }
        assert_eq!(captures.len(), MAX_CAPTURES);
        let path = "/123456789abcdefgh";
        assert_eq!(captures.get(path, 15), Some("/123456789abcde"));
        assert_eq!(captures.get(path, 16), None);
    }

    #[test]
    fn a_position_beyond_all_paths_is_absent() {
        let mut captures = Captures::default();
        captures.push(Some((0, usize::MAX)));
        assert_eq!((captures.len(), captures.get("/a", 0)), (1, None));
    }

    #[test]
    fn a_copy_holds_what_the_other_held() {
        let (mut captures, mut other) = (Captures::default(), Captures::default());
        captures.push(Some((0, 2)));
        other.push(Some((0, 1)));
        other.push(Some((1, 2)));
        captures.copy_from(&other);
        assert_eq!(captures, other);
        captures.copy_from(&Captures::default());
        assert!(captures.is_empty());
    }
}
