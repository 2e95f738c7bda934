use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::segment::{Script, Worker};

fn read(lines: &[(&str, &str)]) -> Capabilities {
    Capabilities::read(
        lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())),
        Needs::ALL,
    )
}

#[test]
fn it_is_small() {
    assert!(size_of::<Capabilities>() <= 128, "{} bytes", size_of::<Capabilities>());
}

#[test]
fn who_says_nothing_gets_what_is_stored() {
    let client = read(&[]);
    assert_eq!(client, Capabilities::default());
    assert!(client.takes_identity());
    assert!(Coding::ALL.into_iter().all(|coding| client.weight(coding) == 0));
    assert!(!client.takes_image(ImageType::Webp, ImageType::Jpeg));
}

#[test]
fn a_browser_is_read_as_it_is() {
    let client = read(&[
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0"),
        ("accept", "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"),
        ("Accept-Encoding", "gzip, deflate, br, zstd, dcb, dcz"),
        ("save-data", "on"),
        ("sec-ch-width", "640"),
        ("sec-ch-viewport-width", "1280"),
        ("sec-ch-dpr", "1.5"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-dest", "image"),
        ("available-dictionary", ":pZGm1Av0IEBKARczz7exkNYsZb8LzaMrV7J32a2fFG4=:"),
    ]);
    let hints =
        Hints { save_data: true, width: Some(640), viewport_width: Some(1280), dpr: Some(1500) };
    assert_eq!(client.hints(), hints);
    assert!(client.takes_image(ImageType::Webp, ImageType::Jpeg));
    assert!(client.takes_image(ImageType::Avif, ImageType::Png));
    assert!(!client.takes_image(ImageType::Jxl, ImageType::Png));
    assert!(client.takes(Coding::Dcz) && client.takes(Coding::Dcb));
    assert_eq!(client.dictionary().unwrap().as_bytes()[..2], [0xa5, 0x91]);
    assert_eq!(client.segment(), Segment { script: Script::Modern, worker: Worker::None });
}

#[test]
fn what_browsers_write_is_read_as_if_it_were_taken_apart() {
    let codings = USUAL_CODINGS.iter().map(|(line, _)| ("accept-encoding", *line));
    let accepts = USUAL_ACCEPT.iter().map(|(line, ..)| ("accept", *line));
    for (name, line) in codings.chain(accepts) {
        assert_eq!(read(&[(name, line)]), read(&[(name, &format!("{line} "))]), "{line}");
    }
}

#[test]
fn what_is_not_needed_is_not_looked_at() {
    let lines = [("accept-encoding", "br"), ("save-data", "on"), ("sec-fetch-dest", "image")];
    let of = |needs| {
        Capabilities::read(lines.map(|(name, value)| (name.as_bytes(), value.as_bytes())), needs)
    };
    assert_eq!(of(Needs::NOTHING), Capabilities::default());
    assert!(of(Needs::CODINGS).takes(Coding::Br) && of(Needs::DICTIONARY).takes(Coding::Br));
    assert!(!of(Needs::CODINGS).hints().save_data && of(Needs::HINTS).hints().save_data);
    assert_eq!(of(Needs::HINTS.and(Needs::CODINGS)).segment(), Segment::default());
    assert_eq!(of(Needs::SEGMENT).segment().script, Script::Modern);
}

#[test]
fn a_hint_by_its_new_name_counts_for_more() {
    for lines in [[("width", "1"), ("sec-ch-width", "2")], [("sec-ch-width", "2"), ("width", "1")]]
    {
        assert_eq!(read(&lines).hints().width, Some(2));
    }
    assert_eq!(read(&[("sec-ch-dpr", "x"), ("dpr", "2")]).hints().dpr, Some(2000));
}

#[test]
fn wildcards_promise_no_image_type_and_weights_are_obeyed() {
    for (accept, takes) in [
        ("image/webp", true),
        ("image/webp;q=0.1", true),
        ("IMAGE/WebP , */*", true),
        ("image/webp,*/*;q=0.8", true),
        ("*/*", false),
        ("image/*", false),
        ("image/webp;q=0", false),
        ("image/webp;q=0.5, image/jpeg", false),
        ("image/webp;q=0.5, image/*;q=0.8", false),
        ("image/webp;q=0.5, */*", false),
        ("image/webp;q=0.9, image/jpeg;q=0.5, */*", true),
        ("text/html;x=\"image/webp,\"", false),
        ("image/webp2", false),
    ] {
        let client = read(&[("accept", accept)]);
        assert_eq!(client.takes_image(ImageType::Webp, ImageType::Jpeg), takes, "{accept}");
    }
}

#[test]
fn a_dictionary_is_one_hash_and_none_for_pages_of_others() {
    const HASH: &str = ":pZGm1Av0IEBKARczz7exkNYsZb8LzaMrV7J32a2fFG4=:";
    let of = |lines: &[(&str, &str)]| read(lines).dictionary().is_some();
    assert!(of(&[("available-dictionary", HASH)]));
    assert!(of(&[("available-dictionary", HASH), ("sec-fetch-site", "none")]));
    assert!(!of(&[("available-dictionary", HASH), ("sec-fetch-site", "cross-site")]));
    assert!(!of(&[("sec-fetch-site", "same-site"), ("available-dictionary", HASH)]));
    assert!(!of(&[("available-dictionary", HASH), ("available-dictionary", HASH)]));
    assert!(!of(&[("available-dictionary", "pZGm1Av0IEBKARczz7exkNYsZb8LzaMrV7J32a2fFG4=")]));
    assert!(!of(&[("available-dictionary", ":pZGm:")]));
}

#[test]
fn hints_are_numbers_above_nothing() {
    for (value, expected) in [
        ("320", Some(320)),
        (" 320 ", Some(320)),
        ("70000", Some(u16::MAX)),
        ("0", None),
        ("", None),
        ("-1", None),
        ("32.5", None),
        ("1234567890123456", None),
    ] {
        assert_eq!(read(&[("width", value)]).hints().width, expected, "{value:?}");
    }
    for (value, expected) in [
        ("1", Some(1000)),
        ("2.0", Some(2000)),
        ("2.625", Some(2625)),
        ("1.3333333", Some(1333)),
        ("0.5", Some(500)),
        ("100", Some(u16::MAX)),
        ("0", None),
        ("0.0", None),
        (".5", None),
        ("1.x", None),
        ("1.5.5", None),
    ] {
        assert_eq!(read(&[("dpr", value)]).hints().dpr, expected, "{value:?}");
    }
    for (value, expected) in
        [("on", true), ("on; x", true), ("off", false), ("On", false), ("", false)]
    {
        assert_eq!(read(&[("save-data", value)]).hints().save_data, expected, "{value:?}");
    }
}

#[test]
fn who_does_not_look_like_a_browser_runs_no_scripts() {
    let script = |lines: &[(&str, &str)]| read(lines).segment().script;
    assert_eq!(script(&[("user-agent", "curl/8.0")]), Script::None);
    assert_eq!(script(&[("user-agent", "Mozilla/5.0 (compatible)")]), Script::Legacy);
    assert_eq!(script(&[("sec-ch-ua", "\"Chromium\";v=\"156\"")]), Script::Modern);
    assert_eq!(script(&[("accept", "text/html,image/avif")]), Script::Modern);
    let said = [("sec-fetch-dest", "document"), ("cookie", "switchback-segment=legacy.shared")];
    assert_eq!(read(&said).segment(), Segment { script: Script::Legacy, worker: Worker::Shared });
}

const NAMES: [&str; 8] = [
    "accept",
    "accept-encoding",
    "save-data",
    "sec-ch-dpr",
    "width",
    "available-dictionary",
    "cookie",
    "user-agent",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_lines_are_read_alike_from_a_map_and_keep_their_promises(
        lines in prop::collection::vec((prop::sample::select(NAMES.to_vec()), "[ -~]{0,60}"), 0..8),
    ) {
        let text: Vec<String> = lines.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        check_capabilities(text.join("\n").as_bytes());
        let mut headers = HeaderMap::new();
        for (name, value) in &lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        // A map gives lines of one name together, and in their order.
        let mut sorted = lines.clone();
        sorted.sort_by_key(|(name, _)| *name);
        let read = Capabilities::read(sorted.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())), Needs::ALL);
        prop_assert_eq!(Capabilities::of(&headers, Needs::ALL), read);
    }

    #[test]
    fn any_bytes_are_read(data in prop::collection::vec(any::<u8>(), 0..200)) {
        check_capabilities(&data);
    }
}
