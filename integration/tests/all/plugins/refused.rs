//! What is wrong with plugins is told with file, line and column, by `check`, at a start and at a reload; what runs goes on.

use std::fs;
use std::path::Path;

use switchback_integration::{Config, Origin, PluginModule, Proxy, compiled, get, text};

use super::{filtered, plugin, received};

/// Stands where a finding must point to.
const HERE: &str = "@@";

/// What is wrong, the end of a configuration with a mark, and what is said of it.
struct Case {
    what: &'static str,
    wrong: String,
    says: &'static str,
}

fn case(what: &'static str, wrong: impl Into<String>, says: &'static str) -> Case {
    Case { what, wrong: wrong.into(), says }
}

/// One site that asks `broken`.
const BEGIN: &str = "[[listeners]]\nname = \"web\"\naddress = \"127.0.0.1:0\"\n\n\
     [[sites]]\n[[sites.routes]]\nfilters = [\"broken\"]\nrespond = { status = 200 }\n\n";

fn names() -> Vec<Case> {
    let begin = BEGIN.replace("\"broken\"", "@@\"rate-limits\"");
    let at = |options: &str| {
        BEGIN.replace(
            "\"broken\"",
            &format!("{{ use = \"rate-limit\", options = {{ {options} }} }}"),
        )
    };
    let of = |lines: &str| format!("{BEGIN}[plugins.broken]\n{lines}\n");
    vec![
        case("a filter that nobody is", begin, "did you mean `rate-limit`?"),
        case("a plugin that nobody is", of("use = @@\"jtw\""), "did you mean `jwt`?"),
        case("an option of a filter", at("@@rate = \"fifty\""), "option `rate`"),
        case("an unknown option of a filter", at("rate = \"5/s\", @@brust = 2"), "option `brust`"),
        case(
            "an unknown option",
            of("use = \"ip-filter\"\noptions = { @@alow = [\"10.0.0.0/8\"] }"),
            "option `alow`",
        ),
        case(
            "a network that is none",
            of("use = \"ip-filter\"\noptions = { allow = [@@\"10.0.0.0/99\"] }"),
            "10.0.0.0/99",
        ),
        case(
            "an upstream that is none",
            of("use = \"forward-auth\"\noptions = { @@upstream = \"nowhere\" }"),
            "upstream `nowhere` is not defined",
        ),
        case(
            "a file and a name",
            of("use = @@\"jwt\"\nmodule = \"plugins/none.so\""),
            "write one of the two",
        ),
        case("limits of what has none", of("use = \"jwt\"\nlimits = @@{ cpu = \"5ms\" }"), "Wasm"),
        case("an empty group", BEGIN.replace("\"broken\"", "{ any = @@[] }"), "no filter"),
    ]
}

/// `folder` has a file for each way to be no module.
fn modules(folder: &Path) -> Vec<Case> {
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let library = fs::read(PluginModule::Gate.file()).unwrap();
    let rogue = "plugins/host/tests/native/rogue.c";
    let at = |file: String| format!("{BEGIN}[plugins.broken]\nmodule = @@\"{file}\"\n");
    vec![
        case("a file that is not there", at("plugins/none.so".into()), "none.so"),
        case("a name that no folder has", at("none.wasm".into()), "plugin_path"),
        case("a name of no module", at(write("a.dll", b"")), "`.wasm`"),
        case("text for a library", at(write("text.so", b"#!/bin/sh\n")), "ELF"),
        case("text for Wasm", at(write("text.wasm", b"#!/bin/sh\n")), "no Wasm module"),
        case("Wasm for a library", at(write("w.so", b"\0asm\x01\0\0\0")), "name it .wasm"),
        case("half a library", at(write("half.so", &library[..library.len() / 2])), "middle"),
        case("Wasm that is no plugin", at(write("empty.wasm", b"\0asm\x01\0\0\0")), "is no plugin"),
        case(
            "another interface",
            at(write("abi.so", &compiled(rogue, &["MAJOR=2"]))),
            "built for version 2 of the plugin interface",
        ),
        case(
            "a library that is no plugin",
            at(write("lib.so", &compiled(rogue, &["ENTRY=something_else"]))),
            "switchback_plugin_v1",
        ),
    ]
}

/// Modules that are ones, and not what is said of them or with these options.
fn of_modules() -> Vec<Case> {
    let [native, wasm] = [PluginModule::Conformance, PluginModule::ConformanceWasm]
        .map(|module| module.file().display().to_string());
    let altered = |file: &str| {
        let zeros = "0".repeat(64);
        format!("{BEGIN}[plugins.broken]\nmodule = @@\"{file}\"\nsha256 = \"{zeros}\"\n")
    };
    let with = |file: &str, options: &str| {
        format!("{BEGIN}[plugins.broken]\nmodule = \"{file}\"\n{options}\n")
    };
    let rate = "options = { rules = [{ rate = 1 }, { @@rate = 10 }] }";
    let panic = "options = @@{ panic = \"no disk\" }";
    let told = "option `rules[1].rate`: not from 1 to 9";
    vec![
        case("an altered library", altered(&native), "is not the file that is meant"),
        case("altered Wasm", altered(&wasm), "is not the file that is meant"),
        case("a sum that is none", with(&native, "sha256 = @@\"abc\""), "64 hexadecimal digits"),
        case("an option of a library", with(&native, rate), told),
        case("an option of Wasm", with(&wasm, rate), told),
        case("a library that panics when it is made", with(&native, panic), "no disk"),
        case("Wasm that panics when it is made", with(&wasm, panic), "no disk"),
    ]
}

