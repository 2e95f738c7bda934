//! How long the client of a request may take.

use pingora_proxy::Session;

use super::body;
use super::context::Context;

/// Deadlines and reuse of the client's connection.
pub(super) fn set(session: &mut Session, context: &Context) {
    let connection = &context.connection;
    session.set_write_timeout(Some(connection.listener.plan.timeouts.write));
    is_asked(session, context);
    if !connection.may_go_on() || context.snapshot.has_removed_listener_of(connection) {
        session.set_keepalive(None);
    }
}

/// The request goes to its first endpoint: a client that waits for `100 Continue` may wait as long as the endpoint does, and its
/// time begins when it is asked for its body.
pub(super) fn is_passed_on(session: &mut Session, context: &Context) {
    let is_first = context.body_received == 0 && context.asked.lock().tries.len() == 1;
    if is_first && body::expects_continue(session) {
        session.set_read_timeout(None);
    }
}

/// From now on the client is to send its body: it was told so, or it has begun to.
pub(super) fn is_asked(session: &mut Session, context: &Context) {
    session.set_read_timeout(Some(context.connection.listener.plan.timeouts.body));
}
