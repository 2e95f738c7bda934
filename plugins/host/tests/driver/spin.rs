//! Plugins that do not come back.

use std::sync::atomic::Ordering;

use switchback_plugin::{Hook, Level};
use switchback_plugin_host::{Breaker, Chain, Node, Policy};

use crate::fake::{Act, Passing, Stand, closed, open};

fn broken(policy: &Policy) -> Policy {
    Policy { breaker: Breaker::default(), ..policy.clone() }
}

/// What follows for a request that is passed through on a thread of its own, and lines of its log.
fn pass(chain: &Chain) -> (String, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut passing = Passing::through(chain);
    let verdict = runtime.block_on(passing.at(Hook::Request));
    (verdict, passing.lines(Level::Error))
}

#[test]
fn one_that_spins_is_told_of_while_it_does_and_nobody_else_asks_it() {
    for act in [Act::Spin, Act::SpinInPoll] {
        for (policy, wanted) in [(closed(), "refuse"), (open(), "continue")] {
            let stand = Stand::default();
            let plugin = stand.plugin("a", &[(Hook::Request, act)], broken(&policy));
            let chain = Chain::new(vec![Node::One(plugin)]);
            std::thread::scope(|scope| {
                let spinning = std::thread::Builder::new().name("worker-7".to_owned());
                let spinning = spinning.spawn_scoped(scope, || pass(&chain)).unwrap();
                stand.hears("a on_request: spin: has held up worker-7 (thread ");
                assert!(chain.plugins()[0].is_left_alone());
                assert_eq!(stand.failures(), ["a.on_request spin: does not come back"]);
                assert_eq!(stand.traced().len(), 1);

                // Another worker.
                assert_eq!(pass(&chain).0, wanted);
                assert_eq!(stand.traced().len(), 0);
                assert_eq!(stand.failures(), ["a.on_request breaker: "]);

                stand.gate.store(true, Ordering::Relaxed);
                let (verdict, lines) = spinning.join().unwrap();
                assert_eq!(verdict, wanted, "what it says in the end does not count");
                let [line] = &lines[..] else { panic!("{lines:?}") };
                assert!(
                    line.starts_with("on_request: spin: it has come back too late; "),
                    "{line}"
                );
            });
            stand.hears("a on_request: came back to worker-7 (thread ");
            assert_eq!(stand.failures(), [""; 0], "it counts once");
            assert_eq!(stand.states(), 0);
            assert!(chain.plugins()[0].is_left_alone(), "for as long as others that failed");
            assert_eq!(*stand.told.breaker.lock(), [true]);
        }
    }
}

#[test]
fn one_that_comes_back_in_time_is_not_told_of() {
    let stand = Stand::default();
    stand.gate.store(true, Ordering::Relaxed);
    let plugin = stand.plugin("a", &[(Hook::Request, Act::Spin)], broken(&closed()));
    let chain = Chain::new(vec![Node::One(plugin)]);
    for _ in 0..10_000 {
        assert_eq!(Passing::through(&chain).at_now(Hook::Request), "continue");
    }
    assert_eq!(stand.failures(), [""; 0]);
}
