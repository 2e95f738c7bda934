//! Claims of bearer tokens. Nobody has verified them: they say what the client says.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

/// Longer tokens have no claims.
const MAX_TOKEN: usize = 8 * 1024;

/// A claim of the token in an `Authorization` field: a text, number or boolean.
pub(super) fn claim(authorization: &[u8], name: &str) -> Option<Vec<u8>> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") || token.len() > MAX_TOKEN {
        return None;
    }
    let mut parts = token.trim_ascii().split(|byte| *byte == b'.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    match claims.as_object()?.get(name)? {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Number(number) => Some(number.to_string().into_bytes()),
        Value::Bool(flag) => Some(flag.to_string().into_bytes()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// For the fuzzer: no field makes it fail, and a claim that is found is that of the payload.
#[doc(hidden)]
pub fn check(bytes: &[u8]) {
    let found = claim(bytes, "sub");
    let payload = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let whole = claim(format!("Bearer e30.{payload}.").as_bytes(), "sub");
    if let Ok(Value::Object(claims)) = serde_json::from_slice(bytes)
        && payload.len() < MAX_TOKEN - 8
        && let Some(Value::String(sub)) = claims.get("sub")
    {
        assert_eq!(whole.as_deref(), Some(sub.as_bytes()));
    }
    assert!(found.is_none_or(|value| value.len() <= MAX_TOKEN));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(payload: &str) -> Vec<u8> {
        format!("Bearer eyJh.{}.sig", BASE64_URL_SAFE_NO_PAD.encode(payload)).into_bytes()
    }

    #[test]
    fn texts_numbers_and_booleans_are_read() {
        let token = bearer(
            r#"{"sub":"al\"ice","n":-7,"big":12345678901234567890,"b":true,"o":{},"l":[1],"z":null}"#,
        );
        assert_eq!(claim(&token, "sub").unwrap(), b"al\"ice");
        assert_eq!(claim(&token, "n").unwrap(), b"-7");
        assert_eq!(claim(&token, "big").unwrap(), b"12345678901234567890");
        assert_eq!(claim(&token, "b").unwrap(), b"true");
        for name in ["o", "l", "z", "none"] {
            assert_eq!(claim(&token, name), None, "{name}");
        }
    }

    #[test]
    fn what_is_no_token_has_no_claims() {
        for field in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer a.b",
            "Bearer a.b.c.d",
            "Bearer a.!.c",
            "Basic e30.e30.",
            "Bearer e30.e30=.x",
        ] {
            assert_eq!(claim(field.as_bytes(), "sub"), None, "{field}");
        }
        let long = bearer(&format!("{{\"sub\":\"{}\"}}", "x".repeat(MAX_TOKEN)));
        assert_eq!(claim(&long, "sub"), None);
        assert_eq!(claim(&bearer(&"[".repeat(4000)), "sub"), None);
    }

    proptest! {
        #[test]
        fn any_field_is_read_or_passed_over(bytes in proptest::collection::vec(any::<u8>(), 0..200), sub in ".{0,40}") {
            check(&bytes);
            let object = serde_json::json!({ "sub": sub }).to_string();
            check(object.as_bytes());
        }
    }
}
