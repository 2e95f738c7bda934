//! Files, what they include, and what they take from elsewhere.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use switchback_conf::model::Text;
use switchback_conf::{
    Config, Environment as _, Language, Outcome, ProcessEnvironment, read_file, read_text,
};
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn read(folder: &TempDir) -> Outcome<Config> {
    read_file(&folder.path().join("main.toml"), &BTreeMap::new())
}

fn names(config: &Config, folder: &TempDir) -> Vec<String> {
    let name =
        |path: &PathBuf| path.strip_prefix(folder.path()).unwrap().to_string_lossy().into_owned();
    config.files.iter().map(name).collect()
}

#[test]
fn included_files_are_read_once_each_in_order() {
    let site = |host: &str| format!("[[sites]]\nhosts = [\"{host}\"]\n");
    let folder = folder(&[
        (
            "main.toml",
            "include = [\"sites/*.toml\", \"more.toml\"]\n[[sites]]\nhosts = [\"main\"]\n",
        ),
        ("sites/b.toml", &site("b")),
        ("sites/a.toml", &format!("include = [\"deep/x.toml\"]\n{}", site("a"))),
        ("sites/.hidden.toml", "broken"),
        ("sites/deep/x.toml", &site("x")),
        ("sites/other.txt", "broken"),
        ("more.toml", "workers = 2\n[upstreams.u]\nendpoints = [\"a:1\"]\n"),
    ]);
    let config = read(&folder).into_result().unwrap();
    let hosts: Vec<_> = config.sites.iter().map(|site| site.hosts[0].value.to_string()).collect();
    assert_eq!(hosts, ["main", "a", "b", "x"]);
    let files = ["main.toml", "sites/a.toml", "sites/b.toml", "more.toml", "sites/deep/x.toml"];
    assert_eq!(names(&config, &folder), files);
    assert_eq!(config.upstreams.len(), 1);
    assert!(config.include.is_empty());
    assert!(config.to_toml().starts_with("workers = 2\n"));
}

#[test]
fn a_folder_with_signs_of_patterns_in_its_name_is_found() {
    let folder = folder(&[
        ("[a]*/main.toml", "include = [\"s*.toml\"]\n"),
        ("[a]*/s1.toml", "workers = 1\n"),
    ]);
    let read = read_file(&folder.path().join("[a]*/main.toml"), &BTreeMap::new());
    assert_eq!(read.into_result().unwrap().files.len(), 2);
}

#[test]
fn tables_of_several_files_are_joined() {
    let folder = folder(&[
        (
            "main.toml",
            "include = [\"log.toml\"]\ntrusted_proxies = [\"10.0.0.0/8\"]\nlog = { level = \"warn\" }\n",
        ),
        (
            "log.toml",
            "trusted_proxies = [\"::1\"]\nlog = { file = \"stdout\", access = [{ file = \"stdout\" }] }\n",
        ),
    ]);
    let config = read(&folder).into_result().unwrap();
    assert_eq!(config.trusted_proxies.len(), 2);
    assert_eq!(config.log.access.len(), 1);
    assert!(
        config.to_toml().contains("level = \"warn\"\nfile = \"stdout\"\n"),
        "{}",
        config.to_toml()
    );
}

#[test]
fn a_file_over_64_mib_is_refused_without_reading_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("main.toml");
    let limit = 64 * 1024 * 1024;
    File::create(&path).unwrap().set_len(limit + 1).unwrap();
    let outcome = read(&folder);
    let expected =
        format!("error[C0002]: {0} is larger than 64 MiB\n  --> {0}\n\n1 error\n", path.display());
    assert_eq!(outcome.report(), expected);
    assert!(outcome.value.is_none());
    let text = " ".repeat(usize::try_from(limit).unwrap() + 1);
    assert!(
        read_text("big.toml", &text, &BTreeMap::new())
            .report()
            .starts_with("error[C0002]: big.toml is larger")
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let outcome = read_file(Path::new("nowhere/main.toml"), &BTreeMap::new());
    let expected = "error[C0001]: cannot read nowhere/main.toml: No such file or directory (os error 2)\n  --> nowhere/main.toml\n\n1 error\n";
    assert_eq!(outcome.report(), expected);
    let folder = TempDir::new().unwrap();
    assert!(
        read_file(folder.path(), &BTreeMap::new())
            .report()
            .starts_with("error[C0001]: cannot read")
    );
}

#[test]
fn a_file_of_another_language_is_not_taken_for_a_native_one() {
    let report = switchback_conf::load_file(Path::new("a/nginx.conf"), &BTreeMap::new()).report();
    assert!(
        report.starts_with(
            "error[C0012]: a/nginx.conf is not a native file by its name\n  --> a/nginx.conf\n"
        ),
        "{report}"
    );
    assert!(report.ends_with("1 error\n"), "{report}");
    assert_eq!(Language::of(Path::new("haproxy.cfg")), None);
    assert_eq!(Language::of(Path::new("/dev/stdin")), Some(Language::Native));
}

#[test]
fn a_file_that_is_not_utf8_is_refused_where_it_stops_being_so() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("main.toml"), b"workers = 1\npid_file = \"a\xff\"\n").unwrap();
    let report = read(&folder).report();
    assert!(
        report.contains("error[C0003]: this is not UTF-8") && report.contains("main.toml:2:14\n"),
        "{report}"
    );
}

