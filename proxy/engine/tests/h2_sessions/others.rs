//! Our origin side behind Pingora's own client sides.

use std::sync::Arc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Accept, HttpSession, handshake};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::sync::watch;

use crate::harness::{Origin, field, ok, post, proxy_to, read_all, within, write_all};

async fn echo(request: Request<RecvStream>, mut response: SendResponse<Bytes>) {
    let authority = request.uri().authority().unwrap().to_string();
    let said = read_all(&mut request.into_body()).await.unwrap();
    let head = http::Response::builder().header("saw", authority).body(()).unwrap();
    let mut stream = response.send_response(head, false).unwrap();
    write_all(&mut stream, said.into()).await.unwrap();
    stream.send_trailers(field("grpc-status", "0")).unwrap();
}

#[tokio::test]
async fn http1_client_reaches_an_http2_origin() {
    let origin = Origin::start(echo).await;
    let proxy = proxy_to(&origin);
    let (mut client, io) = duplex(64 * 1024);
    let (_shutdown, announced) = watch::channel(false);
    tokio::spawn(async move {
        proxy.process_new_http(ServerSession::new_http1(Box::new(io)), &announced).await
    });

    let request = "POST /x HTTP/1.1\r\nHost: site.example\r\nTransfer-Encoding: chunked\r\nConnection: close, x-a\r\nX-A: 1\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within(client.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("saw: site.example\r\n"), "{answer}");
    assert!(answer.ends_with("3\r\nabc\r\n0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn large_echo_over_http1_passes() {
    let origin = Origin::start(echo).await;
    let proxy = proxy_to(&origin);
    let (client, io) = duplex(64 * 1024);
    let (_shutdown, announced) = watch::channel(false);
    tokio::spawn(async move {
        proxy.process_new_http(ServerSession::new_http1(Box::new(io)), &announced).await
    });

    let (mut read, mut write) = tokio::io::split(client);
    let length = 3 * 1024 * 1024;
    tokio::spawn(async move {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        write.write_all(head.as_bytes()).await.unwrap();
        write.write_all(&vec![b'x'; length]).await.unwrap();
        std::future::pending::<()>().await;
    });
    let mut answer = Vec::new();
    within(read.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer.iter().filter(|byte| **byte == b'x').count(), length);
}

#[tokio::test]
async fn client_of_pingoras_own_session_gets_response_trailers() {
    let origin = Origin::start(echo).await;
    let proxy = proxy_to(&origin);
    let (client, io) = duplex(64 * 1024);
    let (_shutdown, announced) = watch::channel(false);
    tokio::spawn(async move {
        let mut connection = handshake(Box::new(io), None).await.unwrap();
        let digest = Arc::new(Digest::default());
        while let Ok(Some(H2Accept::Session(session))) =
            HttpSession::from_h2_conn(&mut connection, digest.clone()).await
        {
            let (proxy, announced) = (proxy.clone(), announced.clone());
            tokio::spawn(async move {
                proxy.process_new_http(ServerSession::new_http2(session), &announced).await
            });
        }
    });
    let (requests, connection) = h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);

    let (response, mut stream) =
        requests.ready().await.unwrap().send_request(post("/"), false).unwrap();
    stream.send_data("abc".into(), true).unwrap();
    let mut body = within(response).await.unwrap().into_body();
    assert_eq!(within(read_all(&mut body)).await.unwrap(), b"abc");
    assert_eq!(within(body.trailers()).await.unwrap().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn plain_ok_is_ok() {
    // A guard for the helper itself.
    assert_eq!(ok().status(), 200);
}
