//! What clients have of images: one tag for each form, by which conditions and ranges are judged, and which end with the original.

use switchback_integration::{Origin, Proxy, Request, Response, get, request};

use crate::images::{jpeg, kind, on, once_it_is, picture, storing, wanted};

fn tag(answer: &Response) -> String {
    answer.headers.get("etag").unwrap_or_default().to_owned()
}

/// An image in its two forms, and the proxy that has both.
fn both() -> (Origin, Proxy, Response) {
    let origin = Origin::start().serve("/x", picture("image/jpeg", jpeg(300, 200)));
    let proxy = on(&origin);
    let made = once_it_is("image/webp", &proxy, &wanted("/x"));
    (origin, proxy, made)
}

#[test]
fn what_a_client_has_is_confirmed_by_its_own_tag() {
    let (_origin, proxy, made) = both();
    let made = tag(&made);
    for (request, held, confirmed) in [
        (wanted("/x"), &*made, &*made),
        (wanted("/x"), "\"v1\"", "\"v1\""),
        (get("/x"), "\"v1\"", "\"v1\""),
        // Whichever making it is of.
        (wanted("/x"), "\"v1;webp-q80;00000000\"", "\"v1;webp-q80;00000000\""),
    ] {
        let answer = proxy.ask(&request.header("If-None-Match", held));
        answer.expect_status(304).expect_header("ETag", confirmed);
        answer.expect_header("Vary", "accept, save-data").expect_body("");
    }
}

#[test]
fn what_a_client_would_not_be_sent_is_not_confirmed() {
    let (_origin, proxy, made) = both();
    for (request, held, sent) in [
        (get("/x"), &*tag(&made), "image/jpeg"),
        (wanted("/x"), "\"v1;webp-q65;00000000\"", "image/webp"),
        (wanted("/x"), "\"v1;webp-q80-w320;00000000\"", "image/webp"),
        (wanted("/x"), "\"v2;webp-q80;00000000\"", "image/webp"),
        (wanted("/x"), "\"v1;avif-q80;00000000\"", "image/webp"),
    ] {
        let answer = proxy.ask(&request.header("If-None-Match", held));
        answer.expect_status(200);
        assert_eq!(kind(&answer), sent, "{held}");
    }
}

fn part(request: Request) -> Request {
    request.header("Range", "bytes=10-19")
}

#[test]
fn ranges_are_of_the_form_that_they_were_begun_in() {
    let (_origin, proxy, made) = both();
    let original = jpeg(300, 200);
    let of_form = proxy.ask(&part(wanted("/x")).header("If-Range", &tag(&made)));
    of_form.expect_status(206).expect_header("ETag", &tag(&made)).expect_body(&made.body[10..20]);
    let of_original = proxy.ask(&part(wanted("/x")).header("If-Range", "\"v1\""));
    of_original.expect_status(206).expect_header("ETag", "\"v1\"").expect_body(&original[10..20]);
    let of_another = part(wanted("/x")).header("If-Range", "\"v1;webp-q80;00000000\"");
    proxy.ask(&of_another).expect_status(200).expect_body(&made.body);
    proxy.ask(&part(get("/x"))).expect_status(206).expect_body(&original[10..20]);
}

#[test]
fn one_validation_renews_all_forms() {
    let body = jpeg(300, 200);
    let stale = |reply: switchback_integration::Reply| reply.header("Cache-Control", "max-age=0");
    let reply = switchback_integration::Reply::ok(body)
        .header("Content-Type", "image/jpeg")
        .header("ETag", "\"v1\"");
    let origin = Origin::start().serve("/x", stale(reply));
    let proxy = on(&origin);
    proxy.ask(&wanted("/x"));
    let confirmed = switchback_integration::Reply::ok("").status(304).header("ETag", "\"v1\"");
    origin.now_serve("/x", stale(confirmed));
    let made = once_it_is("image/webp", &proxy, &wanted("/x"));
    let before = origin.requests("/x").len();
    for _ in 0..2 {
        let again = proxy.ask(&wanted("/x"));
        again.expect_header("ETag", &tag(&made)).expect_body(&made.body);
        again.expect_header("X-Media", made.headers.get("x-media").unwrap());
    }
    let asked = origin.requests("/x");
    assert_eq!(asked.len(), before + 2);
    assert!(asked.iter().skip(1).all(|one| one.headers.get("if-none-match") == Some("\"v1\"")));
}

#[test]
fn a_purge_and_another_body_end_all_forms() {
    let (origin, proxy, made) = both();
    origin.now_serve("/x", picture("image/jpeg", jpeg(310, 200)).header("X-New", "1"));
    proxy.ask(&request("PURGE", "/x")).expect_status(200);
    let next = proxy.ask(&wanted("/x"));
    next.expect_header("Content-Type", "image/jpeg").expect_header("X-New", "1");
    let next = once_it_is("image/webp", &proxy, &wanted("/x"));
    next.expect_header("X-New", "1");
    assert!(next.body != made.body);
    assert_eq!(origin.requests("/x").len(), 2);
}

#[test]
fn images_and_encodings_live_on_one_route() {
    let origin = Origin::start()
        .serve("/x", picture("image/jpeg", jpeg(300, 200)))
        .serve("/svg", picture("image/svg+xml", b"<svg>".repeat(400)));
    let proxy = Proxy::start(&storing(&origin, "images = \"on\"\nencode = \"on\"", ""));
    let coded = |request: Request| request.header("Accept-Encoding", "br");
    let made = once_it_is("image/webp", &proxy, &coded(wanted("/x")));
    made.expect_no_header("Content-Encoding").expect_header("Vary", "accept, save-data");
    for _ in 0..2 {
        let drawing = proxy.ask(&coded(wanted("/svg")));
        drawing.expect_header("Content-Encoding", "br").expect_header("Vary", "accept-encoding");
        drawing.expect_no_header("X-Media");
    }
    let held = coded(wanted("/x")).header("If-None-Match", &tag(&made));
    proxy.ask(&held).expect_status(304).expect_header("ETag", &tag(&made));
}
