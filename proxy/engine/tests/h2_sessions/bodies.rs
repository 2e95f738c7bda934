//! Large bodies, small windows, and responses without a body.

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, Response};
use switchback_engine::h2::Options;

use crate::harness::{
    Client, Origin, http1_origin, ok, post, proxy_to, proxy_to_http1, read_all, within, write_all,
};

const LARGE: usize = 5 * 1024 * 1024;

fn pattern() -> Bytes {
    (0..LARGE).map(|index| (index % 251) as u8).collect()
}

/// The smallest windows there are: towards the client, which announces its own before anything is sent, a few frames;
/// towards the others, whose first bytes may precede the announcement, what RFC 9113 starts with.
fn small_windows() -> (h2::client::Builder, Options) {
    let mut client = h2::client::Builder::new();
    client.initial_window_size(8 * 1024).initial_connection_window_size(64 * 1024);
    (client, Options { stream_window: 0, connection_window: 0, ..Options::default() })
}

#[tokio::test]
async fn large_upload_and_large_download_pass_small_windows() {
    let (client, options) = small_windows();
    let origin = Origin::start(
        |request: Request<RecvStream>, mut response: SendResponse<Bytes>| async move {
            let said = read_all(&mut request.into_body()).await.unwrap();
            let mut stream = response.send_response(ok(), false).unwrap();
            write_all(&mut stream, said.into()).await.unwrap();
            stream.send_data(Bytes::new(), true).unwrap();
        },
    )
    .await;
    let client = Client::connect_with(&proxy_to(&origin), client, options).await;

    let (response, mut stream) = client.send(post("/"), false).await;
    within(write_all(&mut stream, pattern())).await.unwrap();
    stream.send_data(Bytes::new(), true).unwrap();
    let answered =
        within(read_all(&mut within(response).await.unwrap().into_body())).await.unwrap();
    assert!(answered == pattern(), "{} bytes came back", answered.len());
}

/// Pingora's loop writes in one direction at a time: a write that waits for the origin's window keeps the response from
/// being read, without which the origin opens no window.
#[tokio::test]
async fn large_bodies_in_both_directions_at_once_do_not_block_each_other() {
    let (client, options) = small_windows();
    let origin = Origin::start(
        |request: Request<RecvStream>, mut response: SendResponse<Bytes>| async move {
            let mut body = request.into_body();
            let mut stream = response.send_response(ok(), false).unwrap();
            while let Some(Ok(data)) = body.data().await {
                // Answers fourfold before it takes more.
                for _ in 0..4 {
                    write_all(&mut stream, data.clone()).await.unwrap();
                }
                body.flow_control().release_capacity(data.len()).unwrap();
            }
            stream.send_data(Bytes::new(), true).unwrap();
        },
    )
    .await;
    let client = Client::connect_with(&proxy_to(&origin), client, options).await;

    let (response, mut stream) = client.send(post("/"), false).await;
    let sent = tokio::spawn(async move {
        write_all(&mut stream, pattern()).await.unwrap();
        stream.send_data(Bytes::new(), true).unwrap();
    });
    let mut body = within(response).await.unwrap().into_body();
    assert_eq!(within(read_all(&mut body)).await.unwrap().len(), 4 * LARGE);
    within(sent).await.unwrap();
}

#[tokio::test]
async fn head_is_answered_without_a_body() {
    let origin = Origin::start(|_, mut response: SendResponse<Bytes>| async move {
        response
            .send_response(
                Response::builder().header("content-length", "5").body(()).unwrap(),
                true,
            )
            .unwrap();
    })
    .await;
    let client = Client::connect(&proxy_to(&origin)).await;

    let request = Request::head("https://site.example/").body(()).unwrap();
    let response = within(client.send(request, true).await.0).await.unwrap();
    assert_eq!(response.headers()["content-length"], "5");
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn head_to_an_http1_origin_is_answered_without_a_body() {
    let origin =
        http1_origin(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n").await;
    let client = Client::connect(&proxy_to_http1(origin)).await;

    let request = Request::head("https://site.example/").body(()).unwrap();
    let response = within(client.send(request, true).await.0).await.unwrap();
    assert_eq!(response.headers()["content-length"], "5");
    assert!(!response.headers().contains_key("connection"));
    assert!(within(read_all(&mut response.into_body())).await.unwrap().is_empty());
}

#[tokio::test]
async fn no_content_ends_at_once() {
    let origin = http1_origin(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let client = Client::connect(&proxy_to_http1(origin)).await;

    let mut body = within(client.get("/")).await.unwrap().into_body();
    assert!(within(body.data()).await.is_none());
}

#[tokio::test]
async fn upload_to_an_http1_origin_arrives() {
    let origin = http1_origin(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
    let client = Client::connect(&proxy_to_http1(origin)).await;

    let (response, mut stream) = client.send(post("/"), false).await;
    stream.send_data("hello".into(), true).unwrap();
    assert_eq!(
        within(read_all(&mut within(response).await.unwrap().into_body())).await.unwrap(),
        b"done"
    );
}
