//! A configuration that is written and read again is the same.

#![cfg(test)]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use http::{HeaderName, Method, StatusCode};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use switchback_conf::model::{
    Access, AccessLog, AtOnce, Balance, Bandwidth, BestLevels, BindAddress, Bound, Breaker, Cache,
    CacheKey, CacheLock, CacheOrOff, Certificate, ClientCertificates, ClientVerify, Concurrency,
    Connections, Control, CookieRule, CookieText, Count, Dictionaries, Dictionary, DictionaryOrOff,
    Encode, EncodeLevels, EncodeOrOff, Encoders, Endpoint, ErrorAnswer, ErrorStatus, ErrorTarget,
    Errors, FaultStatus, Files, Filter, Filters, FolderText, Forwarding, HeaderRules, Health,
    Hedge, HedgeAfter, Heuristic, HotKeys, Http2, ImageMode, Images, ImagesOrOff, Keepalive,
    KeyArguments, KeyParts, KeyQuery, Learn, Limits, Listener, ListenerTls, Log, Map, Mapping,
    Matcher, MinRate, MissingKey, Mode, ModuleFile, Name, NameServer, OneOrMany, OptionValue,
    Options, OrOff, OrOn, OrText, Outliers, Owner, Percent, Plugin, PluginLimits, Proxy,
    ProxyProtocol, ProxySource, Queue, Rate, Redirect, Resolve, Respond, Retry, RetryOn, Rotate,
    Route, RouteTimeouts, SendProxy, Sha256, Shard, ShardBy, Shuffle, Site, SiteTls, SocketOptions,
    Spill, StaleOn, StatusRanges, Sticky, Syslog, Table, TemplateText, Tenths, Text, Tickets,
    Timeouts, Tolerance, TtlKey, UnknownName, Upgrade, Upstream, UpstreamTimeouts, UpstreamTls,
    Workers, Zone, ZoneDisk, ZonePurge,
};
use switchback_conf::plan::{
    Autoindex, BalanceBy, CipherSuite, Coding, EncodedSlash, EndpointAddress, EndpointRole,
    ErrorKey, Facility, ImageFormat, Isolation, KeyGroup, LogEscape, LogLevel, LogTarget,
    MappingBy, MessageFormat, OnError, OtherPeers, ProbeKind, ProxyVersion, RangeOf, SameSite,
    Sample, StickyTo, Symlinks, SyslogAddress, SyslogSeverity, TlsVersion, UpstreamProtocol,
};
use switchback_conf::units::{Bytes, Duration, Size, Timeout};
use switchback_conf::{At, Config, read_text};
use switchback_value::{MediaRange, PathGlob};

/// Text that is hard to quote, but means nothing to environment variables.
fn text() -> impl Strategy<Value = Box<str>> {
    "[a-zA-Z0-9 äß€😀\"'\\\\\\\\#=\\[\\]{},.\\t\\n\\r\\u{1}\\u{7f}/*~-]{0,12}".prop_map(Into::into)
}

fn at<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = At<T>> {
    value.prop_map(At::from)
}

fn name() -> impl Strategy<Value = Name> {
    "[a-z0-9 .ä\"-]{1,6}".prop_map(|text| Name::new(&text).unwrap())
}

fn table<K: std::fmt::Debug + PartialEq, V: std::fmt::Debug>(
    key: impl Strategy<Value = K>,
    value: impl Strategy<Value = V>,
) -> impl Strategy<Value = Table<K, V>> {
    vec((key, value), 0..3).prop_map(|entries| entries.into_iter().collect())
}

fn template() -> impl Strategy<Value = TemplateText> {
    text().prop_map(TemplateText)
}

fn timeout() -> impl Strategy<Value = Timeout> {
    (1_u64..100_000_000)
        .prop_map(|ms| Timeout::new(std::time::Duration::from_millis(ms).into()).unwrap())
}

fn size() -> impl Strategy<Value = Size> {
    (1_u64..1 << 50).prop_map(|bytes| Size::new(Bytes(bytes)).unwrap())
}

fn header() -> impl Strategy<Value = HeaderName> {
    select(vec!["x-a", "x-b", "content-type", "accept"]).prop_map(HeaderName::from_static)
}

fn status() -> impl Strategy<Value = StatusCode> {
    (200_u16..600).prop_map(|status| StatusCode::from_u16(status).unwrap())
}

fn network() -> impl Strategy<Value = ipnet::IpNet> {
    select(vec!["10.0.0.0/8", "::1/128", "2001:db8::/32", "192.0.2.7/32"])
        .prop_map(|text| text.parse().unwrap())
}

fn socket() -> impl Strategy<Value = SocketAddr> {
    (any::<bool>(), 1_u16..).prop_map(|(v6, port)| match v6 {
        true => ([0, 0, 0, 0, 0, 0, 0, 1], port).into(),
        false => ([10, 1, 2, 3], port).into(),
    })
}

fn path() -> impl Strategy<Value = std::path::PathBuf> {
    "[a-z./ ä\"]{0,6}z".prop_map(Into::into)
}

fn header_rules() -> impl Strategy<Value = HeaderRules> {
    let values = || table(header(), at(template().prop_map(Text::Template)));
    (option::of(at(text())), vec(at(header()), 0..3), values(), values())
        .prop_map(|(when, remove, set, add)| HeaderRules { when, remove, set, add })
}

fn rule_lists() -> impl Strategy<Value = Rules> {
    let list = || vec(at(header_rules()), 0..3).prop_map(OneOrMany);
    ((list(), list()).prop_map(Into::into), vec(at(cookie_rule()), 0..3))
}

fn cookie_rule() -> impl Strategy<Value = CookieRule> {
    let attribute = || {
        let whole = template().prop_map(CookieText::Whole);
        let replace = table(text(), at(template())).prop_map(CookieText::Replace);
        option::of(at(prop_oneof![whole, replace]))
    };
    let flag = || option::of(any::<bool>());
    let same_site = option::of(select(vec![SameSite::Strict, SameSite::Lax, SameSite::None]));
    let texts = (option::of(at(text())), attribute(), attribute());
    (texts, any::<bool>(), flag(), flag(), same_site).prop_map(
        |((name, domain, path), remove, secure, http_only, same_site)| CookieRule {
            name,
            remove,
            domain,
            path,
            secure,
            http_only,
            same_site,
        },
    )
}

type Rules = ([OneOrMany<At<HeaderRules>>; 2], Vec<At<CookieRule>>);

