//! What one side sees when the other fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderValue, Request, StatusCode};
use switchback_engine::h2::{Offer, Options};
use tokio::sync::mpsc;

use crate::harness::{
    Client, Forward, Origin, field, http1_origin, ok, post, proxy, proxy_to, proxy_to_http1,
    read_all, within, write_all,
};

#[tokio::test]
async fn origin_that_resets_mid_body_resets_the_client() {
    let origin = Origin::start(|_, mut response: SendResponse<Bytes>| async move {
        let mut stream = response.send_response(ok(), false).unwrap();
        stream.send_data("half".into(), false).unwrap();
        // The reset would overtake what is still queued.
        tokio::task::yield_now().await;
        stream.send_reset(Reason::INTERNAL_ERROR);
    })
    .await;
    let client = Client::connect(&proxy_to(&origin)).await;

    let mut body = within(client.get("/")).await.unwrap().into_body();
    let error = within(read_all(&mut body)).await.unwrap_err();
    assert!(error.is_reset(), "{error:?}");
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
}

#[tokio::test]
async fn http1_origin_that_hangs_up_mid_body_resets_the_client() {
    let origin = http1_origin(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    let client = Client::connect(&proxy_to_http1(origin)).await;

    let ended = within(async { read_all(&mut client.get("/").await?.into_body()).await });
    assert!(ended.await.unwrap_err().is_reset());
}

#[tokio::test]
async fn origin_that_fails_before_its_response_is_a_bad_gateway() {
    let origin = Origin::start(|_, mut response: SendResponse<Bytes>| async move {
        response.send_reset(Reason::INTERNAL_ERROR);
    })
    .await;
    let client = Client::connect(&proxy_to(&origin)).await;

    assert_eq!(within(client.get("/")).await.unwrap().status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn client_that_resets_cancels_the_origin() {
    let (told, mut seen) = mpsc::channel(1);
    let origin =
        Origin::start(move |request: Request<RecvStream>, mut response: SendResponse<Bytes>| {
            let told = told.clone();
            async move {
                let _body = request.into_body();
                let mut stream = response.send_response(ok(), false).unwrap();
                stream.send_data("begun".into(), false).unwrap();
                let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
                told.send(reason.unwrap()).await.unwrap();
            }
        })
        .await;
    let client = Client::connect(&proxy_to(&origin)).await;

    let (response, mut stream) = client.send(post("/"), false).await;
    let mut body = within(response).await.unwrap().into_body();
    within(body.data()).await.unwrap().unwrap();
    stream.send_reset(Reason::CANCEL);
    assert_eq!(within(seen.recv()).await, Some(Reason::CANCEL));
}

#[tokio::test]
async fn client_that_resets_before_the_response_cancels_the_origin() {
    let (told, mut seen) = mpsc::channel(2);
    let origin =
        Origin::start(move |request: Request<RecvStream>, mut response: SendResponse<Bytes>| {
            let told = told.clone();
            async move {
                let _body = request.into_body();
                told.send(Reason::NO_ERROR).await.unwrap();
                told.send(std::future::poll_fn(|cx| response.poll_reset(cx)).await.unwrap())
                    .await
                    .unwrap();
            }
        })
        .await;
    let client = Client::connect(&proxy_to(&origin)).await;

    let (_response, mut stream) = client.send(post("/"), false).await;
    assert_eq!(within(seen.recv()).await, Some(Reason::NO_ERROR));
    stream.send_reset(Reason::CANCEL);
    assert_eq!(within(seen.recv()).await, Some(Reason::CANCEL));
}

/// Refuses the first stream it sees, answers the next with the body and the trailer it got.
async fn refuse_once(
    origin_calls: Arc<AtomicUsize>,
    request: Request<RecvStream>,
    mut response: SendResponse<Bytes>,
) {
    if origin_calls.fetch_add(1, Ordering::SeqCst) == 0 {
        response.send_reset(Reason::REFUSED_STREAM);
        return;
    }
    let mut body = request.into_body();
    let said = read_all(&mut body).await.unwrap();
    let mut head = ok();
    if let Some(trailers) = body.trailers().await.unwrap() {
        head.headers_mut().insert("saw-sum", trailers["sum"].clone());
    }
    response.send_response(head, false).unwrap().send_data(said.into(), true).unwrap();
}

#[tokio::test]
async fn refused_stream_is_tried_again_with_body_and_trailers() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let origin =
        Origin::start(move |request, response| refuse_once(count.clone(), request, response)).await;
    let client = Client::connect(&proxy_to(&origin)).await;

    let request = Request::put("https://site.example/").body(()).unwrap();
    let (response, mut stream) = client.send(request, false).await;
    stream.send_data("again".into(), false).unwrap();
    stream.send_trailers(field("sum", "5")).unwrap();
    let response = within(response).await.unwrap();
    assert_eq!(response.headers().get("saw-sum"), Some(&HeaderValue::from_static("5")));
    assert_eq!(within(read_all(&mut response.into_body())).await.unwrap(), b"again");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn origin_that_answers_early_and_takes_no_more_is_heard() {
    let origin = Origin::start(
        |request: Request<RecvStream>, mut response: SendResponse<Bytes>| async move {
            response
                .send_response(http::Response::builder().status(413).body(()).unwrap(), true)
                .unwrap();
            // Dropped unread: the h2 crate resets with NO_ERROR, as RFC 9113 section 8.1 asks.
            drop(request);
        },
    )
    .await;
    let client = Client::connect(&proxy_to(&origin)).await;

    let (response, mut stream) = client.send(post("/"), false).await;
    let response = within(response).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(response.body().is_end_stream());
    // The client is told to stop in the same way, though it sends nothing and has not ended its request.
    let reason = within(std::future::poll_fn(|cx| stream.poll_reset(cx))).await;
    assert_eq!(reason.unwrap(), Reason::NO_ERROR);
}

#[tokio::test]
async fn origin_that_is_silent_is_a_gateway_failure() {
    let origin = Origin::start(|request, _response| async move {
        let _request: Request<RecvStream> = request;
        std::future::pending::<()>().await;
    })
    .await;
    let stall = Duration::from_millis(50);
    let proxy =
        proxy(Forward { origin: origin.address, offer: Some(Offer::Http2), is_tls: false, stall });
    let client = Client::connect(&proxy).await;

    assert_eq!(within(client.get("/")).await.unwrap().status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn client_that_opens_no_window_is_reset() {
    let origin = Origin::start(|_, mut response: SendResponse<Bytes>| async move {
        let mut stream = response.send_response(ok(), false).unwrap();
        // Fails once the proxy gives up.
        let _ = write_all(&mut stream, vec![0; 4 * 1024 * 1024].into()).await;
    })
    .await;
    let options = Options { stream_timeout: Duration::from_millis(50), ..Options::default() };
    let client =
        Client::connect_with(&proxy_to(&origin), h2::client::Builder::new(), options).await;

    let mut body = within(client.get("/")).await.unwrap().into_body();
    let ended = within(async {
        // Takes what comes, but never gives the window back.
        loop {
            match body.data().await {
                Some(Ok(_)) => {}
                end => return end,
            }
        }
    });
    assert!(ended.await.unwrap().unwrap_err().is_reset());
}

#[tokio::test]
async fn short_last_chunk_the_client_never_takes_does_not_linger() {
    let origin = Origin::start(|_, mut response: SendResponse<Bytes>| async move {
        response
            .send_response(ok(), false)
            .unwrap()
            .send_data(vec![0; 70_000].into(), true)
            .unwrap();
    })
    .await;
    let options = Options { stream_timeout: Duration::from_millis(50), ..Options::default() };
    let client =
        Client::connect_with(&proxy_to(&origin), h2::client::Builder::new(), options).await;

    let mut body = within(client.get("/")).await.unwrap().into_body();
    let mut taken = 0;
    let error = loop {
        match within(body.data()).await.expect("must not end cleanly") {
            Ok(data) => taken += data.len(),
            Err(error) => break error,
        }
    };
    assert_eq!(taken, 65_535);
    assert!(error.is_reset());
}

#[tokio::test]
async fn client_that_sends_no_body_is_told_so() {
    let origin = Origin::start(|request: Request<RecvStream>, _response| async move {
        let _ = read_all(&mut request.into_body()).await;
    })
    .await;
    let options = Options { stream_timeout: Duration::from_millis(50), ..Options::default() };
    let client =
        Client::connect_with(&proxy_to(&origin), h2::client::Builder::new(), options).await;

    let (response, _stream) = client.send(post("/"), false).await;
    // Pingora's default for a client that takes too long.
    assert_eq!(within(response).await.unwrap().status(), StatusCode::BAD_REQUEST);
}
