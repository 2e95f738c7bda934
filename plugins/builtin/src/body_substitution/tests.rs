use proptest::prelude::*;
use switchback_plugin::testing::{Harness, Reply, Scene};

use super::*;
use crate::trial::{assert_refused, plugin};

fn substitution(rules: &str, more: &str) -> Harness<BodySubstitution> {
    plugin(&format!(r#"{{"rules": [{rules}]{more}}}"#))
}

fn page(pieces: &[&str]) -> Scene {
    let pieces = pieces.iter().map(|piece| piece.as_bytes().to_vec());
    Scene::get("/")
        .with_response(200)
        .with_response_header("content-type", "text/html; charset=utf-8")
        .with_response_body(pieces)
}

fn body(rules: &str, pieces: &[&str]) -> String {
    let reply = substitution(rules, "").request(&mut page(pieces));
    assert_eq!(reply.failure, None);
    String::from_utf8(reply.body.to_vec()).unwrap()
}

#[test]
fn text_is_replaced_also_across_pieces() {
    let rule = r#"{"find": "http://", "replace": "https://"}"#;
    assert_eq!(body(rule, &["a http://b http://c"]), "a https://b https://c");
    assert_eq!(body(rule, &["a ht", "tp", ":", "//b ht"]), "a https://b ht");
    assert_eq!(body(rule, &["h", "", "t", ""]), "ht");
    assert_eq!(body(r#"{"find": "x"}"#, &["axb", "x"]), "ab");
}

#[test]
fn of_two_rules_the_first_place_counts_and_then_the_first_rule() {
    let rules = r#"{"find": "ab", "replace": "1"}, {"find": "abc", "replace": "2"}, {"find": "bc", "replace": "3"}"#;
    assert_eq!(body(rules, &["abc", " bc"]), "1c 3");
    let rules = r#"{"find": "abc", "replace": "2"}, {"find": "ab", "replace": "1"}"#;
    assert_eq!(body(rules, &["ab", "c ab"]), "2 1");
    assert_eq!(
        body(r#"{"find": "a", "replace": "b"}, {"find": "b", "replace": "a"}"#, &["ab"]),
        "ba"
    );
}

#[test]
fn letters_are_the_same_in_both_cases_where_that_is_said() {
    let rule = r#"{"find": "Straße", "replace": "road", "ignore_case": true}"#;
    assert_eq!(body(rule, &["sTRA", "ßE straSSe"]), "road straSSe");
}

#[test]
fn only_the_first_is_replaced_where_that_is_said() {
    let rules = r#"{"find": "a", "replace": "1", "once": true}, {"find": "ab", "replace": "2"}"#;
    assert_eq!(body(rules, &["ab a", "b"]), "1b 2");
    let head = r#"{"regex": "(?i)<head[^>]{0,100}>", "replace": "$0<base>", "once": true}"#;
    assert_eq!(body(head, &["<HEAD la", "ng=x><head>"]), "<HEAD lang=x><base><head>");
}

#[test]
fn groups_and_variables_are_in_what_is_put_there() {
    let rule =
        r#"{"regex": "(?P<what>[a-z]{1,9})=([0-9]{1,9})", "replace": "$2=${what} $host $$"}"#;
    let mut scene = page(&["x=1", "2;"]).with_variable("host", "$1");
    let reply = substitution(rule, "").request(&mut scene);
    assert_eq!(reply.body, "12=x $1 $;");
}

#[test]
fn neighbours_count_across_pieces() {
    let word = r#"{"regex": "\\bcat\\b", "replace": "dog"}"#;
    assert_eq!(body(word, &["con", "cat", " cat", "s cat"]), "concat cats dog");
    assert_eq!(body(word, &["ä", "cat cat\u{301}"]), "äcat cat\u{301}");
    assert_eq!(body(r#"{"regex": "^a", "replace": "b"}"#, &["a", "a"]), "ba");
    assert_eq!(body(r#"{"regex": "a$", "replace": "b"}"#, &["a", "a"]), "ab");
    assert_eq!(
        body(r#"{"regex": "(?m)^a$", "replace": "b"}"#, &["a\n", "a", "\naa\na"]),
        "b\nb\naa\nb"
    );
}

#[test]
fn nothing_is_held_back_that_cannot_become_a_match() {
    let mut harness = substitution(r#"{"find": "</head>", "replace": "x"}"#, "");
    let mut scene = page(&[]);
    let flow = harness.call(switchback_plugin::Hook::Response, &mut scene);
    assert!(matches!(flow, Flow::Continue));
    for (piece, sent) in [("data: 1\n\n", "data: 1\n\n"), ("a</he", "a"), ("b", "</heb")] {
        let flow = harness.piece(switchback_plugin::Hook::ResponseBody, &mut scene, piece, false);
        assert!(matches!(flow, Flow::Continue));
        assert_eq!(scene.piece().unwrap(), sent);
    }
}

fn reply(more: &str, scene: Scene) -> Reply {
    let mut scene = scene.with_response_body(["a", "a"]);
    substitution(r#"{"find": "a", "replace": "b"}"#, more).request(&mut scene)
}

#[test]
fn only_types_that_are_named_are_searched() {
    let of = |more: &str, media_type: &str| {
        let scene = Scene::get("/").with_response_header("content-type", media_type);
        reply(more, scene).body
    };
    assert_eq!(of("", "TEXT/html"), "bb");
    assert_eq!(of("", "text/plain"), "aa");
    assert_eq!(of(r#", "types": ["text/*"]"#, "text/plain"), "bb");
    assert_eq!(of(r#", "types": ["*"]"#, "image/png"), "bb");
}

#[test]
fn what_is_compressed_is_skipped_or_refused() {
    let scene = || page(&[]).with_response_header("content-encoding", "br");
    assert_eq!(reply("", scene()).body, "aa");
    let refused = reply(r#", "encoded": "refuse""#, scene());
    assert_eq!(refused.status, 502);
    let plain = page(&[]).with_response_header("content-encoding", "identity");
    assert_eq!(reply(r#", "encoded": "refuse""#, plain).body, "bb");
    let mut harness = substitution(r#"{"find": "a"}"#, "");
    harness.request(&mut scene());
    assert_eq!(harness.metric("body_substitution_skipped_total", &[]), Some(1.0));
}

#[test]
fn endpoints_are_asked_for_bodies_that_can_be_read() {
    let sent = |more: &str| {
        let mut scene = page(&[]).with_header("accept-encoding", "br");
        substitution(r#"{"find": "a"}"#, more).request(&mut scene);
        scene.sent().unwrap().contains_key("accept-encoding")
    };
    assert!(!sent(""));
    assert!(sent(r#", "ask_for_plain": false"#));
}

#[test]
fn parts_are_not_asked_for_unless_said_otherwise() {
    let asked = |more: &str| {
        let mut scene =
            page(&[]).with_header("range", "bytes=0-1").with_header("if-range", "\"x\"");
        substitution(r#"{"find": "a"}"#, more).request(&mut scene);
        (scene.header("range").is_some(), scene.header("if-range").is_some())
    };
    assert_eq!(asked(""), (false, false));
    assert_eq!(asked(r#", "keep_ranges": true"#), (true, true));
    let part = page(&[]).with_response(206);
    assert_eq!(reply(r#", "keep_ranges": true"#, part).body, "aa");
}

#[test]
fn the_head_says_nothing_that_is_not_true_of_the_new_body() {
    let scene = || {
        page(&[])
            .with_response_header("etag", "\"x\"")
            .with_response_header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            .with_response_header("accept-ranges", "bytes")
            .with_response_header("content-digest", "x")
    };
    let headers = reply("", scene());
    assert_eq!(headers.header("etag"), Some("W/\"x\""));
    for name in ["last-modified", "accept-ranges", "content-digest"] {
        assert_eq!(headers.header(name), None, "{name}");
    }
    assert!(reply(r#", "keep_last_modified": true"#, scene()).header("last-modified").is_some());
    let mut head = scene().with_response_body(Vec::<Vec<u8>>::new());
    let mut harness = substitution(r#"{"find": "a"}"#, "");
    let mut asked = Scene::new("HEAD", "/")
        .with_response(200)
        .with_response_header("content-type", "text/html")
        .with_response_header("etag", "\"x\"");
    assert_eq!(
        harness.request(&mut asked).header("etag"),
        harness.request(&mut head).header("etag")
    );
    let mut other = scene().with_response(304);
    assert_eq!(harness.request(&mut other).header("etag"), Some("\"x\""));
}

#[test]
fn what_was_replaced_is_counted() {
    let mut harness = substitution(r#"{"find": "a", "replace": "b"}"#, "");
    harness.request(&mut page(&["aa", "a"]));
    harness.request(&mut page(&["x"]));
    assert_eq!(harness.metric("body_replacements_total", &[]), Some(3.0));
}

#[test]
fn mistakes_are_told_with_their_place() {
    assert_refused::<BodySubstitution>(&[
        (r#"{"rules": []}"#, "rules", "nothing is replaced"),
        (r#"{"rules": [{}]}"#, "rules[0]", "exactly one of"),
        (r#"{"rules": [{"find": "a", "regex": "a"}]}"#, "rules[0]", "exactly one of"),
        (r#"{"rules": [{"find": "a"}, {"find": ""}]}"#, "rules[1].find", "nothing is looked for"),
        (r#"{"rules": [{"regex": "("}]}"#, "rules[0].regex", "unclosed"),
        (r#"{"rules": [{"regex": "a+"}]}"#, "rules[0].regex", "no end"),
        (r#"{"rules": [{"regex": "a?"}]}"#, "rules[0].regex", "finds nothing at all"),
        (r#"{"rules": [{"regex": "a{1,99}{1,999}"}]}"#, "rules[0].regex", "at most 65536"),
        (r#"{"rules": [{"regex": "a", "ignore_case": true}]}"#, "rules[0].ignore_case", "(?i)"),
        (r#"{"rules": [{"regex": "a", "replace": "$1"}]}"#, "rules[0].replace", "no group `$1`"),
        (r#"{"rules": [{"find": "a", "replace": "$nobody"}]}"#, "rules[0].replace", "`$nobody`"),
        (r#"{"rules": [{"find": "a"}], "types": []}"#, "types", "no type"),
        (r#"{"rules": [{"find": "a"}], "types": ["*", "html"]}"#, "types[1]", "`html` is no type"),
        (r#"{"rules": [{"find": "a"}], "encoded": "guess"}"#, "encoded", "guess"),
        (r#"{"rules": [{"find": "a", "with": "b"}]}"#, "rules[0].with", "unknown"),
    ]);
}

/// Rules of tests, as the plugin takes them and as the naive replacement does.
#[derive(Clone, Debug)]
struct Sample {
    text: String,
    is_regex: bool,
    once: bool,
}

fn sample() -> impl Strategy<Value = Sample> {
    let regexes = prop::sample::select(vec![
        "[ab]{2,3}",
        "a(b|c){1,2}",
        "\\bab",
        "b\\b",
        "(?i)AB",
        "a$",
        "^b",
        "[^a]{1,2}a",
        "(?m)c$",
        "ab|abc|b",
    ]);
    let text = prop_oneof![
        "[abc ]{1,4}".prop_map(|text| (text, false)),
        regexes.prop_map(|text| (text.to_owned(), true)),
    ];
    (text, any::<bool>()).prop_map(|((text, is_regex), once)| Sample { text, is_regex, once })
}

/// All of it at once: at each place, the first rule that is found there.
fn naive(samples: &[Sample], text: &[u8]) -> Vec<u8> {
    let regexes: Vec<_> = samples
        .iter()
        .map(|sample| {
            let pattern =
                if sample.is_regex { sample.text.clone() } else { regex::escape(&sample.text) };
            regex::bytes::Regex::new(&pattern).unwrap()
        })
        .collect();
    let mut spent = vec![false; samples.len()];
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        let found = regexes.iter().enumerate().filter(|(rule, _)| !spent[*rule]);
        let found = found.filter_map(|(rule, regex)| {
            regex.find_at(text, at).map(|found| (found.start(), rule, found.end()))
        });
        let Some((start, rule, end)) = found.min() else { break };
        out.extend_from_slice(&text[at..start]);
        out.extend_from_slice(format!("<{rule}>").as_bytes());
        spent[rule] = samples[rule].once;
        at = end;
    }
    out.extend_from_slice(&text[at..]);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn any_pieces_give_the_same_as_the_whole(
        samples in prop::collection::vec(sample(), 1..4),
        pieces in prop::collection::vec("[abc \nä]{0,6}", 1..8),
    ) {
        let rules: Vec<_> = samples
            .iter()
            .enumerate()
            .map(|(index, sample)| {
                let key = if sample.is_regex { "regex" } else { "find" };
                serde_json::json!({ key: sample.text, "replace": format!("<{index}>"), "once": sample.once })
            })
            .collect();
        let options = serde_json::json!({ "rules": rules }).to_string();
        let mut harness = plugin::<BodySubstitution>(&options);
        // Cut anywhere, also within a character.
        let whole = pieces.concat().into_bytes();
        let mut cut = Vec::new();
        let mut rest = &whole[..];
        for piece in &pieces {
            let (piece, behind) = rest.split_at((piece.len() + 1).min(rest.len()));
            cut.push(piece.to_vec());
            rest = behind;
        }
        cut.push(rest.to_vec());
        let mut scene = page(&[]).with_response_body(cut);
        let reply = harness.request(&mut scene);
        prop_assert_eq!(reply.body.to_vec(), naive(&samples, &whole), "{:?}", samples);
    }
}
