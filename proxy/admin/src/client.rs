//! The command line's end of the control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::{runtime, task, time};

use crate::message::{
    Caches, Failure, Keys, Purge, Purged, Reshard, Resharding, Status, Stop, StopMode, Upgraded,
    Verdict, Version,
};

/// For a whole call. A reload reads and assembles everything before it answers.
const DEADLINE: Duration = Duration::from_secs(120);
/// Bytes of an answer: far above any verdict or metrics page.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// For an upgrade, which waits for as long as `[upgrade] timeout` says.
const UPGRADE_DEADLINE: Duration = Duration::from_secs(590);

/// Asks a running process through its control socket. Every call blocks, an upgrade at most ten minutes, others two.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// Why a call had no answer.
#[derive(Debug, Error)]
pub enum CallError {
    /// Nobody answers at that path.
    #[error("nothing runs at control socket {}: {source}", socket.display())]
    NotRunning {
        /// The socket.
        socket: PathBuf,
        /// What connecting to it said.
        source: io::Error,
    },
    /// Another user's process.
    #[error(
        "control socket {}: permission denied; run this as the user who runs the process, or as root",
        socket.display()
    )]
    NotAllowed {
        /// The socket.
        socket: PathBuf,
    },
    /// The call was refused.
    #[error("control socket {}: {status}: {error}", socket.display())]
    Refused {
        /// The socket.
        socket: PathBuf,
        /// Status of the answer.
        status: StatusCode,
        /// The reason given.
        error: String,
    },
    /// The conversation broke off.
    #[error("control socket {}: {reason}", socket.display())]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// How.
        reason: String,
    },
}

/// A whole answer.
struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Client {
    /// A client of the control socket at `socket`. Connects at each call.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The socket it asks.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Which program answers.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn version(&self) -> Result<Version, CallError> {
        self.read(&self.call(Method::GET, "/version", Bytes::new())?)
    }

    /// How it stands.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn status(&self) -> Result<Status, CallError> {
        self.read(&self.call(Method::GET, "/status", Bytes::new())?)
    }

    /// What a reload would find.
    ///
    /// # Errors
    /// See [`CallError`]. A configuration that is refused is a [`Verdict`], not an error.
    pub fn check(&self) -> Result<Verdict, CallError> {
        self.read(&self.call(Method::POST, "/check", Bytes::new())?)
    }

    /// Has the configuration read again and put in force.
    ///
    /// # Errors
    /// See [`CallError`]. A configuration that is refused is a [`Verdict`], not an error.
    pub fn reload(&self) -> Result<Verdict, CallError> {
        self.read(&self.call(Method::POST, "/reload", Bytes::new())?)
    }

    /// Has it give way to the binary that is now at its path.
    ///
    /// # Errors
    /// See [`CallError`]. An upgrade that fails is an [`Upgraded`], not an error.
    pub fn upgrade(&self) -> Result<Upgraded, CallError> {
        let call = self.call_within(UPGRADE_DEADLINE, Method::POST, "/upgrade", Bytes::new());
        self.read(&call?)
    }

    /// Has it begin to stop.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn stop(&self, mode: StopMode) -> Result<(), CallError> {
        let body = serde_json::to_vec(&Stop { mode }).map_err(|error| self.broken(&error))?;
        self.accepted(&self.call(Method::POST, "/stop", body.into())?)
    }

    /// Has all log files opened again.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn reopen_logs(&self) -> Result<(), CallError> {
        self.accepted(&self.call(Method::POST, "/reopen-logs", Bytes::new())?)
    }

    /// Has something purged from its caches.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn purge(&self, wanted: &Purge) -> Result<Purged, CallError> {
        let body = serde_json::to_vec(wanted).map_err(|error| self.broken(&error))?;
        self.read(&self.call(Method::POST, "/cache/purge", body.into())?)
    }

    /// Takes a step in giving keys of an upstream to other shards.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn reshard(&self, wanted: &Reshard) -> Result<Resharding, CallError> {
        let body = serde_json::to_vec(wanted).map_err(|error| self.broken(&error))?;
        self.read(&self.call(Method::POST, "/reshard", body.into())?)
    }

    /// What its caches hold.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn caches(&self) -> Result<Caches, CallError> {
        self.read(&self.call(Method::GET, "/cache", Bytes::new())?)
    }

    /// Some of the keys of a zone: those after `after`, at most `limit`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn keys(&self, zone: &str, after: Option<&str>, limit: u16) -> Result<Keys, CallError> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("zone", zone).append_pair("limit", &limit.to_string());
        if let Some(after) = after {
            query.append_pair("after", after);
        }
        self.read(&self.call(Method::GET, &format!("/cache?{}", query.finish()), Bytes::new())?)
    }

    /// The counters in the Prometheus text format.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn metrics(&self) -> Result<String, CallError> {
        let answer = self.call(Method::GET, "/metrics", Bytes::new())?;
        self.accepted(&answer)?;
        String::from_utf8(answer.body.into()).map_err(|error| self.broken(&error))
    }

    /// A verdict has the same form whether 200 or 422.
    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, CallError> {
        if answer.status == StatusCode::UNPROCESSABLE_ENTITY || answer.status.is_success() {
            return serde_json::from_slice(&answer.body).map_err(|error| self.broken(&error));
        }
        Err(self.refused(answer))
    }

    fn accepted(&self, answer: &Answer) -> Result<(), CallError> {
        if answer.status.is_success() { Ok(()) } else { Err(self.refused(answer)) }
    }

    fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, CallError> {
        self.call_within(DEADLINE, method, path, body)
    }

    fn call_within(
        &self,
        deadline: Duration,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, CallError> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| self.broken(&error))?;
        runtime.block_on(async {
            match time::timeout(deadline, self.converse(method, path, body)).await {
                Ok(answer) => answer,
                Err(_) => {
                    Err(self.broken(&format!("no answer within {} seconds", deadline.as_secs())))
                }
            }
        })
    }

    async fn converse(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, CallError> {
        let stream =
            UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(&error))?;
        // Its end shows as the end of the answer.
        task::spawn(async { drop(connection.await) });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "switchback")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.broken(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST_ANSWER)
            .collect()
            .await
            .map_err(|error| self.broken(&error))?;
        Ok(Answer { status, body: body.to_bytes() })
    }

    fn unreachable(&self, source: io::Error) -> CallError {
        let socket = self.socket.clone();
        match source.kind() {
            io::ErrorKind::PermissionDenied => CallError::NotAllowed { socket },
            _ => CallError::NotRunning { socket, source },
        }
    }

    fn refused(&self, answer: &Answer) -> CallError {
        let error = match serde_json::from_slice::<Failure>(&answer.body) {
            Ok(failure) => failure.error,
            Err(_) => String::from_utf8_lossy(&answer.body).trim().to_owned(),
        };
        CallError::Refused { socket: self.socket.clone(), status: answer.status, error }
    }

    fn broken<R: ToString + ?Sized>(&self, reason: &R) -> CallError {
        CallError::Broken { socket: self.socket.clone(), reason: reason.to_string() }
    }
}
