//! `check`, `fmt` and `schema`: what helps before anything runs.

use std::path::Path;
use std::process::Command;

use switchback_integration::{site, switchback, switchback_binary};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn the_demo_and_every_example_are_accepted() {
    let mut files = vec![repository().join("conf/switchback.toml")];
    if let Ok(examples) = std::fs::read_dir(repository().join("conf/examples")) {
        files.extend(examples.filter_map(|entry| Some(entry.ok()?.path())));
    }
    // A check opens logs, and so makes their files.
    let logs = tempfile::tempdir().unwrap();
    for file in files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "toml")) {
        let mut check = Command::new(switchback_binary());
        check.args(["check", "-c"]).arg(file).env("LOG_FOLDER", logs.path());
        let checked = check.current_dir(repository()).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success(), "{}:\n{said}", file.display());
    }
}

#[test]
fn a_route_that_can_never_be_chosen_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let config = site().route_lines(
        "name = \"all\"\nmatch = { path = \"/*\" }\npriority = 9\nrespond = { status = 200, body = \"all\" }",
    );
    let config = config.route_lines(
        "name = \"hidden\"\nmatch = { path = \"/x\" }\nrespond = { status = 200, body = \"x\" }",
    );
    std::fs::write(folder.path().join("c.toml"), config.to_toml()).unwrap();
    switchback(folder.path(), &["check", "-c", "c.toml"]).expect_text("hidden");
}

#[test]
fn check_speaks_json() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.toml"), site().route("/x", "proxy = \"none\"").to_toml())
        .unwrap();
    let found = switchback(folder.path(), &["check", "-c", "c.toml", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&found.expect_code(1).stdout).unwrap();
    assert!(json.to_string().contains("none"), "{json}");
}

#[test]
fn the_schema_is_json_and_describes_listeners() {
    let schema = switchback(repository(), &["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema.expect_code(0).stdout).unwrap();
    assert!(schema["properties"]["listeners"].is_object(), "{schema}");
}

#[test]
fn formatting_is_stable_and_keeps_comments() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| switchback(folder.path(), arguments);
    std::fs::write(
        folder.path().join("c.toml"),
        "# why\n[[listeners]]\naddress=\"127.0.0.1:0\"   # here\n",
    )
    .unwrap();
    run(&["fmt", "--check", "c.toml"]).expect_code(1);
    run(&["fmt", "-w", "c.toml"]).expect_code(0);
    let text = std::fs::read_to_string(folder.path().join("c.toml")).unwrap();
    assert!(text.contains("# why") && text.contains("# here"), "{text}");
    run(&["fmt", "--check", "c.toml"]).expect_code(0);
}
