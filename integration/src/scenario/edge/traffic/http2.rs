//! HTTP/2 over TLS: request after request on one connection until the proxy says that it goes away.

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::task::spawn_local;

use super::clients::FIXED;
use super::http1::secure;
use super::state::{Failure, Kind, State};

/// What became of one request.
enum Asked {
    Answered,
    /// It was announced that the connection ends before the request was taken: to be asked again elsewhere.
    Away,
}

pub(super) async fn run(state: &State) {
    let mut sender = None;
    while !state.is_stopping() {
        let opened = match sender.take() {
            Some(open) => Ok(open),
            None => open(state).await,
        };
        let outcome = match opened {
            Ok(open) => {
                let outcome = tokio::time::timeout(PATIENCE, ask(open)).await;
                outcome.unwrap_or_else(|_| Err("no whole answer in time".to_owned()))
            }
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok((Asked::Answered, open)) => {
                sender = Some(open);
                state.count(Kind::Http2, Ok(()));
            }
            Ok((Asked::Away, _)) => {}
            Err(failure) => {
                state.count(Kind::Http2, Err(failure));
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
    }
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(15);

async fn open(state: &State) -> Result<SendRequest<Bytes>, Failure> {
    let stream = secure(state.tls, &state.http2).await?;
    let (sender, connection) = h2::client::handshake(stream).await.map_err(told)?;
    // What ends the connection ends its requests too, and they say so.
    spawn_local(async move {
        let _ended = connection.await;
    });
    Ok(sender)
}

async fn ask(sender: SendRequest<Bytes>) -> Result<(Asked, SendRequest<Bytes>), Failure> {
    let away = sender.clone();
    // Before anything of the request was sent, an end is no failure if it was announced.
    let mut sender = match sender.ready().await {
        Ok(sender) => sender,
        Err(error) if announced(&error) => return Ok((Asked::Away, away)),
        Err(error) => return Err(told(error)),
    };
    let request =
        Request::get("https://localhost/fixed").body(()).map_err(|error| error.to_string())?;
    let response = match sender.send_request(request, true) {
        Ok((response, _)) => response.await,
        Err(error) => Err(error),
    };
    let response = match response {
        Ok(response) => response,
        Err(error) if announced(&error) => return Ok((Asked::Away, away)),
        Err(error) => return Err(told(error)),
    };
    let status = response.status().as_u16();
    let mut stream = response.into_body();
    let mut body = Vec::new();
    while let Some(bytes) = stream.data().await {
        let bytes = bytes.map_err(told)?;
        stream.flow_control().release_capacity(bytes.len()).map_err(told)?;
        body.extend_from_slice(&bytes);
    }
    if status == 200 && body.starts_with(FIXED) {
        return Ok((Asked::Answered, sender));
    }
    Err(format!("status {status}: {:?}", String::from_utf8_lossy(&body)))
}

/// Whether the proxy said GOAWAY without blame, and did not take this request.
fn announced(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn told(error: h2::Error) -> Failure {
    error.to_string()
}
