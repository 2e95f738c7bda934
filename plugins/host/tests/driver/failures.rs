//! The failure table, row by row, closed and open.

use std::sync::Arc;
use std::time::Duration;

use switchback_plugin::testing::{Scene, Stage, World};
use switchback_plugin::{
    BuildError, Flow, Hook, Level, Linked, Operating, Operation, Plugin, Request, Setup, hooks,
};
use switchback_plugin_host::{Chain, Configured, Node, Policy, Silent, Verdict};

use crate::build::Bare;
use crate::fake::{Act, Passing, Stand, closed, open};

/// Acts that fail, with what the observer is told.
const FAILURES: [(Act, &str); 8] = [
    (Act::Fail, "error: cannot"),
    (Act::Trap, "trap: out of bounds"),
    (Act::Panic, "panic: a fell over"),
    (Act::PanicTwice, "panic: "),
    (Act::PanicInFirstPoll, "panic: first"),
    (Act::PanicInLaterPoll, "panic: later"),
    (Act::Hang, "timeout: not done after 50ms"),
    (Act::Pass, ""),
];

#[tokio::test(start_paused = true)]
async fn a_closed_plugin_that_fails_ends_the_request() {
    for (act, told) in FAILURES {
        let stand = Stand::default();
        let acts = [(Hook::Request, act), (Hook::Response, Act::Pass)];
        let chain = Chain::new(vec![
            stand.node("a", &acts),
            stand.node("b", &[(Hook::Request, Act::Pass)]),
        ]);
        let mut passing = Passing::through(&chain);
        let verdict = passing.at(Hook::Request).await;
        if act == Act::Pass {
            assert_eq!(verdict, "continue");
            continue;
        }
        assert_eq!(verdict, "refuse", "{act:?}");
        assert_eq!(stand.traced(), ["a.on_request:1"], "{act:?}");
        assert_eq!(stand.failures(), [format!("a.on_request {told}")]);
        let line = format!("on_request: {told}; the request is refused");
        assert_eq!(passing.lines(Level::Error), [line]);
        // The response that says so passes the plugins, but not one that is broken.
        let is_broken = act != Act::Fail;
        assert_eq!(stand.states(), usize::from(!is_broken), "{act:?}");
        assert_eq!(passing.at(Hook::Response).await, "continue");
        let wanted = if is_broken { vec![] } else { vec!["a.on_response:2"] };
        assert_eq!(stand.traced(), wanted, "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_plugin_that_fails_is_passed_over_and_begins_anew() {
    for (act, told) in FAILURES {
        let stand = Stand::default();
        let acts = [(Hook::Request, act), (Hook::Response, Act::Pass)];
        let chain = Chain::new(vec![
            Node::One(stand.plugin("a", &acts, open())),
            stand.node("b", &[(Hook::Request, Act::Pass)]),
        ]);
        let mut passing = Passing::through(&chain);
        assert_eq!(passing.at(Hook::Request).await, "continue", "{act:?}");
        assert_eq!(stand.traced(), ["a.on_request:1", "b.on_request:1"], "{act:?}");
        if act == Act::Pass {
            continue;
        }
        assert_eq!(stand.failures(), [format!("a.on_request {told}")]);
        let line = format!("on_request: {told}; the request goes on without it");
        assert_eq!(passing.lines(Level::Error), [line]);
        assert_eq!(passing.at(Hook::Response).await, "continue");
        let calls = if act == Act::Fail { 2 } else { 1 };
        assert_eq!(stand.traced(), [format!("a.on_response:{calls}")], "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_may_take_as_long_as_its_plugin_may() {
    let stand = Stand::default();
    let policy = |milliseconds| Policy { timeout: Duration::from_millis(milliseconds), ..closed() };
    for (milliseconds, wanted) in [(2, "continue"), (0, "refuse")] {
        let plugin = stand.plugin("a", &[(Hook::Request, Act::Wait)], policy(milliseconds));
        let chain = Chain::new(vec![Node::One(plugin)]);
        assert_eq!(Passing::through(&chain).at(Hook::Request).await, wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_where_the_proxy_cannot_is_a_failure() {
    for hook in [Hook::ResponseBody, Hook::Log] {
        let stand = Stand::default();
        let chain = Chain::new(vec![stand.node("a", &[(hook, Act::Hang)])]);
        let verdict = Passing::through(&chain).at_now(hook);
        assert_eq!(verdict, if hook == Hook::Log { "continue" } else { "refuse" });
        let told = format!("a.{} waited: waited where the proxy cannot", hook.name());
        assert_eq!(stand.failures(), [told]);
        assert_eq!(stand.states(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn any_gets_along_without_a_member_that_failed_but_not_later() {
    let stand = Stand::default();
    let chain = Chain::new(vec![Node::Any(vec![
        stand.node("a", &[(Hook::Request, Act::Panic), (Hook::UpstreamRequest, Act::Pass)]),
        stand.node("b", &[(Hook::Request, Act::Pass)]),
    ])]);
    let mut passing = Passing::through(&chain);
    assert_eq!(passing.at(Hook::Request).await, "continue");
    assert_eq!(passing.at(Hook::UpstreamRequest).await, "refuse", "what it would do is not done");
    assert_eq!(
        stand.failures(),
        ["a.on_request panic: a fell over", "a.on_upstream_request lost: "]
    );
    assert_eq!(passing.at(Hook::Response).await, "continue");
}

#[tokio::test(start_paused = true)]
async fn of_any_one_that_is_passed_over_lets_nobody_through() {
    let stand = Stand::default();
    let fails = || Node::One(stand.plugin("a", &[(Hook::Request, Act::Fail)], open()));
    let denies = stand.node("b", &[(Hook::Request, Act::Answer(403))]);
    let chain = Chain::new(vec![Node::Any(vec![Node::All(vec![fails(), fails()]), denies])]);
    assert_eq!(Passing::through(&chain).at(Hook::Request).await, "403");
    let chain = Chain::new(vec![Node::Any(vec![fails(), fails()])]);
    assert_eq!(Passing::through(&chain).at(Hook::Request).await, "continue");
}

/// Asks three things of the host, waits for the first, and never for the others.
struct Asks;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Nothing {}

#[hooks]
impl Plugin for Asks {
    const NAME: &'static str = "asks";
    type Options = Nothing;
    type State = ();

    fn build(_: Nothing, _: &mut Setup<'_>) -> Result<Self, BuildError> {
        Ok(Self)
    }

    async fn on_request(&self, _: &mut (), request: &mut Request<'_>) -> Flow {
        for _ in 0..2 {
            let _ = request.begin(Operation::Sleep(Duration::from_secs(9)));
        }
        let _ = request.sleep(Duration::from_secs(9)).await;
        Flow::Continue
    }
}

fn asks() -> Arc<Configured> {
    let instance = Linked::<Asks>::module().build("{}", &mut Bare).unwrap();
    Configured::new("asks", instance, closed(), Arc::new(Silent))
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_of_the_host_is_given_up_when_time_is_up() {
    let chain = Chain::new(vec![Node::One(asks())]);
    let mut passing = Passing::through(&chain);
    assert_eq!(passing.at(Hook::Request).await, "refuse");
    assert_eq!((passing.world.given_up(), passing.world.under_way()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_awaited_is_given_up_when_the_client_is_gone() {
    let chain = Chain::new(vec![Node::One(asks())]);
    let (mut scene, mut world) = (Scene::get("/"), World::default());
    let mut running = chain.start();
    let mut stage = Stage::new(Hook::Request, &mut scene, &mut world);
    let run = chain.run(Hook::Request, &mut running, &mut stage);
    let gone = tokio::time::timeout(Duration::from_millis(1), run).await;
    assert!(gone.is_err());
    assert_eq!(world.given_up(), 1, "what nobody waits for ends with the exchange");
}

#[test]
fn a_request_may_go_from_thread_to_thread() {
    fn sent<T: Send>(_: T) {}
    let chain = Chain::new(Vec::new());
    let (mut scene, mut world) = (Scene::get("/"), World::default());
    let mut stage = Stage::new(Hook::Request, &mut scene, &mut world);
    let mut running = chain.start();
    sent(chain.run(Hook::Request, &mut running, &mut stage));
    let _: fn(Verdict) = sent::<Verdict>;
}
