//! One body on its way.

use std::sync::Arc;

use regex_automata::util::captures::Captures;
use regex_automata::{Anchored, Input, PatternID};

use super::rule::{Group, Rules};
use crate::replacement::{Piece, Replacement};

/// One body, of which a piece after the other is searched.
///
/// What is at a place is decided when all has been seen that could be found there, and no sooner: so that the same is found wherever pieces
/// begin and end.
pub(super) struct Stream {
    rules: Arc<Rules>,
    /// What takes the place of what is found, where that is of this response alone.
    bound: Option<Vec<Replacement>>,
    /// What has passed and still counts as a neighbour, and behind it what is not decided yet.
    buffer: Vec<u8>,
    /// Where that begins.
    decided: usize,
    /// By place in `Rules::groups`: whether it has ended.
    spent: Vec<bool>,
    replaced: u64,
}

/// Something that was found.
#[derive(Clone, Copy)]
struct Found {
    rule: usize,
    pattern: PatternID,
    start: usize,
    end: usize,
}

impl Stream {
    pub(super) fn new(bound: Option<Vec<Replacement>>, rules: Arc<Rules>) -> Self {
        let spent = vec![false; rules.groups.len()];
        Self { rules, bound, buffer: Vec::new(), decided: 0, spent, replaced: 0 }
    }

    /// How often something was replaced.
    pub(super) fn replaced(&self) -> u64 {
        self.replaced
    }

    /// What is sent for `piece`; `None` for the piece itself.
    pub(super) fn feed(&mut self, piece: &[u8], is_last: bool) -> Option<Vec<u8>> {
        let waited = self.buffer.len() > self.decided;
        let replaced = self.replaced;
        self.buffer.extend_from_slice(piece);
        let mut out = Vec::with_capacity(self.buffer.len() - self.decided);
        let mut undecided = self.undecided(is_last);
        let mut next: Vec<_> = (0..self.rules.groups.len()).map(|group| self.find(group)).collect();
        while let Some((group, found)) = first(&next).filter(|(_, found)| found.start < undecided) {
            self.replace(group, found, &mut out);
            if found.end > undecided {
                undecided = self.undecided(is_last);
            }
            for (group, next) in next.iter_mut().enumerate() {
                if next.is_some_and(|next| next.start < found.end) {
                    *next = self.find(group);
                }
            }
        }
        let end = undecided.max(self.decided);
        out.extend_from_slice(self.buffer.get(self.decided..end).unwrap_or_default());
        self.decided = end;
        self.forget();
        let same = !waited && self.replaced == replaced && self.buffer.len() == self.decided;
        (!same).then_some(out)
    }

    /// The first place of which it cannot be said yet what is there.
    fn undecided(&self, is_last: bool) -> usize {
        let length = self.buffer.len();
        if is_last {
            return length;
        }
        let bounds = &self.rules.bounds;
        let first = (length + 1).saturating_sub(bounds.reach).max(self.decided);
        let Some(literals) = &bounds.literals else { return first.min(length) };
        let may_begin = |place: &usize| {
            let rest = self.buffer.get(*place..).unwrap_or_default();
            literals.iter().any(|literal| literal.begins_with(rest))
        };
        (first..length).find(may_begin).unwrap_or(length)
    }

    /// What the group of that number finds next.
    fn find(&self, group: usize) -> Option<Found> {
        if self.spent.get(group).copied()? {
            return None;
        }
        let group = self.rules.groups.get(group)?;
        let found = group.regex.search(&Input::new(&self.buffer).range(self.decided..))?;
        let rule = *group.rules.get(found.pattern().as_usize())?;
        Some(Found { rule, pattern: found.pattern(), start: found.start(), end: found.end() })
    }

    fn replace(&mut self, group: usize, found: Found, out: &mut Vec<u8>) {
        let at = |start: usize, end: usize| self.buffer.get(start..end).unwrap_or_default();
        out.extend_from_slice(at(self.decided, found.start));
        let replacements = self.bound.as_deref().unwrap_or(self.rules.replacements());
        let pieces = replacements.get(found.rule).map_or(&[] as &[Piece], Replacement::pieces);
        let captures = if pieces.iter().any(|piece| matches!(piece, Piece::Group(_))) {
            self.rules.groups.get(group).map(|group| self.captures(group, found))
        } else {
            None
        };
        for piece in pieces {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text),
                Piece::Group(number) => {
                    let group = captures.as_ref().and_then(|captures| captures.get_group(*number));
                    if let Some(group) = group {
                        out.extend_from_slice(at(group.start, group.end));
                    }
                }
                // Bound when the response began.
                Piece::Variable(_) => {}
            }
        }
        self.decided = found.end;
        self.replaced += 1;
        if self.rules.groups.get(group).is_some_and(|group| group.once)
            && let Some(spent) = self.spent.get_mut(group)
        {
            *spent = true;
        }
    }

    /// The groups within what was found: asked for only where they are wanted, because finding them takes several times as long.
    fn captures(&self, group: &Group, found: Found) -> Captures {
        let mut captures = group.regex.create_captures();
        let anchored = Anchored::Pattern(found.pattern);
        let input = Input::new(&self.buffer).range(found.start..).anchored(anchored);
        group.regex.search_captures(&input, &mut captures);
        captures
    }

    /// Drops what nobody looks at any more.
    fn forget(&mut self) {
        let gone = self.decided.saturating_sub(self.rules.bounds.context);
        self.buffer.drain(..gone);
        self.decided -= gone;
    }
}

/// What comes first, and which group has found it; of two at the same place, what is written first.
fn first(next: &[Option<Found>]) -> Option<(usize, Found)> {
    let found = next.iter().enumerate().filter_map(|(group, found)| Some((group, (*found)?)));
    found.min_by_key(|(_, found)| (found.start, found.rule))
}
