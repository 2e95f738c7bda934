use switchback_plugin::{Hook, Hooks};
use switchback_plugin_host::{Chain, Node};

use crate::fake::{Act, Passing, Stand};

fn all(hooks: &[Hook]) -> Vec<(Hook, Act)> {
    hooks.iter().map(|hook| (*hook, Act::Pass)).collect()
}

#[tokio::test(start_paused = true)]
async fn requests_meet_plugins_in_order_and_responses_in_the_opposite_one() {
    let stand = Stand::default();
    let acts = all(&Hook::ALL);
    let chain = Chain::new(vec![
        stand.node("a", &acts),
        Node::All(vec![stand.node("b", &acts), stand.node("c", &acts)]),
        stand.node("d", &acts),
    ]);
    let forwards = ["a", "b", "c", "d"];
    for (hook, is_forwards) in [
        (Hook::Request, true),
        (Hook::Route, true),
        (Hook::Upstream, true),
        (Hook::UpstreamRequest, true),
        (Hook::RequestBody, true),
        (Hook::UpstreamResponse, false),
        (Hook::Response, false),
        (Hook::ResponseBody, false),
        (Hook::Log, false),
    ] {
        let mut passing = Passing::through(&chain);
        let verdict = if hook.may_wait() { passing.at(hook).await } else { passing.at_now(hook) };
        assert_eq!(verdict, "continue");
        let mut wanted = forwards.map(|name| format!("{name}.{}:1", hook.name()));
        if !is_forwards {
            wanted.reverse();
        }
        assert_eq!(stand.traced(), wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_an_answer_is_not_asked() {
    let stand = Stand::default();
    let chain = Chain::new(vec![
        stand.node("a", &[(Hook::Request, Act::Pass)]),
        stand.node("b", &[(Hook::Request, Act::Answer(403)), (Hook::Response, Act::Pass)]),
        stand.node("c", &[(Hook::Request, Act::Pass), (Hook::Response, Act::Pass)]),
    ]);
    let mut passing = Passing::through(&chain);
    assert_eq!(passing.at(Hook::Request).await, "403");
    assert_eq!(stand.traced(), ["a.on_request:1", "b.on_request:1"]);
    assert_eq!(passing.at(Hook::Response).await, "continue");
    assert_eq!(stand.traced(), ["c.on_response:1", "b.on_response:2"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_at_a_hook_that_nobody_has() {
    let stand = Stand::default();
    let chain = Chain::new(vec![stand.node("a", &[(Hook::Response, Act::Pass)])]);
    assert_eq!(chain.hooks(), Hooks::of(&[Hook::Response]));
    let mut passing = Passing::through(&chain);
    assert_eq!(passing.at(Hook::Request).await, "continue");
    assert_eq!(stand.traced(), [""; 0]);
    assert_eq!(stand.states(), 0, "nothing is remembered before there is a need");
}

#[tokio::test(start_paused = true)]
async fn the_first_of_any_that_passes_lets_the_request_through() {
    let stand = Stand::default();
    let chain = Chain::new(vec![
        Node::Any(vec![
            stand.node("a", &[(Hook::Request, Act::Answer(401))]),
            stand.node("b", &[(Hook::Request, Act::Pass)]),
            stand.node("c", &[(Hook::Request, Act::Answer(403))]),
        ]),
        stand.node("d", &[(Hook::Request, Act::Pass)]),
    ]);
    assert_eq!(Passing::through(&chain).at(Hook::Request).await, "continue");
    assert_eq!(stand.traced(), ["a.on_request:1", "b.on_request:1", "d.on_request:1"]);
}

#[tokio::test(start_paused = true)]
async fn of_the_answers_of_any_the_first_counts_but_401_before_others() {
    for (acts, wanted) in [
        ([Act::Answer(403), Act::Answer(429)], "403"),
        ([Act::Answer(403), Act::Answer(401)], "401"),
        ([Act::Answer(401), Act::Answer(403)], "401"),
        ([Act::Fail, Act::Answer(403)], "403"),
        ([Act::Panic, Act::Fail], "refuse"),
    ] {
        let stand = Stand::default();
        let [one, other] = acts;
        let chain = Chain::new(vec![Node::Any(vec![
            stand.node("a", &[(Hook::Request, one)]),
            stand.node("b", &[(Hook::Request, other)]),
        ])]);
        assert_eq!(Passing::through(&chain).at(Hook::Request).await, wanted, "{acts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_of_any_without_the_hook_lets_nobody_through() {
    let stand = Stand::default();
    let chain = Chain::new(vec![Node::Any(vec![
        stand.node("a", &[(Hook::Request, Act::Answer(401))]),
        stand.node("b", &[(Hook::Route, Act::Pass)]),
    ])]);
    assert_eq!(Passing::through(&chain).at(Hook::Request).await, "401");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_decided_all_of_any_are_asked() {
    let stand = Stand::default();
    let acts = all(&[Hook::UpstreamRequest, Hook::Response]);
    let chain = Chain::new(vec![Node::Any(vec![stand.node("a", &acts), stand.node("b", &acts)])]);
    let mut passing = Passing::through(&chain);
    assert_eq!(passing.at(Hook::UpstreamRequest).await, "continue");
    assert_eq!(passing.at(Hook::Response).await, "continue");
    assert_eq!(
        stand.traced(),
        [
            "a.on_upstream_request:1",
            "b.on_upstream_request:1",
            "b.on_response:2",
            "a.on_response:2"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_plugin_remembers_from_hook_to_hook_and_each_request_for_itself() {
    let stand = Stand::default();
    let acts = all(&[Hook::Request, Hook::Response]);
    let chain = Chain::new(vec![stand.node("a", &acts)]);
    let (mut one, mut other) = (Passing::through(&chain), Passing::through(&chain));
    one.at(Hook::Request).await;
    other.at(Hook::Request).await;
    one.at(Hook::Response).await;
    assert_eq!(stand.traced(), ["a.on_request:1", "a.on_request:1", "a.on_response:2"]);
    assert_eq!(stand.states(), 2);
    drop(one);
    assert_eq!(stand.states(), 1);
}

#[tokio::test(start_paused = true)]
async fn everybody_hears_of_the_end_whatever_others_say() {
    let stand = Stand::default();
    let chain = Chain::new(vec![
        stand.node("a", &[(Hook::Log, Act::Pass)]),
        stand.node("b", &[(Hook::Log, Act::Answer(403))]),
        stand.node("c", &[(Hook::Log, Act::Panic)]),
    ]);
    assert_eq!(Passing::through(&chain).at_now(Hook::Log), "continue");
    assert_eq!(stand.traced(), ["c.on_log:1", "b.on_log:1", "a.on_log:1"]);
}

#[tokio::test(start_paused = true)]
async fn one_call_in_sixty_four_is_timed() {
    let stand = Stand::default();
    let chain = Chain::new(vec![stand.node("a", &[(Hook::Request, Act::Pass)])]);
    for _ in 0..640 {
        Passing::through(&chain).at(Hook::Request).await;
    }
    assert_eq!(stand.told.took.load(std::sync::atomic::Ordering::Relaxed), 10);
    assert_eq!(chain.plugins()[0].calls(), 640);
}
