//! Who is asked at one hook, and what follows from an answer: a tree of plugins, laid out flat.

use std::sync::Arc;

use smallvec::SmallVec;
use switchback_plugin::{Answer, Hook};

use crate::chain::Verdict;
use crate::configured::Configured;

/// Plugins, and how they stand to each other.
#[derive(Clone)]
pub enum Node {
    /// One.
    One(Arc<Configured>),
    /// All of them must let a request through, in that order.
    All(Vec<Self>),
    /// One of them must: the first that does ends it. If none does, the first answer counts, one with 401 before others. Only where it is
    /// decided whether a request may go on: in [`Hook::Request`] and [`Hook::Route`], among those that have the hook. Elsewhere each is asked.
    Any(Vec<Self>),
}

/// What came of asking one.
pub(crate) enum Outcome {
    /// It lets the request through.
    Passed,
    /// It failed, and is to be passed over.
    Skipped,
    /// It does not let it through.
    Denied(Denial),
}

/// How a request ends.
pub(crate) enum Denial {
    Answer(Box<Answer>),
    Refuse,
}

impl From<Denial> for Verdict {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Answer(answer) => Self::Answer(answer),
            Denial::Refuse => Self::Refuse,
        }
    }
}

/// The way through a hook.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    steps: Box<[Step]>,
    /// Who is asked, where there is no group.
    row: Option<Box<[u32]>>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Asks the plugin of that number.
    Ask(u32),
    /// A group begins; the step behind its last one has that number.
    Group(Kind, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    All,
    Any,
}

impl Plan {
    /// Of `nodes`, whose plugins are numbered from 0 as they come.
    pub(crate) fn new(nodes: &[Node], hook: Hook) -> Self {
        let mut steps = Vec::new();
        let mut number = 0;
        for node in nodes {
            lay(node, hook, &mut number, &mut steps);
        }
        if is_backwards(hook) {
            steps.reverse();
        }
        let asked = steps.iter().map(|step| match step {
            Step::Ask(number) => Some(*number),
            Step::Group(..) => None,
        });
        Self { row: asked.collect(), steps: steps.into() }
    }

    /// Who is asked, one after the other, where that is all.
    #[inline]
    pub(crate) fn row(&self) -> Option<&[u32]> {
        self.row.as_deref()
    }

    /// Whether nobody is asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Begins.
    #[inline]
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk { steps: &self.steps, at: 0, groups: SmallVec::new() }
    }
}

fn lay(node: &Node, hook: Hook, number: &mut u32, steps: &mut Vec<Step>) {
    let (kind, members) = match node {
        Node::One(configured) => {
            if configured.hooks().contains(hook) {
                steps.push(Step::Ask(*number));
            }
            *number += 1;
            return;
        }
        Node::All(members) => (Kind::All, members),
        Node::Any(members) => (Kind::Any, members),
    };
    let begin = steps.len();
    if decides(hook) {
        steps.push(Step::Group(kind, 0));
    }
    for member in members {
        lay(member, hook, number, steps);
    }
    let end = steps.len();
    if !decides(hook) {
        return;
    }
    if end == begin + 1 {
        // Nobody there has this hook.
        steps.truncate(begin);
    } else if let Some(step) = steps.get_mut(begin) {
        *step = Step::Group(kind, end);
    }
}

/// Whether it is decided there who may go on: groups have a meaning. Where bodies and heads are changed, everybody must see them.
fn decides(hook: Hook) -> bool {
    matches!(hook, Hook::Request | Hook::Route)
}

/// Whether the last in the chain is asked first.
fn is_backwards(hook: Hook) -> bool {
    matches!(hook, Hook::UpstreamResponse | Hook::Response | Hook::ResponseBody | Hook::Log)
}

/// On the way through a hook.
pub(crate) struct Walk<'p> {
    steps: &'p [Step],
    at: usize,
    groups: SmallVec<[Group; 2]>,
}

struct Group {
    kind: Kind,
    end: usize,
    found: Outcome,
}

impl Walk<'_> {
    /// Who is asked next.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<u32> {
        loop {
            let step = self.steps.get(self.at)?;
            self.at += 1;
            match *step {
                Step::Ask(number) => return Some(number),
                Step::Group(kind, end) => {
                    self.groups.push(Group { kind, end, found: Outcome::Skipped });
                }
            }
        }
    }

    /// Takes what came of asking; how the request ends, if it does.
    #[inline]
    pub(crate) fn take(&mut self, outcome: Outcome) -> Option<Denial> {
        if self.groups.is_empty() {
            return match outcome {
                Outcome::Denied(denial) => Some(denial),
                Outcome::Passed | Outcome::Skipped => None,
            };
        }
        self.take_grouped(outcome)
    }

    fn take_grouped(&mut self, mut outcome: Outcome) -> Option<Denial> {
        while let Some(mut group) = self.groups.pop() {
            let decided = match (group.kind, &outcome) {
                (Kind::All, Outcome::Denied(_)) | (Kind::Any, Outcome::Passed) => true,
                (_, Outcome::Skipped) => false,
                (Kind::All, Outcome::Passed) => {
                    group.found = Outcome::Passed;
                    false
                }
                (Kind::Any, Outcome::Denied(_)) => {
                    group.found =
                        worst(group.found, std::mem::replace(&mut outcome, Outcome::Skipped));
                    false
                }
            };
            if decided {
                self.at = group.end;
            } else if self.at < group.end {
                self.groups.push(group);
                return None;
            } else {
                outcome = group.found;
            }
        }
        match outcome {
            Outcome::Denied(denial) => Some(denial),
            Outcome::Passed | Outcome::Skipped => None,
        }
    }
}

/// Which of two denials a client is told of: the one that it can do most about.
fn worst(first: Outcome, second: Outcome) -> Outcome {
    match (rank(&first), rank(&second)) {
        (one, other) if other > one => second,
        _ => first,
    }
}

fn rank(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Denied(Denial::Answer(answer)) if answer.status.as_u16() == 401 => 3,
        Outcome::Denied(Denial::Answer(_)) => 2,
        Outcome::Denied(Denial::Refuse) => 1,
        Outcome::Passed | Outcome::Skipped => 0,
    }
}
