//! The `switchback` command line.

use std::process::ExitCode;

use clap::Parser;

mod allocator;
mod cli;
mod commands;
mod config_search;
mod demo;
mod exit;
mod memory;
mod output;

fn main() -> ExitCode {
    memory::in_small_pages();
    commands::obey(cli::Cli::parse()).into()
}
