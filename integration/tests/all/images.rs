//! Smaller images of those that an upstream answers with: made once, for those who take them, and decoded by a program of other hands.

use std::io::Cursor;
use std::process::Command;

use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::{Delay, DynamicImage, Frame, ImageEncoder as _, ImageFormat, Rgb, RgbImage, RgbaImage};
use switchback_integration::{
    Config, Deadline, Gate, H2Client, H2Request, Origin, Proxy, Reply, Request, Response, Step,
    config, eventually, get, request, switchback,
};

use crate::cache_disk;

/// A site whose one route stores, under keys of paths alone, and has these lines.
pub(crate) fn storing(origin: &Origin, lines: &str, zone: &str) -> Config {
    let cache = "cache = { zone = \"main\", key = \"$uri\" }";
    let route = format!("proxy = \"app\"\n{cache}\n{lines}");
    let config = config().web("h2c = true").site("").route("/*", route);
    let purge = "purge = { allow = [\"127.0.0.0/8\"] }";
    let config = config.upstream("app", &[origin], "");
    config.toml(format_args!("[zones.main]\nmemory = \"64MiB\"\n{purge}\n{zone}"))
}

pub(crate) fn on(origin: &Origin) -> Proxy {
    Proxy::start(&storing(origin, "images = \"on\"", ""))
}

/// Fields of soft colours with some grain.
fn photo(width: u32, height: u32) -> RgbImage {
    let grain = |x: u32, y: u32| {
        (x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77)).wrapping_mul(0xc2b2_ae3d) >> 29
    };
    RgbImage::from_fn(width, height, |x, y| {
        let soft = |phase: u32| {
            let at = (x + phase) as f32 / 37.0 + (y as f32 / 23.0).sin();
            (110.0 + 90.0 * at.sin()) as u8
        };
        Rgb([soft(0), soft(40), soft(90)].map(|level| level + grain(x, y) as u8))
    })
}

pub(crate) fn jpeg(width: u32, height: u32) -> Vec<u8> {
    jpeg_of(92, width, height)
}

