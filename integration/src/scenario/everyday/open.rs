//! The differences that are not meant, all that are known, each with what is to change.

use super::intended::Intended;

/// All of them. `make show-everyday` falls short while one of them is seen; whoever changes what it names takes it out.
pub(super) const OPEN: &[Intended] = &[
    Intended {
        reason: "a target in absolute form: sent on whole, whole in $request_uri, its host not before Host, its user not refused",
        covers: |exchange, _| exchange.case.target().contains("://"),
    },
    Intended {
        reason: "some refusals are those of a library below: no page, no id of the request",
        covers: |exchange, _| {
            exchange.our_status() == Some(400)
                && exchange.our_header("cache-control") == Some("private, no-store")
        },
    },
    Intended {
        reason: "a Host that is empty or has empty labels is not refused",
        covers: |exchange, _| {
            let hosts = exchange.case.values("Host");
            hosts.iter().any(|host| host.is_empty() || host == "." || host.contains(".."))
        },
    },
    Intended {
        reason: "a named error route is asked with the request's own method, but with GET where the request has a body",
        covers: |exchange, _| {
            let is_read = ["GET", "HEAD"].contains(&&*exchange.case.method);
            !is_read && matches!(exchange.statuses(), Some((404 | 405, 404 | 405 | 503)))
        },
    },
];
