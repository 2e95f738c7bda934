//! The proxy with a plugin linked in that does nothing, started as `switchback run -c FILE` is: `make show-plugins PART=instructions` counts
//! with it what asking plugins costs by itself.

use std::collections::BTreeMap;

use switchback::{Error, Server, Signals};
use switchback_plugin::{BuildError, Flow, Plugin, Request, Response, Setup, hooks};

// As in the binary.
#[path = "../src/allocator.rs"]
mod allocator;

/// Is asked about requests and responses, and lets all of them pass.
struct Idle;

#[hooks]
impl Plugin for Idle {
    const NAME: &'static str = "idle";
    type Options = BTreeMap<String, String>;
    type State = ();

    fn build(_: Self::Options, _: &mut Setup<'_>) -> Result<Self, BuildError> {
        Ok(Self)
    }

    async fn on_request(&self, (): &mut (), _: &mut Request<'_>) -> Flow {
        Flow::Continue
    }

    async fn on_response(&self, (): &mut (), _: &mut Response<'_>) -> Flow {
        Flow::Continue
    }
}

fn main() -> Result<(), Error> {
    let file = std::env::args_os().next_back().unwrap_or_else(|| "switchback.toml".into());
    let server = Server::from_file(file).plugin::<Idle>().logger().signals(Signals::Native);
    let server = match std::env::var("NOTIFY_SOCKET") {
        Ok(socket) => server.notify(socket),
        Err(_) => server,
    };
    server.run().map(drop)
}
