//! What the fuzzer runs, as plain functions: the same bodies replay the committed corpora in an ordinary test.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue, Method};
use switchback_cache::policy::Rules;
use switchback_cache::policy::search::{NO_VARY_SEARCH, NoVarySearch};
use switchback_cache::{Address, Key, KeyBuilder};
use switchback_conf::plan::{Tolerance, Tolerances};
use switchback_conf::{format, load_text, read_text};
use switchback_engine::judge::{self, Judged};
use switchback_files::{Acceptable, Coding, MAX_RANGES, Ranges};
use switchback_route::{
    Captures, EncodedSlash, HostTable, NormalPath, RouteId, RouteSpec, RouteTable,
};
use switchback_upstream::shard::{Mapping, Shard, ShardMap, Table};
use switchback_value::{Condition, Facts, HostPattern, PathPattern, Scope, Template, Variable};

use crate::grammar::message;

/// A fuzz target.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name of the target and of its corpus.
    pub name: &'static str,
    /// Takes any bytes; panics when a promise is broken.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 23] = [
    Target { name: "normal_path", run: normal_path },
    Target { name: "path_pattern", run: path_pattern },
    Target { name: "host_pattern", run: host_pattern },
    Target { name: "template", run: template },
    Target { name: "condition", run: condition },
    Target { name: "config_toml", run: config_toml },
    Target { name: "byte_ranges", run: byte_ranges },
    Target { name: "accept_encoding", run: accept_encoding },
    // It is cut at every position, and what follows it changes nothing.
    Target { name: "proxy_header", run: switchback_engine::check_proxy_header },
    Target { name: "grpc_health", run: grpc_health },
    Target { name: "request_head", run: request_head },
    Target { name: "chunked_body", run: chunked_body },
    // The head of a file of the cache: what is read of it is what is written of that.
    Target { name: "cache_file", run: switchback_cache::disk::check_file_head },
    // The head of a request: nothing is chosen that it refuses.
    Target { name: "capabilities", run: switchback_variant::check_capabilities },
    // A coded body: it comes within its limits, or not at all.
    Target { name: "decoder", run: switchback_variant::check_decoder },
    Target { name: "no_vary_search", run: no_vary_search },
    Target { name: "cache_purges", run: switchback_cache::disk::check_purges },
    Target { name: "cache_key", run: cache_key },
    // A picture has pixels, and cut short it is either none or of the same size.
    Target { name: "picture_head", run: switchback_images::check_header },
    // Whatever becomes of it is told; what is made is smaller, and can be read.
    Target { name: "picture", run: switchback_images::check_conversion },
    Target { name: "shard_table", run: shard_table },
    // An `Authorization` field, or the payload of a token in one: a claim that is found is the one that is there.
    Target { name: "jwt_claim", run: switchback_engine::check_jwt_claim },
    // Options of a plugin: what is accepted is the same when it is written down and read again.
    Target { name: "plugin_options", run: switchback_plugin::check_options },
];

/// Runs the target of this name.
///
/// # Panics
/// When there is none, or a promise is broken.
pub fn fuzz(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    (target.run)(data);
}

/// What a probe is answered: cut short, it says nothing.
fn grpc_health(data: &[u8]) {
    let said = switchback_engine::check_grpc_answer(data);
    for cut in (0..data.len()).filter(|_| said.is_some() && data.len() < 256) {
        let is_framed = data.get(1..5).is_some_and(|length| length == [0, 0, 0, 0]);
        let part = switchback_engine::check_grpc_answer(&data[..cut]);
        assert!(is_framed || part.is_none() || part == said, "{cut} of {data:?}");
    }
}

