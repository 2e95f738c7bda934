//! What an origin does when it is asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::received::Received;
use crate::gate::Gate;
use crate::message::Reply;

/// What an origin does when it has read a request head.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Reads the body and sends what was asked for back as JSON: `method`, `target`, `headers`, `body`, `connection`.
    Echo,
    /// Reads the body and sends this.
    Reply(Reply),
    /// Reads the body and sends this many bytes of [`pattern`](crate::pattern), chunked or with their length.
    Stream {
        /// How many bytes.
        length: usize,
        /// Whether in chunks.
        chunked: bool,
    },
    /// Does exactly these steps; the body is read only where a step says so. The connection ends after the last.
    Script(Vec<Step>),
    /// Reads the body and does the steps that are chosen for the request.
    Chosen(Choice),
    /// Agrees to the upgrade and sends back every byte until the peer ends.
    Tunnel,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

impl<const N: usize> From<[Step; N]> for Answer {
    fn from(steps: [Step; N]) -> Self {
        Self::Script(steps.into())
    }
}

/// What is done with a request, said when it has come whole.
#[derive(Clone)]
pub struct Choice(Arc<Chooses>);

type Chooses = dyn Fn(&Received) -> Vec<Step> + Send + Sync;

impl Choice {
    /// These steps for this request. The connection is kept where the last is [`Step::Next`].
    pub fn new(steps: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self(Arc::new(steps))
    }

    pub(super) fn steps(&self, request: &Received) -> Vec<Step> {
        (self.0)(request)
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Choice")
    }
}

/// One step of a script.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes one by one with this pause between them: time is what such a script is about.
    Drip(Vec<u8>, Duration),
    /// Reads the request's body and counts the request as received whole.
    ReadBody,
    /// Waits until the test opens the gate.
    Wait(Gate),
    /// Says that no more bytes follow.
    Fin,
    /// Resets the connection.
    Reset,
    /// Reads nothing and sends nothing until the origin goes away.
    Stall,
    /// Goes on with the next request on the same connection.
    Next,
}

impl Step {
    /// Sends this text.
    #[must_use]
    pub fn send(bytes: impl AsRef<[u8]>) -> Self {
        Self::Send(bytes.as_ref().to_vec())
    }
}
