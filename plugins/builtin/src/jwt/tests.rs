use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{encoding::AsDer, hmac};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use http::StatusCode;
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::{Value, json};
use switchback_plugin::testing::{Harness, Reply, Scene};
use switchback_plugin::{HttpResponse, OperationError};

use super::Jwt;
use super::algorithm::Algorithm;
use super::key_set::{KeySet, Said};
use super::token::Token;
use crate::testing::{File, plugin, refused};

/// 2026-01-01, when the harness begins.
const NOW: u64 = 1_767_225_600;

/// Somebody who signs tokens.
struct Signer {
    id: &'static str,
    key: EcdsaKeyPair,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        Self { id, key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id, "alg": "ES256",
            "x": BASE64.encode(x), "y": BASE64.encode(y),
        })
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "kid": self.id });
        signed(&header, claims, |message| {
            self.key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
        })
    }
}

fn signed(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let encode = |value: &Value| BASE64.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = BASE64.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// The plugin, with a file of `keys`.
fn with_keys(keys: &[Value], mut options: Value) -> (Harness<Jwt>, File) {
    let file = File::new(set(keys));
    options["jwks_file"] = json!(file.path());
    (plugin(options), file)
}

fn bearer(token: &str) -> Scene {
    Scene::get("/").with_header("authorization", format!("Bearer {token}"))
}

fn ask(jwt: &mut Harness<Jwt>, token: &str) -> Reply {
    jwt.request(&mut bearer(token))
}

fn claims() -> Value {
    json!({ "sub": "alice", "exp": NOW + 60 })
}

#[test]
fn the_examples_of_the_rfcs_are_verified() {
    let hs = json!({ "kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow" });
    let rs = json!({
        "kty": "RSA", "e": "AQAB",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    });
    let es256 = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let es512 = json!({
        "kty": "EC", "crv": "P-521",
        "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
    });
    let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    let joe = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let joe_rs = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let all = [&hs, &rs, &es256, &es512, &ed];
    let mut algorithms = Algorithm::asymmetric();
    algorithms.extend([Algorithm::HS256, Algorithm::HS384, Algorithm::HS512]);
    for (key, token) in [
        // RFC 7515, appendices A.1 to A.4; RFC 8037, appendix A.4.
        (&hs, format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{joe}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")),
        (&rs, format!("eyJhbGciOiJSUzI1NiJ9.{joe}.{joe_rs}")),
        (&es256, format!("eyJhbGciOiJFUzI1NiJ9.{joe}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")),
        (&es512, "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn".into()),
        (&ed, "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg".into()),
    ] {
        let token = Token::parse(&token).unwrap();
        let said = |keys: &[Value], message: &[u8], signature: &[u8]| {
            let keys = KeySet::parse(set(keys).as_bytes(), &algorithms).unwrap();
            keys.verify(None, token.algorithm, message, signature)
        };
        let own = [(*key).clone()];
        assert_eq!(said(&own, token.message, &token.signature), Said::Good, "{:?}", token.algorithm);
        let mut wrong = token.signature.clone();
        wrong[0] ^= 1;
        assert_eq!(said(&own, token.message, &wrong), Said::Bad);
        assert_eq!(said(&own, &[token.message, b"x"].concat(), &token.signature), Said::Bad);
        assert_eq!(said(&own, token.message, b""), Said::Bad);
        let others: Vec<Value> = all.iter().filter(|other| **other != key).map(|&other| other.clone()).collect();
        assert_eq!(said(&others, token.message, &token.signature), Said::Unknown, "of another kind");
    }
}

#[test]
fn a_good_token_passes_and_tells_its_claims() {
    let signer = Signer::new("one");
    let (mut jwt, _file) = with_keys(
        &[signer.jwk()],
        json!({
            "headers": { "x-user": "sub", "x-roles": "realm_access.roles", "x-level": "level", "x-gone": "gone", "x-bad": "bad" },
            "variables": { "plugin_tenant": "https://example.com/tenant", "plugin_object": "realm_access" },
            "hide": true,
        }),
    );
    let token = signer.sign(&json!({
        "sub": "alice", "exp": NOW + 60, "level": 3, "bad": "a\r\nx-admin: 1",
        "https://example.com/tenant": "acme", "realm_access": { "roles": ["a", "b"] },
    }));
    let mut scene = bearer(&token)
        .with_header("x-user", "root")
        .with_header("x-gone", "root")
        .with_header("x-bad", "1");
    assert_eq!(jwt.request(&mut scene).status, 200);
    let sent = scene.sent().unwrap();
    for (name, value) in [
        ("x-user", Some("alice")),
        ("x-roles", Some("a,b")),
        ("x-level", Some("3")),
        ("x-gone", None),
        ("x-bad", None),
        ("authorization", None),
    ] {
        assert_eq!(sent.get(name).map(|value| value.to_str().unwrap()), value, "{name}");
    }
    assert_eq!(sent.get_all("x-user").iter().count(), 1);
    assert_eq!(scene.variable("plugin_tenant"), Some(&b"acme"[..]));
    assert_eq!(scene.variable("plugin_object"), Some(&br#"{"roles":["a","b"]}"#[..]));
}

#[test]
fn tokens_of_every_kind_of_key_pass() {
    let rsa = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    // PKCS #1's form of it, with 2048 bits and the usual exponent: nine bytes, the modulus, five bytes.
    let modulus = &rsa.public_key().as_ref()[9..265];
    // Some write a zero before it.
    let modulus = BASE64.encode([&[0], modulus].concat());
    let rsa_jwk = json!({ "kty": "RSA", "n": modulus, "e": "AQAB" });
    let edwards = Ed25519KeyPair::generate().unwrap();
    let edwards_jwk =
        json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64.encode(edwards.public_key()) });
    let (mut jwt, _file) = with_keys(&[rsa_jwk, edwards_jwk], json!({}));
    let paddings: [(&str, &'static dyn RsaEncoding); 2] =
        [("RS256", &RSA_PKCS1_SHA256), ("PS256", &RSA_PSS_SHA256)];
    for (name, padding) in paddings {
        let token = signed(&json!({ "alg": name }), &claims(), |message| {
            let mut signature = vec![0; 256];
            rsa.sign(padding, &SystemRandom::new(), message, &mut signature).unwrap();
            signature
        });
        assert_eq!(ask(&mut jwt, &token).status, 200, "{name}");
    }
    let token = signed(&json!({ "alg": "EdDSA" }), &claims(), |message| {
        edwards.sign(message).as_ref().to_vec()
    });
    assert_eq!(ask(&mut jwt, &token).status, 200);
}

#[test]
fn who_has_no_token_or_a_bad_one_is_told_as_rfc_6750_wants() {
    let signer = Signer::new("one");
    let (mut jwt, _file) = with_keys(&[signer.jwk()], json!({ "realm": "Shop" }));
    let none = jwt.request(&mut Scene::get("/"));
    assert_eq!(
        (none.status, none.header("www-authenticate")),
        (401, Some("Bearer realm=\"Shop\""))
    );
    let good = signer.sign(&claims());
    let (message, _) = good.rsplit_once('.').unwrap();
    let stranger = Signer::new("one").sign(&claims());
    for (token, why) in [
        ("abc", "not a signed token"),
        ("a.b", "not a signed token"),
        ("a.b.c", "not a signed token"),
        (&*format!("{good}.x"), "not a signed token"),
        (&*format!("{message}."), "signature is wrong"),
        (&*stranger, "signature is wrong"),
        (&*Signer::new("two").sign(&claims()), "no key that is known"),
        (&*"a".repeat(20_000), "too long"),
        (&*signer.sign(&json!([1])), "no JSON object"),
    ] {
        let reply = ask(&mut jwt, token);
        let challenge = reply.header("www-authenticate").unwrap();
        assert_eq!(reply.status, 401);
        assert!(
            challenge.starts_with(
                "Bearer realm=\"Shop\", error=\"invalid_token\", error_description=\""
            ),
            "{challenge}"
        );
        assert!(challenge.contains(why), "{challenge}: {why}");
    }
}

#[test]
fn what_a_token_says_of_its_algorithm_opens_nothing() {
    let signer = Signer::new("one");
    let jwk = signer.jwk();
    let (mut jwt, _file) = with_keys(std::slice::from_ref(&jwk), json!({}));
    let public = signer.key.public_key();
    let der = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(public).unwrap();
    let by_public_key = |secret: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        signed(&json!({ "alg": "HS256", "kid": "one" }), &claims(), |message| {
            hmac::sign(&key, message).as_ref().to_vec()
        })
    };
    let unsigned =
        |alg: &str| signed(&json!({ "alg": alg, "kid": "one" }), &claims(), |_| Vec::new());
    let sign = |header: Value| {
        signed(&header, &claims(), |message| {
            signer.key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
        })
    };
    for token in [
        unsigned("none"),
        unsigned("None"),
        unsigned("NONE"),
        unsigned(""),
        unsigned("ES256"),
        by_public_key(public.as_ref()),
        by_public_key(der.as_ref()),
        by_public_key(jwk.to_string().as_bytes()),
        sign(json!({ "alg": "es256" })),
        sign(json!({ "alg": "ES384" })),
        sign(json!({ "alg": "ES256", "crit": ["exp"] })),
        sign(json!({ "alg": "ES256", "crit": ["b64"], "b64": false })),
        sign(json!({ "alg": ["ES256"] })),
        sign(json!({ "kid": "one" })),
        // A key that it brings along is nobody's.
        sign(json!({ "alg": "ES256", "kid": "two", "jwk": jwk })),
    ] {
        assert_eq!(ask(&mut jwt, &token).status, 401, "{token}");
    }
    assert_eq!(
        ask(&mut jwt, &sign(json!({ "alg": "ES256" }))).status,
        200,
        "without an id, all keys are tried"
    );
}

#[test]
fn an_algorithm_that_is_not_named_is_not_allowed() {
    let signer = Signer::new("one");
    let secret = json!({ "kty": "oct", "k": BASE64.encode([7; 32]) });
    let (mut jwt, _file) =
        with_keys(&[signer.jwk(), secret], json!({ "algorithms": ["HS256", "RS256"] }));
    assert_eq!(ask(&mut jwt, &signer.sign(&claims())).status, 401);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    let token = signed(&json!({ "alg": "HS256" }), &claims(), |message| {
        hmac::sign(&key, message).as_ref().to_vec()
    });
    assert_eq!(ask(&mut jwt, &token).status, 200);
}

#[test]
fn a_shared_secret_is_read_from_a_file() {
    let file = File::new("0123456789abcdef0123456789abcdef\n");
    let mut jwt = plugin::<Jwt>(json!({ "secret_file": file.path(), "algorithms": ["HS256"] }));
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef0123456789abcdef");
    let token = signed(&json!({ "alg": "HS256", "kid": "any" }), &claims(), |message| {
        hmac::sign(&key, message).as_ref().to_vec()
    });
    assert_eq!(ask(&mut jwt, &token).status, 200);
}

#[test]
fn claims_are_held_against_the_rules() {
    let signer = Signer::new("one");
    let options = json!({
        "issuers": ["https://id.example"], "audiences": ["shop", "api"], "required": ["exp", "sub"], "leeway": "10s",
        "claims": { "scope": ["write"], "realm_access.roles": ["admin", "editor"] },
    });
    let (mut jwt, _file) = with_keys(&[signer.jwk()], options);
    let good = json!({
        "sub": "alice", "iss": "https://id.example", "aud": "api", "exp": NOW + 5, "nbf": NOW,
        "scope": "read write", "realm_access": { "roles": ["editor", "x"] },
    });
    for (name, value, expected) in [
        ("sub", json!("bob"), 200),
        ("sub", Value::Null, 401),
        ("exp", Value::Null, 401),
        ("exp", json!(NOW - 9), 200),
        ("exp", json!(NOW - 10), 401),
        ("exp", json!(NOW as f64 + 0.5), 200),
        ("exp", json!("never"), 401),
        ("nbf", json!(NOW + 10), 200),
        ("nbf", json!(NOW + 11), 401),
        ("iss", json!("https://id.example/"), 401),
        ("iss", json!(["https://id.example"]), 401),
        ("iss", Value::Null, 401),
        ("aud", json!(["x", "shop"]), 200),
        ("aud", json!(["x"]), 401),
        ("aud", json!([]), 401),
        ("aud", Value::Null, 401),
        ("scope", json!("write"), 200),
        ("scope", json!("read writer"), 403),
        ("scope", Value::Null, 403),
        ("realm_access", json!({ "roles": "admin" }), 200),
        ("realm_access", json!({ "roles": ["user"] }), 403),
        ("realm_access", json!({}), 403),
        ("realm_access", json!("admin"), 403),
    ] {
        let mut changed = good.clone();
        changed[name] = value;
        let reply = ask(&mut jwt, &signer.sign(&changed));
        assert_eq!(reply.status, expected, "{name}: {changed}");
        if expected == 403 {
            assert_eq!(
                reply.header("www-authenticate"),
                Some("Bearer realm=\"API\", error=\"insufficient_scope\"")
            );
        }
    }
}

#[test]
fn without_a_token_nobody_has_claims_even_where_that_is_allowed() {
    let signer = Signer::new("one");
    let (mut jwt, _file) = with_keys(
        &[signer.jwk()],
        json!({ "optional": true, "headers": { "x-user": "sub" }, "from": ["cookie:t", "query:t"] }),
    );
    let mut scene = Scene::get("/").with_header("x-user", "root");
    assert_eq!(jwt.request(&mut scene).status, 200);
    assert!(!scene.sent().unwrap().contains_key("x-user"));
    let token = signer.sign(&claims());
    let mut scene = Scene::get(&format!("/?t={token}"));
    assert_eq!(jwt.request(&mut scene).status, 200);
    assert_eq!(scene.sent().unwrap().get("x-user").unwrap(), "alice");
    let wrong = Scene::get(&format!("/?t={token}")).with_header("cookie", "t=wrong");
    assert_eq!(jwt.request(&mut { wrong }).status, 401);
}

/// A service whose keys can be changed, and how often it was asked.
#[derive(Clone, Default)]
struct Service {
    answer: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Service {
    fn publish(&self, signers: &[&Signer]) {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
        *self.answer.lock() = Some(set(&keys));
    }

    fn fail(&self) {
        *self.answer.lock() = None;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn plugin(&self) -> Harness<Jwt> {
        let mut jwt = plugin::<Jwt>(
            json!({ "jwks": { "upstream": "id", "path": "/keys", "refresh": "1m", "pause": "10s" } }),
        );
        let service = self.clone();
        jwt.respond("id", move |request| {
            assert_eq!(request.target, "/keys");
            service.asked.fetch_add(1, Ordering::Relaxed);
            let body = service.answer.lock().clone().ok_or(OperationError::Failed)?;
            Ok(HttpResponse {
                status: StatusCode::OK,
                body: body.into(),
                ..HttpResponse::default()
            })
        });
        jwt
    }
}

fn lasting() -> Value {
    json!({ "sub": "alice", "exp": NOW + 100_000 })
}

#[test]
fn keys_of_a_service_are_fetched_at_once_and_again_when_they_are_old() {
    let (service, one, two) = (Service::default(), Signer::new("one"), Signer::new("two"));
    service.publish(&[&one]);
    let mut jwt = service.plugin();
    jwt.advance(Duration::ZERO);
    assert_eq!(service.asked(), 1);
    assert_eq!(ask(&mut jwt, &one.sign(&lasting())).status, 200);
    jwt.advance(Duration::from_secs(59));
    assert_eq!(service.asked(), 1);
    service.publish(&[&two]);
    jwt.advance(Duration::from_secs(10));
    assert_eq!(service.asked(), 2);
    assert_eq!(ask(&mut jwt, &two.sign(&lasting())).status, 200);
    assert_eq!(ask(&mut jwt, &one.sign(&lasting())).status, 401, "its key is gone");
}

#[test]
fn a_token_of_a_new_key_has_the_keys_fetched_but_not_at_every_strangers_wish() {
    let (service, one, two) = (Service::default(), Signer::new("one"), Signer::new("two"));
    service.publish(&[&one]);
    let mut jwt = service.plugin();
    jwt.advance(Duration::ZERO);
    service.publish(&[&one, &two]);
    assert_eq!(ask(&mut jwt, &two.sign(&lasting())).status, 401, "asked a moment ago");
    assert_eq!(service.asked(), 1);
    jwt.advance(Duration::from_secs(11));
    assert_eq!(ask(&mut jwt, &two.sign(&lasting())).status, 200);
    assert_eq!(service.asked(), 2);
    for _ in 0..20 {
        assert_eq!(ask(&mut jwt, &Signer::new("stranger").sign(&lasting())).status, 401);
    }
    assert_eq!(service.asked(), 2);
}

#[test]
fn a_service_that_is_away_changes_nothing_and_is_asked_again() {
    let (service, one) = (Service::default(), Signer::new("one"));
    let mut jwt = service.plugin();
    jwt.advance(Duration::ZERO);
    let reply = ask(&mut jwt, &one.sign(&lasting()));
    assert!(reply.failure.unwrap().contains("no keys yet"));
    assert_eq!(service.asked(), 1, "not again within the pause");
    service.publish(&[&one]);
    jwt.advance(Duration::from_secs(10));
    assert_eq!(ask(&mut jwt, &one.sign(&lasting())).status, 200);
    service.fail();
    jwt.advance(Duration::from_secs(200));
    assert!(service.asked() > 10, "every pause, once the keys are old: {}", service.asked());
    assert_eq!(ask(&mut jwt, &one.sign(&lasting())).status, 200);
    *service.answer.lock() = Some("{}".into());
    jwt.advance(Duration::from_secs(20));
    assert_eq!(ask(&mut jwt, &one.sign(&lasting())).status, 200);
    let said = &jwt.lines().last().unwrap().message;
    assert!(said.contains("`id`") && said.contains("RFC 7517") && said.contains("stay"), "{said}");
}

#[test]
fn a_file_of_keys_counts_anew_when_it_changes() {
    let (one, two) = (Signer::new("one"), Signer::new("two"));
    let (mut jwt, file) = with_keys(&[one.jwk()], json!({}));
    jwt.advance(Duration::ZERO);
    file.write(set(&[two.jwk()]));
    jwt.advance(Duration::from_secs(5));
    assert_eq!(ask(&mut jwt, &one.sign(&lasting())).status, 401);
    assert_eq!(ask(&mut jwt, &two.sign(&lasting())).status, 200);
}

#[test]
fn keys_that_cannot_verify_are_left_out() {
    let good = Signer::new("one").jwk();
    let changed = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        jwk
    };
    let short = json!({ "kty": "RSA", "n": BASE64.encode([0xff; 128]), "e": "AQAB" });
    let wrong = BTreeMap::from([
        ("use", changed("use", json!("enc"))),
        ("key_ops", changed("key_ops", json!(["sign"]))),
        ("alg", changed("alg", json!("ES384"))),
        ("none", changed("alg", json!("none"))),
        ("crv", changed("crv", json!("P-384"))),
        ("x", changed("x", json!("AAAA"))),
        ("off the curve", changed("x", json!(BASE64.encode([1; 32])))),
        ("kty", changed("kty", json!("XX"))),
        ("short", short),
        ("secret", json!({ "kty": "oct", "k": BASE64.encode([1; 64]) })),
        ("no object", json!(1)),
    ]);
    let algorithms = Algorithm::asymmetric();
    for (what, jwk) in wrong {
        assert!(
            KeySet::parse(set(std::slice::from_ref(&jwk)).as_bytes(), &algorithms).is_err(),
            "{what}"
        );
        assert!(KeySet::parse(set(&[jwk, good.clone()]).as_bytes(), &algorithms).is_ok(), "{what}");
    }
}

#[test]
fn bad_options_are_refused_where_they_are() {
    let keys = File::new(set(&[Signer::new("one").jwk()]));
    let empty = File::new("{\"keys\":[]}");
    let short = File::new("short");
    let with = |changes: Value| {
        let mut options = json!({ "jwks_file": keys.path() });
        options.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        options
    };
    let service = |changes: Value| {
        let mut options = json!({ "upstream": "known" });
        options.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({ "jwks": options })
    };
    refused::<Jwt>([
        (json!({}), ""),
        (with(json!({ "secret_file": "x" })), ""),
        (json!({ "jwks_file": empty.path() }), "jwks_file"),
        (json!({ "jwks_file": short.path() }), "jwks_file"),
        (json!({ "jwks_file": "/nowhere/at/all" }), "jwks_file"),
        (json!({ "secret_file": short.path() }), "secret_file"),
        (json!({ "secret_file": short.path(), "algorithms": ["HS256"] }), "secret_file"),
        (with(json!({ "algorithms": [] })), "algorithms"),
        (with(json!({ "algorithms": ["none"] })), "algorithms[0]"),
        (with(json!({ "from": [] })), "from"),
        (with(json!({ "from": ["body"] })), "from[0]"),
        (with(json!({ "claims": { "role": [] } })), "claims.role"),
        (with(json!({ "headers": { "te": "sub" } })), "headers.te"),
        (with(json!({ "variables": { "user": "sub" } })), "variables.user"),
        (with(json!({ "realm": "a\"b" })), "realm"),
        (with(json!({ "leeway": 30 })), "leeway"),
        (with(json!({ "issuer": "x" })), "issuer"),
        (service(json!({ "upstream": "nobody" })), "jwks.upstream"),
        (service(json!({ "path": "keys" })), "jwks.path"),
        (service(json!({ "path": "/a b" })), "jwks.path"),
        (service(json!({ "refresh": "10ms" })), "jwks.refresh"),
        (service(json!({ "pause": "0" })), "jwks.pause"),
        (service(json!({ "timeout": "0" })), "jwks.timeout"),
        (service(json!({ "url": "x" })), "jwks.url"),
    ]);
}

proptest! {
    #[test]
    fn no_token_is_too_strange(text in "[a-zA-Z0-9_.=-]{0,60}|\\PC{0,20}", json in "\\PC{0,20}") {
        let _ = Token::parse(&text);
        let token = format!("{}.{}.{}", BASE64.encode("{\"alg\":\"ES256\"}"), BASE64.encode(&json), BASE64.encode(&text));
        if let Ok(token) = Token::parse(&token) {
            let _ = token.claims();
        }
        let _ = KeySet::parse(json.as_bytes(), &Algorithm::asymmetric());
    }
}
