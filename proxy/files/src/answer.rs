//! From candidates to an outcome.

use http::Method;

use crate::autoindex;
use crate::beneath::{Refusal, Root};
use crate::search::{Hit, Search};
use crate::{Asked, Candidate, Outcome, Settings, reply, slash};

/// Answers with the first of `candidates` that exists.
///
/// The rules are those of nginx's `try_files`, `index` and `autoindex`: [`Kind`](crate::Kind) says what an entry matches. A
/// candidate that leads upwards, is hidden, or is neither file nor directory does not exist. One that exists and may not be
/// read, or leads out of the root by a link, ends the search as `Forbidden`.
///
/// The system calls for a plain file are two: the file is opened beneath the root, and `fstat` tells its kind, size and age;
/// the caller closes the file. Each coding that is looked for in vain, each candidate and each index name that does not exist
/// costs one more, and where nothing exists the root is opened anew.
pub fn answer<'a>(
    settings: &Settings,
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
    asked: &Asked<'_>,
) -> Outcome {
    match first_hit(settings, candidates, asked) {
        Ok(outcome) => outcome,
        Err(Refusal::Forbidden) => Outcome::Forbidden,
        Err(Refusal::Failed(error)) => Outcome::Failed(error),
    }
}

fn first_hit<'a>(
    settings: &Settings,
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
    asked: &Asked<'_>,
) -> Result<Outcome, Refusal> {
    let Some(root) = settings.root.open(settings.symlinks)? else {
        return Ok(Outcome::Missing);
    };
    let outcome = first_beneath(root.root(), settings, candidates.clone(), asked)?;
    if !matches!(outcome, Outcome::Missing) {
        return Ok(outcome);
    }
    match settings.root.successor(&root, settings.symlinks)? {
        Some(successor) => first_beneath(successor.root(), settings, candidates, asked),
        None => Ok(outcome),
    }
}

fn first_beneath<'a>(
    root: Option<&Root>,
    settings: &Settings,
    candidates: impl Iterator<Item = Candidate<'a>>,
    asked: &Asked<'_>,
) -> Result<Outcome, Refusal> {
    let Some(root) = root else { return Ok(Outcome::Missing) };
    let mut search = Search::new(settings, root, asked);
    for candidate in candidates {
        let Some(place) = candidate.beneath_root(settings.hidden) else { continue };
        let hit = search.look_for(&candidate, &place)?;
        if matches!(hit, Hit::Nothing) {
            continue;
        }
        if !matches!(*asked.method, Method::GET | Method::HEAD) {
            return Ok(Outcome::MethodNotAllowed);
        }
        return Ok(match hit {
            Hit::File(found) => Outcome::Answer(reply::of_file(settings, asked, found)),
            Hit::LacksSlash => slash::location(asked.url_path, asked.query)
                .map_or(Outcome::Missing, Outcome::AddSlash),
            Hit::Directory => match settings.autoindex {
                None => Outcome::Forbidden,
                Some(form) => {
                    let listing = autoindex::Listing::read(root, place.path, settings.hidden)?;
                    Outcome::Answer(listing.answer(form, asked))
                }
            },
            Hit::Nothing => Outcome::Missing,
        });
    }
    Ok(Outcome::Missing)
}