/// A head that is let through is, as it goes on, what a strict parser of another hand reads; cut short it is no head. The
/// first byte says whether everything is tolerated.
fn request_head(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let all = Tolerance::ALL.map(|(tolerance, _)| tolerance).into_iter().collect();
    let tolerate = if first % 2 == 0 { Tolerances::NONE } else { all };
    let Judged::Head { received, mut sent, body } = judge::head(bytes, tolerate) else { return };
    for cut in [received / 3, received / 2, received - 1] {
        let judged = judge::head(&bytes[..cut], tolerate);
        assert_eq!(judged, Judged::Partial, "{} of {}", cut, bytes.escape_ascii());
    }
    let first_line = sent.split(|byte| *byte == b'\n').find(|line| *line != b"\r");
    if first_line.is_none_or(|line| line.ends_with(b"HTTP/1.0\r")) {
        // The strict parser is of HTTP/1.1 alone.
        return;
    }
    let length = body.unwrap_or(7).min(1 << 16);
    match body {
        None => sent.extend_from_slice(b"2\r\nab\r\n0\r\n\r\n"),
        Some(_) => sent.resize(sent.len() + usize::try_from(length).unwrap_or_default(), b'x'),
    }
    match message(&sent) {
        Ok(Some(found)) => assert_eq!(found.length, sent.len(), "{}", sent.escape_ascii()),
        Ok(None) => assert_ne!(body, Some(length), "{}", sent.escape_ascii()),
        Err(unsound) => panic!("{unsound:?}: {}", sent.escape_ascii()),
    }
}

/// A chunked body ends where a strict parser of another hand finds its end.
fn chunked_body(data: &[u8]) {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let Ok(Some(end)) = judge::chunks(data) else { return };
    match message(&[head, data].concat()) {
        Ok(Some(found)) => assert_eq!(found.length, head.len() + end, "{}", data.escape_ascii()),
        other => panic!("{other:?}: {}", data.escape_ascii()),
    }
}

/// A key that can be read is the one that was written; and of two lists of parts, a zero byte between the lists and
/// newlines between parts, the keys are alike only if the lists are.
fn cache_key(data: &[u8]) {
    if let Some(key) = Key::from_bytes(data) {
        assert_eq!(key.as_bytes(), data);
        let more = key.with_part(b"more");
        let parts = key.parts().chain([&b"more"[..]]);
        assert!(more.parts().eq(parts) && more != key, "{key:?} and {more:?}");
        assert_eq!(more.address(), key.address());
        assert_eq!(Key::from_bytes(more.as_bytes()), Some(more));
    }
    let mut lists = data.splitn(2, |byte| *byte == 0);
    let mut list = || parts_of(lists.next().unwrap_or_default());
    let (one, other) = (list(), list());
    for make in [key_of, template_of] {
        let (key, other_key) = (make(&one), make(&other));
        assert_eq!(key == other_key, one == other, "{key:?} and {other_key:?}");
        assert_eq!(Key::from_bytes(key.as_bytes()).as_ref(), Some(&key));
    }
}

/// At least as many as a key has of itself.
fn parts_of(list: &[u8]) -> Vec<&[u8]> {
    let mut parts: Vec<&[u8]> = list.split(|byte| *byte == b'\n').collect();
    parts.resize(parts.len().max(6), b"");
    parts
}

fn key_of(parts: &[&[u8]]) -> Key {
    let address = Address {
        scheme: parts[1],
        host: parts[2],
        port: parts[3],
        path: parts[4],
        query: parts[5],
    };
    let mut key = KeyBuilder::new(parts[0], address);
    for part in &parts[6..] {
        key.part(part);
    }
    key.build()
}

fn template_of(parts: &[&[u8]]) -> Key {
    let mut key = KeyBuilder::template(parts[0], parts[1], Address::default());
    for part in &parts[2..] {
        key.part(part);
    }
    key.build()
}

/// A normal path is normal: it begins with a slash, holds no `//`, `.` or `..`, and written down it is itself again.
fn normal_path(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else { return };
    for slash in [EncodedSlash::Keep, EncodedSlash::Decode, EncodedSlash::Refuse] {
        let Ok(path) = NormalPath::parse(raw, slash) else { continue };
        let text = path.as_str();
        assert!(text.starts_with('/') && !text.contains("//") && !text.contains('\0'), "{text:?}");
        assert!(text.split('/').all(|segment| segment != "." && segment != ".."), "{text:?}");
        let encoded = path.to_encoded();
        let again = NormalPath::parse(&encoded, slash).map(|path| path.as_str().to_owned());
        assert_eq!(again.as_deref(), Ok(text), "{raw:?} as {slash:?}, encoded as {encoded:?}");
    }
}