fn matcher() -> impl Strategy<Value = Matcher> {
    let list = || vec(at(text()), 0..3).prop_map(OneOrMany);
    let values = || table(name(), at(text()));
    let method = select(vec![Method::GET, Method::POST, Method::from_bytes(b"PURGE").unwrap()]);
    let lists =
        (list(), vec(method, 0..3).prop_map(OneOrMany), vec(network(), 0..3).prop_map(OneOrMany));
    (lists, table(header(), at(text())), values(), values(), option::of(at(text()))).prop_map(
        |((path, method, client), headers, query, cookies, when)| Matcher {
            path,
            method,
            headers,
            query,
            cookies,
            client,
            when,
        },
    )
}

fn proxy() -> impl Strategy<Value = OrText<Proxy>> {
    (at(name()), option::of(at(template())), any::<bool>()).prop_map(
        |(upstream, rewrite, buffer_request)| OrText(Proxy { upstream, rewrite, buffer_request }),
    )
}

fn respond() -> impl Strategy<Value = Respond> {
    let text = || at(template().prop_map(Text::Template));
    (status(), table(header(), text()), text()).prop_map(|(status, headers, body)| Respond {
        status,
        headers,
        body,
    })
}

fn files() -> impl Strategy<Value = OrText<Files>> {
    let folder = at("[a-z/$]{0,6}".prop_map(|text| FolderText::from(&*format!("/{text}"))));
    let paths = (option::of(at(text())), vec(at(template()), 0..3), vec(at(text()), 0..3));
    let listing = select(vec![Autoindex::Off, Autoindex::Html, Autoindex::Json]);
    let coding = select(vec![Coding::Br, Coding::Zstd, Coding::Gzip]);
    let links = select(vec![Symlinks::Beneath, Symlinks::Never]);
    let types = (table(name(), at(text())), at(text()), option::of(at(text())));
    let rest = (any::<bool>(), any::<bool>(), option::of(at(name())));
    (folder, paths, listing, vec(at(coding), 0..3), links, types, rest).prop_map(
        |(root, paths, autoindex, precompressed, symlinks, types, (etag, hidden, missing))| {
            let (strip_prefix, candidates, index) = paths;
            let (types, default_type, charset) = types;
            OrText(Files {
                root,
                strip_prefix,
                candidates,
                index,
                autoindex,
                precompressed,
                etag,
                types,
                default_type,
                charset,
                symlinks,
                hidden,
                missing,
            })
        },
    )
}

fn redirect() -> impl Strategy<Value = OrText<Redirect>> {
    (at(template()), at(status())).prop_map(|(to, status)| OrText(Redirect { to, status }))
}

/// One action of each kind at most; the decoder does not mind that a route has several.
fn actions() -> impl Strategy<Value = Route> {
    let shared = (option::of(at(proxy())), option::of(at(respond())));
    let others = (option::of(at(files())), option::of(at(redirect())), option::of(at(template())));
    (shared, others, option::of(at(name())), limits()).prop_map(
        |(shared, others, action, limits)| Route {
            proxy: shared.0,
            respond: shared.1,
            files: others.0,
            redirect: others.1,
            rewrite: others.2,
            action,
            ..limits
        },
    )
}

fn errors() -> impl Strategy<Value = Errors> {
    let key = prop_oneof![
        status().prop_map(ErrorKey::Status),
        select(vec![4, 5]).prop_map(ErrorKey::Class)
    ];
    let target = prop_oneof![
        name().prop_map(ErrorTarget::Route),
        text().prop_map(|text| ErrorTarget::Path(TemplateText(format!("/{text}").into()))),
    ];
    let with_body = status().prop_filter("has a body", |s| ![204, 205, 304].contains(&s.as_u16()));
    let status = prop_oneof![Just(ErrorStatus::Own), with_body.prop_map(ErrorStatus::Is)];
    let answer = (at(target), option::of(status))
        .prop_map(|(route, status)| OrText(ErrorAnswer { route, status }));
    table(key, at(answer))
}

fn access() -> impl Strategy<Value = Access> {
    let fault =
        select(vec![400, 444, 599]).prop_map(|status| StatusCode::from_u16(status).unwrap());
    let status = option::of(at(fault.prop_map(|status| FaultStatus::new(status).unwrap())));
    let methods = vec(select(vec![Method::GET, Method::POST]), 0..3).prop_map(OneOrMany);
    let texts = || vec(at(text()), 0..3);
    let leaf = (texts(), methods, texts(), option::of(at(text())), status).prop_map(
        |(clients, methods, referers, when, status)| Access {
            clients,
            methods,
            referers,
            when,
            status,
            ..Access::default()
        },
    );
    leaf.prop_recursive(2, 6, 2, |inner| {
        let tables = || vec(at(inner.clone()), 0..3);
        (tables(), tables()).prop_map(|(any, all)| Access { any, all, ..Access::default() })
    })
}

fn concurrency() -> impl Strategy<Value = Concurrency> {
    let count = || (1_u32..2_000_000).prop_map(Count::clamped);
    (option::of(at(count())), option::of(count()), option::of(at(template()))).prop_map(
        |(per_client, total, key)| Concurrency { per_client, total, key, ..Concurrency::default() },
    )
}

/// Everything by which a route is limited.
fn limits() -> impl Strategy<Value = Route> {
    let timeouts = (option::of(timeout()), option::of(timeout()), option::of(timeout()))
        .prop_map(|(connect, read, write)| RouteTimeouts { connect, read, write });
    let bandwidth = (at(any::<u64>().prop_map(Bytes)), option::of(at(size())))
        .prop_map(|(rate, after)| Bandwidth { rate, after });
    (
        option::of(at(access())),
        option::of(at(concurrency())),
        option::of(at(timeouts)),
        option::of(at(bandwidth)),
    )
        .prop_map(|(access, concurrency, timeouts, bandwidth)| Route {
            access,
            concurrency,
            timeouts,
            bandwidth,
            ..Route::default()
        })
}

fn route() -> impl Strategy<Value = Route> {
    let names = (option::of(at(name())), errors());
    let limit = option::of(any::<u64>().prop_map(Bytes));
    let kept = (option::of(at(cache_or_off())), variants(), filters());
    let rest = (at(any::<i32>()), any::<bool>(), limit, kept);
    (names, option::of(at(matcher())), actions(), rule_lists(), rest).prop_map(
        |((name, errors), matcher, actions, rules, rest)| {
            let (priority, internal, body_limit, (cache, variants, filters)) = rest;
            let (encode, dictionary, images) = variants;
            let ([request_headers, response_headers], response_cookies) = rules;
            Route {
                name,
                matcher,
                priority,
                internal,
                request_headers,
                response_headers,
                response_cookies,
                errors,
                body_limit,
                cache,
                encode,
                dictionary,
                images,
                filters,
                ..actions
            }
        },
    )
}

