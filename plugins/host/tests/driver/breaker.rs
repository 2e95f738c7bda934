use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use switchback_plugin::{Hook, Level};
use switchback_plugin_host::{Breaker, Chain, Configured, Node, OnError, Policy};

use crate::fake::{Act, Passing, Stand, closed, open};

const REST: Duration = Duration::from_secs(10);

fn failing(stand: &Stand, policy: &Policy) -> (Chain, Arc<Configured>) {
    let policy = Policy { breaker: Breaker { failures: 3, rest: REST }, ..policy.clone() };
    let plugin = stand.plugin("a", &[(Hook::Request, Act::Fail)], policy);
    (Chain::new(vec![Node::One(Arc::clone(&plugin))]), plugin)
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_too_often_is_not_asked_for_a_while() {
    for (policy, wanted) in [(closed(), "refuse"), (open(), "continue")] {
        let stand = Stand::default();
        let (chain, plugin) = failing(&stand, &policy);
        let mut last = String::new();
        for _ in 0..3 {
            assert!(!plugin.is_left_alone());
            let mut passing = Passing::through(&chain);
            assert_eq!(passing.at(Hook::Request).await, wanted);
            last = passing.lines(Level::Error).pop().unwrap();
        }
        assert!(plugin.is_left_alone());
        assert!(last.starts_with("failed 3 times within a minute: not asked for 10s"), "{last}");
        assert_eq!((stand.traced().len(), stand.failures().len()), (3, 3));

        let mut passing = Passing::through(&chain);
        assert_eq!(passing.at(Hook::Request).await, wanted);
        assert_eq!(stand.traced(), [""; 0]);
        assert_eq!(stand.failures(), ["a.on_request breaker: "]);

        // One tries after the rest; when it fails, it is left alone for another.
        passing.world.advance(REST);
        assert_eq!(passing.at(Hook::Request).await, wanted);
        assert_eq!(passing.at(Hook::Request).await, wanted);
        assert_eq!(stand.traced().len(), 1);
        assert_eq!(*stand.told.breaker.lock(), [true]);
    }
}

/// Fails once at the first of two hooks, and is left alone for it.
async fn left_alone(stand: &Stand, hooks: [Hook; 2]) -> Chain {
    let policy = Policy { breaker: Breaker { failures: 1, rest: REST }, ..closed() };
    let acts = [(hooks[0], Act::Fail), (hooks[1], Act::Pass)];
    let chain = Chain::new(vec![Node::One(stand.plugin("a", &acts, policy))]);
    assert_eq!(Passing::through(&chain).at(hooks[0]).await, "refuse");
    assert!(chain.plugins()[0].is_left_alone());
    chain
}

#[tokio::test(start_paused = true)]
async fn one_that_works_again_is_asked_again_when_a_request_has_tried() {
    let stand = Stand::default();
    let chain = left_alone(&stand, [Hook::Request, Hook::Route]).await;
    let mut passing = Passing::through(&chain);
    assert_eq!(passing.at(Hook::Route).await, "refuse");
    passing.world.advance(REST);
    assert_eq!(passing.at(Hook::Route).await, "continue");
    assert_eq!(passing.at(Hook::Route).await, "continue", "it tries with all its hooks");
    let mut other = Passing::through(&chain);
    other.world.advance(REST);
    assert_eq!(other.at(Hook::Route).await, "refuse", "one tries at a time");
    assert!(chain.plugins()[0].is_left_alone());
    drop(passing);
    assert_eq!(*stand.told.breaker.lock(), [true, false]);
    assert!(!chain.plugins()[0].is_left_alone());
}

#[tokio::test(start_paused = true)]
async fn what_a_refused_request_is_told_reaches_its_client() {
    let stand = Stand::default();
    let chain = left_alone(&stand, [Hook::Request, Hook::Response]).await;
    let mut passing = Passing::through(&chain);
    assert_eq!(passing.at(Hook::Request).await, "refuse");
    assert_eq!(passing.at(Hook::Response).await, "continue");
    assert_eq!(Passing::through(&chain).at(Hook::Response).await, "refuse");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_while_it_tries_shows_nothing() {
    let stand = Stand::default();
    let policy = Policy { breaker: Breaker { failures: 1, rest: REST }, ..closed() };
    let acts = [(Hook::Request, Act::Fail), (Hook::Route, Act::Hang)];
    let chain = Chain::new(vec![Node::One(stand.plugin("a", &acts, policy))]);
    assert_eq!(Passing::through(&chain).at(Hook::Request).await, "refuse");
    let mut passing = Passing::through(&chain);
    passing.world.advance(REST);
    let given_up = tokio::time::timeout(Duration::from_millis(1), passing.at(Hook::Route)).await;
    assert!(given_up.is_err());
    drop(passing);
    assert!(chain.plugins()[0].is_left_alone());
}

/// Hooks beside `on_request` at which a plugin does not wait.
const OTHERS: [Hook; 5] =
    [Hook::Route, Hook::UpstreamResponse, Hook::Response, Hook::ResponseBody, Hook::Log];

proptest! {
    /// However many other hooks it gets along with at each request, with whichever kind of failure.
    #[test]
    fn who_fails_at_each_request_is_left_alone_whatever_else_it_gets_along_with(
        failures in 1_u32..20,
        hooks in proptest::sample::subsequence(&OTHERS, 0..=OTHERS.len()),
        times in 1_usize..20,
        act in proptest::sample::select(vec![Act::Fail, Act::Panic, Act::Trap]),
        on_error in proptest::sample::select(vec![OnError::Closed, OnError::Open]),
    ) {
        let stand = Stand::default();
        let breaker = Breaker { failures, rest: REST };
        let policy = Policy { on_error, breaker, ..Policy::default() };
        let mut acts: Vec<_> = hooks.iter().map(|hook| (*hook, Act::Pass)).collect();
        acts.push((Hook::Request, act));
        let plugin = stand.plugin("a", &acts, policy);
        let chain = Chain::new(vec![Node::One(Arc::clone(&plugin))]);
        for request in 1..=failures {
            prop_assert!(!plugin.is_left_alone());
            let mut passing = Passing::through(&chain);
            passing.at_now(Hook::Request);
            prop_assert_eq!(plugin.is_left_alone(), request == failures);
            for hook in &hooks {
                (0..times).for_each(|_| drop(passing.at_now(*hook)));
            }
        }
        // What was under way when it was opened does not close it.
        prop_assert!(plugin.is_left_alone());
    }

    /// A client that can make a plugin fail does not turn it off for others, however often it fails within one request.
    #[test]
    fn who_fails_at_fewer_than_half_of_its_requests_is_asked_on(
        requests in proptest::collection::vec(0_u8..3, 1..200),
        times in 1_usize..5,
    ) {
        let stand = Stand::default();
        let breaker = Breaker { failures: 3, rest: REST };
        let policy = Policy { on_error: OnError::Open, breaker, ..Policy::default() };
        let acts = [(Hook::Request, Act::Pass), (Hook::Route, Act::Fail)];
        let plugin = stand.plugin("a", &acts, policy);
        let chain = Chain::new(vec![Node::One(Arc::clone(&plugin))]);
        for bad in requests {
            // Two good ones before each bad one.
            for _ in 0..2 {
                Passing::through(&chain).at_now(Hook::Request);
            }
            if bad == 0 {
                let mut passing = Passing::through(&chain);
                (0..times).for_each(|_| drop(passing.at_now(Hook::Route)));
            }
            let failed = stand.failures();
            prop_assert!(failed.iter().all(|failure| failure.contains(" error: ")));
        }
    }
}
