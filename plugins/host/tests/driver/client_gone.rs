use std::time::Duration;

use switchback_plugin::Hook;
use switchback_plugin::testing::Stage;
use switchback_plugin_host::Chain;

use crate::fake::{Act, Passing, Stand};

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_request_whose_client_is_gone() {
    let stand = Stand::default();
    let chain = Chain::new(vec![
        stand.node("a", &[(Hook::Request, Act::Pass)]),
        stand.node("b", &[(Hook::Request, Act::Hang)]),
    ]);
    let mut passing = Passing::through(&chain);
    let mut stage = Stage::new(Hook::Request, &mut passing.scene, &mut passing.world);
    let run = chain.run(Hook::Request, &mut passing.running, &mut stage);
    assert!(tokio::time::timeout(Duration::from_millis(1), run).await.is_err());
    assert_eq!(stand.states(), 2);
    drop(passing);
    assert_eq!(stand.states(), 0);
    assert_eq!(stand.failures(), [""; 0], "that is nobody's failure");
}
