//! The control socket, asked with bytes.

use std::path::Path;

use serde_json::Value;

use super::Listener;
use crate::client::Client;
use crate::message::{Response, request};

/// What a reload or a check found.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Whether the configuration is, or could be, in force.
    pub accepted: bool,
    /// The generation in force.
    pub generation: u64,
    /// The findings as they were sent.
    pub diagnostics: Vec<Value>,
}

impl From<&Response> for Verdict {
    /// # Panics
    /// When the answer is none.
    fn from(response: &Response) -> Self {
        let json = response.json();
        let (accepted, generation) = (json["accepted"].as_bool(), json["generation"].as_u64());
        let (Some(accepted), Some(generation)) = (accepted, generation) else {
            panic!("no verdict: {response}")
        };
        assert_eq!(
            response.status,
            if accepted { 200 } else { 422 },
            "status and verdict differ: {response}"
        );
        let diagnostics = json["diagnostics"].as_array().cloned().unwrap_or_default();
        Self { accepted, generation, diagnostics }
    }
}

impl Verdict {
    /// The configuration is in force.
    ///
    /// # Panics
    /// When it was refused.
    #[track_caller]
    pub fn expect_accepted(&self) -> &Self {
        assert!(self.accepted, "refused: {:#?}", self.diagnostics);
        self
    }

    /// The configuration was refused, and a finding says this.
    ///
    /// # Panics
    /// When it was accepted, or for another reason.
    #[track_caller]
    pub fn expect_refused(&self, because: &str) -> &Self {
        assert!(!self.accepted, "accepted");
        let says = |finding: &Value| {
            finding["message"].as_str().is_some_and(|message| message.contains(because))
        };
        assert!(self.diagnostics.iter().any(says), "no {because:?} in {:#?}", self.diagnostics);
        self
    }
}

#[track_caller]
pub(super) fn ask(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> Response {
    let mut asked = request(method, path).close();
    if let Some(body) = body {
        asked = asked.header("Content-Type", "application/json").body(body.to_string());
    } else if method == "POST" {
        asked = asked.body("");
    }
    Client::unix(socket).ask(&asked)
}

#[track_caller]
pub(super) fn listeners(status: &Value) -> Vec<Listener> {
    let listed = status["listeners"].as_array().expect("a status lists the listeners");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    listed
        .iter()
        .map(|listener| Listener {
            name: text(&listener["name"]),
            address: text(&listener["address"]),
            tls: listener["tls"].as_bool().unwrap_or(false),
        })
        .collect()
}
