//! "Did you mean": the word that was probably meant.

/// The nearest of `known` to `word`, or `None` when nothing is near.
///
/// Near means at most one slip for every three letters, and at least one; a slip is a letter too many, too few,
/// wrong or swapped with its neighbour. Case does not count. Of equally near words the first wins.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let slips = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_swapped_letter_is_one_slip() {
        assert_eq!(nearest("hsot", ["port", "host"]), Some("host"));
    }

    #[test]
    fn a_longer_word_may_have_a_slip_for_every_three_letters() {
        assert_eq!(nearest("remot_adr", ["remote_addr"]), Some("remote_addr"));
        assert_eq!(nearest("rmot_adr", ["remote_addr"]), None);
    }

    #[test]
    fn a_short_word_may_have_one_slip() {
        assert_eq!(nearest("ur", ["uri"]), Some("uri"));
        assert_eq!(nearest("u", ["uri"]), None);
    }

    #[test]
    fn case_does_not_count() {
        assert_eq!(nearest("HOST", ["host"]), Some("host"));
        assert_eq!(nearest("etag", ["ETag"]), Some("ETag"));
    }

    #[test]
    fn the_nearest_wins_and_among_equals_the_first() {
        assert_eq!(nearest("status", ["statis", "status"]), Some("status"));
        assert_eq!(nearest("stadus", ["statis", "stados", "stamus"]), Some("stados"));
    }

    #[test]
    fn letters_are_counted_rather_than_bytes() {
        assert_eq!(nearest("größe", ["grosse"]), None);
        assert_eq!(nearest("größe", ["große"]), Some("große"));
    }

    #[test]
    fn of_nothing_nothing_is_near() {
        assert_eq!(nearest("host", []), None);
    }
}