/// The configuration, and the place in it that is marked.
fn marked(wrong: &str) -> (Config, String) {
    let whole = text(wrong).to_toml();
    let before = &whole[..whole.find(HERE).unwrap()];
    let line = before.matches('\n').count() + 1;
    let column = before.lines().next_back().unwrap().chars().count() + 1;
    (text(wrong.replace(HERE, "")), format!("switchback.toml:{line}:{column}"))
}

#[test]
fn each_mistake_is_told_with_its_place_and_what_runs_goes_on() {
    let origin = Origin::start();
    let sound = filtered("\"sound\"", &origin).toml(plugin(
        "sound",
        switchback_plugin::Kind::Native,
        "options = { script = { on_request = \"set 0 x-sound yes\" } }",
    ));
    let proxy = Proxy::start(&sound);
    let mut missed = Vec::new();
    let cases = [names(), modules(proxy.folder()), of_modules()].into_iter().flatten();
    for Case { what, wrong, says } in cases {
        let (config, place) = marked(&wrong);
        proxy.write(&config);
        let checked = proxy.run(&["check", "-c", "switchback.toml"]);
        if checked.code != Some(1)
            || !checked.stderr.contains(&place)
            || !checked.stderr.contains(says)
        {
            missed.push(format!("check, {what}: no {place}, {says:?} in\n{}", checked.stderr));
        }
        let verdict = proxy.reload_as_written();
        let told = verdict.diagnostics.iter().any(|found| {
            place == format!("switchback.toml:{}:{}", found["line"], found["column"])
                && found["file"].as_str().is_some_and(|file| file.ends_with("switchback.toml"))
                && found.to_string().contains(&says.replace('"', "\\\""))
        });
        if verdict.accepted || !told {
            missed.push(format!("reload, {what}: no {place}, {says:?} in {verdict:#?}"));
        }
        assert_eq!(received(&proxy, &get("/"), "x-sound"), ["yes"], "{what}");
    }
    assert!(missed.is_empty(), "{} missed:\n{}", missed.len(), missed.join("\n"));
    assert_eq!(proxy.status()["generation"], 1);
}

#[test]
fn nothing_starts_with_a_module_that_is_another() {
    let file = PluginModule::Conformance.file();
    let (config, place) = marked(&format!(
        "{BEGIN}[plugins.broken]\nmodule = @@\"{}\"\nsha256 = \"{}\"\n",
        file.display(),
        "0".repeat(64)
    ));
    let refusal = Proxy::try_start(&config).err().expect("it does not start");
    assert_eq!(refusal.code, Some(1));
    assert!(refusal.stderr.contains(&place), "no {place} in {}", refusal.stderr);
    assert!(refusal.stderr.contains(&PluginModule::Conformance.sha256()), "{}", refusal.stderr);
}

/// A file that is replaced while it is in use: nothing changes before a reload, which is refused, and nothing after it.
#[test]
fn a_module_that_is_altered_while_it_runs_is_found_out_at_the_reload() {
    for module in [PluginModule::Conformance, PluginModule::ConformanceWasm] {
        let origin = Origin::start();
        let sound = filtered("\"sound\"", &origin).toml("[plugins.sound]\n");
        let proxy = Proxy::start(&sound.clone().toml("use = \"request-id\"\n"));
        let name = module.file().file_name().unwrap().to_str().unwrap().to_owned();
        let place = proxy.folder().join(&name);
        fs::copy(module.file(), &place).unwrap();
        let pinned = sound.toml(format!(
            "module = \"./{name}\"\nsha256 = \"{}\"\ntimeout = \"60s\"\n\
             options = {{ script = {{ on_request = \"set 0 x-sound yes\" }} }}\n",
            module.sha256()
        ));
        proxy.reload(&pinned).expect_accepted();
        let works = || assert_eq!(received(&proxy, &get("/"), "x-sound"), ["yes"], "{module:?}");
        works();
        // As a package manager does, and as somebody who is in a hurry does.
        for in_place in [false, true] {
            let other = proxy.folder().join("other");
            fs::write(if in_place { &place } else { &other }, b"another").unwrap();
            if !in_place {
                fs::rename(&other, &place).unwrap();
            }
            works();
            proxy.reload_as_written().expect_refused("is not the file that is meant");
            works();
        }
        fs::copy(module.file(), &place).unwrap();
        proxy.reload_as_written().expect_accepted();
        works();
    }
}