fn site() -> impl Strategy<Value = Site> {
    let slash = select(vec![EncodedSlash::Keep, EncodedSlash::Decode, EncodedSlash::Refuse]);
    let limit = any::<u64>().prop_map(Bytes);
    (
        vec(at(text()), 0..3),
        vec(at(name()), 0..3),
        at(any::<bool>()),
        slash,
        limit,
        rule_lists(),
        vec(at(route()), 0..4),
        (
            option::of(at(access())),
            option::of(at(concurrency())),
            errors(),
            option::of(at(site_tls())),
            (option::of(at(cache_or_off())), variants(), filters()),
        ),
    )
        .prop_map(
            |(hosts, listeners, is_default, encoded_slash, body_limit, rules, routes, rest)| {
                let (cache, (encode, dictionary, images), filters) = rest.4;
                let ([request_headers, response_headers], response_cookies) = rules;
                Site {
                    access: rest.0,
                    concurrency: rest.1,
                    errors: rest.2,
                    hosts,
                    listeners,
                    is_default,
                    tls: rest.3,
                    encoded_slash,
                    body_limit,
                    request_headers,
                    response_headers,
                    response_cookies,
                    cache,
                    encode,
                    dictionary,
                    images,
                    filters,
                    routes,
                }
            },
        )
}

fn option_value() -> impl Strategy<Value = OptionValue> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(OptionValue::Boolean),
        any::<i64>().prop_map(OptionValue::Integer),
        (-1e300..1e300).prop_map(OptionValue::Float),
        text().prop_map(OptionValue::Text),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(at(inner.clone()), 0..3).prop_map(OptionValue::List),
            table(text(), at(inner)).prop_map(OptionValue::Table),
        ]
    })
}

fn options() -> impl Strategy<Value = At<Options>> {
    at(table(text(), at(option_value())))
}

fn on_error() -> impl Strategy<Value = OnError> {
    select(vec![OnError::Closed, OnError::Open])
}

fn plugin() -> impl Strategy<Value = Plugin> {
    let limits = (option::of(at(size())), option::of(at(timeout())), option::of(count()))
        .prop_map(|(memory, cpu, instances)| PluginLimits { memory, cpu, instances });
    let module = path().prop_map(ModuleFile::new);
    let file = (option::of(at(name())), option::of(at(module)), any::<Option<[u8; 32]>>());
    let isolation = at(select(vec![Isolation::Worker, Isolation::Request]));
    let bounds = (on_error(), option::of(at(timeout())), option::of(at(limits)), isolation);
    (file, bounds, options()).prop_map(|((used, module, sha256), bounds, options)| Plugin {
        used,
        module,
        sha256: sha256.map(|sum| At::from(Sha256(sum))),
        on_error: bounds.0,
        timeout: bounds.1,
        limits: bounds.2,
        isolation: bounds.3,
        options,
    })
}

fn filters() -> impl Strategy<Value = Filters> {
    let bounds = || (option::of(at(on_error())), option::of(at(timeout())));
    let one = (option::of(at(name())), options(), bounds()).prop_map(|(used, options, bounds)| {
        Filter { used, options, on_error: bounds.0, timeout: bounds.1, any: None, all: None }
    });
    let filter = one.prop_recursive(2, 6, 3, move |inner| {
        let group = || option::of(at(vec(at(inner.clone().prop_map(OrText)), 0..3)));
        (group(), group()).prop_map(|(any, all)| Filter { any, all, ..Filter::default() })
    });
    vec(at(filter.prop_map(OrText)), 0..3)
}

fn zone() -> impl Strategy<Value = Zone> {
    let disk = (at(path()), size(), any::<u64>().prop_map(Bytes))
        .prop_map(|(path, size, min_free)| ZoneDisk { path, size, min_free });
    let purge = vec(network(), 0..3).prop_map(|allow| ZonePurge { allow });
    let variants = any::<u32>().prop_map(Count::clamped);
    (at(size()), option::of(at(disk)), option::of(at(size())), variants, option::of(at(purge)))
        .prop_map(|(memory, disk, max_object, variants, purge)| Zone {
            memory,
            disk,
            max_object,
            variants,
            purge,
        })
}

/// A zone called `off` cannot be told apart from none.
fn cache_or_off() -> impl Strategy<Value = CacheOrOff> {
    prop_oneof![Just(OrOff::Off), cache().prop_map(|cache| OrOff::On(OrText(cache)))]
}

fn cache() -> impl Strategy<Value = Cache> {
    (cache_stored(), cache_stale(), cache_rest()).prop_map(|(stored, stale, rest)| Cache {
        key: stored.key,
        ttl: stored.ttl,
        override_origin: stored.override_origin,
        ignore: stored.ignore,
        store_cookies: stored.store_cookies,
        obey_client: stored.obey_client,
        heuristic: stored.heuristic,
        min_uses: stored.min_uses,
        lock: stale.lock,
        stale_while_revalidate: stale.stale_while_revalidate,
        stale_if_error: stale.stale_if_error,
        stale_on: stale.stale_on,
        background_update: stale.background_update,
        always_online: stale.always_online,
        ..rest
    })
}

fn milliseconds() -> impl Strategy<Value = Duration> {
    (0_u64..100_000_000).prop_map(|ms| std::time::Duration::from_millis(ms).into())
}

fn cache_key() -> impl Strategy<Value = CacheKey> {
    let arguments = (vec(at(text()), 0..3), vec(at(text()), 0..3))
        .prop_map(|(only, except)| KeyQuery::Some(KeyArguments { only, except }));
    let query = prop_oneof![Just(KeyQuery::All), Just(KeyQuery::None), arguments];
    let parts = (vec(at(template()), 0..3), at(query), any::<bool>(), any::<bool>())
        .prop_map(|(parts, query, host, scheme)| KeyParts { parts, query, host, scheme });
    prop_oneof![template().prop_map(CacheKey::Whole), parts.prop_map(CacheKey::Parts)]
}

