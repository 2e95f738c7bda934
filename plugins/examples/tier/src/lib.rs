//! Sends each tenant where a directory says that it lives.
//!
//! The tenant is named by a header. Where it lives is asked of a service over HTTP, once in a while: `GET /tenants/NAME` gives
//! `{"upstream": "eu", "shard_key": "7"}`, or 404. What it said is kept in a store, which all workers share and which outlives reloads. When
//! the directory does not answer, what it said last counts.
//!
//! ```toml
//! [plugins.tier]
//! module = "libswitchback_example_tier.so"
//! options = { header = "x-tenant-id", directory = "directory", fresh = 30, keep = 3600 }
//! ```

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use switchback_plugin::{
    Answer, BuildError, Counter, Flow, HttpRequest, Level, Operating, OperationError, Plugin,
    Route, Setup, Steer, StoreAction, hooks,
};

switchback_plugin::plugin!(Tier);

/// What an operator may say.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The header that names the tenant.
    pub header: String,
    /// The upstream that knows where tenants live.
    pub directory: String,
    /// Name of the store in which answers are kept.
    pub store: String,
    /// For how many seconds an answer counts before the directory is asked again.
    pub fresh: u64,
    /// For how many seconds more it counts while the directory does not answer.
    pub keep: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            header: "x-tenant-id".to_owned(),
            directory: "directory".to_owned(),
            store: "tenants".to_owned(),
            fresh: 30,
            keep: 3600,
        }
    }
}

/// Where a tenant lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Home {
    /// The upstream; that of the route if there is none.
    #[serde(default)]
    upstream: Option<String>,
    /// What finds the shard of it.
    #[serde(default)]
    shard_key: Option<String>,
}

/// What is kept of a tenant.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// When the directory said so, in nanoseconds since 1970.
    at: u64,
    /// `None`: there is no such tenant.
    home: Option<Home>,
}

/// The plugin.
pub struct Tier {
    options: Options,
    asked: Counter,
    failed: Counter,
}

/// What the directory is waited for; the plugin's own time-out is longer, so that what was said last still counts.
const PATIENCE: Duration = Duration::from_millis(200);
/// An answer of the directory is a few words.
const LARGEST_ANSWER: usize = 4096;

#[hooks]
impl Plugin for Tier {
    const NAME: &'static str = "tier";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    type Options = Options;
    type State = ();

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        setup.upstream("directory", &options.directory)?;
        if options.header.is_empty() {
            return Err(BuildError::new("header", "must name a header"));
        }
        setup.timeout(2 * PATIENCE);
        Ok(Self {
            asked: setup.counter("tier_asked_total", "Questions to the directory.", &[])?,
            failed: setup.counter("tier_failed_total", "Questions without an answer.", &[])?,
            options,
        })
    }

    async fn on_route(&self, _: &mut (), route: &mut Route<'_>) -> Flow {
        let Some(tenant) = route.request().header(&self.options.header) else {
            return refuse(400, "no tenant\n");
        };
        let tenant = tenant.into_owned();
        if !is_tenant(&tenant) {
            return refuse(400, "no such name of a tenant\n");
        }
        match self.home(route, &tenant).await {
            Ok(Some(home)) => go(route, &home),
            Ok(None) => refuse(404, "no such tenant\n"),
            Err(error) => Flow::fail(format!("where `{tenant}` lives is not known: {error}")),
        }
    }
}

impl Tier {
    /// Where a tenant lives: as it was said a short while ago, or as the directory says now.
    async fn home(
        &self,
        route: &mut Route<'_>,
        tenant: &str,
    ) -> Result<Option<Home>, OperationError> {
        let asking = route.request_mut();
        let kept = asking.stored(&self.options.store, tenant.to_owned()).await.unwrap_or_default();
        let kept: Option<Kept> = kept.and_then(|kept| serde_json::from_slice(&kept).ok());
        let age = kept.as_ref().map(|kept| asking.now().saturating_sub(kept.at));
        if let Some(Kept { home, .. }) = &kept
            && age < Some(self.options.fresh.saturating_mul(1_000_000_000))
        {
            return Ok(home.clone());
        }
        match (self.ask(asking, tenant).await, kept) {
            (Ok(home), _) => {
                let kept = Kept { at: asking.now(), home };
                self.keep(asking, tenant, &kept).await;
                Ok(kept.home)
            }
            (Err(error), Some(kept)) => {
                asking.log(
                    Level::Warn,
                    &format!("the directory: {error}; `{tenant}` stays where it was"),
                );
                Ok(kept.home)
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn ask(
        &self,
        asking: &mut impl Operating,
        tenant: &str,
    ) -> Result<Option<Home>, OperationError> {
        self.asked.add(1);
        let mut question = HttpRequest::get(&self.options.directory, format!("/tenants/{tenant}"))
            .with_header("accept", "application/json")
            .with_timeout(PATIENCE);
        question.body_limit = LARGEST_ANSWER;
        let said = match asking.http(question).await {
            Ok(answer) if answer.status == 404 => Ok(None),
            Ok(answer) if answer.status == 200 => {
                serde_json::from_slice(&answer.body).map(Some).map_err(|_| OperationError::Failed)
            }
            Ok(_) => Err(OperationError::Failed),
            Err(error) => Err(error),
        };
        if said.is_err() {
            self.failed.add(1);
        }
        said
    }

    async fn keep(&self, asking: &mut impl Operating, tenant: &str, kept: &Kept) {
        let Ok(value) = serde_json::to_vec(kept) else { return };
        let ttl = Duration::from_secs(self.options.fresh.saturating_add(self.options.keep));
        let put = StoreAction::Put { value: value.into(), ttl: Some(ttl) };
        // A store that does not take it is asked again at the next request.
        let _ = asking.store(&self.options.store, tenant.to_owned(), put).await;
    }
}

fn go(route: &mut Route<'_>, home: &Home) -> Flow {
    if let Some(upstream) = &home.upstream
        && let Err(refused) = route.upstream(upstream)
    {
        return Flow::fail(format!("the directory says `{upstream}`: {refused}"));
    }
    if let Some(key) = &home.shard_key
        && let Err(refused) = route.steer(Steer::ShardKey(key.as_bytes()))
    {
        return Flow::fail(format!("the shard of the directory: {refused}"));
    }
    Flow::Continue
}

/// Goes into the target of a request, and into the log.
fn is_tenant(name: &str) -> bool {
    let letter = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(letter)
}

fn refuse(status: u16, text: &'static str) -> Flow {
    Answer::new(status)
        .with_header("content-type", "text/plain; charset=utf-8")
        .with_body(text)
        .into()
}
