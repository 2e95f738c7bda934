//! The shortest bytes that still show a difference.

use super::player::Played;
use super::rig::Rig;

/// Rounds of shrinking.
const ROUNDS: usize = 12;

/// Finds the first of these that shows a difference by itself, and makes it short.
pub(super) fn shortest(played: &[Played]) -> Vec<String> {
    let Some(mut guilty) = first_guilty(played) else {
        return vec!["only together, not one by one".into()];
    };
    for _ in 0..ROUNDS {
        let candidates = shorter(&guilty);
        let Some(found) = first_guilty(&candidates) else { break };
        guilty = found;
    }
    let Played { bytes, cuts, is_tolerant, .. } = guilty;
    vec![format!("tolerant: {is_tolerant}, cut at {cuts:?}: {}", bytes.escape_ascii())]
}

/// Finds it by halves.
fn first_guilty(played: &[Played]) -> Option<Played> {
    if !is_guilty(played) {
        return None;
    }
    let mut suspects = played;
    while suspects.len() > 1 {
        let (first, second) = suspects.split_at(suspects.len() / 2);
        suspects = if is_guilty(first) { first } else { second };
    }
    suspects.first().cloned()
}

fn is_guilty(played: &[Played]) -> bool {
    let rig = Rig::start();
    let mut left = played.to_vec();
    left.reverse();
    rig.play(16, move || left.pop());
    !rig.settle().is_empty()
}

/// The same with a part left out, largest parts first; without cuts if there are any.
fn shorter(played: &Played) -> Vec<Played> {
    let mut candidates = Vec::new();
    if !played.cuts.is_empty() {
        candidates.push(Played { cuts: Vec::new(), ..played.clone() });
    }
    let length = played.bytes.len();
    let mut part = length / 2;
    while part > 0 {
        for from in (0..length).step_by(part) {
            let to = (from + part).min(length);
            let bytes = [&played.bytes[..from], &played.bytes[to..]].concat();
            candidates.push(Played { bytes, cuts: Vec::new(), ..played.clone() });
        }
        part /= 2;
    }
    candidates
}