fn cache_stored() -> impl Strategy<Value = Cache> {
    let status = prop_oneof![Just(TtlKey::Any), status().prop_map(TtlKey::Status)];
    let heuristic = prop_oneof![
        Just(OrOff::Off),
        (1_u8..=100).prop_map(|part| OrOff::On(Heuristic::percent(part).unwrap()))
    ];
    let flags = (at(any::<bool>()), at(any::<bool>()), any::<bool>());
    let lists = (table(status, at(milliseconds())), vec(at(header()), 0..3));
    let uses = any::<u32>().prop_map(Count::clamped);
    (option::of(at(cache_key())), lists, flags, heuristic, uses).prop_map(
        |(key, (ttl, ignore), flags, heuristic, min_uses)| Cache {
            key,
            ttl,
            ignore,
            override_origin: flags.0,
            store_cookies: flags.1,
            obey_client: flags.2,
            heuristic,
            min_uses,
            ..Cache::of(Name::new("-").unwrap())
        },
    )
}

fn cache_stale() -> impl Strategy<Value = Cache> {
    let lock =
        (milliseconds(), timeout()).prop_map(|(wait, age)| OrOff::On(CacheLock { wait, age }));
    let lock = at(prop_oneof![Just(OrOff::Off), lock]);
    let status = select(vec![403, 404, 429, 500, 503, 599]);
    let status = status.prop_map(|status| StaleOn::Status(StatusCode::from_u16(status).unwrap()));
    let on = prop_oneof![Just(StaleOn::Error), Just(StaleOn::Timeout), status];
    let flags = (any::<bool>(), any::<bool>());
    (lock, at(milliseconds()), at(milliseconds()), vec(at(on), 0..3), flags).prop_map(
        |(lock, while_revalidate, if_error, stale_on, flags)| Cache {
            lock,
            stale_while_revalidate: while_revalidate,
            stale_if_error: if_error,
            stale_on,
            background_update: flags.0,
            always_online: flags.1,
            ..Cache::of(Name::new("-").unwrap())
        },
    )
}

fn cache_rest() -> impl Strategy<Value = Cache> {
    let condition = || option::of(at(text()));
    let bytes = || option::of(at(size()));
    let method = select(vec![Method::GET, Method::HEAD, Method::from_bytes(b"QUERY").unwrap()]);
    let zone = at(name().prop_filter("that is no cache at all", |name| &**name != "off"));
    let lists = (vec(at(header()), 0..3), vec(header(), 0..3), at(vec(method, 0..3)));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (zone, condition(), condition(), (bytes(), bytes(), bytes()), lists, flags).prop_map(
        |(zone, bypass, no_store, sizes, (vary, targeted, methods), flags)| Cache {
            bypass,
            no_store,
            max_range_offset: sizes.0,
            slice: sizes.1,
            max_object: sizes.2,
            vary,
            targeted,
            methods: At::from(OneOrMany(methods.value)),
            early_hints: flags.0,
            status_header: flags.1,
            groups: flags.2,
            match_language: flags.3,
            ..Cache::of(zone)
        },
    )
}

type Variants = (Option<At<EncodeOrOff>>, Option<At<DictionaryOrOff>>, Option<At<ImagesOrOff>>);

fn variants() -> impl Strategy<Value = Variants> {
    let encode = or_off(encode().prop_map(OrOn));
    let dictionary = or_off(dictionary().prop_map(OrText));
    let images = or_off(images().prop_map(OrOn));
    (option::of(at(encode)), option::of(at(dictionary)), option::of(at(images)))
}

fn or_off<T: std::fmt::Debug + Clone>(
    on: impl Strategy<Value = T>,
) -> impl Strategy<Value = OrOff<T>> {
    prop_oneof![Just(OrOff::Off), on.prop_map(OrOff::On)]
}

fn count<const MIN: u32, const MAX: u32>() -> impl Strategy<Value = At<Count<MIN, MAX>>> {
    at(any::<u32>().prop_map(|count| Count::clamped(count % (MAX + 1))))
}

fn encode() -> impl Strategy<Value = Encode> {
    let coding = at(select(vec![Coding::Br, Coding::Zstd, Coding::Gzip]));
    let codings = option::of(at(vec(coding, 0..3).prop_map(OneOrMany)));
    let range = select(vec!["text/*", "a/b", "*/*+json"]);
    let types = at(vec(at(range.prop_map(|text| MediaRange::parse(text).unwrap())), 0..3));
    let levels =
        (count(), count(), count()).prop_map(|(br, zstd, gzip)| EncodeLevels { br, zstd, gzip });
    let best = (count(), count(), count())
        .prop_map(|(br, zstd, gzip)| OrOn(BestLevels { br, zstd, gzip }));
    let flags = (any::<bool>(), at(any::<bool>()));
    (codings, types, any::<u64>().prop_map(Bytes), levels, at(or_off(best)), flags).prop_map(
        |(codings, types, min_length, levels, best, (decode, events))| Encode {
            codings,
            types,
            min_length,
            levels,
            best,
            decode,
            events,
        },
    )
}

fn dictionary() -> impl Strategy<Value = Dictionary> {
    let pattern = "/[a-z]{0,3}\\*?(\\.js)?".prop_map(|text| PathGlob::parse(&text).unwrap());
    (at(pattern), timeout(), option::of(at(text()))).prop_map(|(pattern, max_age, id)| Dictionary {
        pattern,
        max_age,
        id,
    })
}

fn images() -> impl Strategy<Value = Images> {
    let format = at(select(vec![ImageFormat::Avif, ImageFormat::Webp]));
    let formats = at(vec(format, 0..3).prop_map(OneOrMany));
    let mode = select(vec![ImageMode::Background, ImageMode::Inline]);
    let sizes = (formats, vec(count(), 0..4), at(size()), count(), count());
    let qualities = (count(), option::of(count()));
    (sizes, qualities, mode, at(timeout()), at(any::<bool>()), at(any::<bool>())).prop_map(
        |(
            (formats, widths, max_bytes, pixels, max_frames),
            qualities,
            mode,
            deadline,
            hints,
            animated,
        )| {
            Images {
                formats,
                quality: qualities.0,
                save_data_quality: qualities.1,
                widths,
                mode,
                deadline,
                hints,
                animated,
                max_bytes,
                max_pixels: pixels.value,
                max_frames,
            }
        },
    )
}

fn certificates() -> impl Strategy<Value = Vec<At<OrText<Certificate>>>> {
    let one = (at(path()), option::of(at(path())), option::of(at(path())))
        .prop_map(|(certificate, key, ocsp)| OrText(Certificate { certificate, key, ocsp }));
    vec(at(one), 0..3)
}

fn site_tls() -> impl Strategy<Value = SiteTls> {
    let one = || option::of(at(path()));
    (one(), one(), one(), certificates()).prop_map(|(certificate, key, ocsp, certificates)| {
        SiteTls { certificate, key, ocsp, certificates }
    })
}

