//! What each command does; one file per command.

use switchback::VERSION;

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::output::show;

mod check;
mod control;
mod demo;
mod directory;
mod format;
mod generate;
mod plugin;
mod proxy;
mod quick;
mod reshard;
mod respond;
mod run;
mod schema;
mod serve;

/// Does what the command line says.
pub(crate) fn obey(cli: Cli) -> Exit {
    let Some(command) = cli.command else { return obey_flags(cli) };
    match command {
        Command::Run(file) => run::run(file.config),
        Command::Check { file, json } => check::check(file.config, json),
        Command::Reload { process, json } => control::reload(process, json),
        Command::Stop { process, fast } => control::stop(process, fast),
        Command::Upgrade { process, json } => control::upgrade(process, json),
        Command::Reopen { process } => control::reopen(process),
        Command::Purge(wanted) => control::purge(wanted),
        Command::Reshard(wanted) => reshard::reshard(wanted),
        Command::Status { process, json } => control::status(process, json),
        Command::Plugin(wanted) => plugin::plugin(wanted),
        Command::Schema => schema::schema(),
        Command::Fmt(wanted) => format::format(wanted),
        Command::Version => version(),
        Command::Proxy(wanted) => proxy::proxy(&wanted),
        Command::Serve(wanted) => directory::serve(&wanted),
        Command::Respond(wanted) => respond::respond(&wanted),
        Command::Completion { shell } => generate::completion(shell),
        Command::Manpage => generate::manpage(),
        Command::Demo(file) => demo::demo(file.config),
    }
}

/// The forms that nginx's users have in their fingers.
fn obey_flags(cli: Cli) -> Exit {
    if cli.test {
        check::check(cli.config, false)
    } else if cli.build {
        show(format_args!(
            "{} {}\nbuilt for {} {}\nlooks for {}\n",
            VERSION.name,
            VERSION.version,
            std::env::consts::ARCH,
            std::env::consts::OS,
            crate::config_search::PLACES.join(", ")
        ))
    } else {
        version()
    }
}

fn version() -> Exit {
    show(format_args!("{} {}\n", VERSION.name, VERSION.version))
}
