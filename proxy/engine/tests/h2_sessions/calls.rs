//! Calls as gRPC makes them, and informational responses.

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, Response, StatusCode};

use crate::harness::{
    Client, Origin, field, get, http1_origin, ok, post, proxy_to, proxy_to_http1, read_all, within,
    write_all,
};

/// Answers with the request's body, its trailer `sum` and a trailer of its own.
async fn echo_call(request: Request<RecvStream>, mut response: SendResponse<Bytes>) {
    let te = request.headers().get("te").cloned();
    let mut body = request.into_body();
    let said = read_all(&mut body).await.unwrap();
    let trailers = body.trailers().await.unwrap().unwrap_or_default();
    let mut head = ok();
    for (name, value) in [("saw-te", te), ("saw-sum", trailers.get("sum").cloned())] {
        if let Some(value) = value {
            head.headers_mut().insert(name, value);
        }
    }
    let mut stream = response.send_response(head, false).unwrap();
    write_all(&mut stream, said.into()).await.unwrap();
    stream.send_trailers(field("grpc-status", "0")).unwrap();
}

#[tokio::test]
async fn unary_call_passes_trailers_both_ways() {
    let origin = Origin::start(echo_call).await;
    let client = Client::connect(&proxy_to(&origin)).await;
    let request =
        Request::post("https://site.example/svc/Call").header("te", "trailers").body(()).unwrap();

    let (response, mut stream) = client.send(request, false).await;
    stream.send_data("ping".into(), false).unwrap();
    stream.send_trailers(field("sum", "42")).unwrap();

    let response = within(response).await.unwrap();
    assert_eq!(response.headers()["saw-sum"], "42");
    assert_eq!(response.headers()["saw-te"], "trailers");
    assert!(response.headers().contains_key("date"));
    assert!(!response.headers().contains_key("transfer-encoding"));
    let mut body = response.into_body();
    assert_eq!(within(read_all(&mut body)).await.unwrap(), b"ping");
    assert_eq!(within(body.trailers()).await.unwrap().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn trailers_without_a_body_arrive() {
    let origin = Origin::start(echo_call).await;
    let client = Client::connect(&proxy_to(&origin)).await;

    let (response, mut stream) = client.send(post("/svc/Call"), false).await;
    stream.send_trailers(field("sum", "7")).unwrap();

    assert_eq!(within(response).await.unwrap().headers()["saw-sum"], "7");
}

#[tokio::test]
async fn trailers_only_response_arrives() {
    let origin = Origin::start(|_, mut response: SendResponse<Bytes>| async move {
        let head = Response::builder().header("grpc-status", "12").body(()).unwrap();
        response.send_response(head, true).unwrap();
    })
    .await;
    let client = Client::connect(&proxy_to(&origin)).await;

    let response = within(client.get("/")).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "12");
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn server_streaming_passes_every_message_as_it_comes() {
    let origin = Origin::start(
        |request: Request<RecvStream>, mut response: SendResponse<Bytes>| async move {
            let mut acknowledged = request.into_body();
            let mut stream = response.send_response(ok(), false).unwrap();
            for number in 0..5_u8 {
                write_all(&mut stream, vec![number].into()).await.unwrap();
                acknowledged.data().await.unwrap().unwrap();
            }
            stream.send_trailers(field("grpc-status", "0")).unwrap();
        },
    )
    .await;
    let client = Client::connect(&proxy_to(&origin)).await;

    let (response, mut acknowledge) = client.send(post("/"), false).await;
    let mut body = within(response).await.unwrap().into_body();
    for number in 0..5 {
        assert_eq!(within(body.data()).await.unwrap().unwrap(), vec![number]);
        acknowledge.send_data("k".into(), false).unwrap();
    }
    assert!(within(body.data()).await.is_none());
    assert_eq!(within(body.trailers()).await.unwrap().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn client_streaming_is_answered_at_the_end() {
    let origin = Origin::start(echo_call).await;
    let client = Client::connect(&proxy_to(&origin)).await;

    let (response, mut stream) = client.send(post("/"), false).await;
    for _ in 0..100 {
        write_all(&mut stream, Bytes::from_static(b"0123456789")).await.unwrap();
    }
    stream.send_trailers(field("sum", "1000")).unwrap();

    let response = within(response).await.unwrap();
    assert_eq!(response.headers()["saw-sum"], "1000");
    assert_eq!(
        within(read_all(&mut response.into_body())).await.unwrap(),
        b"0123456789".repeat(100)
    );
}

/// Sends every chunk back as it comes.
async fn echo_chunks(request: Request<RecvStream>, mut response: SendResponse<Bytes>) {
    let mut body = request.into_body();
    let mut stream = response.send_response(ok(), false).unwrap();
    while let Some(Ok(data)) = body.data().await {
        body.flow_control().release_capacity(data.len()).unwrap();
        write_all(&mut stream, data).await.unwrap();
    }
    stream.send_trailers(field("grpc-status", "0")).unwrap();
}

#[tokio::test]
async fn bidirectional_messages_are_answered_before_the_request_ends() {
    let origin = Origin::start(echo_chunks).await;
    let client = Client::connect(&proxy_to(&origin)).await;

    let (response, mut stream) = client.send(post("/"), false).await;
    let mut body = within(response).await.unwrap().into_body();
    for number in 0..20_u8 {
        stream.send_data(vec![number; 10].into(), false).unwrap();
        let mut echoed = 0;
        while echoed < 10 {
            let data = within(body.data()).await.unwrap().unwrap();
            assert!(data.iter().all(|byte| *byte == number));
            echoed += data.len();
        }
    }
    stream.send_data(Bytes::new(), true).unwrap();
    assert!(within(body.data()).await.is_none());
    assert_eq!(within(body.trailers()).await.unwrap().unwrap()["grpc-status"], "0");
}

async fn informational(response: &mut h2::client::ResponseFuture) -> Response<()> {
    within(std::future::poll_fn(|cx| response.poll_informational(cx))).await.unwrap().unwrap()
}

#[tokio::test]
async fn early_hints_of_an_http1_origin_reach_the_client() {
    let origin = http1_origin(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    )
    .await;
    let client = Client::connect(&proxy_to_http1(origin)).await;

    let (mut response, _) = client.send(get("/"), true).await;
    let hints = informational(&mut response).await;
    assert_eq!(hints.status(), StatusCode::EARLY_HINTS);
    assert_eq!(hints.headers()["link"], "</a.css>; rel=preload");
    let response = within(response).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(within(read_all(&mut response.into_body())).await.unwrap(), b"hi");
}

#[tokio::test]
async fn early_hints_of_an_http2_origin_reach_the_client() {
    let origin = Origin::start(|_, mut response: SendResponse<Bytes>| async move {
        for _ in 0..2 {
            let hints =
                Response::builder().status(103).header("link", "</a.css>").body(()).unwrap();
            response.send_informational(hints).unwrap();
        }
        response.send_response(ok(), true).unwrap();
    })
    .await;
    let client = Client::connect(&proxy_to(&origin)).await;

    let (mut response, _) = client.send(get("/"), true).await;
    for _ in 0..2 {
        assert_eq!(informational(&mut response).await.headers()["link"], "</a.css>");
    }
    assert_eq!(within(response).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn expected_continue_comes_before_the_body_is_sent() {
    let origin = Origin::start(
        |request: Request<RecvStream>, mut response: SendResponse<Bytes>| async move {
            assert_eq!(request.headers()["expect"], "100-continue");
            response.send_informational(Response::builder().status(100).body(()).unwrap()).unwrap();
            let said = read_all(&mut request.into_body()).await.unwrap();
            response.send_response(ok(), false).unwrap().send_data(said.into(), true).unwrap();
        },
    )
    .await;
    let client = Client::connect(&proxy_to(&origin)).await;
    let request =
        Request::put("https://site.example/").header("expect", "100-continue").body(()).unwrap();

    let (mut response, mut stream) = client.send(request, false).await;
    assert_eq!(informational(&mut response).await.status(), StatusCode::CONTINUE);
    stream.send_data("body".into(), true).unwrap();
    assert_eq!(
        within(read_all(&mut within(response).await.unwrap().into_body())).await.unwrap(),
        b"body"
    );
}
