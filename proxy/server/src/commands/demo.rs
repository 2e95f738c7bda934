//! `switchback demo`: what `make run` starts.

use std::path::{Path, PathBuf};

use switchback::Server;

use super::serve::{Introduction, serve};
use crate::demo::{DemoEnvironment, Origins};
use crate::exit::Exit;
use crate::output::{fail, tell};

/// From the top of the repository.
const CONFIG: &str = "conf/switchback.toml";

/// Starts the origins, then the site in front of them.
pub(crate) fn demo(named: Option<PathBuf>) -> Exit {
    let path = named.unwrap_or_else(|| CONFIG.into());
    if !path.exists() {
        return fail(format_args!(
            "the demo's configuration {} is not here; start it from the top of the repository, or name it with -c",
            path.display()
        ));
    }
    let origins = match Origins::start() {
        Ok(origins) => origins,
        Err(error) => return fail(format_args!("the demo's origins cannot start: {error}")),
    };
    let environment = DemoEnvironment::new(&origins);
    let server = Server::from_file(&path).environment(environment);
    match serve(server, Introduction::Shown(introduce(&path))) {
        Ok(exit) => exit,
        Err(error) => {
            tell(error);
            Exit::Failed
        }
    }
}

fn introduce(path: &Path) -> String {
    format!(
        "\nOpen http://127.0.0.1:8080/ or https://127.0.0.1:8443/ in a browser (its certificate was made just now).\n\
         Change {0}, then `switchback reload -c {0}` or `kill -HUP {1}`. Ctrl-C stops.\n",
        path.display(),
        std::process::id()
    )
}
