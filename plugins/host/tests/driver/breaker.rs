use std::sync::Arc;
use std::time::Duration;

use switchback_plugin::{Hook, Level};
use switchback_plugin_host::{Breaker, Chain, Configured, Node, Policy};

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
        let mut passing = Passing::through(&chain);
        for _ in 0..3 {
            assert_eq!(passing.at(Hook::Request).await, wanted);
        }
        assert!(plugin.is_left_alone());
        let last = passing.lines(Level::Error).pop().unwrap();
        assert!(last.starts_with("failed 3 times within a minute: not asked for 10s"), "{last}");
        assert_eq!((stand.traced().len(), stand.failures().len()), (3, 3));

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

#[tokio::test(start_paused = true)]
async fn one_that_works_again_is_asked_again() {
    let stand = Stand::default();
    let policy = Policy { breaker: Breaker { failures: 1, rest: REST }, ..closed() };
    let acts = [(Hook::Request, Act::Fail), (Hook::Route, Act::Pass)];
    let chain = Chain::new(vec![Node::One(stand.plugin("a", &acts, policy))]);
    let mut passing = Passing::through(&chain);
    assert_eq!(passing.at(Hook::Request).await, "refuse");
    assert_eq!(passing.at(Hook::Route).await, "refuse");
    passing.world.advance(REST);
    assert_eq!(passing.at(Hook::Route).await, "continue");
    assert_eq!(passing.at(Hook::Route).await, "continue");
    assert_eq!(*stand.told.breaker.lock(), [true, false]);
    assert!(!chain.plugins()[0].is_left_alone());
}
