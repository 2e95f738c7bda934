//! `request-id`: gives every request an id, or takes the one it came with.

use aws_lc_rs::rand;
use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use switchback_plugin::{
    BuildError, Flow, Operating, Plugin, Refused, Request, Response, Setup, hooks,
};

use crate::option::{changeable_header, read};

/// Gives every request an id, or takes the one it came with: for the upstream, for the client, and as `$plugin_id`.
pub(crate) struct RequestId {
    header: HeaderName,
    format: Format,
    accept: bool,
    echo: bool,
}

/// Gives every request an id, or takes the one it came with: for the upstream, for the client, and as `$plugin_id`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// The header that carries the id, in requests and responses.
    header: String,
    /// How ids look that are made here: `uuid7` and `ulid` begin with the time and sort by it, `hex` is 128 random bits.
    format: Format,
    /// Whether an id that a request comes with is kept. It is if it has 8 to 128 letters, digits or any of `-_.:+/=@`; another one is
    /// replaced. Only where those who send requests are trusted not to make up the ids of others; under the standard name, the proxy itself
    /// takes it from trusted proxies alone.
    accept: bool,
    /// Whether the client is told the id.
    echo: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { header: "x-request-id".into(), format: Format::default(), accept: false, echo: true }
    }
}

/// How ids look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// `019aad4c-8f3f-7c3e-9b57-0d3c5a1f2e4b`: RFC 9562, version 7
    #[default]
    Uuid7,
    /// `01KAPMS3SZFGZ9PNRD7HD1YBJB`
    Ulid,
    /// `9f86d081884c7d659a2feaa0c55ad015`
    Hex,
}

#[hooks]
impl Plugin for RequestId {
    const NAME: &'static str = "request-id";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    /// The id; empty before there is one.
    type State = String;

    fn build(options: Options, _: &mut Setup<'_>) -> Result<Self, BuildError> {
        let header = read("header", &options.header, changeable_header)?;
        Ok(Self { header, format: options.format, accept: options.accept, echo: options.echo })
    }

    async fn on_request(&self, id: &mut String, request: &mut Request<'_>) -> Flow {
        if id.is_empty() {
            match self.id(request) {
                Some(made) => *id = made,
                None => return Flow::fail("the system has no random numbers"),
            }
        }
        match self.tell(id, request) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(format!("header `{}`: {refused}", self.header)),
        }
    }

    async fn on_response(&self, id: &mut String, response: &mut Response<'_>) -> Flow {
        if !self.echo || id.is_empty() {
            return Flow::Continue;
        }
        match response.set_header(&self.header, id.as_bytes()) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(format!("header `{}`: {refused}", self.header)),
        }
    }
}

impl RequestId {
    fn id(&self, request: &Request<'_>) -> Option<String> {
        let came = request.header(&self.header).filter(|id| self.accept && is_acceptable(id));
        if let Some(id) = came {
            return Some(id.into_owned());
        }
        let mut random = [0; 16];
        rand::fill(&mut random).ok()?;
        Some(self.format.write(request.now() / 1_000_000, random))
    }

    fn tell(&self, id: &str, request: &mut Request<'_>) -> Result<(), Refused> {
        request.set_header(&self.header, id)?;
        request.set_variable("plugin_id", id)
    }
}

