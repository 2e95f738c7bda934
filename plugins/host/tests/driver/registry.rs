use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use switchback_plugin::{Kind, Linked, Module};
use switchback_plugin_host::{Digest, Limits, LoadError, Loader, ModuleFile, Registry};

use crate::build::Stamp;

/// Every file that begins with `stamp` is a plugin; the others are none.
struct Files(&'static str, bool);

impl Loader for Files {
    fn extension(&self) -> &str {
        self.0
    }

    fn kind(&self) -> Kind {
        if self.1 { Kind::Wasm } else { Kind::Native }
    }

    fn has_limits(&self) -> bool {
        self.1
    }

    fn load(&self, file: &ModuleFile<'_>) -> Result<Arc<dyn Module>, String> {
        if file.bytes.starts_with(b"stamp") {
            Ok(Linked::<Stamp>::module())
        } else {
            Err("not a stamp".to_owned())
        }
    }
}

fn registry() -> Registry {
    Registry::new()
        .with::<Stamp>()
        .with_loader(Arc::new(Files("so", false)))
        .with_loader(Arc::new(Files("wasm", true)))
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        Self(folder)
    }

    fn paths(&self) -> Vec<PathBuf> {
        vec![self.0.path().join("none"), self.0.path().to_owned()]
    }
}

#[test]
fn a_linked_plugin_is_found_by_its_name() {
    let registry = registry();
    assert_eq!(registry.find("stamp").unwrap().kind(), Kind::Linked);
    assert!(registry.find("stemp").is_none());
    assert_eq!(registry.named().map(|module| module.name()).collect::<Vec<_>>(), ["stamp"]);
}

#[test]
fn the_same_content_with_the_same_limits_is_loaded_once() {
    let registry = registry();
    let folder = Folder::with(&[("a.wasm", "stamp"), ("b.wasm", "stamp"), ("c.wasm", "stamp 2")]);
    let load =
        |file: &str, limits| registry.load(file.as_ref(), &folder.paths(), None, limits).unwrap();
    let one = load("a.wasm", Limits::default());
    assert!(Arc::ptr_eq(&one, &load("b.wasm", Limits::default())));
    let limits = Limits { memory: Some(1), ..Limits::default() };
    assert!(!Arc::ptr_eq(&one, &load("b.wasm", limits)));
    assert!(!Arc::ptr_eq(&one, &load("c.wasm", Limits::default())));
    registry.sweep();
    assert!(Arc::ptr_eq(&one, &load("a.wasm", Limits::default())));
    registry.sweep();
    registry.sweep();
    assert!(!Arc::ptr_eq(&one, &load("a.wasm", Limits::default())));
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_the_reason() {
    let folder = Folder::with(&[("a.so", "stamp"), ("b.so", "other"), ("c.txt", "stamp")]);
    let limits = Limits { memory: Some(1), ..Limits::default() };
    let at = |name: &str| folder.0.path().join(name).display().to_string();
    for (file, digest, limits, wanted) in [
        ("a.txt", None, Limits::default(), "`a.txt` is no module: known are .so, .wasm".to_owned()),
        (
            "a.so",
            None,
            limits,
            "native modules cannot be limited: use a Wasm module, or leave `limits` out".to_owned(),
        ),
        ("b.so", None, Limits::default(), format!("cannot load `{}`: not a stamp", at("b.so"))),
        (
            "d.so",
            None,
            Limits::default(),
            format!("there is no file `d.so` in {}, {}", at("none"), folder.0.path().display()),
        ),
        (
            "a.so",
            Some(Digest::of(b"other")),
            Limits::default(),
            format!(
                "`{}` is not the file that is meant: its sha256 is {}",
                at("a.so"),
                Digest::of(b"stamp")
            ),
        ),
    ] {
        let found = registry().load(file.as_ref(), &folder.paths(), digest, limits);
        assert_eq!(found.err().unwrap().to_string(), wanted);
    }
}

#[test]
fn a_file_with_the_digest_that_is_meant_is_loaded() {
    let folder = Folder::with(&[("a.so", "stamp")]);
    let text = Digest::of(b"stamp").to_string();
    for text in [text.clone(), text.to_uppercase()] {
        let digest = Digest::parse(&text);
        assert!(digest.is_some());
        let absolute = folder.0.path().join("a.so");
        assert!(registry().load(&absolute, &[], digest, Limits::default()).is_ok());
    }
    for wrong in ["", "ab", &"g".repeat(64), &"é".repeat(32), &"+1".repeat(32)] {
        assert_eq!(Digest::parse(wrong), None, "{wrong}");
    }
    let missing = registry().load("/none/a.so".as_ref(), &folder.paths(), None, Limits::default());
    assert!(matches!(missing.err(), Some(LoadError::Missing { .. })));
}
