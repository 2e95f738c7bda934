//! One origin: what it answers.

use std::convert::Infallible;
use std::net::TcpListener as BoundListener;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::{task, time};
use tracing::{debug, warn};

use super::page;

/// Bytes of a request body that are taken and counted.
const LARGEST_BODY: usize = 1024 * 1024;
/// After an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An origin and its name, which its answers bear.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin(pub(super) &'static str);

impl Origin {
    /// Serves for as long as it is polled.
    pub(super) async fn serve(self, listener: BoundListener) {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return warn!(%error, origin = self.0, "the demo's origin cannot serve"),
        };
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            task::spawn(async move {
                let answering = service_fn(|request| self.answer(request));
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), answering);
                if let Err(error) = connection.await {
                    debug!(%error, origin = self.0, "connection broken");
                }
            });
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let mut answer = match path {
            "/" => text("text/html; charset=utf-8", page::render(self.0, &head)),
            "/echo" => match Limited::new(body, LARGEST_BODY).collect().await {
                Ok(body) => text("text/plain; charset=utf-8", self.echo(&head, &body.to_bytes())),
                Err(_) => {
                    status(StatusCode::PAYLOAD_TOO_LARGE, "too much for this origin\n".to_owned())
                }
            },
            _ => match path.strip_prefix("/v2/users/") {
                Some(user) => text("application/json", self.user(user, head.uri.query())),
                None => status(StatusCode::NOT_FOUND, format!("origin {} has no {path}\n", self.0)),
            },
        };
        answer.headers_mut().insert("x-demo-origin", HeaderValue::from_static(self.0));
        Ok(answer)
    }

    fn echo(self, head: &http::request::Parts, body: &[u8]) -> String {
        let mut echo = format!(
            "origin {} received\n\n{} {} {:?}\n",
            self.0, head.method, head.uri, head.version
        );
        for (name, value) in readable(&head.headers) {
            echo += &format!("{name}: {value}\n");
        }
        echo += &format!("\n{} bytes of body\n", body.len());
        echo
    }

    fn user(self, user: &str, query: Option<&str>) -> String {
        let seen = format!("/v2/users/{user}");
        format!(
            "{:#}\n",
            serde_json::json!({ "origin": self.0, "user": user, "path": seen, "query": query })
        )
    }
}

/// Names and values of a head as text, in the order they came.
pub(super) fn readable(headers: &HeaderMap) -> impl Iterator<Item = (&str, String)> {
    headers.iter().map(|(name, value)| {
        (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    })
}

fn text(content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn status(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut answer = text("text/plain; charset=utf-8", body);
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use crate::demo::Origins;

    fn ask(request: &str) -> String {
        let origins = Origins::start().unwrap();
        let mut stream = TcpStream::connect(origins.b).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(path: &str) -> String {
        ask(&format!("GET {path} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n"))
    }

    #[test]
    fn the_page_says_which_origin_made_it() {
        let answer = get("/");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("x-demo-origin: B"), "{answer}");
        assert!(answer.contains("Origin B answered you"), "{answer}");
    }

    #[test]
    fn an_echo_shows_head_and_size_of_a_request() {
        let answer = ask(
            "POST /echo?a=1 HTTP/1.1\r\nHost: demo\r\nX-Mine: 7\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        );
        for line in ["POST /echo?a=1 HTTP/1.1", "x-mine: 7", "5 bytes of body"] {
            assert!(answer.lines().any(|shown| shown == line), "no {line} in {answer}");
        }
    }

    #[test]
    fn a_user_is_looked_up_below_v2() {
        assert!(get("/v2/users/42?full=1").contains("\"user\": \"42\""));
    }

    #[test]
    fn other_paths_are_not_found() {
        assert!(get("/missing/page").starts_with("HTTP/1.1 404"));
    }
}
