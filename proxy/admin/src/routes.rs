//! What the control socket answers. Every answer but `/metrics` is JSON with a newline at its end, for curl's sake.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{Method, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Body as _;
use serde::Serialize;
use switchback_engine::control::{self, Control};
use tokio::{task, time};

use crate::message::{Failure, Status, Stop, Upgraded, Verdict, Version};
use crate::{caches, reshard};

/// Bytes of most request bodies; the longest that means anything has about 20.
pub(crate) const LARGEST_BODY: usize = 64 * 1024;
/// For a whole request body.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

pub(crate) type Shared = State<Arc<dyn Control>>;

pub(crate) fn router(control: Arc<dyn Control>) -> Router {
    Router::new()
        .route("/version", get(version))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/check", post(check))
        .route("/reload", post(reload))
        .route("/upgrade", post(upgrade))
        .route("/stop", post(stop))
        .route("/reopen-logs", post(reopen_logs))
        .route("/reshard", post(reshard::step))
        .route("/cache", get(caches::list))
        .route("/cache/purge", post(caches::purge))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(control)
}

async fn version(State(control): Shared) -> Response {
    json(StatusCode::OK, &Version::from(control.version()))
}

async fn status(State(control): Shared) -> Response {
    json(StatusCode::OK, &Status::from(control.status()))
}

async fn metrics(State(control): Shared) -> Response {
    let mut text = String::new();
    control.metrics(&mut text);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn check(State(control): Shared) -> Response {
    verdict(move || control.check()).await
}

async fn reload(State(control): Shared) -> Response {
    verdict(move || control.reload()).await
}

async fn upgrade(State(control): Shared) -> Response {
    match task::spawn_blocking(move || Upgraded::from(control.upgrade())).await {
        Ok(upgraded) if upgraded.taken_over => json(StatusCode::OK, &upgraded),
        Ok(upgraded) => json(StatusCode::UNPROCESSABLE_ENTITY, &upgraded),
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

async fn stop(State(control): Shared, body: Body) -> Response {
    let body = match receive(body, LARGEST_BODY).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let asked = if body.is_empty() { Ok(Stop::default()) } else { serde_json::from_slice(&body) };
    match asked {
        Ok(Stop { mode }) => {
            control.stop(mode.into());
            json(StatusCode::ACCEPTED, &Stop { mode })
        }
        Err(error) => {
            let expected = r#"expected {"mode": "graceful"} or {"mode": "fast"}"#;
            failure(StatusCode::BAD_REQUEST, format!("{expected}: {error}"))
        }
    }
}

async fn reopen_logs(State(control): Shared) -> Response {
    match task::spawn_blocking(move || control.reopen_logs()).await {
        Ok(()) => json(StatusCode::OK, &serde_json::json!({})),
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// The whole request body, or the answer that refuses it.
pub(crate) async fn receive(body: Body, most: usize) -> Result<Bytes, Response> {
    let too_large =
        || failure(StatusCode::PAYLOAD_TOO_LARGE, format!("at most {most} bytes are taken"));
    // A body that is announced as too large is not waited for.
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    match time::timeout(BODY_DEADLINE, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => {
            Err(failure(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".to_owned()))
        }
    }
}

async fn unknown(uri: Uri) -> Response {
    failure(StatusCode::NOT_FOUND, format!("the control socket knows no {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    failure(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}

async fn verdict(ask: impl FnOnce() -> control::Verdict + Send + 'static) -> Response {
    match task::spawn_blocking(ask).await {
        Ok(verdict) if verdict.accepted => json(StatusCode::OK, &Verdict::from(verdict)),
        Ok(verdict) => json(StatusCode::UNPROCESSABLE_ENTITY, &Verdict::from(verdict)),
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

pub(crate) fn failure(status: StatusCode, error: String) -> Response {
    json(status, &Failure { error })
}

pub(crate) fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => {
            (status, [(header::CONTENT_TYPE, "application/json")], text + "\n").into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
