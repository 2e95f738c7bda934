//! From routes as they were written to a [`RouteTable`].

use switchback_value::{Condition, PathPattern, PathRegex, Segment, Segments};

use super::order::{self, Order};
use super::tree::{Candidate, HeadDraft, LevelAt, TreeBuilder};
use super::{CAPTURED, NONE, RouteId, RouteSpec, RouteTable, narrow};

/// One path of one route, before it has a rank.
struct Alternative {
    order: Order,
    route: RouteId,
    condition: u32,
    shape: Shape,
}

pub(super) enum Shape {
    /// Found by its text: the pattern as a path, with [`CAPTURED`] for each captured segment.
    Tree {
        key: Box<str>,
        open: bool,
    },
    Regex(PathRegex),
}

pub(super) fn table(specs: Vec<RouteSpec>) -> RouteTable {
    let (mut alternatives, conditions) = alternatives(specs);
    alternatives.sort_by(|a, b| order::compare((&a.order, &a.shape), (&b.order, &b.shape)));

    let mut places = Vec::with_capacity(alternatives.len());
    let mut regexes = Vec::new();
    for (rank, alternative) in alternatives.into_iter().enumerate() {
        let Alternative { route, condition, shape, .. } = alternative;
        let candidate = Candidate { rank: narrow(rank), route, condition };
        match shape {
            Shape::Tree { key, open } => places.push(Place { key, open, candidate }),
            Shape::Regex(regex) => regexes.push((regex, candidate)),
        }
    }
    places.sort_unstable_by(|a, b| (&a.key, a.candidate.rank).cmp(&(&b.key, b.candidate.rank)));

    let mut builder = TreeBuilder::default();
    let root = add_level(&mut builder, &places, 0);
    RouteTable {
        tree: builder.finish(root),
        regexes: regexes.into(),
        conditions: conditions.into(),
    }
}

/// Every path of every route, as written, and the conditions that they refer to.
fn alternatives(specs: Vec<RouteSpec>) -> (Vec<Alternative>, Vec<Condition>) {
    let mut alternatives = Vec::with_capacity(specs.len());
    let mut conditions = Vec::new();
    for RouteSpec { id, paths, condition, priority } in specs {
        let weight = condition.weight();
        let condition = match condition.is_always() {
            true => NONE,
            false => {
                conditions.push(condition);
                narrow(conditions.len() - 1)
            }
        };
        let every_path = paths.is_empty().then(|| Shape::Tree { key: "/".into(), open: true });
        let shapes = every_path.into_iter().chain(paths.into_iter().map(shape_of));
        alternatives.extend(shapes.map(|shape| {
            let order = Order::of(&shape, priority, weight);
            Alternative { order, route: id, condition, shape }
        }));
    }
    (alternatives, conditions)
}

fn shape_of(pattern: PathPattern) -> Shape {
    match pattern {
        PathPattern::Exact(key) => Shape::Tree { key, open: false },
        PathPattern::Prefix(key) => Shape::Tree { key, open: true },
        PathPattern::Segments(segments) => {
            Shape::Tree { key: key_of(&segments), open: segments.open_end }
        }
        PathPattern::Regex(regex) => Shape::Regex(regex),
    }
}

fn key_of(segments: &Segments) -> Box<str> {
    let mut key = String::new();
    for segment in &segments.segments {
        key.push('/');
        match segment {
            Segment::Literal(text) => key.push_str(text),
            Segment::Capture(_) => key.push(CAPTURED),
        }
    }
    if segments.open_end {
        key.push('/');
    }
    key.into()
}

/// Where a candidate belongs in the tree.
struct Place {
    key: Box<str>,
    open: bool,
    candidate: Candidate,
}

impl Place {
    /// The head behind `from` bytes of the key, and whether a captured segment follows it.
    fn head(&self, from: usize) -> (&str, bool) {
        let rest = self.key.get(from..).unwrap_or_default();
        rest.split_once(CAPTURED).map_or((rest, false), |(head, _)| (head, true))
    }
}

/// Adds the level of `places`, whose keys are sorted and share their first `from` bytes, and all levels below.
///
/// What stands for a capture sorts before all text, so that sorted keys have sorted heads on every level.
fn add_level(builder: &mut TreeBuilder, places: &[Place], from: usize) -> LevelAt {
    let groups: Vec<Group<'_>> = places
        .chunk_by(|a, b| a.head(from).0 == b.head(from).0)
        .map(|places| Group::new(places, from))
        .collect();
    let mut drafts = Vec::with_capacity(groups.len());
    for (group, above) in groups.iter().zip(above(&groups)) {
        let below_from = from + group.text.len() + CAPTURED.len_utf8();
        let below = (!group.below.is_empty()).then(|| add_level(builder, group.below, below_from));
        drafts.push(HeadDraft {
            text: group.text,
            above,
            below,
            closed: group.ending(false),
            open: group.ending(true),
        });
    }
    builder.add_level(&drafts, least(places))
}

/// The places of one head.
struct Group<'p> {
    text: &'p str,
    /// Those of which the head is the last.
    ending: &'p [Place],
    /// Those that go on behind a captured segment.
    below: &'p [Place],
}

impl<'p> Group<'p> {
    /// Of places that have the same head, sorted by key: what goes on is longer.
    fn new(places: &'p [Place], from: usize) -> Self {
        let text = places.first().map_or("", |place| place.head(from).0);
        let (ending, below) = places.split_at(places.partition_point(|place| !place.head(from).1));
        Self { text, ending, below }
    }

    /// The open or the closed ones of those that end here, by rank.
    fn ending(&self, open: bool) -> Vec<Candidate> {
        self.ending.iter().filter(|place| place.open == open).map(|place| place.candidate).collect()
    }
}

/// For each group the lowest rank of those whose text its own begins with.
fn above(groups: &[Group<'_>]) -> Vec<u32> {
    let mut above = Vec::with_capacity(groups.len());
    // The groups that the one just before begins with, itself included, each with the lowest rank up to there.
    let mut parents: Vec<(&str, u32)> = Vec::new();
    for group in groups {
        while parents.pop_if(|(text, _)| !group.text.starts_with(*text)).is_some() {}
        let least_above = parents.last().map_or(NONE, |(_, least)| *least);
        above.push(least_above);
        parents.push((group.text, least_above.min(least(group.ending)).min(least(group.below))));
    }
    above
}

fn least(places: &[Place]) -> u32 {
    places.iter().map(|place| place.candidate.rank).min().unwrap_or(NONE)
}
