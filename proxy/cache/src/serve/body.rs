//! The bytes of a stored response, without a copy.

use std::ops::Range;

use bytes::Bytes;

/// Those of `pieces` that lie in `range` of the whole, cut to it; none is empty.
pub fn slices(pieces: &[Bytes], range: Range<u64>) -> impl Iterator<Item = Bytes> {
    let mut offset = 0;
    let before_end = pieces.iter().map_while(move |piece| {
        let start = offset;
        offset += piece.len() as u64;
        (start < range.end).then_some((start, piece, range.clone()))
    });
    before_end.filter_map(|(start, piece, range)| {
        let from = within(piece, range.start.saturating_sub(start));
        let to = within(piece, range.end.saturating_sub(start));
        (from < to).then(|| piece.slice(from..to))
    })
}

fn within(piece: &Bytes, offset: u64) -> usize {
    usize::try_from(offset).map_or(piece.len(), |offset| offset.min(piece.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn slices_of_pieces_are_those_of_the_whole(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..9), 0..9),
            start in 0_u64..80,
            length in 0_u64..80,
        ) {
            let whole = pieces.concat();
            let pieces: Vec<_> = pieces.into_iter().map(Bytes::from).collect();
            let range = start..start + length;
            let taken: Vec<_> = slices(&pieces, range.clone()).collect();
            let cut = |at: u64| usize::try_from(at).unwrap().min(whole.len());
            prop_assert_eq!(taken.concat(), &whole[cut(range.start)..cut(range.end)]);
            prop_assert!(taken.iter().all(|piece| !piece.is_empty()));
            let copied = taken.iter().any(|piece| {
                let is_in = |held: &Bytes| held.as_ptr_range().contains(&piece.as_ptr());
                !pieces.iter().any(is_in)
            });
            prop_assert!(!copied);
        }
    }

    #[test]
    fn no_more_pieces_are_looked_at_than_are_needed() {
        let pieces = [Bytes::from_static(b"abc"), Bytes::from_static(b"def")];
        assert_eq!(slices(&pieces, 0..3).collect::<Vec<_>>(), ["abc"]);
        assert_eq!(slices(&pieces, 2..4).collect::<Vec<_>>(), ["c", "d"]);
        assert_eq!(slices(&pieces, 0..u64::MAX).collect::<Vec<_>>(), ["abc", "def"]);
        assert_eq!(slices(&pieces, 6..9).count(), 0);
    }
}
