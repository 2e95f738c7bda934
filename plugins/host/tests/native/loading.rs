//! Files that are no modules, or not the ones that were meant.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use switchback_plugin::testing::{Harness, Surroundings};
use switchback_plugin_host::{Digest, Limits, NativeLoader, Registry};

use crate::compiler::{Header, compile, load, registry};

const ROGUE: &str = "host/tests/native/rogue.c";

/// What is said of a library that was built with these definitions.
fn refused(definitions: &[&str]) -> String {
    let library = compile(ROGUE, Header::Today, definitions);
    let error = load(&library.file).err().unwrap().to_string();
    let begin = format!("cannot load `{}`: ", library.file.display());
    error.strip_prefix(&begin).unwrap_or(&error).to_owned()
}

#[test]
fn tables_that_make_no_sense_are_refused_with_what_to_do() {
    let cases: [(&[&str], &str); 10] = [
        (
            &["MAJOR=2"],
            "it was built for version 2 of the plugin interface, and this is version 1: build it again with this version's SDK",
        ),
        (
            &["SIZE=64"],
            "its plugin table has 64 bytes, and that of version 1.0 has 120: build it again with switchback.h or the SDK as they are",
        ),
        (&["HOOKS=0x401"], "it needs what this version has not (hooks 0x401): update Switchback"),
        (&["HOOK=0"], "its plugin table makes no sense: `rogue` lacks functions"),
        (&["REQUEST_FREE=0"], "its plugin table makes no sense: `rogue` lacks functions"),
        (&["NAME={0,7}"], "its plugin table makes no sense: its name is no text, or too long"),
        (
            &["NAME=SB_TEXT(\"Big Name\")"],
            "its plugin table makes no sense: it calls its plugin `Big Name`",
        ),
        (
            &["ENTRY=some_other_symbol"],
            "it has no `switchback_plugin_v1`: it is no plugin, or was built without `plugin!` and the feature `module`",
        ),
        (&["COUNT=0"], "its plugin table makes no sense: there is no plugin in it"),
        (&["COUNT=1000"], "its plugin table makes no sense: two plugins are called `rogue`"),
    ];
    for (definitions, said) in cases {
        assert_eq!(refused(definitions), said, "{definitions:?}");
    }
}

#[test]
fn a_module_with_several_plugins_offers_all_of_them_to_who_can_choose() {
    let library = compile(ROGUE, Header::Today, &["COUNT=2"]);
    let error = load(&library.file).err().unwrap().to_string();
    assert!(error.contains("it has several plugins (rogue, second)"), "{error}");
    let bytes = fs::read(&library.file).unwrap();
    let file = switchback_plugin_host::ModuleFile {
        path: &library.file,
        bytes: &bytes,
        digest: Digest::of(&bytes),
        limits: Limits::default(),
    };
    let plugins = NativeLoader::new().plugins(&file).unwrap();
    let names: Vec<&str> = plugins.iter().map(|plugin| plugin.name()).collect();
    assert_eq!(names, ["rogue", "second"]);
}

#[test]
fn files_that_are_no_libraries_are_refused_for_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let library = compile(ROGUE, Header::Today, &[]);
    let bytes = fs::read(&library.file).unwrap();
    let mut other_machine = bytes.clone();
    other_machine[18] = 8;
    let mut narrow = bytes.clone();
    narrow[4] = 1;
    let program = fs::read("/proc/self/exe").unwrap();
    let cut = bytes[..bytes.len() / 2].to_vec();
    let cases: [(&[u8], &str); 6] = [
        (b"#!/bin/sh\n", "it is no shared library (ELF)"),
        (b"", "it is no shared library (ELF)"),
        (b"\0asm\x01\0\0\0", "it is a Wasm module: name it .wasm"),
        (&other_machine, "it is built for another processor"),
        (&narrow, "it is no library for 64-bit, little-endian processors"),
        (&cut, "it ends in the middle: copy it anew"),
    ];
    for (index, (content, said)) in cases.iter().enumerate() {
        let file = folder.path().join(format!("{index}.so"));
        fs::write(&file, content).unwrap();
        let error = load(&file).err().unwrap().to_string();
        assert!(error.contains(said), "{said}: {error}");
        assert!(error.contains(&file.display().to_string()), "{error}");
        assert!(!error.contains("/proc/self"), "{error}");
    }
    // A program is found out too, by us or by the system.
    let file = folder.path().join("program.so");
    fs::write(&file, program).unwrap();
    load(&file).err().unwrap();
}

#[test]
fn a_pin_holds() {
    let library = compile(ROGUE, Header::Today, &[]);
    let digest = Digest::of(&fs::read(&library.file).unwrap());
    let other = Digest::of(b"another");
    let load = |pin| registry().load(&library.file, &[], Some(pin), Limits::default());
    load(digest).unwrap();
    let error = load(other).err().unwrap().to_string();
    assert!(error.contains(&digest.to_string()), "{error}");
}

/// The loader of the system would give the old code for the same path.
#[test]
fn a_file_that_is_replaced_is_another_module_and_the_old_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("libplugin.so");
    let put = |version: &str| {
        let library = compile(ROGUE, Header::Today, &[&format!("VERSION=\"{version}\"")]);
        fs::copy(library.file, &file).unwrap();
    };
    let registry = registry();
    let load = || registry.load(&file, &[], None, Limits::default()).unwrap();
    put("1");
    let first = load();
    let old = Harness::of(&*first, Surroundings::default(), "{}").unwrap();
    put("2");
    let second = load();
    assert_eq!((first.version(), second.version()), ("1", "2"));
    put("1");
    assert!(Arc::ptr_eq(&first, &load()), "the same content is the same module");
    fs::remove_file(&file).unwrap();
    drop(old);
    Harness::of(&*first, Surroundings::default(), "{}").unwrap();
}

/// Modules are never unloaded, so one that the registry has let go of is not loaded a second time.
#[test]
fn the_same_content_is_loaded_once_for_the_life_of_the_program() {
    let library = compile(ROGUE, Header::Today, &["VERSION=\"once\""]);
    let registry = Registry::new().with_loader(Arc::new(NativeLoader::new()));
    let load = || registry.load(&library.file, &[], None, Limits::default()).unwrap();
    let first = load();
    registry.sweep();
    registry.sweep();
    assert!(Arc::ptr_eq(&first, &load()));
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let name = Path::new("switchback:libplugin.so").display().to_string();
    assert!(maps.contains(&name), "a copy in memory, not the file: {maps}");
    assert!(!maps.contains(&library.file.display().to_string()), "{maps}");
}
