//! Why a server does not start.

use std::io;

use switchback_admin::BindError;
use switchback_conf::{Diagnostic, report};
use thiserror::Error;

use crate::pid_file::PidFileError;

/// Why a server does not start. Nothing is left bound, running or written.
#[derive(Debug, Error)]
pub enum Error {
    /// The configuration cannot be served; everything that was found, warnings too.
    #[error("{}", report(.0).trim_end())]
    Config(Vec<Diagnostic>),
    /// The pid file cannot be had.
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    /// The control socket cannot be had.
    #[error(transparent)]
    ControlSocket(#[from] BindError),
    /// The process has a logger already, though [`Server::logger`](crate::Server::logger) was asked to set one.
    #[error("this process has a logger already: leave out `Server::logger`")]
    LoggerTaken,
    /// The process that is to be taken over from, or the service manager, hands over what cannot be used.
    #[error("cannot take over: {0}")]
    TakeOver(io::Error),
    /// The system gives no thread, runtime or signal handler.
    #[error("cannot start the control thread: {0}")]
    Thread(io::Error),
}

impl From<Vec<Diagnostic>> for Error {
    fn from(found: Vec<Diagnostic>) -> Self {
        Self::Config(found)
    }
}