#[test]
fn a_file_included_by_two_ways_is_told_with_the_first() {
    let folder = folder(&[
        ("main.toml", "include = [\"a.toml\", \"b.toml\"]\n"),
        ("a.toml", "include = [\"c.toml\"]\n"),
        ("b.toml", "include = [\"./c.toml\"]\n"),
        ("c.toml", ""),
    ]);
    let report = read(&folder).report();
    assert!(report.contains("c.toml is part of this configuration already"), "{report}");
    assert!(report.contains("a.toml:1:12\n\n1 error"), "{report}");
}

#[test]
fn a_chain_of_includes_has_an_end() {
    let link = |number: usize| {
        (format!("{number}.toml"), format!("include = [\"{}.toml\"]\n", number + 1))
    };
    let chain: Vec<_> = (0..100).map(link).collect();
    let files: Vec<_> = chain.iter().map(|(name, text)| (&**name, &**text)).collect();
    let folder = folder(&files);
    let outcome = read_file(&folder.path().join("0.toml"), &BTreeMap::new());
    assert_eq!(outcome.diagnostics.len(), 1);
    let last = &outcome.diagnostics[0];
    assert_eq!(last.message, "more than 64 files include one another in a row");
    assert_eq!(last.at.file(), Some(&*folder.path().join("64.toml")));
}

#[test]
fn values_from_files_lose_one_newline_and_mean_nothing() {
    let folder = folder(&[
        (
            "main.toml",
            "[[sites]]\n[[sites.routes]]\nrespond = { body = { file = \"page.html\" } }\n",
        ),
        ("page.html", "<p>${X} {y}</p>\n\r\n"),
    ]);
    let config = read(&folder).into_result().unwrap();
    let body = &config.sites[0].routes[0].respond.as_ref().unwrap().body;
    let Text::File { path, content } = &body.value else { panic!("not from a file") };
    assert_eq!(path, &folder.path().join("page.html"));
    assert_eq!(&**content, "<p>${X} {y}</p>\n");
    let listener = "[[listeners]]\naddress = \":80\"\n";
    let text = format!("{listener}{}", config.to_toml());
    let plan = switchback_conf::load_text("", &text, &BTreeMap::new()).into_result().unwrap().plan;
    let switchback_conf::plan::ActionPlan::Respond(respond) = &plan.routes[0].action else {
        panic!("no answer")
    };
    assert_eq!(respond.body.as_literal(), Some("<p>${X} {y}</p>\n"));
}

#[test]
fn a_value_from_a_large_file_is_refused() {
    let folder = folder(&[(
        "main.toml",
        "[[sites]]\n[[sites.routes]]\nrespond = { body = { file = \"page\" } }\n",
    )]);
    File::create(folder.path().join("page")).unwrap().set_len(16 * 1024 * 1024 + 1).unwrap();
    assert!(
        read(&folder).report().contains("page: larger than 16 MiB"),
        "{}",
        read(&folder).report()
    );
}

#[test]
fn environment_variables_mean_nothing_in_templates() {
    let variables = BTreeMap::from([
        ("SECRET".to_owned(), "a$b{c}".to_owned()),
        ("PORT".to_owned(), "80".to_owned()),
    ]);
    let text = "[[listeners]]\naddress = \"127.0.0.1:${PORT}\"\n[[sites]]\n[[sites.routes]]\nrespond = { body = \"${SECRET} $uri\" }\n";
    let plan = switchback_conf::load_text("", text, &variables).into_result().unwrap().plan;
    let switchback_conf::plan::ActionPlan::Respond(respond) = &plan.routes[0].action else {
        panic!("no answer")
    };
    assert_eq!(respond.body.source(), "a$$b{{c}} $uri");
    assert_eq!(&*plan.listeners[0].name, "127.0.0.1:80");
}

#[test]
fn the_environment_of_the_process_is_asked() {
    assert_eq!(ProcessEnvironment.variable("CARGO_PKG_NAME").as_deref(), Some("switchback-conf"));
    assert_eq!(ProcessEnvironment.variable("SWITCHBACK_NO_SUCH_VARIABLE"), None);
}

#[test]
fn findings_are_told_in_the_order_of_files_and_text() {
    let folder = folder(&[
        ("main.toml", "include = [\"a.toml\"]\nworkers = 0\nx = 1\n"),
        ("a.toml", "y = 1\n[log]\nz = 1\n"),
    ]);
    let outcome = read(&folder);
    let places: Vec<_> =
        outcome.diagnostics.iter().map(|found| (found.at.line(), found.message.clone())).collect();
    let expected = [
        (2, "0 is not between 1 and 1024"),
        (3, "unknown key `x`"),
        (1, "unknown key `y`"),
        (3, "unknown key `z`"),
    ];
    assert_eq!(places, expected.map(|(line, message)| (Some(line), message.to_owned())));
}

#[test]
fn findings_are_json_for_the_control_socket() {
    let outcome = read_text("a.toml", "workerz = 1\n", &BTreeMap::new());
    let expected = serde_json::json!([{
        "severity": "error", "code": "C0102", "message": "unknown key `workerz`",
        "file": "a.toml", "line": 1, "column": 1, "hint": "did you mean `workers`?",
    }]);
    assert_eq!(serde_json::to_value(&outcome.diagnostics).unwrap(), expected);
    let outcome = switchback_conf::plan(&Config::default());
    let json = serde_json::to_value(&outcome.diagnostics).unwrap();
    assert_eq!(
        (&json[0]["file"], &json[0]["line"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
}