/// First line: a pattern. Second: a path. What the pattern alone says, a table of it says too.
fn path_pattern(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (pattern, path) = text.split_once('\n').unwrap_or((text, "/"));
    let Ok(pattern) = PathPattern::parse(pattern) else { return };
    assert!(
        PathPattern::parse(&pattern.to_string()).is_ok(),
        "{pattern:?} does not survive being written down"
    );
    let Ok(path) = NormalPath::parse(path, EncodedSlash::Keep) else { return };
    let id = RouteId(0);
    let spec = RouteSpec { id, paths: vec![pattern], condition: Condition::always(), priority: 0 };
    let table = RouteTable::new(vec![spec]);
    let mut captures = Captures::default();
    if table.find(path.as_str(), &Nobody, &mut captures).is_some() {
        for index in 0..u8::try_from(captures.len()).unwrap_or(u8::MAX) {
            let captured = captures.get(path.as_str(), index).unwrap_or_default();
            assert!(path.as_str().contains(captured));
        }
    }
}

/// A host that is a pattern of its own is found by it.
fn host_pattern(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (pattern, host) = text.split_once('\n').unwrap_or((text, "a.example"));
    let Ok(pattern) = HostPattern::parse(pattern) else { return };
    let mut table = HostTable::new();
    let inserted = table.insert(&pattern, 1);
    assert!(inserted.is_ok() && table.insert(&pattern, 2).is_err(), "{pattern:?} goes in once");
    let found = table.find(&host.to_ascii_lowercase());
    match &pattern {
        HostPattern::Any => assert_eq!(found, Some(1)),
        HostPattern::Exact(name) => {
            assert_eq!(table.find(name), Some(1), "{name:?} does not find itself")
        }
        _ => {}
    }
}

/// A template renders whatever a request lacks, and parses again as it was written.
fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let scope = Scope::with_captures(["id", "rest"]);
    match Template::parse(text, &scope) {
        Ok(template) => {
            let mut rendered = Vec::new();
            template.render(&Nobody, &mut rendered);
            assert_eq!(Template::parse(template.source(), &scope).as_ref().ok(), Some(&template));
            if let Some(literal) = template.as_literal() {
                assert_eq!(rendered, literal.as_bytes());
            }
        }
        Err(error) => {
            assert!(text.get(error.at.clone()).is_some(), "{:?} is no place in {text:?}", error.at)
        }
    }
}

/// A condition holds or does not, and so does its opposite, the other way round.
fn condition(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Condition::parse(text, &Scope::with_captures(["id"])) {
        Ok(condition) => {
            let holds = condition.holds(&Nobody);
            assert_ne!(condition.not().holds(&Nobody), holds, "{text:?}");
        }
        Err(error) => {
            assert!(text.get(error.at.clone()).is_some(), "{:?} is no place in {text:?}", error.at)
        }
    }
}

/// Whatever the text, there is a plan or a report; a configuration written down is the same when read again.
fn config_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if ["include", "file", "pem", "key"].iter().any(|word| text.contains(word)) {
        // What it reads would depend on the machine.
        return;
    }
    let nothing = BTreeMap::new();
    let loaded = load_text("fuzz.toml", text, &nothing);
    assert!(
        loaded.value.is_some() != loaded.has_errors(),
        "neither a plan nor a report: {}",
        loaded.report()
    );
    if let Some(loaded) = loaded.value {
        let written = loaded.config.to_toml();
        let again = read_text("fuzz.toml", &written, &nothing);
        assert!(!again.has_errors(), "{written}\n{}", again.report());
        let rewritten = again.value.map(|config| config.to_toml());
        assert_eq!(rewritten.as_deref(), Some(written.as_str()));
    }
    if let Ok(formatted) = format(text) {
        assert_eq!(format(&formatted).ok().as_ref(), Some(&formatted), "formatting is not stable");
    }
}