fn listener_tls() -> impl Strategy<Value = ListenerTls> {
    let tickets = (vec(at(path()), 0..3), option::of(at(timeout())), at(timeout()))
        .prop_map(|(keys, rotate, lifetime)| OrOff::On(Tickets { keys, rotate, lifetime }));
    let tickets = prop_oneof![Just(OrOff::Off), tickets];
    let verify = select(vec![ClientVerify::Required, ClientVerify::Optional]);
    let depth = (0..=6_u32).prop_map(Count::clamped);
    let client = (at(path()), verify, vec(at(path()), 0..3), depth)
        .prop_map(|(ca, verify, crl, depth)| ClientCertificates { ca, verify, crl, depth });
    let lists = (
        vec(at(select(vec![TlsVersion::Tls12, TlsVersion::Tls13])), 0..3),
        vec(at(select(CipherSuite::ALL.to_vec())), 0..3),
        vec(at(select(KeyGroup::ALL.to_vec())), 0..3),
    );
    let unknown = select(vec![UnknownName::Default, UnknownName::Refuse]);
    let handshakes = (1..=65_535_u32).prop_map(Count::clamped);
    let names = option::of(vec(at(text()), 0..3));
    let rest = (unknown, any::<bool>(), option::of(at(client)), handshakes);
    (site_tls(), names, lists, tickets, rest).prop_map(
        |(files, self_signed, (versions, ciphers, groups), tickets, rest)| ListenerTls {
            certificate: files.certificate,
            key: files.key,
            ocsp: files.ocsp,
            certificates: files.certificates,
            self_signed,
            unknown_name: rest.0,
            versions,
            ciphers,
            groups,
            prefer_server_order: rest.1,
            tickets,
            client: rest.2,
            handshakes: rest.3,
        },
    )
}

fn owner() -> impl Strategy<Value = Owner> {
    let name = || option::of("[a-z0-9_]{1,4}".prop_map(Into::into));
    (name(), name())
        .prop_filter("one half is needed", |(user, group)| user.is_some() || group.is_some())
        .prop_map(|(user, group)| Owner { user, group })
}

fn socket_options() -> impl Strategy<Value = SocketOptions> {
    let keepalive = (timeout(), timeout(), any::<u32>()).prop_map(|(idle, interval, count)| {
        OrOff::On(Keepalive { idle, interval, count: Count::clamped(count) })
    });
    let numbers = (any::<u32>(), option::of(at(any::<u32>().prop_map(Count::clamped))));
    let keepalive = at(prop_oneof![Just(OrOff::Off), keepalive]);
    let buffers = (option::of(at(size())), option::of(at(size())), option::of(at(size())));
    let when = (at(any::<bool>()), at(any::<bool>()), option::of(at(timeout())));
    (numbers, option::of(at(text())), when, keepalive, buffers).prop_map(
        |((backlog, fast_open), device, (share, transparent, defer_accept), keepalive, buffers)| {
            SocketOptions {
                backlog: Count::clamped(backlog).into(),
                device,
                share,
                transparent,
                defer_accept,
                fast_open,
                keepalive,
                receive_buffer: buffers.0,
                send_buffer: buffers.1,
                notsent_lowat: buffers.2,
            }
        },
    )
}

fn connections() -> impl Strategy<Value = Connections> {
    let rate = (1_u32..1_000_000, select(vec!["s", "m", "h"]))
        .prop_map(|(count, unit)| Rate::new(&format!("{count}/{unit}")).unwrap());
    let most = || option::of(at(any::<u32>().prop_map(Count::clamped)));
    let bits = option::of(at(any::<u32>().prop_map(Count::clamped)));
    let more = option::of(at(any::<u32>().prop_map(Count::clamped)));
    (most(), most(), bits, more, option::of(at(rate))).prop_map(
        |(total, per_client, ipv4_prefix, ipv6_prefix, rate)| Connections {
            total,
            per_client,
            ipv4_prefix,
            ipv6_prefix,
            rate,
        },
    )
}

fn listener() -> impl Strategy<Value = Listener> {
    let address = prop_oneof![
        socket().prop_map(BindAddress::Tcp),
        any::<u16>().prop_map(BindAddress::Any),
        path().prop_map(BindAddress::Unix),
    ];
    let timeouts = (timeout(), timeout(), timeout(), timeout(), timeout()).prop_map(
        |(handshake, header, keepalive, body, write)| Timeouts {
            handshake,
            header,
            keepalive,
            body,
            write,
        },
    );
    let limits = (size(), size(), any::<u32>(), any::<u32>()).prop_map(
        |(target, headers, fields, requests)| Limits {
            target,
            headers,
            fields: Count::clamped(fields),
            keepalive_requests: Count::clamped(requests),
        },
    );
    let min_rate = (any::<u64>(), any::<u64>(), timeout()).prop_map(|(receive, send, after)| {
        MinRate { receive: Bytes(receive), send: Bytes(send), after }
    });
    let mode = (option::of(at((0_u32..0o1000).prop_map(Mode))), option::of(at(owner())));
    let sockets = (socket_options(), connections(), filters());
    let h2 = (option::of(at(any::<bool>())), at(any::<bool>()));
    let protocols = (h2, option::of(at(proxy_protocol())));
    let limits = (timeouts, limits, vec(at(tolerance()), 0..3), option::of(at(http2())), min_rate);
    let tls = option::of(at(listener_tls()));
    (option::of(at(name())), at(address), mode, tls, protocols, limits, sockets).prop_map(
        |(name, address, (mode, owner), tls, protocols, limits, sockets)| {
            let (socket, connections, filters) = sockets;
            let ((h2, h2c), proxy_protocol) = protocols;
            let (timeouts, limits, tolerate, http2, min_rate) = limits;
            Listener {
                name,
                address,
                mode,
                owner,
                socket,
                connections,
                tls,
                h2,
                h2c,
                proxy_protocol,
                timeouts,
                limits,
                tolerate,
                filters,
                http2,
                min_rate,
            }
        },
    )
}

fn http2() -> impl Strategy<Value = Http2> {
    any::<[u32; 13]>().prop_map(|counts| {
        let [
            max_streams,
            first_streams,
            continuations,
            resets_per_second,
            early_resets,
            faulty_streams,
            pings_per_second,
            settings_per_second,
            priorities_per_second,
            empty_data_per_second,
            window_updates_per_second,
            frames,
            stalled_streams,
        ] = counts;
        Http2 {
            max_streams: Count::clamped(max_streams),
            first_streams: Count::clamped(first_streams),
            continuations: Count::clamped(continuations),
            resets_per_second: Count::clamped(resets_per_second),
            early_resets: Count::clamped(early_resets),
            faulty_streams: Count::clamped(faulty_streams),
            pings_per_second: Count::clamped(pings_per_second),
            settings_per_second: Count::clamped(settings_per_second),
            priorities_per_second: Count::clamped(priorities_per_second),
            empty_data_per_second: Count::clamped(empty_data_per_second),
            window_updates_per_second: Count::clamped(window_updates_per_second),
            frames: Count::clamped(frames),
            stalled_streams: Count::clamped(stalled_streams),
        }
    })
}

