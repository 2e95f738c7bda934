use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderValue;
use parking_lot::Mutex;
use switchback_plugin::{
    BuildError, Counter, Done, Flow, Level, Linked, Meter, MetricKind, Plugin, Refused, Request,
    Response, Services, Setup, hooks,
};
use switchback_plugin_host::{Around, Build, Built, Configured, Estate, Metrics, OnError, Said};

/// Without state, and never waits.
pub(crate) struct Stamp(HeaderValue);

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct StampOptions {}

#[hooks]
impl Plugin for Stamp {
    const NAME: &'static str = "stamp";
    type Options = StampOptions;
    type State = ();

    fn build(_: StampOptions, _: &mut Setup<'_>) -> Result<Self, BuildError> {
        Ok(Self(HeaderValue::from_static("seen")))
    }

    async fn on_request(&self, _: &mut (), request: &mut Request<'_>) -> Flow {
        if request.header("x-denied").is_some() { Flow::status(403) } else { Flow::Continue }
    }

    async fn on_upstream_request(&self, _: &mut (), request: &mut Request<'_>) -> Flow {
        let _ = request.set_header_value("x-stamp", &self.0);
        Flow::Continue
    }

    async fn on_response(&self, _: &mut (), response: &mut Response<'_>) -> Flow {
        let _ = response.remove_header("server");
        Flow::Continue
    }

    fn on_log(&self, _: &mut (), done: &Done<'_>) {
        let _ = done.request_header("user-agent");
    }
}

/// Offers nothing.
pub(crate) struct Bare;

impl Services for Bare {
    fn define(
        &mut self,
        _: MetricKind,
        _: &str,
        _: &str,
        _: &[(&str, &str)],
    ) -> Result<Arc<dyn Meter>, Refused> {
        Err(Refused::Unsupported)
    }

    fn every(&mut self, _: Duration) {}

    fn timeout(&mut self, _: Duration) {}

    fn has_upstream(&self, _: &str) -> bool {
        false
    }

    fn has_variable(&self, _: &str) -> bool {
        false
    }

    fn folder(&self) -> Option<&Path> {
        None
    }

    fn instance_name(&self) -> &str {
        "bare"
    }

    fn log(&self, _: Level, _: &str) {}
}

/// Uses all that is offered.
struct Curious(Counter);

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct CuriousOptions {
    upstream: String,
    #[serde(default)]
    carries: String,
    #[serde(default)]
    often: bool,
    #[serde(default)]
    panics: bool,
}

#[hooks]
impl Plugin for Curious {
    const NAME: &'static str = "curious";
    type Options = CuriousOptions;
    type State = ();

    fn build(options: CuriousOptions, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        assert!(!options.panics, "as it was told");
        setup.upstream("upstream", &options.upstream)?;
        setup.variable("", "host")?;
        setup.every(if options.often { Duration::ZERO } else { Duration::from_secs(1) });
        setup.timeout(Duration::from_millis(7));
        let times = setup.carry(&options.carries, AtomicUsize::default);
        let times = times.fetch_add(1, Ordering::Relaxed) + 1;
        setup.log(Level::Info, &format!("made as {}, {times}", setup.instance_name()));
        Ok(Self(setup.counter("seen_total", "Requests seen.", &[])?))
    }

    async fn on_request(&self, _: &mut (), _: &mut Request<'_>) -> Flow {
        self.0.add(1);
        Flow::Continue
    }
}

#[derive(Default)]
struct Configuration(Mutex<Vec<String>>);

impl Around for Configuration {
    fn has_upstream(&self, name: &str) -> bool {
        name == "app"
    }

    fn has_variable(&self, name: &str) -> bool {
        name == "host"
    }

    fn folder(&self) -> Option<&Path> {
        Some(Path::new("/etc/switchback"))
    }

    fn log(&self, plugin: &str, level: Level, message: &str) {
        self.0.lock().push(format!("{plugin} {level:?} {message}"));
    }
}

fn build(options: &str, said: Said) -> Result<Arc<Configured>, BuildError> {
    let (built, line) = build_after(Estate::default(), options, said)?;
    assert_eq!(line, "c Info made as c, 1");
    Ok(built.plugin)
}

fn build_after(left: Estate, options: &str, said: Said) -> Result<(Built, String), BuildError> {
    let (around, metrics) = (Configuration::default(), Arc::new(Metrics::default()));
    let module = Linked::<Curious>::module();
    let built =
        Build::new("c", &around, &metrics).after(left).configured(&*module, options, said)?;
    let mut text = String::new();
    metrics.render(&mut text);
    assert!(text.contains("switchback_plugin_seen_total{plugin=\"c\"} 0\n"), "{text}");
    Ok((built, around.0.lock().join("\n")))
}

#[test]
fn what_a_plugin_says_of_itself_holds_unless_the_operator_says_otherwise() {
    let options = r#"{ "upstream": "app" }"#;
    let plugin = build(options, Said::default()).unwrap();
    assert_eq!(plugin.policy().timeout, Duration::from_millis(7));
    assert_eq!(plugin.policy().tick, Some(Duration::from_secs(1)));
    assert_eq!(plugin.policy().on_error, OnError::Closed);
    let said = Said { on_error: OnError::Open, timeout: Some(Duration::from_secs(2)) };
    let plugin = build(options, said).unwrap();
    assert_eq!(plugin.policy().timeout, Duration::from_secs(2));
    assert_eq!(plugin.policy().on_error, OnError::Open);
}

#[test]
fn what_is_wrong_with_options_is_said_with_its_place() {
    for (options, wanted) in [
        (r#"{ "upstream": "ap" }"#, "upstream: upstream `ap` is not defined (add [upstreams.ap])"),
        (r#"{ "upstream": 1 }"#, "upstream: invalid type: integer `1`, expected a string"),
        (
            r#"{ "upstream": "app", "uptream": "" }"#,
            "uptream: unknown option (known are `upstream`, `carries`, `often`, `panics`)",
        ),
        (r#"{ "upstream": "app", "panics": true }"#, "the plugin panicked: as it was told"),
    ] {
        let error = build(options, Said::default()).err().unwrap();
        assert_eq!(error.to_string(), wanted);
    }
}

#[test]
fn what_a_plugin_carries_is_found_by_the_next_one_under_the_same_key() {
    let made = |left, carries| {
        let options = format!(r#"{{ "upstream": "app", "carries": "{carries}" }}"#);
        let (built, line) = build_after(left, &options, Said::default()).unwrap();
        (built.estate, line.rsplit_once(' ').unwrap().1.to_owned())
    };
    let (first, times) = made(Estate::default(), "a");
    assert_eq!(times, "1");
    let (second, times) = made(first.clone(), "a");
    assert_eq!(times, "2");
    let (_, times) = made(second.clone(), "b");
    assert_eq!(times, "1", "another key is another thing");
    drop(first);
    let (_, times) = made(second, "a");
    assert_eq!(times, "3", "and it is there as long as one has it");
}

#[test]
fn nobody_is_ticked_without_end() {
    let plugin = build(r#"{ "upstream": "app", "often": true }"#, Said::default()).unwrap();
    assert_eq!(plugin.policy().tick, Some(Duration::from_millis(10)));
}