/// First line: a `Range`. Second: the size of a file. Whatever is asked for lies within the file and is not more than it.
fn byte_ranges(data: &[u8]) {
    let mut lines = data.splitn(2, |&byte| byte == b'\n');
    let line = lines.next().unwrap_or_default();
    let size = std::str::from_utf8(lines.next().unwrap_or_default());
    let size: u64 = size.ok().and_then(|size| size.parse().ok()).unwrap_or(1000);
    let Ranges::Some(ranges) = Ranges::parse(line, size) else { return };
    assert!((1..=MAX_RANGES).contains(&ranges.len()), "{} ranges", ranges.len());
    assert!(ranges.iter().all(|range| range.start < range.end && range.end <= size), "{ranges:?}");
    let sum: u128 = ranges.iter().map(|range| u128::from(range.end - range.start)).sum();
    assert!(sum <= u128::from(size), "{sum} bytes of {size}");
}

/// Lines of `Accept-Encoding`. The file itself is always among the forms, and the codings are those of the server, each once.
fn accept_encoding(data: &[u8]) {
    let lines = data.split(|&byte| byte == b'\n').take(16);
    let values = lines.filter_map(|line| HeaderValue::from_bytes(line).ok());
    let headers: HeaderMap = values.map(|value| (ACCEPT_ENCODING, value)).collect();
    let offered = [Coding::Br, Coding::Zstd, Coding::Gzip];
    let order: Vec<_> = Acceptable::of(&headers).order(&offered).collect();
    let times = |form| order.iter().filter(|&&other| other == form).count();
    assert_eq!(times(None), 1, "{order:?}");
    assert!(offered.iter().all(|&coding| times(Some(coding)) <= 1), "{order:?}");
    assert!(!headers.is_empty() || order == [None], "{order:?} for a client that said nothing");
}

/// First line: `No-Vary-Search`. Second: a query. The one writing for all queries that mean the same is its own, and neither
/// coding nor empty parameters are a difference where the response says anything.
fn no_vary_search(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (field, query) = (&data[..end], &data[end + 1..]);
    let Ok(value) = HeaderValue::from_bytes(field) else { return };
    let said =
        NoVarySearch::of(&std::iter::once((NO_VARY_SEARCH, value)).collect(), &Rules::default());
    let canonical = said.canonical(query).into_owned();
    assert_eq!(said.canonical(&canonical), canonical.as_slice());
    if said.is_default() {
        assert_eq!(canonical, query);
        return;
    }
    let encode = |byte: &u8| match byte {
        b'&' | b'=' | b'+' | b'%' | b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' => vec![*byte],
        byte => format!("%{byte:02X}").into_bytes(),
    };
    let encoded: Vec<u8> = query.iter().flat_map(encode).collect();
    let padded = [b"&&", query, b"&"].concat();
    for same in [encoded, padded] {
        assert_eq!(said.canonical(&same), canonical.as_slice(), "{}", same.escape_ascii());
    }
}

/// A table that can be read has the shard of each of its keys, and cut short anywhere in its last line it is none.
fn shard_table(data: &[u8]) {
    let Ok(table) = Table::parse(data) else { return };
    let names: BTreeSet<&str> = table.entries().map(|(_, shard, _)| shard).collect();
    let shards: Vec<Shard> = names.iter().map(|name| Shard::new(name, 1)).collect();
    for mapping in
        [Mapping::Anchor, Mapping::Table { table: Arc::new(table.clone()), default: None }]
    {
        let map = ShardMap::build(&mapping, &shards).and_then(|map| map.override_by(&table));
        let map = map.expect("every shard that is named is there");
        for (key, shard, line) in table.entries() {
            let found = map.shard(key).and_then(|found| map.name(found));
            assert_eq!(found, Some(shard), "line {line}, {}", key.escape_ascii());
        }
    }
    let last =
        data[..data.len() - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    for cut in last + 1..data.len() {
        assert!(Table::parse(&data[..cut]).is_err(), "{}", data[..cut].escape_ascii());
    }
}

/// A request that has nothing.
struct Nobody;

impl Facts for Nobody {
    fn fact(&self, _variable: &Variable) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn client_ip(&self) -> Option<IpAddr> {
        None
    }

    fn method(&self) -> &Method {
        &Method::GET
    }
}