fn proxy_protocol() -> impl Strategy<Value = ProxyProtocol> {
    let network = (any::<std::net::IpAddr>(), 0_u8..=32)
        .prop_map(|(ip, bits)| ipnet::IpNet::new(ip, bits).unwrap().trunc());
    let source = prop_oneof![network.prop_map(ProxySource::Network), Just(ProxySource::Unix)];
    let others = select(vec![OtherPeers::Close, OtherPeers::Plain]);
    (vec(at(source), 0..3), timeout(), at(others))
        .prop_map(|(from, timeout, others)| ProxyProtocol { from, timeout, others })
}

fn send_proxy() -> impl Strategy<Value = OrText<SendProxy>> {
    let version = select(vec![ProxyVersion::V1, ProxyVersion::V2]);
    (at(version), vec(at(text()), 0..3))
        .prop_map(|(version, tlvs)| OrText(SendProxy { version, tlvs }))
}

fn tolerance() -> impl Strategy<Value = Tolerance> {
    select(Tolerance::ALL.map(|(tolerance, _)| tolerance).to_vec())
}

fn upstream() -> impl Strategy<Value = Upstream> {
    let hot_keys = prop_oneof![
        Just(OrOff::Off),
        at(any::<u32>().prop_map(|most| OrOn(HotKeys { most: Count::clamped(most % 20) })))
            .prop_map(OrOff::On),
    ];
    let choosing = (
        balance(),
        option::of(at(timeout())),
        option::of(at(name())),
        hot_keys,
        option::of(at(sticky())),
        option::of(spill()),
    );
    let tls = (option::of(at(text())), option::of(at(path())), any::<bool>())
        .prop_map(|(server_name, ca, verify)| UpstreamTls { server_name, ca, verify });
    let timeouts = (timeout(), timeout(), timeout(), timeout())
        .prop_map(|(connect, read, write, idle)| UpstreamTimeouts { connect, read, write, idle });
    let protocol = select(vec![UpstreamProtocol::Http1, UpstreamProtocol::H2]);
    let send_proxy = option::of(at(send_proxy()));
    let tls = (option::of(at(tls)), send_proxy);
    let times = (timeouts, option::of(timeout()));
    let endpoints = vec(endpoint(), 0..3).boxed();
    let merged = (sharding(endpoints.clone()), overload());
    let rest = (any::<u32>(), choosing, merged);
    (endpoints, protocol, tls, times, (rest, watched())).prop_map(
        |(endpoints, protocol, (tls, send_proxy), (timeouts, resolve_every), (rest, watched))| {
            let (tries, choosing, (sharding, overload)) = rest;
            let (balance, slow_start, zone, hot_keys, sticky, spill) = choosing;
            let Upstream { retry, hedge, breaker, concurrency, queue, priority, source, .. } =
                overload;
            Upstream {
                endpoints,
                protocol,
                tls,
                send_proxy,
                timeouts,
                tries: Count::clamped(tries),
                resolve_every,
                balance,
                slow_start,
                zone,
                hot_keys,
                sticky,
                spill,
                retry,
                hedge,
                breaker,
                concurrency,
                queue,
                priority,
                source,
                health: watched.0,
                outliers: watched.1,
                panic: watched.2,
                resolve: watched.3,
                endpoints_file: watched.4,
                ..sharding
            }
        },
    )
}

fn endpoint() -> impl Strategy<Value = OrText<Endpoint>> {
    let address = prop_oneof![
        socket().prop_map(EndpointAddress::Ip),
        ("[a-z][a-z0-9-]{0,5}", 1_u16..)
            .prop_map(|(host, port)| EndpointAddress::Name { host: host.into(), port }),
        path().prop_map(EndpointAddress::Unix),
        "(_[a-z]{1,4}\\.){0,2}[a-z]{1,5}".prop_map(|name| EndpointAddress::Srv(name.into())),
    ];
    let limits = (any::<u32>(), option::of(at(any::<u32>().prop_map(Count::clamped))));
    let flags = (any::<bool>(), any::<bool>());
    let names = (option::of(at(name())), option::of(at(name())));
    let role = at(select(vec![EndpointRole::Primary, EndpointRole::Replica]));
    (at(address), limits, flags, names, role).prop_map(
        |(address, (weight, max_connections), (backup, drain), (zone, id), role)| {
            let weight = Count::clamped(weight % 4);
            OrText(Endpoint { address, weight, backup, max_connections, drain, zone, id, role })
        },
    )
}

fn spill() -> impl Strategy<Value = OrText<Spill>> {
    let at_most = option::of(at(any::<u32>().prop_map(Count::clamped)));
    (at(name()), at_most, any::<bool>())
        .prop_map(|(to, at, unavailable)| OrText(Spill { to, at, unavailable }))
}

fn sticky() -> impl Strategy<Value = Sticky> {
    let secrets = vec(at(template().prop_map(Text::Template)), 0..3).prop_map(OneOrMany);
    let secret = option::of(at(secrets));
    let cookie = (option::of(at(text())), secret, option::of(at(milliseconds())), at(text()));
    let same_site = select(vec![SameSite::Strict, SameSite::Lax, SameSite::None]);
    let flags = (same_site, any::<bool>(), option::of(any::<bool>()));
    let to = option::of(at(select(vec![StickyTo::Endpoint, StickyTo::Shard])));
    let templates = || at(vec(at(template()), 0..3).prop_map(OneOrMany));
    let learn =
        (templates(), templates(), any::<u32>(), timeout()).prop_map(|(from, by, most, forget)| {
            Learn { from, by, most: Count::clamped(most), forget }
        });
    let others = (option::of(at(template())), option::of(at(learn)));
    (cookie, flags, (to, option::of(at(any::<bool>()))), others).prop_map(
        |(own, (same_site, http_only, secure), (to, before_key), (route, learn))| {
            let (cookie, secret, max_age, path) = own;
            Sticky {
                cookie,
                secret,
                max_age,
                path,
                same_site,
                http_only,
                secure,
                to,
                before_key,
                route,
                learn,
            }
        },
    )
}

