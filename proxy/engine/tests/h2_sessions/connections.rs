//! Connections on both sides: sharing, draining, idleness.

use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, StatusCode};
use switchback_engine::h2::{Closed, Options};
use tokio::sync::mpsc;

use crate::harness::{Client, Origin, get, ok, proxy_to, read_all, serve_duplex, within};

async fn say_path(request: Request<RecvStream>, mut response: SendResponse<Bytes>) {
    let path = request.uri().path().to_owned();
    response.send_response(ok(), false).unwrap().send_data(path.into(), true).unwrap();
}

#[tokio::test]
async fn requests_in_turn_share_one_connection_to_the_origin() {
    let origin = Origin::start(say_path).await;
    let client = Client::connect(&proxy_to(&origin)).await;

    for _ in 0..10 {
        let mut body = within(client.get("/a")).await.unwrap().into_body();
        assert_eq!(within(read_all(&mut body)).await.unwrap(), b"/a");
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn fifty_requests_at_once_share_one_connection_to_the_origin() {
    let (arrived, mut all) = mpsc::channel(50);
    let go = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let gate = go.clone();
    let origin = Origin::start(move |request, response| {
        let (arrived, gate) = (arrived.clone(), gate.clone());
        async move {
            arrived.send(()).await.unwrap();
            gate.acquire().await.unwrap().forget();
            say_path(request, response).await;
        }
    })
    .await;
    let client = Client::connect(&proxy_to(&origin)).await;

    let mut answers = Vec::new();
    for number in 0..50 {
        let (response, _) = client.send(get(&format!("/{number}")), true).await;
        answers.push((number, response));
    }
    for _ in 0..50 {
        within(all.recv()).await.unwrap();
    }
    go.add_permits(50);
    for (number, response) in answers {
        let said =
            within(read_all(&mut within(response).await.unwrap().into_body())).await.unwrap();
        assert_eq!(said, format!("/{number}").into_bytes());
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn origin_that_allows_few_streams_gets_more_connections() {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(2);
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let go = gate.clone();
    let origin = Origin::start_with(builder, move |request, response| {
        let gate = gate.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            say_path(request, response).await;
        }
    })
    .await;
    let client = Client::connect(&proxy_to(&origin)).await;

    // Teaches the proxy the origin's limit.
    go.add_permits(1);
    within(read_all(&mut within(client.get("/")).await.unwrap().into_body())).await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(client.send(get("/"), true).await.0);
    }
    go.add_permits(6);
    for response in answers {
        assert_eq!(within(response).await.unwrap().status(), StatusCode::OK);
    }
    assert!(origin.connections() <= 6, "{}", origin.connections());
}

#[tokio::test]
async fn connection_that_the_origin_leaves_is_replaced() {
    let origin = Origin::start(say_path).await;
    let client = Client::connect(&proxy_to(&origin)).await;

    for path in ["/last", "/next", "/next"] {
        let mut body = within(client.get(path)).await.unwrap().into_body();
        assert_eq!(within(read_all(&mut body)).await.unwrap(), path.as_bytes());
    }
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn drain_lets_open_streams_finish_and_then_closes() {
    let (arrived, mut waiting) = mpsc::channel(1);
    let go = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let gate = go.clone();
    let origin = Origin::start(move |request, response| {
        let (arrived, gate) = (arrived.clone(), gate.clone());
        async move {
            arrived.send(()).await.unwrap();
            gate.acquire().await.unwrap().forget();
            say_path(request, response).await;
        }
    })
    .await;
    let client = Client::connect(&proxy_to(&origin)).await;

    let (response, _) = client.send(get("/slow"), true).await;
    within(waiting.recv()).await.unwrap();
    client.shutdown.send(true).unwrap();
    go.add_permits(1);
    assert_eq!(
        within(read_all(&mut within(response).await.unwrap().into_body())).await.unwrap(),
        b"/slow"
    );
    assert_eq!(within(client.served).await.unwrap(), Closed::Clean);
}

#[tokio::test]
async fn drain_ends_in_time() {
    let (arrived, mut waiting) = mpsc::channel(1);
    let origin =
        Origin::start(move |request: Request<RecvStream>, response: SendResponse<Bytes>| {
            let arrived = arrived.clone();
            async move {
                let _held = (request, response);
                arrived.send(()).await.unwrap();
                std::future::pending::<()>().await;
            }
        })
        .await;
    let options = Options { drain_timeout: Duration::from_millis(20), ..Options::default() };
    let client =
        Client::connect_with(&proxy_to(&origin), h2::client::Builder::new(), options).await;

    let (_response, _stream) = client.send(get("/"), true).await;
    within(waiting.recv()).await.unwrap();
    client.shutdown.send(true).unwrap();
    assert_eq!(within(client.served).await.unwrap(), Closed::Undrained);
}

#[tokio::test]
async fn idle_connection_is_closed() {
    let origin = Origin::start(say_path).await;
    let options = Options { idle_timeout: Duration::from_millis(20), ..Options::default() };
    let client =
        Client::connect_with(&proxy_to(&origin), h2::client::Builder::new(), options).await;

    within(read_all(&mut within(client.get("/")).await.unwrap().into_body())).await.unwrap();
    assert_eq!(within(client.served).await.unwrap(), Closed::Idle);
}

#[tokio::test]
async fn client_that_never_speaks_is_dropped() {
    let origin = Origin::start(say_path).await;
    let options = Options { handshake_timeout: Duration::from_millis(20), ..Options::default() };
    let (_io, _shutdown, served) = serve_duplex(&proxy_to(&origin), options);
    assert_eq!(within(served).await.unwrap(), Closed::Handshake);
}

#[tokio::test]
async fn request_without_a_single_authority_is_a_bad_request() {
    let origin = Origin::start(say_path).await;
    let client = Client::connect(&proxy_to(&origin)).await;
    let request =
        Request::get("https://site.example/").header("host", "other.example").body(()).unwrap();
    let response = within(client.send(request, true).await.0).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(origin.connections(), 0);
}
