//! What can be said on the command line.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

/// A reverse proxy that runs from one file.
#[derive(Debug, Parser)]
#[command(
    name = "switchback",
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    group = ArgGroup::new("instead").required(false).multiple(false),
    after_help = "Exit codes: 0 done; 1 configuration or start-up error; 2 usage; 3 stopped, but connections were dropped."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Checks the configuration, as `check` does.
    #[arg(short = 't', group = "instead")]
    pub(crate) test: bool,
    /// The configuration to check with `-t`.
    #[arg(short, long, value_name = "FILE", requires = "test")]
    pub(crate) config: Option<PathBuf>,
    /// Prints the version.
    #[arg(short = 'v', long = "version", group = "instead")]
    pub(crate) version: bool,
    /// Prints the version and how it was built.
    #[arg(short = 'V', group = "instead")]
    pub(crate) build: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serves what the configuration says, in the foreground.
    Run(ConfigFile),
    /// Reports everything that is wrong with the configuration, without starting anything.
    Check {
        #[command(flatten)]
        file: ConfigFile,
        /// Prints the findings as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Has the running process read its configuration again and put it in force.
    Reload {
        #[command(flatten)]
        process: Process,
        /// Prints the verdict as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Has the running process stop.
    Stop {
        #[command(flatten)]
        process: Process,
        /// Drops what runs instead of waiting for it.
        #[arg(long)]
        fast: bool,
    },
    /// Has the binary that is now at its path take over from the running process, without losing a connection.
    Upgrade {
        #[command(flatten)]
        process: Process,
        /// Prints the verdict as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Has the running process open its log files again, after they were rotated.
    Reopen {
        #[command(flatten)]
        process: Process,
    },
    /// Has the running process forget what it has stored of answers, in memory and on disk.
    Purge(Purge),
    /// Gives keys of an upstream to other shards while requests are served.
    Reshard(Reshard),
    /// Shows how the running process stands.
    Status {
        #[command(flatten)]
        process: Process,
        /// Prints it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Begins a plugin, looks into one, measures one, or lists which there are.
    #[command(subcommand)]
    Plugin(Plugin),
    /// Prints the JSON Schema of the configuration, for editors.
    Schema,
    /// Lays a configuration out in the usual way; comments stay.
    Fmt(Fmt),
    /// Prints the version.
    Version,
    /// Proxies one address to another, without a file.
    Proxy(Proxy),
    /// Serves a directory, without a configuration.
    Serve(Serve),
    /// Answers every request alike, without a file.
    Respond(Respond),
    /// Prints a script that completes the command line in a shell.
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Prints the manual page.
    Manpage,
    /// Starts the demo site with origins of its own (`make run`).
    Demo(ConfigFile),
}

#[derive(Args, Debug)]
pub(crate) struct ConfigFile {
    /// The configuration [default: ./switchback.toml, else /etc/switchback/switchback.toml]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Which process, by its control socket.
#[derive(Args, Debug)]
pub(crate) struct Process {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// The control socket of the process, instead of the one its configuration names.
    #[arg(long, value_name = "SOCKET", conflicts_with = "config")]
    pub(crate) control: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Begins a plugin: a folder with its source, a test, and a configuration to try it with.
    New(NewPlugin),
    /// Loads a plugin as the proxy would, and shows what it is.
    Check(CheckPlugin),
    /// Measures what each hook of a plugin costs.
    Bench(OnePlugin),
    /// Lists the plugins that are built in, and the modules in the folders of `plugin_path`.
    List(ConfigFile),
}

#[derive(Args, Debug)]
pub(crate) struct NewPlugin {
    /// Its name: lower-case letters, digits and `-`.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What it is to be built as; the source is the same.
    #[arg(long, value_enum, default_value = "native")]
    pub(crate) kind: PluginKind,
    /// The folder `plugins/sdk` of Switchback's sources [default: of the sources that the new folder is in]
    #[arg(long, value_name = "PATH")]
    pub(crate) sdk: Option<PathBuf>,
    /// Where the new folder is made.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) into: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PluginKind {
    /// Linked into a program that embeds Switchback.
    Linked,
    /// A shared library.
    Native,
    /// A Wasm module.
    Wasm,
}

#[derive(Args, Debug)]
pub(crate) struct OnePlugin {
    /// A module, or the name of a plugin that is built in.
    #[arg(value_name = "FILE")]
    pub(crate) plugin: PathBuf,
    /// Its options, as a JSON object.
    #[arg(long, value_name = "JSON")]
    pub(crate) options: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct CheckPlugin {
    #[command(flatten)]
    pub(crate) of: OnePlugin,
    /// Prints the JSON Schema of its options, and nothing else.
    #[arg(long, conflicts_with = "options")]
    pub(crate) schema: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Fmt {
    /// Writes the file instead of printing it.
    #[arg(short, long)]
    pub(crate) write: bool,
    /// Prints nothing; exits with 1 when the file is laid out differently.
    #[arg(long, conflicts_with = "write")]
    pub(crate) check: bool,
    /// The file, `-` for standard input [default: as for `run`]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Order: plan, start, status as often as you like, cutover. Until then, what is written stays with the old shard, what \
is read comes from the new one or, on a miss, from the old one, and abort goes back without loss."
)]
pub(crate) struct Reshard {
    /// What is to be done.
    #[arg(value_enum)]
    pub(crate) action: ReshardAction,
    /// The upstream.
    #[arg(value_name = "UPSTREAM")]
    pub(crate) upstream: String,
    /// For `plan` and `start`: a file with the next shards, as much of a configuration as `[upstreams.NAME]` [default: the
    /// configuration, as it is now]
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// For `start`: the part of the reads of keys that move for which both shards are asked, beside the way, and their answers
    /// compared.
    #[arg(long, value_name = "PERCENT", value_parser = part)]
    pub(crate) compare: Option<f64>,
    #[command(flatten)]
    pub(crate) process: Process,
    /// Prints it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `5%` or `5` as 0.05.
fn part(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>();
    let percent = percent.ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.map(|percent| percent / 100.0).ok_or_else(|| "not from 0% to 100%".to_owned())
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ReshardAction {
    /// Shows what would move.
    Plan,
    /// Begins.
    Start,
    /// Shows how it stands.
    Status,
    /// Puts the next mapping in force.
    Cutover,
    /// Goes back to the mapping before.
    Abort,
}

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).multiple(false))]
pub(crate) struct Purge {
    /// Pages, with all their variants: `https://shop.example/a?b`, or `shop.example/a?b` for http and https.
    #[arg(value_name = "URL", group = "what")]
    pub(crate) urls: Vec<String>,
    /// Every page whose URL, up to its query, begins so.
    #[arg(long, value_name = "URL", group = "what")]
    pub(crate) prefix: Option<String>,
    /// Every page of a host.
    #[arg(long, value_name = "HOST", group = "what")]
    pub(crate) host: Option<String>,
    /// Everything with this tag (Surrogate-Key, Cache-Tag, xkey); may be said several times.
    #[arg(long = "tag", value_name = "TAG", group = "what")]
    pub(crate) tags: Vec<String>,
    /// Everything of a group (RFC 9875) of an origin such as https://shop.example.
    #[arg(long, num_args = 2, value_names = ["ORIGIN", "GROUP"], group = "what")]
    pub(crate) group: Vec<String>,
    /// Everything.
    #[arg(long, group = "what")]
    pub(crate) all: bool,
    /// Only in this zone; may be said several times.
    #[arg(long = "zone", value_name = "ZONE")]
    pub(crate) zones: Vec<String>,
    /// Leaves it there as stale: it is validated before it is used, and may stand in for errors.
    #[arg(long)]
    pub(crate) soft: bool,
    #[command(flatten)]
    pub(crate) process: Process,
    /// Prints what was purged as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Proxy {
    /// Where to listen: `127.0.0.1:8080`, `:8080` for all addresses, `unix:/path`.
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,
    /// Where to: `localhost:3000`, `https://app.example`, `unix:/path`.
    #[arg(long, value_name = "TARGET")]
    pub(crate) to: String,
    /// Terminates TLS with a certificate made on the spot.
    #[arg(long)]
    pub(crate) tls_self_signed: bool,
    /// Also takes HTTP/2 without TLS.
    #[arg(long, conflicts_with = "tls_self_signed")]
    pub(crate) h2c: bool,
    /// Keeps answers in so much memory, as RFC 9111 says of shared caches: `256MiB`.
    #[arg(long, value_name = "SIZE")]
    pub(crate) cache: Option<String>,
    /// Sends text as Zstandard, Brotli or gzip to clients that can decode it.
    #[arg(long)]
    pub(crate) encode: bool,
    /// Writes a line per request to this file, `-` for standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log: Option<PathBuf>,
    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,
    /// Prints the configuration instead of serving it.
    #[arg(long)]
    pub(crate) print_config: bool,
}

/// What commands without a file have in common.
#[derive(Args, Debug)]
pub(crate) struct Quick {
    /// Where to listen: `127.0.0.1:8080`, `:8080` for all addresses, `unix:/path`.
    #[arg(long, value_name = "ADDRESS", default_value = ":8080")]
    pub(crate) listen: String,
    /// Writes a line per request to this file, or to standard output.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub(crate) access_log: Option<PathBuf>,
    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,
    /// Prints the configuration instead of serving it.
    #[arg(long)]
    pub(crate) print_config: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Respond {
    /// The status of every answer.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    pub(crate) status: u16,
    /// The body: `$uri`, `$remote_addr` and the like are filled in, `$$` is a dollar sign.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) body: String,
    /// A header, as "Name: value"; may be said several times.
    #[arg(long = "header", value_name = "HEADER")]
    pub(crate) headers: Vec<String>,
    #[command(flatten)]
    pub(crate) quick: Quick,
}

#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// The directory.
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Lists directories without an index.html.
    #[arg(long)]
    pub(crate) browse: bool,
    /// Answers with /index.html what is no file: a program in the browser knows the rest.
    #[arg(long)]
    pub(crate) spa: bool,
    /// Sends text as Brotli, Zstandard or gzip to clients that can decode it.
    #[arg(long)]
    pub(crate) encode: bool,
    #[command(flatten)]
    pub(crate) quick: Quick,
}
