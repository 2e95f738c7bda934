//! Answers a route with code of this program's own: `action = "guest-book"`.
//!
//! `cargo run -p switchback --example own_action`, then `curl -d hello http://127.0.0.1:8080/guests/me`

use std::sync::atomic::{AtomicU64, Ordering};

use switchback::bytes::Bytes;
use switchback::http::StatusCode;
use switchback::{
    Action, Error, ProcessEnvironment, Request, Response, Server, async_trait, read_text,
};

/// Where the listener is, is for the caller to say.
pub(crate) const SITE: &str = r#"
[[listeners]]
address = "${LISTEN:-127.0.0.1:8080}"

[[sites]]
body_limit = "1KiB"

[[sites.routes]]
match = { path = "/guests/{name}", method = "POST" }
action = "guest-book"
"#;

/// Counts guests and thanks them for what they wrote.
#[derive(Default)]
struct GuestBook(AtomicU64);

#[async_trait]
impl Action for GuestBook {
    async fn answer(&self, request: &Request<'_>) -> Response {
        // A body over the limit is answered by the proxy, whatever is answered here.
        let Ok(body) = request.body().await else { return Response::default() };
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        let name = request.capture("name").unwrap_or("nobody");
        let text = String::from_utf8_lossy(&body);
        let mut response = Response::new(Bytes::from(format!("{number}. {name}: {text}\n")));
        *response.status_mut() = StatusCode::CREATED;
        response
    }
}

/// A server whose routes may name the guest book.
pub(crate) fn server(text: &str) -> Result<Server, Error> {
    let config = read_text("guests.toml", text, &ProcessEnvironment).into_result()?;
    Ok(Server::new(config).action("guest-book", GuestBook::default()))
}

fn main() -> Result<(), Error> {
    server(SITE)?.run()?;
    Ok(())
}
