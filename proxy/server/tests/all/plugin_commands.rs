//! `switchback plugin`: what authors of plugins need.

use std::path::Path;
use std::process::Command;

use crate::command::{Folder, repository};

fn sdk() -> String {
    repository().join("plugins/sdk").display().to_string()
}

/// Runs cargo in a plugin's folder, with what this test was built from.
#[track_caller]
fn cargo(folder: &Path, arguments: &[&str]) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin");
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--offline", "--target-dir"])
        .arg(target)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// As its README says, step by step.
#[test]
fn a_new_plugin_passes_its_tests_and_is_loaded_by_the_proxy() {
    let folder = Folder::empty();
    let begun = folder.run(&["plugin", "new", "token-gate", "--sdk", &sdk()]);
    assert_eq!(begun.code, Some(0), "{begun:?}");
    let own = folder.path().join("token-gate");
    cargo(&own, &["test"]);
    cargo(&own, &["build", "--features", "module"]);
    let module = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin/debug/libtoken_gate.so");
    let module = module.to_str().unwrap();

    let options = r#"{"token":"secret"}"#;
    let checked = folder.run(&["plugin", "check", module, "--options", options]);
    assert_eq!(checked.stdout, "token-gate 0.1.0 (native)\nhooks: on_request\noptions: good\n");
    let refused = folder.run(&["plugin", "check", module, "--options", r#"{"tokn":"secret"}"#]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("token-gate: options: "), "{refused:?}");

    let text = folder.read("token-gate/switchback.toml");
    folder.write("switchback.toml", &text.replace("target/release/libtoken_gate.so", module));
    let good = folder.run(&["check"]);
    assert_eq!(good.code, Some(0), "{good:?}");
}

#[test]
fn nothing_is_written_where_something_is() {
    let folder = Folder::empty();
    std::fs::create_dir(folder.path().join("gate")).unwrap();
    let refused = folder.run(&["plugin", "new", "gate", "--sdk", &sdk()]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("is there already"), "{refused:?}");
    assert_eq!(std::fs::read_dir(folder.path().join("gate")).unwrap().count(), 0);
}

#[test]
fn a_name_that_is_none_and_an_sdk_that_is_nowhere_are_told() {
    let folder = Folder::empty();
    let name = folder.run(&["plugin", "new", "My Plugin", "--sdk", &sdk()]);
    assert_eq!((name.code, name.stderr.contains("`My Plugin` is no name")), (Some(2), true));
    let sdk = folder.run(&["plugin", "new", "gate"]);
    assert_eq!((sdk.code, sdk.stderr.contains("--sdk PATH")), (Some(2), true), "{sdk:?}");
    let sdk = folder.run(&["plugin", "new", "gate", "--sdk", "nowhere"]);
    assert_eq!((sdk.code, sdk.stderr.contains("nowhere")), (Some(1), true), "{sdk:?}");
}

#[test]
fn what_is_no_module_is_told_with_its_name() {
    let folder = Folder::with("a.so", "not one");
    for (file, said) in [("a.so", "ELF"), ("b.so", "there is no file"), ("a.txt", "known are")] {
        let refused = folder.run(&["plugin", "check", file]);
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains(file) && refused.stderr.contains(said), "{refused:?}");
    }
}

#[test]
fn plugins_that_are_built_in_are_listed_shown_and_measured() {
    let folder = Folder::empty();
    let list = folder.run(&["plugin", "list"]);
    assert!(list.stdout.lines().any(|line| line.starts_with("rate-limit ")), "{list:?}");
    let schema = folder.run(&["plugin", "check", "rate-limit", "--schema"]);
    assert!(schema.stdout.contains("\"properties\""), "{schema:?}");
    let bench = folder.run(&["plugin", "bench", "csrf"]);
    assert_eq!(bench.code, Some(0), "{bench:?}");
    let line = bench.stdout.lines().find(|line| line.starts_with("on_request ")).unwrap();
    assert!(line.ends_with(" ns"), "{line}");
}