fn is_acceptable(id: &str) -> bool {
    (8..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:+/=@".contains(&byte))
}

impl Format {
    fn write(self, milliseconds: u64, random: [u8; 16]) -> String {
        let [low @ .., _, _, _, _, _, _] = random;
        match self {
            Self::Uuid7 => uuid::Builder::from_unix_timestamp_millis(milliseconds, &low)
                .into_uuid()
                .to_string(),
            Self::Ulid => ulid(milliseconds, low),
            Self::Hex => format!("{:032x}", u128::from_be_bytes(random)),
        }
    }
}

/// 48 bits of time and 80 random ones, five bits a sign in Crockford's alphabet: <https://github.com/ulid/spec>.
fn ulid(milliseconds: u64, random: [u8; 10]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let low = random.iter().fold(0, |number, byte| (number << 8) | u128::from(*byte));
    let number = (u128::from(milliseconds & ((1 << 48) - 1)) << 80) | low;
    let signs = (0..26).rev().map(|place| {
        let five = usize::try_from((number >> (place * 5)) & 31).unwrap_or(0);
        ALPHABET.get(five).copied().map_or('0', char::from)
    });
    signs.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use switchback_plugin::Hook;
    use switchback_plugin::testing::Scene;

    use super::*;
    use crate::testing::{plugin, refused};

    #[test]
    fn ids_look_as_their_specifications_say() {
        let random = [0xff; 16];
        assert_eq!(
            // RFC 9562, appendix A.6: the same time, all random bits set.
            Format::Uuid7.write(0x017f_22e2_79b0, random),
            "017f22e2-79b0-7fff-bfff-ffffffffffff"
        );
        assert_eq!(Format::Hex.write(0, [0x0a; 16]), "0a".repeat(16));
        // The example of the specification, and its largest.
        assert_eq!(ulid(1_469_918_176_385, [0; 10]), "01ARYZ6S410000000000000000");
        assert_eq!(ulid((1 << 48) - 1, [0xff; 10]), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    }

    #[test]
    fn an_id_from_outside_is_short_and_harmless() {
        assert!(is_acceptable("abc-123_.:+/=@"));
        for id in ["", "short", "a b c d e f", "<script>", "a\"bcdefgh", &"a".repeat(129)] {
            assert!(!is_acceptable(id), "{id}");
        }
    }

    #[test]
    fn a_request_gets_one_id_for_upstream_client_and_log() {
        for (format, length) in [("uuid7", 36), ("ulid", 26), ("hex", 32)] {
            let mut ids = plugin::<RequestId>(json!({ "format": format }));
            let mut scene = Scene::get("/").with_header("x-request-id", "made-up-by-the-client");
            let reply = ids.request(&mut scene);
            let id = reply.header("x-request-id").unwrap();
            assert_eq!(id.len(), length, "{id}");
            assert_eq!(
                scene.sent().unwrap().get_all("x-request-id").iter().collect::<Vec<_>>(),
                [id]
            );
            assert_eq!(scene.variable("plugin_id"), Some(id.as_bytes()));
            let next = ids.request(&mut Scene::get("/"));
            assert_ne!(next.header("x-request-id"), Some(id));
        }
    }

    #[test]
    fn an_id_is_kept_where_that_is_wanted_and_it_is_harmless() {
        let options = json!({ "accept": true, "header": "X-Trace", "echo": false });
        let mut ids = plugin::<RequestId>(options);
        for (came, kept) in
            [("abc-12345", true), ("no", false), ("<script>alert(1)</script>", false)]
        {
            let mut scene = Scene::get("/").with_header("x-trace", came);
            let reply = ids.request(&mut scene);
            assert_eq!(scene.header("x-trace") == Some(came), kept, "{came}");
            assert_eq!(reply.header("x-trace"), None);
        }
    }

    #[test]
    fn a_request_that_comes_by_again_keeps_its_id() {
        let mut ids = plugin::<RequestId>(json!({}));
        let mut scene = Scene::get("/");
        assert!(matches!(ids.call(Hook::Request, &mut scene), Flow::Continue));
        let id = scene.header("x-request-id").unwrap().to_owned();
        assert!(matches!(ids.call(Hook::Request, &mut scene), Flow::Continue));
        assert_eq!(scene.header("x-request-id"), Some(&*id));
    }

    #[test]
    fn bad_options_are_refused_where_they_are() {
        refused::<RequestId>([
            (json!({ "header": "a b" }), "header"),
            (json!({ "header": "connection" }), "header"),
            (json!({ "format": "uuid4" }), "format"),
            (json!({ "heather": "x" }), "heather"),
        ]);
    }
}
