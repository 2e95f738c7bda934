//! Two of the smallest plugins, in one module; as Wasm, the second alone. What calling a plugin costs is measured with them.

use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{BuildError, Flow, Plugin, Request, Setup, hooks};

#[cfg(not(target_arch = "wasm32"))]
switchback_plugin::plugin!(Nothing, Touch);
// A Wasm module has one plugin.
#[cfg(target_arch = "wasm32")]
switchback_plugin::plugin!(Touch);

/// There is nothing to say.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {}

/// Does nothing.
pub struct Nothing;

#[hooks]
impl Plugin for Nothing {
    const NAME: &'static str = "nothing";

    type Options = Options;
    type State = ();

    fn build(_: Options, _: &mut Setup<'_>) -> Result<Self, BuildError> {
        Ok(Self)
    }

    async fn on_request(&self, _: &mut (), _: &mut Request<'_>) -> Flow {
        Flow::Continue
    }
}

/// Reads one header and sets another.
pub struct Touch;

#[hooks]
impl Plugin for Touch {
    const NAME: &'static str = "touch";

    type Options = Options;
    type State = ();

    fn build(_: Options, _: &mut Setup<'_>) -> Result<Self, BuildError> {
        Ok(Self)
    }

    async fn on_request(&self, _: &mut (), request: &mut Request<'_>) -> Flow {
        let is_there = request.header("x-here").is_some();
        match request.set_header("x-touched", if is_there { "yes" } else { "no" }) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(refused.to_string()),
        }
    }
}
