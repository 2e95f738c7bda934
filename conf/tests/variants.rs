//! What is made of answers for clients that can do more, as it is planned.

#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use switchback_conf::plan::{
    Coding, CodingLevels, EncodePlan, ImageFormat, ImageModePlan, ImagesPlan, RoutePlan,
    missing_image_formats,
};
use switchback_conf::{Code, Diagnostic, Plan, load_text};

/// The plan of a site with `head` and `routes`, of which nothing is to be found fault with but that it is too early.
fn planned(head: &str, routes: &str) -> Plan {
    let text = format!(
        "[[listeners]]\naddress = \":443\"\ntls = {{ self_signed = [\"a.example\"] }}\n\
         [zones.main]\n[upstreams.app]\nendpoints = [\"127.0.0.1:3000\"]\n\
         [[sites]]\ncache = \"main\"\n{head}\n{routes}"
    );
    let outcome = load_text("switchback.toml", &text, &BTreeMap::new());
    let is_early = |found: &Diagnostic| found.message.contains("no effect yet");
    assert!(outcome.diagnostics.iter().all(is_early), "{}", outcome.report());
    outcome.value.unwrap().plan
}

/// A route to the upstream with `text`.
fn route(text: &str) -> String {
    format!("[[sites.routes]]\nproxy = \"app\"\n{text}\n")
}

fn encode(text: &str) -> Arc<EncodePlan> {
    let plan = planned("", &route(text));
    plan.routes[0].variants.encode.clone().unwrap()
}

fn images(text: &str) -> Arc<ImagesPlan> {
    let plan = planned("", &route(text));
    plan.routes[0].variants.images.clone().unwrap()
}

/// Which of the three a route has.
fn has(route: &RoutePlan) -> [bool; 3] {
    let variants = &route.variants;
    let has = [variants.encode.is_some(), variants.dictionary.is_some(), variants.images.is_some()];
    assert_eq!(variants.is_none(), has == [false; 3]);
    has
}

#[test]
fn nothing_is_made_that_is_not_asked_for() {
    let plan = planned("", &route(""));
    assert_eq!(has(&plan.routes[0]), [false; 3]);
    assert!(!plan.sites[0].client_hints);
    assert_eq!((plan.encoders.threads, plan.encoders.queue), (None, None));
    assert_eq!(plan.dictionaries.memory, 32 << 20);
}

#[test]
fn what_is_on_takes_all_defaults() {
    let plan = encode("encode = \"on\"");
    assert_eq!(plan.stored, [Coding::Br, Coding::Zstd, Coding::Gzip]);
    assert_eq!(plan.streamed, [Coding::Zstd, Coding::Br, Coding::Gzip]);
    assert_eq!(plan.levels, CodingLevels { br: 4, zstd: 3, gzip: 6 });
    assert_eq!(plan.best, Some(CodingLevels { br: 11, zstd: 19, gzip: 9 }));
    assert_eq!((plan.min_length, plan.decodes, plan.events), (256, true, true));
    assert!(plan.is_for(b"text/html; charset=utf-8") && plan.is_for(b"application/ld+json"));
    assert!(!plan.is_for(b"image/jpeg") && !plan.is_for(b"font/woff2") && !plan.is_for(b""));

    let plan = images("images = \"on\"");
    assert_eq!(plan.formats, [ImageFormat::Webp.into()]);
    assert_eq!((plan.quality, plan.save_data_quality), (80, 65));
    assert_eq!((plan.mode, plan.widths.len()), (ImageModePlan::Background, 0));
    assert!(plan.animated && !plan.hints, "without widths there is nothing to choose from");
    assert_eq!((plan.max_bytes, plan.max_pixels, plan.max_frames), (20 << 20, 40_000_000, 60));
}

