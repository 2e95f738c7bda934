//! Built-in plugins that let requests through, or do not.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use switchback_integration::{Origin, Proxy, Reply, get, post};

use super::{built_in, received};

/// `alice:password`.
const ALICE: &str = "Basic YWxpY2U6cGFzc3dvcmQ=";

#[test]
fn basic_auth_asks_for_a_password() {
    let origin = Origin::start();
    let options =
        "users = { alice = \"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\" }, user_header = \"x-user\"";
    let proxy = Proxy::start(&built_in("basic-auth", options, &origin));
    let asked = proxy.get("/");
    asked.expect_status(401);
    assert!(asked.headers.get("www-authenticate").is_some_and(|how| how.starts_with("Basic")));
    proxy.ask(&get("/").header("Authorization", "Basic YWxpY2U6d3Jvbmc=")).expect_status(401);
    let alice = get("/").header("Authorization", ALICE).header("X-User", "mallory");
    assert_eq!(received(&proxy, &alice, "x-user"), ["alice"]);
    assert_eq!(origin.heads(), 1);
}

#[test]
fn csrf_refuses_what_other_pages_have_made() {
    let origin = Origin::start();
    let options = "trusted = [\"https://admin.example\"]";
    let proxy = Proxy::start(&built_in("csrf", options, &origin));
    let sent = |site: &str| post("/", "x").header("Sec-Fetch-Site", site);
    proxy.ask(&sent("cross-site")).expect_status(403);
    proxy.ask(&sent("same-origin")).expect_status(200);
    proxy.ask(&sent("cross-site").header("Origin", "https://admin.example")).expect_status(200);
    proxy.ask(&get("/").header("Sec-Fetch-Site", "cross-site")).expect_status(200);
}

#[test]
fn forward_auth_has_another_service_decide() {
    let origin = Origin::start();
    let asked = Origin::start().serve("*", Reply::ok("who?").status(401));
    let options = "upstream = \"auth\", path = \"/check\", copy = [\"x-user\"]";
    let config = built_in("forward-auth", options, &origin).upstream("auth", &[&asked], "");
    let proxy = Proxy::start(&config);
    let request = get("/page?a=b").header("X-User", "mallory").header("Cookie", "s=1");
    proxy.ask(&request).expect_status(401).expect_body("who?");
    asked.now_serve("*", Reply::ok("").header("X-User", "alice"));
    assert_eq!(received(&proxy, &request, "x-user"), ["alice"]);
    let question = &asked.requests("/check")[0];
    assert_eq!(question.headers.get("x-forwarded-uri"), Some("/page?a=b"));
    assert_eq!(question.headers.get("cookie"), Some("s=1"));
    // A service that says neither yes nor no lets nobody through.
    asked.now_serve("*", Reply::ok("").status(503));
    proxy.ask(&request).expect_status(500);
    assert_eq!(origin.heads(), 1);
}

#[test]
fn ip_filter_goes_by_the_address() {
    let origin = Origin::start();
    let proxy = Proxy::start(
        &built_in("ip-filter", "deny_files = [\"denied.txt\"], status = 410", &origin)
            .file("denied.txt", "# everybody here\n127.0.0.0/8\n"),
    );
    proxy.get("/").expect_status(410);
    let allowed = built_in("ip-filter", "allow = [\"127.0.0.1\"]", &origin);
    proxy.reload(&allowed).expect_accepted();
    proxy.get("/").expect_status(200);
}

/// A token with these claims, signed with `secret`.
fn token(claims: &Value, secret: &str) -> String {
    let encode = |value: &Value| BASE64.encode(value.to_string());
    let message = format!("{}.{}", encode(&json!({ "alg": "HS256" })), encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", BASE64.encode(signature.as_ref()))
}

#[test]
fn jwt_verifies_tokens() {
    let secret = "a secret of more than thirty-two letters";
    let origin = Origin::start();
    let options = "secret_file = \"secret\", algorithms = [\"HS256\"], audiences = [\"api\"], headers = { x-user = \"sub\" }, claims = { scope = [\"write\"] }";
    let proxy = Proxy::start(&built_in("jwt", options, &origin).file("secret", secret));
    let claims = |scope: &str, expires: u64| json!({ "sub": "alice", "aud": "api", "scope": scope, "exp": expires });
    // The year 2100, and the year 2001.
    let (later, before) = (4_102_444_800, 1_000_000_000);
    let with = |token: &str| get("/").header("Authorization", &format!("Bearer {token}"));
    proxy.get("/").expect_status(401);
    let good = token(&claims("read write", later), secret);
    assert_eq!(received(&proxy, &with(&good), "x-user"), ["alice"]);
    for (bad, status) in [
        (token(&claims("write", later), "another secret of as many letters, or more"), 401),
        (token(&claims("write", before), secret), 401),
        (token(&claims("read", later), secret), 403),
        (good[..good.len() - 2].to_owned(), 401),
    ] {
        proxy.ask(&with(&bad)).expect_status(status);
    }
    assert_eq!(origin.heads(), 1);
}

#[test]
fn key_auth_knows_keys_by_their_digests() {
    let key = "0123456789abcdef0123456789abcdef";
    let sum = digest(&SHA256, key.as_bytes());
    let sum: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let origin = Origin::start();
    let options = format!("keys = {{ alice = [\"sha256:{sum}\"] }}");
    let proxy = Proxy::start(&built_in("key-auth", &options, &origin));
    proxy.get("/").expect_status(401);
    proxy.ask(&get("/").header("X-Api-Key", "another")).expect_status(401);
    let request = get("/").header("X-Api-Key", key).header("X-Consumer", "mallory");
    assert_eq!(received(&proxy, &request, "x-consumer"), ["alice"]);
    assert_eq!(origin.requests("/")[0].headers.get("x-api-key"), None);
}

#[test]
fn user_agent_goes_by_what_clients_call_themselves() {
    let origin = Origin::start();
    let options = "rules = [{ contains = [\"badbot\"], action = \"deny\" }], crawlers = [{ name = \"own\", contains = [\"ownbot\"], networks = [\"127.0.0.0/8\"] }, { name = \"far\", contains = [\"farbot\"], networks = [\"192.0.2.0/24\"] }], verified_header = \"x-crawler\"";
    let proxy = Proxy::start(&built_in("user-agent", options, &origin));
    let says = |name: &str| get("/").header("User-Agent", name).header("X-Crawler", "forged");
    proxy.ask(&says("BadBot/1.0")).expect_status(403);
    proxy.ask(&says("farbot/1.0")).expect_status(403);
    assert_eq!(received(&proxy, &says("ownbot/1.0"), "x-crawler"), ["own"]);
    assert!(received(&proxy, &says("curl/8"), "x-crawler").is_empty());
}