/// An upstream that says nothing but how it is kept from overload.
fn overload() -> impl Strategy<Value = Upstream> {
    let on = vec![
        RetryOn::Connect,
        RetryOn::RefusedStream,
        RetryOn::Reset,
        RetryOn::Timeout,
        RetryOn::Status(StatusCode::BAD_GATEWAY),
    ];
    let percent = || (0_u8..=100).prop_map(|percent| Percent::new(percent).unwrap());
    let retry = (vec(at(select(on)), 0..3), percent(), any::<u32>(), timeout()).prop_map(
        |(on, budget, least, within)| Retry { on, budget, least: Count::clamped(least), within },
    );
    let after = prop_oneof![
        (500_u16..=999).prop_map(HedgeAfter::Quantile),
        timeout().prop_map(HedgeAfter::Time)
    ];
    let hedge =
        (at(after), at(percent())).prop_map(|(after, budget)| OrOn(Hedge { after, budget }));
    let breaker = (percent(), any::<u32>(), timeout(), timeout()).prop_map(
        |(errors, least, open, longest)| {
            OrOn(Breaker { errors, least: Count::clamped(least), open, longest })
        },
    );
    let at_once = prop_oneof![
        Just(AtOnce::Adaptive),
        Just(AtOnce::Off),
        (1_u32..1000).prop_map(AtOnce::Fixed)
    ];
    let queue = (any::<u32>(), timeout())
        .prop_map(|(most, wait)| Queue { most: Count::clamped(most), wait });
    let waits = (at(at_once), option::of(at(queue)), option::of(at(template())));
    let source = vec(at(any::<std::net::IpAddr>()), 0..3);
    let hedge = prop_oneof![Just(OrOff::Off), at(hedge).prop_map(OrOff::On)];
    let breaker = prop_oneof![Just(OrOff::Off), at(breaker).prop_map(OrOff::On)];
    let again = (retry, hedge, breaker);
    (again, waits, source).prop_map(
        |((retry, hedge, breaker), (concurrency, queue, priority), source)| Upstream {
            retry,
            hedge,
            breaker,
            concurrency,
            queue,
            priority,
            source,
            ..Upstream::new([])
        },
    )
}

fn balance() -> impl Strategy<Value = OrText<Balance>> {
    let by = vec![
        BalanceBy::P2c,
        BalanceBy::RoundRobin,
        BalanceBy::LeastRequests,
        BalanceBy::LeastTime,
        BalanceBy::Random,
        BalanceBy::IpHash,
        BalanceBy::Hash,
    ];
    let bound = (101_u32..=10_000).prop_map(|hundredths| Bound::hundredths(hundredths).unwrap());
    let more = (option::of(at(template())), option::of(at(any::<bool>())), option::of(at(bound)));
    (at(select(by)), more)
        .prop_map(|(by, (key, consistent, bound))| OrText(Balance { by, key, consistent, bound }))
}

/// An upstream with nothing but what is about shards and replicas.
fn sharding(endpoints: BoxedStrategy<Vec<OrText<Endpoint>>>) -> impl Strategy<Value = Upstream> {
    let ranges = vec(at(text()), 0..3).prop_map(OneOrMany);
    let shard = (at(name()), endpoints, any::<u32>(), ranges).prop_map(
        |(name, endpoints, weight, ranges)| Shard {
            name,
            endpoints,
            weight: Count::clamped(weight % 4).into(),
            ranges,
        },
    );
    let missing = prop_oneof![
        Just(MissingKey::Client),
        Just(MissingKey::Refuse),
        name().prop_map(MissingKey::Shard)
    ];
    let by = (at(template()), any::<bool>(), any::<bool>(), at(missing)).prop_map(
        |(key, lowercase, decode, missing)| OrText(ShardBy { key, lowercase, decode, missing }),
    );
    let shuffle = (any::<u32>(), at(template()))
        .prop_map(|(take, key)| Shuffle { take: Count::clamped(take % 4).into(), key });
    let texts = (option::of(at(by)), option::of(at(mapping())), table(text(), at(name())));
    let rest = (option::of(at(shuffle)), option::of(at(any::<bool>())), option::of(at(timeout())));
    (texts, vec(at(shard), 0..3), rest).prop_map(
        |((shard_by, mapping, pins), shards, (shuffle, shard_header, read_your_writes))| Upstream {
            shard_by,
            mapping,
            pins,
            shards,
            shuffle,
            shard_header,
            read_your_writes,
            ..Upstream::new([])
        },
    )
}

fn mapping() -> impl Strategy<Value = OrText<Mapping>> {
    let by = select(vec![MappingBy::Modulo, MappingBy::Maglev, MappingBy::Table]);
    let of = select(vec![RangeOf::Text, RangeOf::Numbers, RangeOf::Hash]);
    let size = any::<u32>().prop_map(Count::clamped);
    (
        at(by),
        option::of(at(size)),
        option::of(at(of)),
        option::of(at(path())),
        option::of(at(name())),
    )
        .prop_map(|(by, size, of, file, default)| OrText(Mapping { by, size, of, file, default }))
}

type Watched =
    (Option<At<OrText<Health>>>, OrOff<Outliers>, Percent, Resolve, Option<At<std::path::PathBuf>>);

fn watched() -> impl Strategy<Value = Watched> {
    let percent = || (0_u8..=100).prop_map(|percent| Percent::new(percent).unwrap());
    let resolve = (at(timeout()), at(timeout())).prop_map(|(min, max)| Resolve { min, max });
    let file = option::of(at(path()));
    (option::of(at(health())), outliers(percent()), percent(), resolve, file)
}

fn health() -> impl Strategy<Value = OrText<Health>> {
    let kinds = vec![ProbeKind::Http, ProbeKind::Tcp, ProbeKind::Tls, ProbeKind::Grpc];
    let method = select(vec![Method::GET, Method::HEAD]);
    let status = vec((100_u16..300, 300_u16..600), 1..3)
        .prop_map(|ranges| StatusRanges::new(ranges).unwrap());
    let text = || option::of(at(text()));
    let asked = (text(), at(select(kinds)), option::of(at(method)), option::of(at(status)));
    let times = (timeout(), timeout(), any::<u32>(), any::<u32>(), option::of(any::<u32>()));
    (asked, (text(), text(), text()), times).prop_map(|(asked, texts, times)| {
        let (path, kind, method, status) = asked;
        let (host, body, service) = texts;
        let (every, timeout, rise, fall, port) = times;
        let port = port.map(|port| At::from(Count::clamped(port)));
        let (rise, fall) = (Count::clamped(rise), Count::clamped(fall));
        OrText(Health {
            path,
            kind,
            method,
            host,
            status,
            body,
            service,
            every,
            timeout,
            rise,
            fall,
            port,
        })
    })
}

