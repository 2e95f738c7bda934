//! `mirror`: sends copies of requests to another upstream, whose answers nobody sees.

#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{
    BuildError, Counter, Flow, Level, Operating, Plugin, Route, Setup, Steer, hooks,
};

use crate::share::{Places, Share};
use crate::template::Template;
use crate::units::Size;

/// Sends copies of requests to another upstream.
pub(crate) struct Mirror {
    upstream: String,
    share: Share,
    key: Option<Template>,
    header: Option<Header>,
    methods: Vec<String>,
    body: u64,
    places: Places,
    mirrored: Counter,
    failed: Counter,
}

/// Sends copies of requests to another upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Name of the upstream that gets the copies. Its answers are read and forgotten.
    upstream: String,
    /// The share of requests that are copied.
    #[serde(default = "all")]
    share: Share,
    /// What chooses them, with variables: the same text is either always copied or never, as in `"$remote_addr"`. Without it, chance does.
    #[serde(default)]
    key: Option<String>,
    /// Only requests with this header are copied: a name, or a name and its value as in `"x-mirror: yes"`.
    #[serde(default)]
    header: Option<String>,
    /// Only requests with these methods are copied. With none named, all are: also those that change something, at the mirror, too.
    #[serde(default)]
    methods: Vec<String>,
    /// How large a body may be that is copied, at most `"16MiB"`. It is in memory as a whole, once for all copies, from before the request goes on
    /// until the last of them was sent: so much for each request that is mirrored at a time. A request with a larger one is not copied, and counted
    /// in `switchback_mirrors_skipped_total`.
    #[serde(default = "usual_body")]
    body: Size,
}

const fn all() -> Share {
    Share::ALL
}

const fn usual_body() -> Size {
    Size(64 << 10)
}

/// The largest body that may be copied.
const MOST_BODY: Size = Size(16 << 20);

/// What a request must have.
struct Header {
    name: String,
    value: Option<String>,
}

#[hooks]
impl Plugin for Mirror {
    const NAME: &'static str = "mirror";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    type State = ();

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        setup.upstream("upstream", &options.upstream)?;
        let key = options.key.as_deref().map(|text| Template::new("key", text, setup));
        let header = options.header.as_deref().map(Header::new);
        for (index, method) in options.methods.iter().enumerate() {
            let method = http::Method::from_bytes(method.as_bytes());
            if method.is_err() {
                return Err(BuildError::new(format!("methods[{index}]"), "no method"));
            }
        }
        if options.body > MOST_BODY {
            let message = format!("at most {MOST_BODY}: all of it is kept in memory");
            return Err(BuildError::new("body", message));
        }
        let labels = [("upstream", options.upstream.as_str())];
        let mirrored = setup.counter("mirrored_total", "Requests that were copied.", &labels)?;
        let failed = setup.counter(
            "mirror_failures_total",
            "Requests of which no copy could be made: on routes that do not proxy.",
            &labels,
        )?;
        Ok(Self {
            key: key.transpose()?,
            header: header.transpose()?,
            places: Places::new(setup.instance_name()),
            upstream: options.upstream,
            share: options.share,
            methods: options.methods,
            body: options.body.0,
            mirrored,
            failed,
        })
    }

    async fn on_route(&self, (): &mut (), route: &mut Route<'_>) -> Flow {
        if !self.is_chosen(route) {
            return Flow::Continue;
        }
        let asked = route
            .steer(Steer::Mirror(&self.upstream))
            .and_then(|()| route.steer(Steer::MirrorBody(self.body)));
        match asked {
            Ok(()) => {
                self.mirrored.add(1);
                Flow::Continue
            }
            // A request is no worse for a copy that is not made.
            Err(refused) => {
                self.failed.add(1);
                let message = format!("no copy to `{}`: {refused}", self.upstream);
                route.request().log(Level::Debug, &message);
                Flow::Continue
            }
        }
    }
}

impl Mirror {
    fn is_chosen(&self, route: &Route<'_>) -> bool {
        let request = route.request();
        let method = request.method();
        if !self.methods.is_empty() && !self.methods.iter().any(|named| *named == *method) {
            return false;
        }
        if self.header.as_ref().is_some_and(|header| !header.is_in(route)) {
            return false;
        }
        let place = match &self.key {
            _ if self.share == Share::ALL => return true,
            Some(key) => {
                let mut rendered = Vec::with_capacity(32);
                key.render(request, &mut rendered);
                self.places.of(&rendered)
            }
            None => self.places.by_chance(),
        };
        self.share.covers(place)
    }
}

impl Header {
    fn new(text: &str) -> Result<Self, BuildError> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value.trim().to_owned())),
            None => (text, None),
        };
        let name = http::HeaderName::from_bytes(name.trim().as_bytes())
            .map_err(|_| BuildError::new("header", format!("`{name}` is no name of a header")))?;
        Ok(Self { name: name.as_str().to_owned(), value })
    }

    fn is_in(&self, route: &Route<'_>) -> bool {
        let mut found = false;
        route.request().headers(|name, value| {
            let wanted = self.value.as_ref().is_none_or(|wanted| wanted.as_bytes() == value);
            found |= name == self.name && wanted;
        });
        found
    }
}
