//! Random trees of plugins against what they should mean, said in the plainest way.

use proptest::prelude::*;
use switchback_plugin::Hook;
use switchback_plugin_host::{Chain, Node, OnError};

use crate::fake::{Act, Passing, Stand, closed, open};

const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

/// A plugin of a tree: what it does in `on_request` and `on_route`, if it has them.
#[derive(Clone, Debug)]
struct Leaf {
    acts: [Option<Act>; 2],
    on_error: OnError,
}

#[derive(Clone, Debug)]
enum Tree {
    One(Leaf),
    All(Vec<Self>),
    Any(Vec<Self>),
}

fn failure() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::Fail),
        Just(Act::Trap),
        Just(Act::Panic),
        Just(Act::PanicInFirstPoll),
        Just(Act::PanicInLaterPoll),
        Just(Act::Hang),
    ]
}

fn act() -> impl Strategy<Value = Option<Act>> {
    prop_oneof![
        2 => Just(None),
        4 => Just(Some(Act::Pass)),
        1 => Just(Some(Act::Wait)),
        1 => Just(Some(Act::Answer(401))),
        2 => Just(Some(Act::Answer(403))),
        2 => failure().prop_map(Some),
    ]
}

fn leaf() -> impl Strategy<Value = Tree> {
    let on_error = prop_oneof![3 => Just(OnError::Closed), 1 => Just(OnError::Open)];
    ([act(), act()], on_error).prop_map(|(acts, on_error)| Tree::One(Leaf { acts, on_error }))
}

fn tree() -> impl Strategy<Value = Vec<Tree>> {
    let node = leaf().prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::All),
            prop::collection::vec(inner, 0..4).prop_map(Tree::Any),
        ]
    });
    prop::collection::vec(node, 0..4)
}

/// The leaves of a tree, in order.
fn leaves<'t>(trees: &'t mut [Tree], found: &mut Vec<&'t mut Leaf>) {
    for tree in trees {
        match tree {
            Tree::One(leaf) => found.push(leaf),
            Tree::All(members) | Tree::Any(members) => leaves(members, found),
        }
    }
}

fn nodes(trees: &[Tree], stand: &Stand, number: &mut usize) -> Vec<Node> {
    trees.iter().map(|tree| node(tree, stand, number)).collect()
}

fn node(tree: &Tree, stand: &Stand, number: &mut usize) -> Node {
    match tree {
        Tree::One(leaf) => {
            let hooks = [Hook::Request, Hook::Route];
            let acts: Vec<_> = hooks
                .into_iter()
                .zip(leaf.acts)
                .filter_map(|(hook, act)| Some((hook, act?)))
                .collect();
            let policy = if leaf.on_error == OnError::Open { open() } else { closed() };
            let name = NAMES[*number % NAMES.len()];
            *number += 1;
            Node::One(stand.plugin(name, &acts, policy))
        }
        Tree::All(members) => Node::All(nodes(members, stand, number)),
        Tree::Any(members) => Node::Any(nodes(members, stand, number)),
    }
}

/// What a request meets in a tree: its way through both hooks.
fn pass(trees: &[Tree]) -> String {
    let stand = Stand::default();
    let chain = Chain::new(nodes(trees, &stand, &mut 0));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let mut passing = Passing::through(&chain);
        let verdict = passing.at(Hook::Request).await;
        if verdict == "continue" { passing.at(Hook::Route).await } else { verdict }
    })
}

/// What they should mean.
struct Meaning {
    lost: Vec<bool>,
    number: usize,
}

impl Meaning {
    fn of(trees: &mut [Tree]) -> String {
        let mut meaning = Self { lost: vec![false; 1000], number: 0 };
        for hook in 0..2 {
            meaning.number = 0;
            let found = meaning.all(trees, hook, true);
            if let Some(Err(told)) = found {
                return told;
            }
        }
        "continue".to_owned()
    }

    /// `None`: nobody said anything.
    fn all(&mut self, trees: &[Tree], hook: usize, mut ask: bool) -> Option<Result<(), String>> {
        let mut found = None;
        for tree in trees {
            let said = self.one(tree, hook, ask);
            ask &= !matches!(said, Some(Err(_)));
            found = said.or(found);
        }
        found
    }

    fn any(&mut self, trees: &[Tree], hook: usize, mut ask: bool) -> Option<Result<(), String>> {
        let mut denials = Vec::new();
        let mut passed = false;
        for tree in trees {
            match self.one(tree, hook, ask) {
                Some(Ok(())) => (passed, ask) = (true, false),
                Some(Err(told)) => denials.push(told),
                None => {}
            }
        }
        if passed {
            return Some(Ok(()));
        }
        let answers = || denials.iter().filter(|told| *told != "refuse");
        let told = answers().find(|told| *told == "401").or_else(|| answers().next());
        told.or(denials.first()).map(|told| Err(told.clone()))
    }

    fn one(&mut self, tree: &Tree, hook: usize, ask: bool) -> Option<Result<(), String>> {
        let leaf = match tree {
            Tree::One(leaf) => leaf,
            Tree::All(members) => return self.all(members, hook, ask),
            Tree::Any(members) => return self.any(members, hook, ask),
        };
        let number = self.number;
        self.number += 1;
        let act = if ask { leaf.acts[hook]? } else { return None };
        let is_closed = leaf.on_error == OnError::Closed;
        let failed = || is_closed.then(|| Err("refuse".to_owned()));
        if self.lost[number] {
            return failed();
        }
        match act {
            Act::Pass | Act::Wait => Some(Ok(())),
            Act::Answer(status) => Some(Err(status.to_string())),
            Act::Fail => failed(),
            _ => {
                self.lost[number] = is_closed;
                failed()
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_means_what_it_says(mut trees in tree()) {
        let passed = pass(&trees);
        prop_assert_eq!(passed, Meaning::of(&mut trees));
    }

    /// Whatever fails, in whatever way: who was denied stays denied, as long as nobody was told to be open.
    #[test]
    fn no_failure_lets_a_request_through(
        mut trees in tree(),
        faults in prop::collection::vec((0_usize..12, 0_usize..2, failure()), 1..6),
    ) {
        let mut found = Vec::new();
        leaves(&mut trees, &mut found);
        found.iter_mut().for_each(|leaf| leaf.on_error = OnError::Closed);
        let before = pass(&trees);
        let mut found = Vec::new();
        leaves(&mut trees, &mut found);
        for (number, hook, fault) in faults {
            if let Some(leaf) = found.get_mut(number)
                && let Some(act) = &mut leaf.acts[hook]
            {
                *act = fault;
            }
        }
        let after = pass(&trees);
        prop_assert!(before == "continue" || after != "continue", "{before} became {after}");
    }
}
