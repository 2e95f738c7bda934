//! What may be written, from the types: as JSON Schema and as a page for people.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};
use switchback_value::{FAMILIES, Known};

use crate::diagnostic::Code;
use crate::model::Config;

/// The JSON Schema of a configuration file.
#[must_use]
pub fn schema() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Config>().to_value()
}

/// The page of reference that stands in `conf/README.md`: every key, unit, variable and code.
#[must_use]
pub fn reference() -> String {
    let schema = schema();
    let mut page = INTRODUCTION.to_owned();
    page += "\n## Keys\n";
    tables(&schema, &mut page);
    page += VALUES;
    page += LOGS;
    page += CACHING;
    page += NEGOTIATION;
    page += "\n## Variables\n\n| variable | meaning |\n| --- | --- |\n";
    for known in Known::ALL {
        let _ = writeln!(page, "| `${}` | {} |", known.name(), cell(known.doc()));
    }
    for family in &FAMILIES {
        let _ = writeln!(page, "| `${}`*name* | {} |", family.prefix, cell(family.doc));
    }
    page += "| `{name}`, `$name`, `$1` | What the path of the route captured. |\n";
    page += "\n## Codes of mistakes\n\n| code | meaning |\n| --- | --- |\n";
    for code in Code::ALL {
        let _ = writeln!(page, "| {code} | {} |", cell(code.doc()));
    }
    page
}

/// Caching, beside nginx's words for it.
const CACHING: &str = include_str!("reference/caching.md");

/// What is made for which clients, beside nginx's words for it.
const NEGOTIATION: &str = include_str!("reference/negotiation.md");

const INTRODUCTION: &str = "\
# Configuration

This page is made from the types in `src/model`; `SWITCHBACK_BLESS=1 cargo test -p switchback-conf` writes it anew.

A configuration is a TOML file: listeners that clients connect to, sites with routes, and upstreams that requests are passed
on to.

```toml
[[listeners]]
address = \":8080\"

[[sites]]
hosts = [\"shop.example\", \"*.shop.example\"]

[[sites.routes]]
match = { path = \"/users/{id}/*\", method = [\"GET\", \"POST\"] }
proxy = { upstream = \"users\", rewrite = \"/v2/{id}$is_args$args\" }

[[sites.routes]]
respond = { status = 404, body = \"There is nothing at $uri.\\n\" }

[upstreams.users]
endpoints = [\"10.0.0.1:8080\", \"10.0.0.2:8080\"]
```

Whole files stand in `examples/`:

| file | shows |
| --- | --- |
| `static-answers.toml` | fixed answers, redirects, a health check |
| `files.toml` | files, a route that stands in for missing ones, rewrites, redirects |
| `api-gateway.toml` | captures, rewriting, header rules, conditions, limits |
| `tls-termination.toml` | TLS towards clients and upstreams |
| `balancing.toml` | whom requests go to: zones, limits, backups, hashes |
| `behind-a-balancer.toml` | the PROXY protocol from a load balancer and to upstreams |
| `health.toml` | probes, outliers, endpoints found by SRV records and in a file |
| `headers-maps-cookies.toml` | header rules of a whole site, conditions, maps with a watched file, cookies of an upstream |
| `error-routes.toml` | answers of an upstream replaced by those of another route |
| `access-and-limits.toml` | who may ask, error pages of a site, requests at once, time-outs and pace of a route |
| `overload.toml` | what is tried again, who waits, who is not asked for a while |
| `edge-cache.toml` | zones in memory and on disk, lifetimes, keys, what is not kept, purging |
| `negotiation.toml` | Brotli, zstd and gzip by what each client takes |
| `static-site.toml`, `single-page-app.toml`, `reverse-proxy.toml`, `app-behind-files.toml`, `redirects.toml`, `gateway.toml`, `downloads.toml`, `maintenance.toml`, `multi-tenant.toml`, `internal-tools.toml` | ten everyday sites, each beside the same as nginx.conf in `compat/` |
| `sharded.toml` | users in shards with replicas, ranges of keys, tenants that share few endpoints |
| `sessions.toml` | visitors who stay in a shard by a signed cookie, or where an application has begun their session |
| `plugins.toml` | plugins that are asked about requests, alone and in groups |
| `logs.toml` | access logs in several formats and places, rotation, samples, what is masked |

`switchback check` tells every mistake at once, with its place and what to do about it. Keys that do not exist are mistakes;
what can have no effect is warned of.
";

const VALUES: &str = "
## Values

