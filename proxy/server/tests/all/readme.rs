//! The README is held to what the program does.

use std::collections::BTreeMap;

use switchback_conf::{format, load_text};

use crate::command::repository;

fn readme() -> String {
    std::fs::read_to_string(repository().join("README.md")).unwrap()
}

/// The blocks of that language.
fn blocks(language: &str) -> Vec<String> {
    let text = readme();
    let opening = format!("```{language}\n");
    let blocks = text.split(&opening).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_configuration_can_be_served() {
    let blocks = blocks("toml");
    assert!(blocks.len() >= 3);
    for (number, block) in blocks.iter().enumerate() {
        let outcome = load_text(&format!("README-{number}.toml"), block, &BTreeMap::new());
        assert!(
            outcome.diagnostics.is_empty() && outcome.value.is_some(),
            "{}\n{block}",
            outcome.report()
        );
    }
}

#[test]
fn every_configuration_is_laid_out() {
    for block in blocks("toml") {
        assert_eq!(format(&block).unwrap(), block);
    }
}

#[test]
fn the_commands_of_the_set_up_are_exactly_two() {
    let set_up = blocks("sh").remove(0);
    let commands: Vec<_> =
        set_up.lines().map(|line| line.split('#').next().unwrap().trim()).collect();
    assert_eq!(commands, ["make run", "make test"]);
    let makefile = std::fs::read_to_string(repository().join("Makefile")).unwrap();
    for target in ["run", "test"] {
        assert!(makefile.contains(&format!("\n{target}:\n")), "no target {target}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let text = readme();
    for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(
            link.starts_with("http") || repository().join(link).exists(),
            "{link} is not there"
        );
    }
}

#[test]
fn every_mistake_shown_is_shown_as_the_program_does() {
    let text = r#"[[listeners]]
address = ":8080"

[upstreams.app]
endpoints = ["a:1"]
[upstreams.img]
endpoints = ["b:1"]

[[sites]]

[[sites.routes]]


proxy = "api"
"#;
    let outcome = load_text("switchback.toml", text, &BTreeMap::new());
    let shown = blocks("text").remove(0);
    let report = outcome.report();
    assert!(report.contains(shown.trim_end()), "the README shows\n{shown}\nthe program\n{report}");
}