fn jpeg_of(quality: u8, width: u32, height: u32) -> Vec<u8> {
    let (picture, mut bytes) = (photo(width, height), Vec::new());
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    encoder.write_image(&picture, width, height, image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Three frames of a moving square.
fn animation() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for number in 0..3 {
        let picture = RgbaImage::from_fn(120, 80, |x, y| {
            let is_in = (number * 20..number * 20 + 30).contains(&x) && (20..50).contains(&y);
            let level = (x * 2) as u8;
            image::Rgba(if is_in { [200, 30, 30, 255] } else { [level, 255 - level, 90, 255] })
        });
        let delay = Delay::from_numer_denom_ms(80, 1);
        encoder.encode_frame(Frame::from_parts(picture, 0, 0, delay)).unwrap();
    }
    drop(encoder);
    bytes
}

pub(crate) fn picture(kind: &str, body: Vec<u8>) -> Reply {
    let reply = Reply::ok(body).header("Content-Type", kind);
    reply.header("Cache-Control", "max-age=600").header("ETag", "\"v1\"")
}

/// What Chromium says when it asks for an image.
const BROWSER: &str = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";

pub(crate) fn wanted(path: &str) -> Request {
    get(path).header("Accept", BROWSER)
}

pub(crate) fn kind(answer: &Response) -> &str {
    answer.headers.get("content-type").unwrap_or_default()
}

pub(crate) fn media(answer: &Response) -> &str {
    answer.headers.get("x-media").unwrap_or_default()
}

/// The answer to a request, as soon as it is of this type.
pub(crate) fn once_it_is(wanted_kind: &str, proxy: &Proxy, request: &Request) -> Response {
    eventually("another image is stored", Deadline::soon(), || {
        let answer = proxy.ask(request);
        answer.expect_status(200);
        (kind(&answer) == wanted_kind).then_some(answer)
    })
}

/// The answer to a request, as soon as that says this of an image.
fn once_said(said: &str, proxy: &Proxy, request: &Request) -> Response {
    eventually(said, Deadline::soon(), || {
        let answer = proxy.ask(request);
        (media(&answer) == said).then_some(answer)
    })
}

/// Decodes WebP with the program of those who made it.
fn decoded(webp: &[u8]) -> DynamicImage {
    let folder = tempfile::tempdir().unwrap();
    let [from, to] = ["a.webp", "a.png"].map(|name| folder.path().join(name));
    std::fs::write(&from, webp).unwrap();
    let done = Command::new("dwebp").arg("-quiet").arg(&from).arg("-o").arg(&to).status();
    assert!(done.expect("installed by integration/setup.sh").success(), "dwebp refuses it");
    image::open(to).unwrap()
}

/// How much pixels differ on average.
fn difference(one: &DynamicImage, other: &DynamicImage) -> u64 {
    let (one, other) = (one.to_rgb8(), other.to_rgb8());
    assert_eq!(one.dimensions(), other.dimensions());
    let sum: u64 = one.iter().zip(other.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum / one.len() as u64
}

fn metric(proxy: &Proxy, name: &str) -> u64 {
    let text = proxy.control("GET", "/metrics", None).text();
    let start = format!("switchback_{name} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&*start)?.parse().ok());
    value.unwrap_or(u64::MAX)
}

const VARY: &str = "accept, save-data";

#[test]
fn an_image_is_made_once_for_all_who_take_it_and_the_original_is_sent_meanwhile() {
    let original = jpeg(400, 300);
    let origin = Origin::start().serve("/x", picture("image/jpeg", original.clone()));
    let proxy = on(&origin);
    let first = proxy.ask(&wanted("/x"));
    first.expect_status(200).expect_header("Content-Type", "image/jpeg");
    first.expect_header("X-Media", "original; reason=pending").expect_header("Vary", VARY);
    first.expect_header("ETag", "\"v1\"").expect_body(&original);
    let made = once_it_is("image/webp", &proxy, &wanted("/x"));
    assert!(made.body.len() * 10 < original.len() * 7, "{} bytes", made.body.len());
    assert!(media(&made).starts_with("webp; from=jpeg; width=400; quality=80; saved="));
    let tag = made.headers.get("etag").unwrap();
    assert!(tag.starts_with("\"v1;webp-q80;"), "{tag}");
    assert!(difference(&decoded(&made.body), &image::load_from_memory(&original).unwrap()) < 6);
    // All the same to everybody, over all lanes.
    let mut h2 = H2Client::cleartext(proxy.address("web"));
    for _ in 0..3 {
        let again = proxy.ask(&wanted("/x"));
        again.expect_header("ETag", tag).expect_header("Vary", VARY).expect_body(&made.body);
        again.expect_header("Content-Length", &made.body.len().to_string());
        assert!(again.headers.get("age").is_some());
        let answer = h2.ask(&H2Request::new("GET", "/x").header("accept", BROWSER));
        assert_eq!(answer.headers.get("etag"), Some(tag));
        assert!(answer.body == made.body, "over HTTP/2");
        let head = proxy.ask(&request("HEAD", "/x").header("Accept", BROWSER));
        head.expect_header("Content-Type", "image/webp").expect_header("ETag", tag);
    }
    let originals = || metric(&proxy, "images_answers_total{format=\"original\"}");
    let before = originals();
    for other in [get("/x"), get("/x").header("Accept", "*/*")] {
        let answer = proxy.ask(&other);
        answer.expect_header("Content-Type", "image/jpeg").expect_header("ETag", "\"v1\"");
        answer.expect_header("X-Media", "original; reason=accept").expect_header("Vary", VARY);
        answer.expect_body(&original);
    }
    assert_eq!(origin.requests("/x").len(), 1);
    assert_eq!(metric(&proxy, "images_made_total"), 1);
    assert_eq!(metric(&proxy, "images_stored_total"), 1);
    assert_eq!(originals(), before + 2);
    assert!(metric(&proxy, "images_answers_total{format=\"webp\"}") >= 7);
    assert!(metric(&proxy, "images_saved_bytes_total") > 10_000);
}

#[test]
fn what_clients_do_not_take_is_never_sent() {
    let origin = Origin::start().serve("/x", picture("image/jpeg", jpeg(300, 200)));
    let proxy = on(&origin);
    once_it_is("image/webp", &proxy, &wanted("/x"));
    for accept in [
        "image/webp;q=0, */*",
        "image/webp;q=0.4, image/*;q=0.5",
        "image/*",
        "image/avif",
        "image/jpeg, image/webp;q=0.9",
        "text/html",
        "",
    ] {
        let answer = proxy.ask(&get("/x").header("Accept", accept));
        answer.expect_header("Content-Type", "image/jpeg").expect_header("Vary", VARY);
    }
    for accept in ["image/webp", "IMAGE/WEBP;q=0.1", "image/webp, image/*;q=0.8"] {
        let answer = proxy.ask(&get("/x").header("Accept", accept));
        answer.expect_header("Content-Type", "image/webp").expect_header("Vary", VARY);
    }
    let forbidden = proxy.ask(&wanted("/x").header("Cache-Control", "no-transform"));
    forbidden.expect_header("Content-Type", "image/jpeg");
    forbidden.expect_header("X-Media", "original; reason=asked");
}

#[test]
fn an_image_that_moves_still_does() {
    let origin = Origin::start().serve("/x", picture("image/gif", animation()));
    let proxy = on(&origin);
    proxy.ask(&wanted("/x"));
    let made = once_it_is("image/webp", &proxy, &wanted("/x"));
    assert!(media(&made).contains("; frames=3; "), "{}", media(&made));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.webp");
    std::fs::write(&file, &made.body).unwrap();
    let seen = Command::new("webpinfo").arg(&file).output().expect("installed by setup.sh");
    let seen = String::from_utf8_lossy(&seen.stdout);
    assert_eq!(seen.matches("Chunk ANMF").count(), 3, "{seen}");
}

#[test]
fn what_was_drawn_loses_nothing_and_keeps_what_is_transparent() {
    let drawing = RgbaImage::from_fn(200, 150, |x, y| {
        let is_ink = (x / 8 + y / 6) % 3 == 0;
        image::Rgba(if is_ink { [20, 40, 90, 255] } else { [0, 0, 0, 0] })
    });
    let origin = Origin::start()
        .serve("/x", picture("image/png", encoded(drawing.clone(), ImageFormat::Png)));
    let proxy = on(&origin);
    let made = once_it_is("image/webp", &proxy, &wanted("/x"));
    assert!(media(&made).contains("; lossless; "), "{}", media(&made));
    assert!(decoded(&made.body).to_rgba8() == drawing);
}

#[test]
fn images_are_as_wide_as_clients_have_room_for() {
    let origin = Origin::start()
        .serve("/x", picture("image/jpeg", jpeg(500, 300)))
        .serve("/page", Reply::ok("<p>").header("Content-Type", "text/html"));
    let lines = "images = { widths = [100, 200, 1000], quality = 70, save_data_quality = 30 }";
    let log = "[[log.access]]\nfile = \"access.log\"\nformat = \"$uri $image_format $image_width\"";
    let proxy = Proxy::start(&storing(&origin, lines, "").toml(log));
    let said = |name: &str, value: &str| wanted("/x").header(name, value);
    let cases = [
        (said("Sec-CH-Width", "90"), 100, "w100"),
        (said("Sec-CH-Width", "101"), 200, "w200"),
        (said("Sec-CH-Viewport-Width", "60").header("Sec-CH-DPR", "2.0"), 200, "w200"),
        // Never up.
        (said("Sec-CH-Width", "2000"), 500, "w1000"),
        (wanted("/x"), 500, ""),
    ];
    for (request, width, token) in cases {
        let made = once_it_is("image/webp", &proxy, &request);
        assert_eq!(decoded(&made.body).width(), width);
        made.expect_header(
            "Vary",
            "accept, save-data, sec-ch-dpr, sec-ch-viewport-width, sec-ch-width",
        );
        let tag = made.headers.get("etag").unwrap();
        let name = format!("webp-q70{}{token};", if token.is_empty() { "" } else { "-" });
        assert!(tag.contains(&name), "{tag}");
    }
    let full = once_it_is("image/webp", &proxy, &wanted("/x")).body.len();
    let saving = once_it_is("image/webp", &proxy, &wanted("/x").header("Save-Data", "on"));
    assert!(media(&saving).contains("; quality=30; ") && saving.body.len() < full);
    let page = proxy.get("/page");
    page.expect_header("Accept-CH", "Sec-CH-Width, Sec-CH-DPR, Sec-CH-Viewport-Width");
    page.expect_no_header("Vary");
    proxy.get("/x").expect_no_header("Accept-CH");
    let log = proxy.folder().join("access.log");
    for line in ["/x webp 100\n", "/x webp 200\n", "/x webp -\n", "/x original -\n", "/page - -\n"]
    {
        eventually(line, Deadline::soon(), || {
            std::fs::read_to_string(&log).unwrap_or_default().contains(line).then_some(())
        });
    }
}

#[test]
fn clients_wait_for_what_is_made_of_what_is_stored_where_they_are_to() {
    let origin = Origin::start()
        .serve("/x", picture("image/jpeg", jpeg(300, 200)))
        .serve("/late", picture("image/png", encoded(photo(2600, 2000), ImageFormat::Png)));
    let proxy = Proxy::start(&storing(
        &origin,
        "images = { mode = \"inline\", deadline = \"1m\", widths = [100] }",
        "",
    ));
    proxy.get("/x").expect_header("Content-Type", "image/jpeg");
    let made = proxy.ask(&wanted("/x"));
    made.expect_header("Content-Type", "image/webp");
    // Several wait for the one that is made.
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let mut client = proxy.client();
            client.send(wanted("/x").header("Sec-CH-Width", "90").to_bytes());
            client
        })
        .collect();
    for mut client in clients {
        client.response().expect_header("Content-Type", "image/webp");
    }
    assert_eq!(metric(&proxy, "images_made_total"), 2);
    let verdict =
        proxy.reload(&storing(&origin, "images = { mode = \"inline\", deadline = \"1ms\" }", ""));
    verdict.expect_accepted();
    proxy.get("/late").expect_header("Content-Type", "image/png");
    let late = proxy.ask(&wanted("/late"));
    late.expect_header("X-Media", "original; reason=late");
    late.expect_header("Content-Type", "image/png");
    once_it_is("image/webp", &proxy, &wanted("/late"));
}

#[test]
fn what_is_broken_or_no_better_is_sent_as_it_came_and_looked_at_once() {
    let whole = jpeg(300, 200);
    let small = encoded(RgbImage::new(2, 2), ImageFormat::Png);
    let mut bomb = small;
    // The head says 50,000 by 50,000 pixels.
    bomb[16..24].copy_from_slice(&[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
    let cases = [
        ("truncated", "image/jpeg", whole[..whole.len() / 2].to_vec(), "broken"),
        ("mislabelled", "image/png", whole.clone(), "original"),
        ("pixels", "image/png", bomb, "original"),
        ("size", "image/jpeg", jpeg_of(20, 200, 150), "original"),
        ("unsupported", "image/gif", b"no image at all".to_vec(), "original"),
        ("vector", "image/png", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "original"),
    ];
    let mut origin = Origin::start();
    for (reason, kind, body, _) in &cases {
        origin = origin.serve(&format!("/{reason}"), picture(kind, body.clone()));
    }
    let proxy = Proxy::start(&storing(&origin, "images = { quality = 100 }", ""));
    for (reason, kind, body, what) in &cases {
        let request = wanted(&format!("/{reason}"));
        let said = format!("{what}; reason={reason}");
        let answer = once_said(&said, &proxy, &request);
        answer.expect_status(200).expect_header("Content-Type", kind).expect_body(body);
        answer.expect_header("ETag", "\"v1\"").expect_header("Vary", VARY);
        for _ in 0..3 {
            proxy.ask(&request).expect_header("X-Media", &said);
        }
        assert_eq!(metric(&proxy, &format!("images_left_total{{reason=\"{reason}\"}}")), 1);
    }
    assert_eq!(metric(&proxy, "images_made_total"), 0);
}

#[test]
fn what_is_no_image_or_may_not_be_changed_is_left_alone() {
    let svg = picture("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec());
    let origin = Origin::start()
        .serve("/svg", svg)
        .serve("/page", picture("text/html", b"<p>".to_vec()))
        .serve("/kept", picture("image/jpeg", jpeg(90, 90)).header("Cache-Control", "no-transform"))
        .serve("/missing", picture("image/png", Vec::new()).status(404))
        .serve(
            "/private",
            Reply::ok(jpeg(90, 90))
                .header("Content-Type", "image/jpeg")
                .header("Cache-Control", "private"),
        );
    let proxy = on(&origin);
    for path in ["/svg", "/page", "/kept", "/missing"] {
        for _ in 0..3 {
            let answer = proxy.ask(&wanted(path));
            answer.expect_no_header("X-Media").expect_no_header("Vary");
        }
    }
    for _ in 0..3 {
        let answer = proxy.ask(&wanted("/private"));
        answer.expect_header("X-Media", "original; reason=unstored").expect_header("Vary", VARY);
    }
    assert_eq!(metric(&proxy, "images_queue"), 0);
    assert_eq!(metric(&proxy, "images_made_total"), 0);
}

#[test]
fn images_and_that_there_is_none_outlive_a_restart() {
    let folder = cache_disk::folder();
    let path = folder.path().join("cache");
    let zone = format!("disk = {{ path = \"{}\", {} }}", path.display(), cache_disk::ROOMY);
    let origin = Origin::start()
        .serve("/x", picture("image/png", encoded(photo(300, 200), ImageFormat::Png)))
        .serve("/small", picture("image/jpeg", jpeg_of(20, 200, 150)));
    let config = storing(&origin, "images = { quality = 100 }", &zone);
    let proxy = cache_disk::start(&folder, &config);
    let made = once_it_is("image/webp", &proxy, &wanted("/x"));
    once_said("original; reason=size", &proxy, &wanted("/small"));
    cache_disk::wait_for_stored(&proxy, 4);
    proxy.stop();
    let proxy = cache_disk::start(&folder, &config);
    for _ in 0..2 {
        let again = proxy.ask(&wanted("/x"));
        again.expect_header("ETag", made.headers.get("etag").unwrap()).expect_body(&made.body);
        proxy.ask(&wanted("/small")).expect_header("X-Media", "original; reason=size");
    }
    assert_eq!(origin.heads(), 2);
    assert_eq!(metric(&proxy, "images_made_total"), 0);
}

#[test]
fn an_image_is_made_of_what_arrives_as_soon_as_it_is_there() {
    let (body, gate) = (jpeg(300, 200), Gate::new());
    let head = format!(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let (one, other) = body.split_at(body.len() / 2);
    let steps = [
        Step::send(head),
        Step::Send(one.to_vec()),
        Step::Wait(gate.clone()),
        Step::Send(other.to_vec()),
        Step::Next,
    ];
    let origin =
        Origin::start().serve("/x", switchback_integration::Answer::Script(steps.to_vec()));
    let proxy = on(&origin);
    let mut first = proxy.client();
    first.send(wanted("/x").to_bytes());
    first.response_head().expect_header("Content-Type", "image/jpeg");
    gate.pass();
    let made = eventually("it is stored", Deadline::soon(), || {
        (metric(&proxy, "images_stored_total") == 1).then(|| proxy.ask(&wanted("/x")))
    });
    // Without a tag of its own there is none to be had.
    made.expect_header("Content-Type", "image/webp").expect_no_header("ETag");
    assert_eq!(origin.heads(), 1);
}

#[test]
fn many_images_are_all_made_though_few_are_at_once() {
    let origin = (0..20).fold(Origin::start(), |origin, at| {
        origin.serve(&format!("/{at}"), picture("image/jpeg", jpeg(100 + at, 80)))
    });
    let proxy = Proxy::start(
        &storing(&origin, "images = \"on\"", "").toml("[encoders]\nthreads = 1\nqueue = 1"),
    );
    for at in 0..20 {
        proxy.ask(&wanted(&format!("/{at}"))).expect_header("Content-Type", "image/jpeg");
    }
    eventually("all are stored", Deadline::soon(), || {
        (metric(&proxy, "images_stored_total") == 20).then_some(())
    });
    for at in 0..20 {
        proxy.ask(&wanted(&format!("/{at}"))).expect_header("Content-Type", "image/webp");
    }
    assert_eq!(metric(&proxy, "images_refused_total"), 0);
}

#[test]
fn formats_that_this_build_does_not_make_are_refused() {
    if switchback_images::Target::Avif.is_built() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::start();
    let config = storing(&origin, "images = { formats = [\"avif\", \"webp\"] }", "");
    std::fs::write(folder.path().join("c.toml"), config.to_toml()).unwrap();
    let checked = switchback(folder.path(), &["check", "-c", "c.toml"]);
    checked.expect_text("this build makes no images in `avif`");
    checked.expect_text("leave it out, or build with the feature `avif`");
}
