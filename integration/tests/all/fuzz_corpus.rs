//! The committed corpora, replayed through the bodies of the fuzz targets.

use std::path::Path;

use switchback_integration::TARGETS;

#[test]
fn every_committed_input_keeps_every_promise() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for target in TARGETS {
        let corpus = fuzz.join("corpus").join(target.name);
        let inputs: Vec<_> =
            std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!inputs.is_empty(), "no corpus for {}", target.name);
        assert!(fuzz.join("fuzz_targets").join(target.name).with_extension("rs").is_file());
        for input in inputs {
            let bytes = std::fs::read(&input).unwrap();
            // A test that panics names the input it panicked on.
            eprintln!("{}", input.display());
            (target.run)(&bytes);
        }
    }
}
