//! What is wrong with plugins is told with its place, and nothing is put in force.

use std::collections::BTreeMap;
use std::fs;

use switchback::{Server, Verdict};
use switchback_conf::{Code, read_text};

use super::{BASE, World, with_plugins};
use crate::command::Folder;

fn check(text: &str) -> Vec<(Code, String, String, Option<String>)> {
    let text = format!(
        "{BASE}{text}\n[[sites]]\nfilters = [\"under-test\"]\n[[sites.routes]]\nrespond.body = \"\"\n"
    );
    let config = read_text("test.toml", &text, &BTreeMap::new()).into_result().unwrap();
    let found = with_plugins(Server::new(config)).check().diagnostics;
    found.into_iter().map(|one| (one.code, one.at.to_string(), one.message, one.hint)).collect()
}

fn one(text: &str) -> (Code, String, String, Option<String>) {
    let mut found = check(text);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn a_plugin_that_nobody_has_is_told_with_the_one_that_was_meant() {
    let (code, at, message, hint) = one("plugins.under-test.use = \"trases\"");
    assert_eq!((code, &*at), (Code::UnknownPlugin, "test.toml:4:26"));
    assert_eq!(message, "plugin `trases` is not defined, and this program has none of that name");
    assert_eq!(hint.unwrap(), "did you mean `traces`?");
    let (code, at, ..) = one("");
    assert_eq!((code, &*at), (Code::UnknownPlugin, "test.toml:6:12"));
}

#[test]
fn an_option_is_refused_where_it_stands() {
    let of =
        |options: &str| one(&format!("[plugins.under-test]\nuse = \"does\"\noptions = {options}"));
    let (code, at, message, hint) =
        of("{ at = \"request\", do = \"deny\", rules = [{ rate = 1 }, { rate = 0 }] }");
    assert_eq!((code, &*at), (Code::PluginOption, "test.toml:6:67"));
    assert_eq!(message, "plugin `under-test`: option `rules[1].rate`: nobody may come at all");
    assert_eq!(hint.unwrap(), "write 1 or more");
    let (_, at, message, _) = of("{ at = \"request\", do = \"deny\", valu = \"x\" }");
    assert_eq!(at, "test.toml:6:42");
    assert!(message.starts_with("plugin `under-test`: option `valu`: unknown"), "{message}");
    let (_, at, message, _) = of("{ at = \"request\", do = \"deny\", rules = [{ rate = \"1\" }] }");
    assert_eq!(at, "test.toml:6:53");
    assert!(message.contains("invalid type"), "{message}");
    let (_, at, message, _) = of("{ at = \"request\" }");
    assert_eq!(at, "test.toml:6:11");
    assert!(message.contains("missing field `do`"), "{message}");
    let (_, at, message, hint) = of("{ at = \"request\", do = \"http\", value = \"/\" }");
    assert_eq!(at, "test.toml:6:42");
    assert_eq!(message, "plugin `under-test`: option `value`: upstream `other` is not defined");
    assert_eq!(hint.unwrap(), "add [upstreams.other]");
}

#[test]
fn options_of_a_filter_are_checked_with_those_of_its_table() {
    let text = format!(
        "{BASE}[plugins.does]\noptions = {{ at = \"request\" }}\n[[sites]]\n[[sites.routes]]\nrespond.body = \"\"\n\
         filters = [{{ use = \"does\", options = {{ do = \"deny\", rules = 1 }} }}]\n"
    );
    let config = read_text("test.toml", &text, &BTreeMap::new()).into_result().unwrap();
    let found = with_plugins(Server::new(config)).check().diagnostics;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].at.to_string(), "test.toml:9:53");
}

#[test]
fn a_file_that_nobody_can_load_is_refused() {
    let folder = Folder::empty();
    let file = folder.path().join("tier.wasm");
    fs::write(&file, "no module").unwrap();
    let text = format!("[plugins.under-test]\nmodule = {file:?}\nsha256 = \"{}\"", "0".repeat(64));
    let (code, at, ..) = one(&text);
    assert_eq!((code, &*at), (Code::PluginModule, "test.toml:5:10"));
}

#[test]
fn a_reload_that_a_plugin_refuses_leaves_the_running_configuration() {
    let folder = Folder::empty();
    let path = folder.path().join("switchback.toml");
    let text = |options: &str| {
        format!(
            "{BASE}[[sites]]\n[[sites.routes]]\nrespond.body = \"here\"\n\
             filters = [{{ use = \"does\", options = {{ at = \"response\", do = \"status\", {options} }} }}]\n"
        )
    };
    fs::write(&path, text("value = \"201\"")).unwrap();
    let handle = with_plugins(Server::from_file(&path)).spawn().unwrap();
    let world = World { handle, origin: super::Origin::start() };
    assert_eq!(world.get("/").status, 201);
    fs::write(&path, text("valu = \"202\"")).unwrap();
    let refused: Verdict = world.handle.reload();
    assert!(!refused.accepted);
    let found = &refused.diagnostics[0];
    assert_eq!(found.at.to_string(), format!("{}:7:72", path.display()));
    assert_eq!(world.get("/").status, 201);
    fs::write(&path, text("value = \"202\"")).unwrap();
    assert!(world.handle.reload().accepted);
    assert_eq!(world.get("/").status, 202);
}
