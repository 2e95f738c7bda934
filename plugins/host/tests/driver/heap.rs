//! What a hook that does not wait takes from the heap: nothing.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use switchback_plugin::testing::{Scene, Stage, World};
use switchback_plugin::{Hook, Linked};
use switchback_plugin_host::{Chain, Configured, Metrics, Node, Observer, Policy, Verdict};

use crate::build::{Bare, Stamp};

fn chain(count: usize) -> Chain {
    let metrics: Arc<dyn Observer> = Arc::new(Metrics::default());
    let nodes = (0..count).map(|_| {
        let instance = Linked::<Stamp>::module().build("{}", &mut Bare).unwrap();
        let policy = Policy::default();
        Node::One(Configured::new("stamp", instance, policy, Arc::clone(&metrics)))
    });
    Chain::new(nodes.collect())
}

#[test]
fn hooks_that_do_not_wait_take_nothing_from_the_heap() {
    for count in [0, 1, 4] {
        let chain = chain(count);
        let (scene, mut world) = (Scene::get("/"), World::default());
        // What is set takes the place of what is there: a map that grows asks the heap, whoever makes it grow.
        let mut scene = scene.with_header("x-stamp", "none");
        let mut pass = || {
            let mut running = chain.start();
            for hook in [Hook::Request, Hook::UpstreamRequest, Hook::Response] {
                let mut stage = Stage::new(hook, &mut scene, &mut world);
                let run = pin!(chain.run(hook, &mut running, &mut stage));
                let verdict = run.poll(&mut Context::from_waker(Waker::noop()));
                assert!(matches!(verdict, Poll::Ready(Verdict::Continue)));
            }
            let mut stage = Stage::new(Hook::Log, &mut scene, &mut world);
            let _ = chain.run_now(Hook::Log, &mut running, &mut stage);
        };
        // The first time, threads get their numbers.
        pass();
        assert_eq!(measure(&mut pass).count_total, 0, "{count} plugins");
    }
}
