//! `canary`: gives shares of the requests to different upstreams, and keeps clients where they are.

mod arm;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{
    BuildError, Done, Flow, Plugin, Request, Response, Route, Setup, Steer, hooks,
};

use crate::share::Places;
use crate::template::Template;
use crate::units::Time;
use arm::Arm;

/// Gives shares of the requests to different upstreams.
pub(crate) struct Canary {
    arms: Vec<Arm>,
    key: Option<Template>,
    cookie: Option<Cookie>,
    header: Option<String>,
    shared_cache: bool,
    places: Places,
}

/// What an operator may say.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Who shares the requests.
    arms: Vec<ArmOptions>,
    /// What finds the arm of a request, with variables: the same text has the same arm, in every process and after every restart, as in
    /// `"$remote_addr"`. When weights change, only those move that have to. Without it, chance does.
    #[serde(default)]
    key: Option<String>,
    /// A cookie that keeps a client with the arm it was given, while that arm has a weight. It is not signed: who writes one chooses.
    #[serde(default)]
    cookie: Option<Cookie>,
    /// A header by whose value a request names its arm, also one of weight 0. Other values mean nothing.
    #[serde(default)]
    header: Option<String>,
    /// Whether a response of one arm may be stored and given to requests of another.
    #[serde(default)]
    shared_cache: bool,
}

/// One of those that share the requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ArmOptions {
    /// Its name: letters, digits, `-` and `_`. In the variable `plugin_canary`, the cookie, the header and metrics.
    name: String,
    /// Name of the upstream that answers; without it, the one of the route.
    #[serde(default)]
    upstream: Option<String>,
    /// Its share of the sum of all weights; 0 for none.
    weight: u32,
}

/// The cookie that keeps a client with its arm.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Cookie {
    /// Its name.
    name: String,
    /// How long it holds, from the first answer on. Until the browser is closed where it is absent.
    #[serde(default)]
    ttl: Option<Time>,
    /// The path from which on it is sent.
    #[serde(default = "root")]
    path: String,
    /// Whether it is only sent with `https`.
    #[serde(default)]
    secure: bool,
}

fn root() -> String {
    "/".to_owned()
}

/// What was decided of a request.
#[derive(Default)]
pub(crate) struct State {
    arm: Option<usize>,
    /// Whether the client is to be told by a cookie.
    is_new: bool,
}

#[hooks]
impl Plugin for Canary {
    const NAME: &'static str = "canary";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    type State = State;

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        options.check()?;
        let key = options.key.as_deref().map(|text| Template::new("key", text, setup));
        let arms = options.arms.iter().enumerate();
        let arms = arms.map(|(index, arm)| Arm::new(&format!("arms[{index}]"), arm, setup));
        Ok(Self {
            arms: arms.collect::<Result<_, _>>()?,
            key: key.transpose()?,
            places: Places::new(setup.instance_name()),
            cookie: options.cookie,
            header: options.header,
            shared_cache: options.shared_cache,
        })
    }

    async fn on_route(&self, state: &mut State, route: &mut Route<'_>) -> Flow {
        let (index, is_new) = self.choose(route.request());
        let Some(arm) = self.arms.get(index) else { return Flow::Continue };
        *state = State { arm: Some(index), is_new };
        arm.chosen();
        // A name of the proxy's own would have been refused: it has none of that name.
        let _ = route.request_mut().set_variable("plugin_canary", arm.name());
        let mut steered = arm.upstream().map_or(Ok(()), |upstream| route.upstream(upstream));
        if !self.shared_cache {
            let key = format!("canary={}", arm.name());
            steered = steered.and_then(|()| route.steer(Steer::CacheKey(key.as_bytes())));
        }
        match steered {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(format!("arm `{}`: {refused}", arm.name())),
        }
    }

    async fn on_response(&self, state: &mut State, response: &mut Response<'_>) -> Flow {
        let arm = state.arm.and_then(|index| self.arms.get(index));
        let (Some(cookie), Some(arm), true) = (&self.cookie, arm, state.is_new) else {
            return Flow::Continue;
        };
        match response.append_header("set-cookie", cookie.for_arm(arm.name())) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(format!("cookie `{}`: {refused}", cookie.name)),
        }
    }

    fn on_log(&self, state: &mut State, done: &Done<'_>) {
        if let Some(arm) = state.arm.and_then(|index| self.arms.get(index)) {
            arm.done(done.status(), done.elapsed());
        }
    }
}