| type | is written |
| --- | --- |
| <a id=\"size\"></a>size | `\"512\"` bytes, `\"64KiB\"`, `\"1MiB\"`, `\"2GiB\"`, `\"1TiB\"`; `k`, `m`, `g` and `t` mean the same |
| <a id=\"time\"></a>time | `\"250ms\"`, `\"10s\"`, `\"5m\"`, `\"1h\"`, `\"1d\"`, at most `\"365d\"`; `\"0\"` only where nothing waits |
| <a id=\"address\"></a>address | `\"10.0.0.1:8080\"`, `\"[::1]:80\"`, `\"unix:/run/app.sock\"`; names such as `\"app.example:80\"` for endpoints alone |
| <a id=\"network\"></a>network | `\"10.0.0.0/8\"`, `\"2001:db8::/32\"`, or one address |
| <a id=\"path\"></a>path | of a file; relative paths start from the directory of the file they stand in |
| <a id=\"template\"></a>template | text with variables, `\"$scheme://$host$request_uri\"`, and captures, `\"/v2/{id}\"`; `$$` is a dollar sign, `{{` and `}}` are braces |
| <a id=\"media-type\"></a>media-type | `\"text/html\"`, `\"text/*\"`, `\"application/*+json\"`, `\"*/*+xml\"`; in any case, without parameters |
| <a id=\"method\"></a>method | in capitals, `\"GET\"` |
| <a id=\"header\"></a>header | a name in any case |

Conditions (`when`) compare variables: `$http_x == \"a\" && !($arg_y ~ \"^z\") || $remote_addr in [10.0.0.0/8, ::1]`. A variable
alone holds when it is neither empty nor `0`; `exists $x` when there is a value at all. `~` and `!~` search for a regular
expression, `~*` and `!~*` in any case; `in` and `not in` take a list.

`${NAME}` and `${NAME:-default}` in any string stand for an environment variable, whose name is in capitals. In a template its
value is taken as it is: dollar signs and braces in it mean nothing. `$$` takes its meaning away from what follows.

`include` puts files together: lists are strung together, tables joined. A key that is no list may be set in one file only.
";

const LOGS: &str = include_str!("reference/logs.md");

/// One section for each table, in the order in which they are first mentioned.
fn tables(schema: &Value, page: &mut String) {
    let mut sections = vec![("The file", schema)];
    let mut written = 0;
    while let Some((title, table)) = sections.get(written).copied() {
        written += 1;
        let _ = write!(
            page,
            "\n### {title}\n\n{}\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n",
            text(table, "description")
        );
        for (key, value) in properties(table) {
            let doc = cell(&text(value, "description"));
            let _ = writeln!(
                page,
                "| `{key}` | {} | {} | {doc} |",
                type_of(value),
                default_of(table, key, value)
            );
            mentioned(schema, value, &mut sections);
        }
    }
}

fn properties(table: &Value) -> impl Iterator<Item = (&String, &Value)> {
    table.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Adds the tables that `value` refers to and that have no section yet.
fn mentioned<'a>(schema: &'a Value, value: &'a Value, sections: &mut Vec<(&'a str, &'a Value)>) {
    match value {
        Value::Object(object) => {
            let name =
                object.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
            let known = |name: &str| sections.iter().any(|(title, _)| *title == name);
            if let Some(name) = name.filter(|name| !known(name))
                && let Some(table) = schema.get("$defs").and_then(|tables| tables.get(name))
            {
                sections.push((name, table));
            }
            object.values().for_each(|value| mentioned(schema, value, sections));
        }
        Value::Array(values) => values.iter().for_each(|value| mentioned(schema, value, sections)),
        _ => {}
    }
}

/// What a value is, in words.
fn type_of(value: &Value) -> String {
    let Some(object) = value.as_object() else { return String::new() };
    if let Some(name) =
        object.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next())
    {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(alternatives) = object.get("anyOf").and_then(Value::as_array) {
        return alternatives.iter().map(type_of).collect::<Vec<_>>().join(" or ");
    }
    if let Some(words) = object.get("enum").and_then(Value::as_array) {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    if let Some(word) = object.get("const") {
        return format!("`{word}`");
    }
    plain_type(object)
}

fn plain_type(object: &Map<String, Value>) -> String {
    let linked = |format: &str| format!("[{format}](#{format})");
    match object.get("type").and_then(Value::as_str).unwrap_or_default() {
        "array" => format!("list of {}", object.get("items").map_or_else(String::new, type_of)),
        "object" => {
            format!(
                "table of {}",
                object.get("additionalProperties").map_or_else(String::new, type_of)
            )
        }
        "integer" => match (object.get("minimum"), object.get("maximum")) {
            (Some(minimum), Some(maximum)) => format!("{minimum} to {maximum}"),
            _ => "integer".to_owned(),
        },
        "number" => match (object.get("minimum"), object.get("maximum")) {
            (Some(minimum), Some(maximum)) => format!("{minimum} to {maximum}"),
            _ => "0 to 1".to_owned(),
        },
        "boolean" => "`true`, `false`".to_owned(),
        "" => "anything".to_owned(),
        other => {
            object.get("format").and_then(Value::as_str).map_or_else(|| other.to_owned(), linked)
        }
    }
}

fn default_of(table: &Value, key: &str, value: &Value) -> String {
    let is_required = table
        .get("required")
        .and_then(Value::as_array)
        .is_some_and(|keys| keys.iter().any(|own| own == key));
    match value.get("default") {
        _ if is_required => "must be set".to_owned(),
        Some(Value::Object(table)) if table.is_empty() => match value.get("$ref") {
            Some(_) => "all its defaults".to_owned(),
            None => "none".to_owned(),
        },
        Some(Value::Array(list)) if list.is_empty() => "none".to_owned(),
        Some(default) => format!("`{default}`"),
        None => "none".to_owned(),
    }
}

/// Text within a row of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}
