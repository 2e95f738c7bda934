//! What fuzzers ask of what plugins read: each function takes any bytes, and panics when a promise is broken.

use switchback_plugin::Hook;
use switchback_plugin::testing::{Harness, Scene};

use crate::body_substitution::BodySubstitution;
use crate::{
    basic_auth, early_hints, idempotency, ip_filter, jwt, key_auth, origin, redirect, user_agent,
};

/// Rules of several kinds, one set for each first byte.
const RULES: [&str; 4] = [
    r#"{"find": "aba", "replace": "<1>"}, {"find": "ab", "replace": "", "once": true}, {"find": "AbC", "ignore_case": true, "replace": "abc"}"#,
    r#"{"regex": "a(b{1,3})c?", "replace": "[$1]"}, {"find": "bb", "replace": "a"}"#,
    r#"{"regex": "\\b[a-c]{2}\\b", "replace": "$0$0"}, {"regex": "(?m)^a$", "replace": "x", "once": true}"#,
    r#"{"regex": "(?s-u:a..)", "replace": "."}, {"regex": "^b|c$", "replace": "!"}"#,
];

/// A body in pieces of a length that the second byte says, by the rules that the first byte chooses: what is sent is the same as of the
/// whole.
///
/// # Panics
///
/// It is not.
pub fn check_substitution(data: &[u8]) {
    let [first, second, body @ ..] = data else { return };
    let rules = RULES.get(usize::from(*first) % RULES.len()).copied().unwrap_or_default();
    let length = usize::from(*second % 16) + 1;
    assert_eq!(
        substituted(rules, &body.chunks(length).collect::<Vec<_>>()),
        substituted(rules, &[body]),
        "{length}: {}",
        body.escape_ascii()
    );
}

fn substituted(rules: &str, pieces: &[&[u8]]) -> Vec<u8> {
    let options = format!(r#"{{"rules": [{rules}], "types": ["*"]}}"#);
    let made = Harness::<BodySubstitution>::new(&options);
    assert!(made.is_ok(), "the rules here are right: {:?}", made.err());
    let Ok(mut harness) = made else { return Vec::new() };
    let mut scene = Scene::get("/").with_response(200);
    drop(harness.call(Hook::Response, &mut scene));
    let mut sent = Vec::new();
    for piece in pieces {
        drop(harness.piece(Hook::ResponseBody, &mut scene, piece.to_vec(), false));
        sent.extend_from_slice(scene.piece().map_or(&[], |piece| piece));
    }
    drop(harness.piece(Hook::ResponseBody, &mut scene, Vec::new(), true));
    sent.extend_from_slice(scene.piece().map_or(&[], |piece| piece));
    sent
}

/// A file of redirects, a list of networks, a field of links, a key, and a value of a store: nothing of it is too strange, no path leads to
/// another host, and what is read of a store is what is written of that.
///
/// # Panics
///
/// One of them is, or does, or is not.
pub fn check_texts(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        redirect::check_file(text);
        let _ = user_agent::is_list(text);
    }
    early_hints::check_links(data);
    idempotency::check_bytes(data);
}

/// What proves who somebody is, and lists of those who may: a token, a set of keys, files of passwords, of keys and of networks, an origin.
/// Nothing of it is too strange, and no token without a signature is good.
///
/// # Panics
///
/// Something is, or one is.
pub fn check_credentials(data: &[u8]) {
    jwt::check_key_set(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    jwt::check_token(text);
    basic_auth::check_file(text);
    key_auth::check_file(text);
    ip_filter::check_file(text);
    origin::check_pattern(text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_pieces_are_as_good_as_the_whole(
            first: u8, second: u8, body in "[abcABC \n\u{e4}]{0,40}", raw: Vec<u8>,
        ) {
            check_substitution(&[&[first, second], body.as_bytes()].concat());
            check_substitution(&[&[first, second], &*raw].concat());
        }

        #[test]
        fn nothing_is_too_strange(text in "(/[a*/]{0,3} (https://)?[/a*]{0,4}\n|[{}\\[\\]\":,<>;=a-z0-9./]{0,30}){0,3}", raw: Vec<u8>) {
            check_texts(text.as_bytes());
            check_texts(&raw);
        }

        #[test]
        fn no_credential_is_too_strange(text in "[a-zA-Z0-9_.:$={}/*~-]{0,60}|\\PC{0,20}", raw: Vec<u8>) {
            check_credentials(text.as_bytes());
            check_credentials(&raw);
        }
    }
}
