//! `switchback.h` is what the Rust types say, and keeps what version 1.0 said.
//!
//! After a change: `SWITCHBACK_BLESS=1 cargo test -p switchback-plugin-abi`.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input fails")]

mod generator;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn header() -> String {
    fs::read_to_string(folder().join("include/switchback.h")).unwrap_or_default()
}

fn frozen() -> String {
    fs::read_to_string(folder().join("frozen/switchback-1.0.h")).unwrap()
}

#[test]
fn header_is_what_the_rust_types_say() {
    let generated = generator::header(&folder().join("src"));
    if std::env::var_os("SWITCHBACK_BLESS").is_some() {
        fs::create_dir_all(folder().join("include")).unwrap();
        fs::write(folder().join("include/switchback.h"), &generated).unwrap();
    }
    assert!(
        generated == header(),
        "plugins/abi/include/switchback.h is another: SWITCHBACK_BLESS=1 cargo test -p switchback-plugin-abi"
    );
}

/// Members by struct, in order, each as it is declared, without what is said about it.
fn structs(header: &str) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    let mut open: Option<(String, Vec<String>)> = None;
    for line in header.lines() {
        if let Some(name) = line.strip_prefix("struct ").and_then(|line| line.strip_suffix(" {")) {
            open = Some((name.to_owned(), Vec::new()));
        } else if line == "};" {
            all.extend(open.take());
        } else if let Some((_, members)) = &mut open
            && line.ends_with(';')
        {
            members.push(line.trim().to_owned());
        }
    }
    all
}

fn lines<'a>(header: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    header.lines().filter(move |line| line.starts_with(start))
}

#[test]
fn structs_begin_as_in_version_1_0() {
    let (today, frozen) = (structs(&header()), structs(&frozen()));
    assert!(frozen.contains_key("sb_host") && frozen.contains_key("sb_plugin"));
    for (name, members) in frozen {
        let now = &today[&name];
        assert!(now.starts_with(&members), "{name} was {members:#?} and is {now:#?}");
    }
}

/// Bytes and fields are handed over by value and in arrays: they have no size to tell them apart.
#[test]
fn structs_without_a_size_are_those_of_version_1_0() {
    let (today, frozen) = (structs(&header()), structs(&frozen()));
    for (name, members) in today {
        if members.first().map(String::as_str) != Some("uint32_t size;") {
            assert_eq!(Some(&members), frozen.get(&name), "{name}");
        }
    }
}

#[test]
fn offsets_and_numbers_of_version_1_0_are_kept() {
    let (today, frozen) = (header(), frozen());
    for start in ["SB_ASSERT(offsetof", "#define SB_", "typedef "] {
        let now: Vec<_> = lines(&today, start).collect();
        let kept = lines(&frozen, start).filter(|line| !line.contains("SB_ABI_MINOR"));
        for line in kept {
            assert!(now.contains(&line), "gone: {line}");
        }
    }
}

/// Compiles a header alone, as the languages that are said to read it.
fn compile(header: &Path, language: &str, standard: &str) {
    let output = Command::new("cc")
        .args(["-x", language, standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .args(["-fsyntax-only"])
        .arg(header)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // A header that is compiled alone is one that nothing was included by.
    assert!(output.status.success(), "{}: {said}", header.display());
}

#[test]
fn headers_compile_as_c_and_cpp_and_lie_where_rust_says() {
    for header in ["include/switchback.h", "frozen/switchback-1.0.h"] {
        compile(&folder().join(header), "c", "-std=c11");
        compile(&folder().join(header), "c++", "-std=c++11");
    }
}
