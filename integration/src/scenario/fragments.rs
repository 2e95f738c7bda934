//! The same request whole, cut in two at every byte, and byte by byte.

use crate::config::config;
use crate::message::{Request, Response, get, post};
use crate::origin::Origin;
use crate::proxy::Proxy;

/// How often a request was sent in pieces, and when its answer differed.
#[derive(Clone, Debug, Default)]
pub struct Fragments {
    /// Ways in which requests were cut.
    pub cuts: usize,
    /// Where the answer was not the same.
    pub differences: Vec<String>,
}

/// Sends requests of several kinds cut at every `stride`-th byte, and byte by byte, and compares the answers.
///
/// # Panics
/// When the proxy does not start or does not answer.
#[must_use]
#[track_caller]
pub fn fragments(stride: usize) -> Fragments {
    let origin = Origin::start();
    // On a busy machine many single bytes take longer than a head usually may.
    let patient = config().web("timeouts = { header = \"5m\", body = \"5m\" }").site("");
    let proxy = Proxy::start(&patient.respond("/fixed", "fixed").proxy_to(&origin));
    let requests = [
        get("/fixed"),
        get("/echo?a=b").header("X-Test", "one").header("Accept", "*/*"),
        post("/echo", "a body of some bytes"),
        post("/echo", "a body of some bytes").chunked(7),
    ];
    let mut found = Fragments::default();
    for request in &requests {
        let whole = essence(&proxy.client().ask(request));
        let bytes = request.to_bytes();
        for at in (1..bytes.len()).step_by(stride) {
            let answer = proxy.client().send_cut(&bytes, at).response();
            found.note(&whole, &answer, request, &format!("cut at {at}"));
        }
        let answer = proxy.client().send_bytewise(&bytes).response();
        found.note(&whole, &answer, request, "byte by byte");
    }
    found
}

impl Fragments {
    fn note(&mut self, whole: &str, answer: &Response, request: &Request, how: &str) {
        self.cuts += 1;
        let answer = essence(answer);
        if answer != whole {
            let request = String::from_utf8_lossy(&request.to_bytes()).into_owned();
            self.differences.push(format!("{how}: {request:?}\n{answer}\ninstead of\n{whole}"));
        }
    }
}

/// What must be the same in every answer: all but the date, and the ids that tell requests and connections apart.
fn essence(response: &Response) -> String {
    let kept = response
        .headers
        .0
        .iter()
        .filter(|(name, _)| !["date", "x-request-id"].contains(&&*name.to_lowercase()));
    let headers: Vec<String> = kept.map(|(name, value)| format!("{name}: {value}")).collect();
    let body = match serde_json::from_slice::<serde_json::Value>(&response.body) {
        Ok(echoed) => format!("{} {} {}", echoed["method"], echoed["target"], echoed["body"]),
        Err(_) => response.text(),
    };
    let headers: Vec<String> = headers
        .into_iter()
        .filter(|line| !line.to_lowercase().starts_with("content-length"))
        .collect();
    format!("{} {}\n{}\n{body}", response.status, response.reason, headers.join("\n"))
}
