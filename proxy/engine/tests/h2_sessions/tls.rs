//! What is agreed with an origin over TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, StatusCode};
use rustls::ServerConfig;
use switchback_engine::h2::Offer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::harness::{Client, Forward, answer_connection, ok, proxy, read_all, within};

fn acceptor(protocols: &[&str]) -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

async fn answer(tls: TlsStream<TcpStream>) {
    if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
        let say = |request: Request<RecvStream>, mut response: SendResponse<Bytes>| async move {
            let scheme = request.uri().scheme_str().unwrap().to_owned();
            let mut stream = response.send_response(ok(), false).unwrap();
            stream.send_data(format!("h2 {scheme}").into(), true).unwrap();
        };
        let answer = Arc::new(move |request, response| Box::pin(say(request, response)) as _);
        return answer_connection(h2::server::Builder::new(), tls, answer).await;
    }
    let mut tls = tls;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tls.read_u8().await.unwrap());
    }
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nh1";
    tls.write_all(answer).await.unwrap();
    tls.shutdown().await.unwrap();
}

async fn origin(protocols: &[&str]) -> SocketAddr {
    let acceptor = acceptor(protocols);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (io, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(tls) = acceptor.accept(io).await {
                    answer(tls).await;
                }
            });
        }
    });
    address
}

async fn client(origin: SocketAddr, offer: Offer) -> Client {
    let stall = Duration::from_secs(10);
    Client::connect(&proxy(Forward { origin, offer: Some(offer), is_tls: true, stall })).await
}

#[tokio::test]
async fn http2_is_agreed_on() {
    for offer in [Offer::Http2, Offer::Http2OrHttp1] {
        let client = client(origin(&["h2", "http/1.1"]).await, offer).await;
        for _ in 0..2 {
            let mut body = within(client.get("/")).await.unwrap().into_body();
            assert_eq!(within(read_all(&mut body)).await.unwrap(), b"h2 https");
        }
    }
}

#[tokio::test]
async fn origin_of_http1_alone_gets_it_when_offered() {
    let client = client(origin(&["http/1.1"]).await, Offer::Http2OrHttp1).await;
    for _ in 0..2 {
        let mut body = within(client.get("/")).await.unwrap().into_body();
        assert_eq!(within(read_all(&mut body)).await.unwrap(), b"h1");
    }
}

#[tokio::test]
async fn origin_of_http1_alone_is_a_bad_gateway_when_http2_is_required() {
    let client = client(origin(&["http/1.1"]).await, Offer::Http2).await;
    assert_eq!(within(client.get("/")).await.unwrap().status(), StatusCode::BAD_GATEWAY);
}