#[test]
fn what_is_written_counts() {
    let plan = encode(
        "encode = { codings = [\"gzip\", \"zstd\"], types = [\"a/b\", \"text/*\"], min_length = \"1k\", \
         levels = { gzip = 1 }, best = { zstd = 12 }, decode = false, events = false }",
    );
    assert_eq!((&plan.stored, &plan.streamed), (&plan.streamed, &vec![Coding::Gzip, Coding::Zstd]));
    assert!(plan.is_for(b"a/b") && plan.is_for(b"text/css") && !plan.is_for(b"application/json"));
    assert!(!plan.is_for(b"text/event-stream"));
    let level = |coding| (plan.levels.of(coding), plan.best.unwrap().of(coding));
    assert_eq!([level(Coding::Gzip), level(Coding::Zstd)], [(1, 9), (3, 12)]);
    assert_eq!((plan.min_length, plan.decodes, plan.events), (1024, false, false));
    assert_eq!(encode("encode = { best = \"off\" }").best, None);

    let plan = images(
        "images = { formats = [\"avif\", \"webp\"], quality = 70, widths = [1280, 320], mode = \"inline\", \
         deadline = \"1s\", animated = false, max_bytes = \"1MiB\", max_pixels = 1000 }",
    );
    assert_eq!(plan.formats, [ImageFormat::Avif.into(), ImageFormat::Webp.into()]);
    assert_eq!((plan.quality, plan.save_data_quality), (70, 55));
    assert_eq!((&plan.widths, plan.hints), (&vec![320, 1280], true));
    assert_eq!(plan.mode, ImageModePlan::Inline { deadline: Duration::from_secs(1) });
    assert_eq!((plan.animated, plan.max_bytes, plan.max_pixels), (false, 1 << 20, 1000));
    assert_eq!(images("images = { quality = 9 }").save_data_quality, 1);
    assert_eq!(images("images = { save_data_quality = 80 }").save_data_quality, 80);
}

#[test]
fn a_dictionary_may_be_written_as_its_paths() {
    let plan = planned("", &route("encode = \"on\"\ndictionary = \"/a.*.js\""));
    let dictionary = plan.routes[0].variants.dictionary.clone().unwrap();
    assert_eq!((dictionary.pattern.as_str(), dictionary.id.as_deref()), ("/a.*.js", None));
    assert_eq!(dictionary.max_age, Duration::from_secs(30 * 86_400));
    assert_eq!(dictionary.at.line(), Some(13));
    let written = "dictionary = { match = \"/a\", max_age = \"1h\", id = \"app\" }";
    let plan = planned("encode = \"on\"", &route(written));
    let dictionary = plan.routes[0].variants.dictionary.clone().unwrap();
    assert_eq!(
        (dictionary.max_age, &**dictionary.id.as_ref().unwrap()),
        (Duration::from_secs(3600), "app")
    );
}

#[test]
fn routes_have_from_their_site_what_they_do_not_say_themselves() {
    let head = "encode = \"on\"\ndictionary = \"/*\"\nimages = { widths = [320] }";
    let texts = [
        "",
        "match = { path = \"/off\" }\nencode = \"off\"\ndictionary = \"off\"\nimages = \"off\"",
        "match = { path = \"/uncached\" }\ncache = \"off\"",
        "match = { path = \"/slices\" }\ncache = { zone = \"main\", slice = \"1MiB\" }",
        "match = { path = \"/gzip\" }\nencode = { codings = \"gzip\" }",
        "match = { path = \"/plain\" }\nencode = \"off\"",
    ];
    let mut routes = texts.map(route).concat();
    routes += "[[sites.routes]]\nmatch = { path = \"/hi\" }\nrespond = {}\n\
               [[sites.routes]]\nmatch = { path = \"/there\" }\nredirect = \"/\"\n\
               [[sites.routes]]\nmatch = { path = \"/again\" }\nrewrite = \"/\"\n\
               [[sites.routes]]\nmatch = { path = \"/files/*\" }\nfiles = \"/\"\n\
               [[sites.routes]]\nmatch = { path = \"/mine\" }\naction = \"mine\"\n";
    let plan = planned(head, &routes);
    let found: Vec<_> = plan.routes.iter().map(has).collect();
    let expected = [
        [true, true, true],
        [false, false, false],
        [true, false, false],
        [true, false, false],
        [true, false, true],
        [false, false, true],
        [true, false, false],
        [false, false, false],
        [false, false, false],
        [true, false, false],
        [true, false, false],
    ];
    assert_eq!(found, expected);
    let encode = |index: usize| plan.routes[index].variants.encode.as_ref().unwrap();
    assert!(Arc::ptr_eq(encode(0), encode(6)) && !Arc::ptr_eq(encode(0), encode(4)));
    assert!(plan.sites[0].client_hints);
}