impl Canary {
    /// The arm of a request, and whether its client is to be told.
    fn choose(&self, request: &Request<'_>) -> (usize, bool) {
        let header = self.header.as_ref().and_then(|name| request.header(name));
        if let Some(named) = header.and_then(|value| self.named(&value)) {
            return (named, false);
        }
        let cookie = self.cookie.as_ref().and_then(|cookie| cookie.of(request));
        let weighs = |index: &usize| self.arms.get(*index).is_some_and(Arm::weighs);
        if let Some(named) = cookie.and_then(|value| self.named(&value)).filter(weighs) {
            return (named, false);
        }
        let place = match &self.key {
            Some(key) => {
                let mut rendered = Vec::with_capacity(32);
                key.render(request, &mut rendered);
                self.places.of(&rendered)
            }
            None => self.places.by_chance(),
        };
        (arm::choose(&self.arms, place), self.cookie.is_some())
    }

    fn named(&self, name: &str) -> Option<usize> {
        self.arms.iter().position(|arm| arm.name() == name)
    }
}

impl Cookie {
    /// Its value; the first one, where there are several.
    fn of(&self, request: &Request<'_>) -> Option<String> {
        let mut found = None;
        request.headers(|name, value| {
            if name != "cookie" || found.is_some() {
                return;
            }
            let pairs = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let mut values = pairs
                .filter_map(|pair| pair.strip_prefix(self.name.as_bytes())?.strip_prefix(b"="));
            found = values.next().and_then(|value| String::from_utf8(value.to_vec()).ok());
        });
        found
    }

    fn for_arm(&self, arm: &str) -> String {
        let mut cookie = format!("{}={arm}; Path={}; HttpOnly; SameSite=Lax", self.name, self.path);
        if let Some(ttl) = self.ttl {
            cookie.push_str(&format!("; Max-Age={}", ttl.0.as_secs()));
        }
        if self.secure {
            cookie.push_str("; Secure");
        }
        cookie
    }

    fn check(&self) -> Result<(), BuildError> {
        // A name of a cookie is a token, as that of a header is (RFC 6265, section 4.1.1).
        if http::HeaderName::from_bytes(self.name.as_bytes()).is_err() {
            let message = format!("`{}` is no name of a cookie", self.name);
            return Err(BuildError::new("cookie.name", message));
        }
        let fits = |byte: u8| (b' '..0x7f).contains(&byte) && byte != b';';
        if !self.path.starts_with('/') || !self.path.bytes().all(fits) {
            return Err(BuildError::new("cookie.path", "a path begins with `/`, and has no `;`"));
        }
        if self.ttl.is_some_and(|ttl| ttl.0.as_secs() == 0) {
            return Err(BuildError::new("cookie.ttl", "a cookie holds for a second or longer"));
        }
        Ok(())
    }
}

impl Options {
    fn check(&self) -> Result<(), BuildError> {
        if self.arms.len() < 2 {
            return Err(BuildError::new("arms", "nothing to share: name two arms or more"));
        }
        if self.arms.iter().all(|arm| arm.weight == 0) {
            return Err(BuildError::new("arms", "no arm has a weight"));
        }
        for (index, arm) in self.arms.iter().enumerate() {
            let path = format!("arms[{index}].name");
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            if arm.name.is_empty() || !arm.name.bytes().all(fits) {
                let message = format!("`{}` is no name: letters, digits, `-`, `_`", arm.name);
                return Err(BuildError::new(path, message));
            }
            if self.arms.iter().take(index).any(|other| other.name == arm.name) {
                return Err(BuildError::new(path, format!("`{}` is there twice", arm.name)));
            }
        }
        if let Some(name) = &self.header
            && http::HeaderName::from_bytes(name.as_bytes()).is_err()
        {
            return Err(BuildError::new("header", format!("`{name}` is no name of a header")));
        }
        self.cookie.as_ref().map_or(Ok(()), Cookie::check)
    }
}
