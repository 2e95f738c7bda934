//! `switchback run`.

use std::path::PathBuf;

use switchback::Server;

use super::serve::{Introduction, serve};
use crate::config_search;
use crate::exit::Exit;
use crate::output::{fail, tell};

/// Serves the configuration until it is stopped.
pub(crate) fn run(named: Option<PathBuf>) -> Exit {
    let path = match config_search::find(named) {
        Ok(path) => path,
        Err(none) => {
            fail(none);
            return Exit::Usage;
        }
    };
    match serve(Server::from_file(path).runtime_files(), Introduction::None) {
        Ok(exit) => exit,
        Err(error) => {
            tell(error);
            Exit::Failed
        }
    }
}
