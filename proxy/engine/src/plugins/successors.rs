//! Which plugin takes the place of which when their options change.

/// For each of `new`, which of `gone` it takes the place of. Both are names in their order; `None` in `new` is one that takes nobody's.
///
/// Those of one name follow each other in their order. If there are more or fewer of a name than before, who is who cannot be told, and nobody
/// follows anybody.
pub(super) fn succeed(new: &[Option<&str>], gone: &[&str]) -> Vec<Option<usize>> {
    let one = |(index, name): (usize, &Option<&str>)| {
        let name = (*name)?;
        let before = new.iter().take(index).filter(|other| **other == Some(name)).count();
        let count = new.iter().filter(|other| **other == Some(name)).count();
        let mut same = gone.iter().enumerate().filter(|(_, other)| **other == name);
        let found = same.clone().nth(before).map(|(index, _)| index);
        found.filter(|_| same.by_ref().count() == count)
    };
    new.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_one_name_follow_each_other_in_their_order() {
        let new = [Some("a"), None, Some("b"), Some("a")];
        assert_eq!(succeed(&new, &["b", "a", "c", "a"]), [Some(1), None, Some(0), Some(3)]);
    }

    #[test]
    fn nobody_follows_where_it_cannot_be_told_whom() {
        assert_eq!(succeed(&[Some("a"), Some("a"), Some("b")], &["a", "b"]), [None, None, Some(1)]);
        assert_eq!(succeed(&[Some("a")], &["a", "a"]), [None]);
        assert_eq!(succeed(&[Some("a")], &[]), [None]);
    }
}
