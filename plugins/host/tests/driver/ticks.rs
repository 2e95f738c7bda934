use std::sync::Arc;
use std::time::{Duration, Instant};

use switchback_plugin::Hook;
use switchback_plugin::testing::{Scene, Stage, World};
use switchback_plugin_host::{Configured, Policy, Ticker};

use crate::fake::{Act, Stand, closed};

fn ticking(stand: &Stand, act: Act, period: Duration) -> Arc<Configured> {
    stand.plugin("a", &[(Hook::Tick, act)], Policy { tick: Some(period), ..closed() })
}

async fn tick(plugin: &Configured) {
    let (mut scene, mut world) = (Scene::get("/"), World::default());
    plugin.tick(&mut Stage::new(Hook::Tick, &mut scene, &mut world)).await;
}

#[test]
fn the_first_tick_is_at_once_and_the_next_a_period_later() {
    let stand = Stand::default();
    let often = ticking(&stand, Act::Pass, Duration::from_secs(1));
    let seldom = ticking(&stand, Act::Pass, Duration::from_secs(3));
    let never = stand.plugin("b", &[(Hook::Tick, Act::Pass)], closed());
    let begin = Instant::now();
    let at = |seconds| begin + Duration::from_secs(seconds);
    let mut ticker = Ticker::default();
    ticker.set([&never], begin);
    assert_eq!(ticker.next(), None);
    ticker.set([&often, &seldom, &often, &never], begin);
    assert_eq!(ticker.next(), Some(begin));
    assert_eq!(ticker.due(begin).len(), 2);
    assert_eq!(ticker.next(), Some(at(1)));
    assert!(ticker.due(at(1) - Duration::from_nanos(1)).is_empty());
    let due = ticker.due(at(2));
    assert!(due.len() == 1 && Arc::ptr_eq(&due[0], &often));
    assert_eq!(ticker.next(), Some(at(3)), "what was missed is not made up for");
}

#[test]
fn another_configuration_ticks_what_is_new_and_leaves_the_rest_its_time() {
    let stand = Stand::default();
    let [kept, gone, new] = [(); 3].map(|()| ticking(&stand, Act::Pass, Duration::from_secs(4)));
    let begin = Instant::now();
    let at = |seconds| begin + Duration::from_secs(seconds);
    let mut ticker = Ticker::default();
    ticker.set([&kept, &gone], begin);
    assert_eq!(ticker.due(begin).len(), 2);
    ticker.set([&kept, &new], at(1));
    let only = |due: &[Arc<Configured>], one| due.len() == 1 && Arc::ptr_eq(&due[0], one);
    assert!(only(&ticker.due(at(1)), &new));
    assert!(only(&ticker.due(at(4)), &kept));
    drop((kept, new));
    assert!(ticker.due(at(9)).is_empty());
    assert_eq!(ticker.next(), None, "it holds nobody back");
}

#[tokio::test(start_paused = true)]
async fn a_tick_has_a_state_of_its_own_which_ends_with_it() {
    let stand = Stand::default();
    let plugin = ticking(&stand, Act::Wait, Duration::from_secs(1));
    tick(&plugin).await;
    tick(&plugin).await;
    assert_eq!(stand.traced(), ["a.on_tick:1", "a.on_tick:1"]);
    assert_eq!(stand.states(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_tick_never_begins_before_the_last_one_has_ended() {
    let stand = Stand::default();
    let plugin = ticking(&stand, Act::Wait, Duration::from_secs(1));
    tokio::join!(tick(&plugin), tick(&plugin));
    assert_eq!(stand.traced(), ["a.on_tick:1"]);
    tick(&plugin).await;
    assert_eq!(stand.traced(), ["a.on_tick:1"]);
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_fails_is_told_and_the_next_one_comes() {
    for (act, told) in [
        (Act::Panic, "a.on_tick panic: a fell over"),
        (Act::Hang, "a.on_tick timeout: not done after 1s"),
    ] {
        let stand = Stand::default();
        let plugin = ticking(&stand, act, Duration::from_secs(1));
        tick(&plugin).await;
        tick(&plugin).await;
        assert_eq!(stand.failures(), [told, told]);
        assert_eq!((stand.traced().len(), stand.states()), (2, 0));
    }
}