#[test]
fn pages_ask_for_hints_only_where_images_go_by_them() {
    let asks = |images: &str| planned("", &route(images)).sites[0].client_hints;
    assert!(asks("images = { widths = [320] }"));
    assert!(!asks("images = { widths = [320], hints = false }"));
    assert!(!asks("images = \"on\""));
    let routes = format!(
        "{}[[sites]]\nhosts = [\"a.example\"]\n{}",
        route(""),
        route("cache = \"main\"\nimages = { widths = [320] }")
    );
    let plan = planned("", &routes);
    assert_eq!([0, 1].map(|site: usize| plan.sites[site].client_hints), [false, true]);
}

#[test]
fn a_format_that_a_build_lacks_is_told_once_for_each_place() {
    let own = "match = { path = \"/own\" }\nimages = { formats = \"avif\" }";
    let routes = [route(""), route("match = { path = \"/too\" }"), route(own)].concat();
    let plan = planned("images = { formats = [\"webp\", \"avif\"] }", &routes);
    assert!(missing_image_formats(&plan, &[ImageFormat::Webp, ImageFormat::Avif]).is_empty());
    let found = missing_image_formats(&plan, &[ImageFormat::Webp]);
    let told: Vec<_> = found
        .iter()
        .map(|found| (found.code, found.at.line(), found.at.column(), found.hint.as_deref()))
        .collect();
    let beside = "leave it out, or build with the feature `avif`";
    let alone = "`webp` is made by every build";
    assert_eq!(
        told,
        [
            (Code::ImageFormat, Some(9), Some(31), Some(beside)),
            (Code::ImageFormat, Some(19), Some(22), Some(alone)),
        ]
    );
    assert_eq!(found[0].message, "this build makes no images in `avif`");
}

#[test]
fn what_makes_a_client_different_may_choose_routes_paths_and_keys() {
    let text = "match = { when = '$segment == \"modern\" && $segment_worker != \"none\"' }\n\
                proxy = { upstream = \"app\", rewrite = \"/js/app.$segment.js\" }\n\
                cache = { zone = \"main\", key = { parts = [\"$segment\"] } }";
    let plan = planned("", &(route("") + &format!("[[sites.routes]]\n{text}\n")));
    assert!(!plan.routes[1].condition.is_always());
}

#[test]
fn what_stands_before_the_proxy_may_bring_the_tls_that_dictionaries_need() {
    let site = "[zones.main]\n[upstreams.app]\nendpoints = [\"127.0.0.1:3000\"]\n\
                [[sites]]\ncache = \"main\"\nencode = \"on\"\ndictionary = \"/*\"\n\
                [[sites.routes]]\nproxy = \"app\"\n";
    let warnings = |listener: &str| {
        let outcome = load_text("a.toml", &format!("{listener}\n{site}"), &BTreeMap::new());
        outcome.diagnostics.iter().map(|found| found.code).collect::<Vec<_>>()
    };
    let plain = "[[listeners]]\naddress = \":80\"";
    assert_eq!(warnings(plain), [Code::NoEffect]);
    assert!(warnings(&format!("trusted_proxies = [\"10.0.0.0/8\"]\n{plain}")).is_empty());
    assert!(
        warnings(&format!("{plain}\nproxy_protocol = {{ from = [\"10.0.0.0/8\"] }}")).is_empty()
    );
    assert!(warnings("[[listeners]]\naddress = \"unix:/a.sock\"").is_empty());
}
