//! `switchback completion` and `switchback manpage`: what packages install beside the binary.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::output::{fail, show};

/// Prints the script that completes the command line in `shell`.
pub(crate) fn completion(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "switchback", &mut script);
    show(String::from_utf8_lossy(&script))
}

/// Prints the manual page, of the whole and of every command.
pub(crate) fn manpage() -> Exit {
    match page() {
        Ok(page) => show(String::from_utf8_lossy(&page)),
        Err(error) => fail(format_args!("manual page: {error}")),
    }
}

fn page() -> io::Result<Vec<u8>> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    page.extend_from_slice(b".SH COMMANDS\n");
    for subcommand in command.get_subcommands().filter(|command| command.get_name() != "help") {
        page.extend_from_slice(format!(".SS {}\n", subcommand.get_name()).as_bytes());
        section(subcommand, &mut page)?;
    }
    man.render_options_section(&mut page)?;
    let mut exit_codes = Vec::new();
    man.render_extra_section(&mut exit_codes)?;
    under_headings(&exit_codes, ".SH \"EXIT STATUS\"", &mut page);
    Ok(page)
}

/// What a page of its own would say of `command`, as paragraphs.
fn section(command: &clap::Command, page: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(command.clone());
    let mut own = Vec::new();
    man.render_synopsis_section(&mut own)?;
    man.render_description_section(&mut own)?;
    man.render_options_section(&mut own)?;
    under_headings(&own, ".PP", page);
    Ok(())
}

/// Adds `rendered` to the page with `heading` in place of its headings.
fn under_headings(rendered: &[u8], heading: &str, page: &mut Vec<u8>) {
    for line in String::from_utf8_lossy(rendered).lines() {
        let line = if line.starts_with(".SH ") { heading } else { line };
        page.extend_from_slice(line.as_bytes());
        page.push(b'\n');
    }
}