fn outliers(share: impl Strategy<Value = Percent>) -> impl Strategy<Value = OrOff<Outliers>> {
    let tenths = || (0_u32..=1000).prop_map(Tenths::new);
    let times = (timeout(), at(timeout()), at(timeout()));
    let on = (any::<u32>(), tenths(), tenths(), any::<u32>(), times, share).prop_map(
        |(errors, success_rate, latency, requests, (window, base, longest), share)| Outliers {
            errors: Count::clamped(errors % 20_000),
            success_rate,
            latency,
            requests: Count::clamped(requests),
            window,
            base,
            longest,
            share,
        },
    );
    prop_oneof![Just(OrOff::Off), on.prop_map(OrOff::On)]
}

fn log() -> impl Strategy<Value = Log> {
    let levels =
        vec![LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    let format = select(vec![MessageFormat::Text, MessageFormat::Json]);
    (select(levels), at(log_target()), format, option::of(at(syslog())), vec(access_log(), 0..3))
        .prop_map(|(level, file, format, syslog, access)| Log {
            level,
            file,
            format,
            syslog,
            access,
        })
}

fn log_target() -> impl Strategy<Value = LogTarget> {
    let udp = |port: u16| SyslogAddress::Udp { host: "::1".into(), port: port.max(1) };
    prop_oneof![
        Just(LogTarget::Stdout),
        Just(LogTarget::Stderr),
        path().prop_map(LogTarget::File),
        path().prop_map(|path| LogTarget::Syslog(SyslogAddress::Unix(path))),
        any::<u16>().prop_map(move |port| LogTarget::Syslog(udp(port))),
    ]
}

fn syslog() -> impl Strategy<Value = Syslog> {
    let severity = option::of(select(vec![SyslogSeverity::Crit, SyslogSeverity::Info]));
    (select(vec![Facility::Daemon, Facility::Local7]), severity)
        .prop_map(|(facility, severity)| Syslog { facility, severity, ..Syslog::default() })
}

fn access_log() -> impl Strategy<Value = At<AccessLog>> {
    let escape = option::of(at(select(vec![LogEscape::Default, LogEscape::Json, LogEscape::None])));
    let sample = (1..=1_000_000_u32).prop_map(|count| Sample::millionths(count).unwrap());
    let rotate = (1..1000_u64, any::<u32>()).prop_map(|(size, keep)| Rotate {
        size: Size::new(Bytes(size)).unwrap(),
        keep: Count::clamped(keep),
    });
    let lines = (at(log_target()), at(template()), escape, option::of(at(text())));
    (lines, sample, option::of(at(rotate)), vec(name(), 0..3), option::of(at(syslog()))).prop_map(
        |((file, format, escape, when), sample, rotate, redact, syslog)| {
            AccessLog { file, format, escape, when, sample, rotate, redact, syslog }.into()
        },
    )
}

fn map() -> impl Strategy<Value = Map> {
    let values = table(text(), at(template()));
    (at(template()), values, option::of(at(template())), any::<bool>(), option::of(at(path())))
        .prop_map(|(key, values, default, hosts, file)| Map { key, values, default, hosts, file })
}

fn forwarding() -> impl Strategy<Value = Forwarding> {
    let via = prop_oneof![Just(OrOff::Off), "[a-z]{0,3}".prop_map(|text| OrOff::On(text.into()))];
    let via = via
        .prop_filter("`off` is written for something else", |via| *via != OrOff::On("off".into()));
    (any::<bool>(), any::<bool>(), any::<bool>(), at(via)).prop_map(
        |(x_forwarded, forwarded, request_id, via)| Forwarding {
            x_forwarded,
            forwarded,
            request_id,
            via,
        },
    )
}

fn config() -> impl Strategy<Value = Config> {
    let resolvers = vec(socket().prop_map(NameServer), 0..3);
    let workers = prop_oneof![
        Just(Workers::Auto),
        any::<u32>().prop_map(|count| Workers::Count(Count::clamped(count)))
    ];
    let socket = option::of(at(prop_oneof![Just(OrOff::Off), path().prop_map(OrOff::On)]));
    let shutdown =
        (0_u64..100_000_000).prop_map(|ms| Duration::from(std::time::Duration::from_millis(ms)));
    let process = (workers, option::of(at(path())), socket, vec(network(), 0..3), connections());
    let duration = |ms| Duration::from(std::time::Duration::from_millis(ms));
    let upgrade = (0_u64..100_000).prop_map(move |ms| Upgrade { timeout: duration(ms) });
    let spread = option::of(at((0_u64..100_000).prop_map(duration)));
    let ends = (shutdown, spread, upgrade, resolvers);
    let variants = (option::of(count()), option::of(count()), at(size())).prop_map(
        |(threads, queue, memory)| (Encoders { threads, queue }, Dictionaries { memory }),
    );
    let plugins = (vec(at(path()), 0..2), table(name(), at(plugin())));
    let zones = (table(name(), at(zone())), variants, plugins);
    let tables = (table(name(), at(upstream())), table(name(), at(map())), zones);
    let lists = (vec(at(listener()), 0..3), vec(at(site()), 0..3), tables);
    (process, ends, forwarding(), log(), lists).prop_map(
        |(process, ends, forwarding, log, (listeners, sites, (upstreams, maps, zones)))| {
            let (zones, (encoders, dictionaries), (plugin_path, plugins)) = zones;
            let (workers, pid_file, socket, trusted_proxies, connections) = process;
            let (shutdown_timeout, drain_spread, upgrade, resolvers) = ends;
            let control = Control { socket };
            Config {
                workers,
                pid_file,
                shutdown_timeout,
                drain_spread,
                upgrade,
                resolvers,
                trusted_proxies,
                connections,
                control,
                forwarding,
                log,
                listeners,
                sites,
                upstreams,
                maps,
                zones,
                encoders,
                dictionaries,
                plugin_path,
                plugins,
                ..Config::default()
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_written_is_read_again(config in config()) {
        let written = config.to_toml();
        let read = read_text("", &written, &BTreeMap::new());
        prop_assert!(read.diagnostics.is_empty(), "{}\n{written}", read.report());
        prop_assert_eq!(read.value.unwrap(), config, "{}", written);
    }
}

#[test]
fn defaults_are_not_written() {
    assert_eq!(Config::default().to_toml(), "");
}
