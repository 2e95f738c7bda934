//! `switchback completion` and `switchback manpage`.

use std::process::{Command, Stdio};

use crate::command::{Finished, Folder};

fn completion(shell: &str) -> Finished {
    Folder::empty().run(&["completion", shell]).expect_code(0)
}

#[test]
fn every_shell_has_a_script_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        completion(shell).expect_stdout("respond").expect_stdout("print-config");
    }
    Folder::empty().run(&["completion", "dos"]).expect_code(2).expect_stderr("bash");
}

#[test]
fn bash_reads_its_script_and_completes_a_command() {
    let folder = Folder::with("completion", &completion("bash").stdout);
    let ask = "COMP_WORDS=(switchback resp) COMP_CWORD=1; _switchback switchback resp switchback";
    let script = format!(". ./completion; {ask}; printf '%s\\n' \"${{COMPREPLY[@]}}\"");
    let asked = Command::new("bash")
        .args(["--norc", "-c", &script])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&asked.stderr);
    assert_eq!(String::from_utf8_lossy(&asked.stdout), "respond\n", "{said}");
}

#[test]
fn the_manual_page_has_its_sections_and_every_command() {
    let page = Folder::empty().run(&["manpage"]).expect_code(0).stdout;
    assert!(page.contains(".TH switchback 1"), "{page}");
    for heading in [
        ".SH NAME",
        ".SH SYNOPSIS",
        ".SH DESCRIPTION",
        ".SH COMMANDS",
        ".SH OPTIONS",
        ".SH \"EXIT STATUS\"",
    ] {
        assert_eq!(page.lines().filter(|line| *line == heading).count(), 1, "{heading}\n{page}");
    }
    for command in ["run", "check", "reload", "upgrade", "proxy", "respond", "fmt", "completion"] {
        assert!(page.lines().any(|line| line == format!(".SS {command}")), "no {command}");
    }
    assert!(page.contains("\\-\\-tls\\-self\\-signed"), "options of commands too");
    assert!(page.contains("Exit codes"), "{page}");
}

#[test]
fn groff_has_nothing_to_say_about_the_manual_page() {
    let folder = Folder::with("page.1", &Folder::empty().run(&["manpage"]).stdout);
    let formatted = Command::new("groff")
        .args(["-man", "-Tutf8", "-ww", "-z", "page.1"])
        .current_dir(folder.path())
        .output();
    let Ok(formatted) = formatted else {
        eprintln!("SKIPPED: no groff here to read the manual page");
        return;
    };
    assert!(formatted.status.success());
    assert_eq!(String::from_utf8_lossy(&formatted.stderr), "");
}
