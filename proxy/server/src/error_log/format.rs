//! How lines of the error log are written: for people, or an object of JSON each.

use std::fmt::{self, Write as _};

use switchback_engine::log::{current_request, json_text, timestamp};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::Sink;

/// Writes events in the form that is asked for at the moment.
pub(super) struct Lines {
    sink: Sink,
    text: Format<Full>,
}

impl Lines {
    pub(super) fn new(sink: Sink) -> Self {
        Self { sink, text: Format::default().with_ansi(false) }
    }
}

/// The field by which our own events name a request.
const REQUEST: &str = "request";

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    /// A line that concerns a request and does not name it, as Pingora's do, is given its id.
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let is_named = event.fields().any(|field| field.name() == REQUEST);
        let request = if is_named { None } else { current_request() };
        if self.sink.is_json() {
            let mut object = Object::new(event);
            if let Some(request) = request {
                object.text("http.request.id", &request);
            }
            event.record(&mut object);
            return writeln!(writer, "{}", object.finish());
        }
        let Some(request) = request else {
            return self.text.format_event(context, writer, event);
        };
        let mut line = String::with_capacity(256);
        self.text.format_event(context, Writer::new(&mut line), event)?;
        writeln!(writer, "{} {REQUEST}=\"{request}\"", line.trim_end_matches('\n'))
    }
}

/// An object that is being written, field by field.
struct Object {
    text: Vec<u8>,
}

impl Object {
    fn new(event: &Event<'_>) -> Self {
        let mut object = Self { text: Vec::with_capacity(256) };
        object.text.push(b'{');
        json_text(b"@timestamp", &mut object.text);
        object.text.push(b':');
        json_text(timestamp().as_bytes(), &mut object.text);
        object.text("log.level", level(*event.metadata().level()));
        // Of a `log` record the bridge tells it in a field.
        if event.fields().all(|field| field.name() != "log.target") {
            object.text("log.logger", event.metadata().target());
        }
        object
    }

    fn key(&mut self, key: &str) {
        self.text.push(b',');
        json_text(key.as_bytes(), &mut self.text);
        self.text.push(b':');
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        json_text(value.as_bytes(), &mut self.text);
    }

    fn plain(&mut self, key: &str, value: impl fmt::Display) {
        self.key(key);
        self.text.extend_from_slice(value.to_string().as_bytes());
    }

    fn finish(mut self) -> String {
        self.text.push(b'}');
        // It is UTF-8: strings are escaped, and everything else is ours.
        String::from_utf8(self.text).unwrap_or_default()
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// The key under which a field stands; `None` for where in Pingora's source a record comes from.
fn key_of(field: &Field) -> Option<&'static str> {
    match field.name() {
        REQUEST => Some("http.request.id"),
        "status" => Some("http.response.status_code"),
        "log.target" => Some("log.logger"),
        "log.module_path" | "log.file" | "log.line" => None,
        name => Some(name),
    }
}

impl Visit for Object {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing to a String fails only where the value itself refuses.
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if let Some(key) = key_of(field) {
            self.text(key, value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if let Some(key) = key_of(field) {
            self.plain(key, value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if let Some(key) = key_of(field) {
            self.plain(key, value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if let Some(key) = key_of(field) {
            self.plain(key, value);
        }
    }
}
