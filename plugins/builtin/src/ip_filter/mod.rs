//! `ip-filter`: lets clients through by their address, or does not.

mod table;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use switchback_plugin::{Background, BuildError, Flow, Plugin, Request, Setup, hooks};

use crate::option::{each, refusal};
use crate::units::Time;
use crate::watched::{self, Watched, lines, watch};
use table::{Table, Verdict};

/// Lets clients through by their address, or does not.
pub(crate) struct IpFilter {
    inline: Vec<(IpNet, Verdict)>,
    files: Vec<(Watched<Vec<IpNet>>, Verdict)>,
    table: ArcSwap<Table>,
    otherwise: Verdict,
    status: u16,
}

/// Lets clients through by their address, or does not. The most specific network that has the address decides, wherever it is listed;
/// of the same network in two lists, `deny` holds. IPv4 addresses that come as IPv6 (`::ffff:10.0.0.1`) are IPv4.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Addresses and networks that may pass: `"192.0.2.1"`, `"10.0.0.0/8"`, `"2001:db8::/32"`.
    allow: Vec<String>,
    /// Those that may not.
    deny: Vec<String>,
    /// Files with those that may pass, one a line; `#` begins a comment. They are read again when they change; one that is wrong then
    /// changes nothing.
    allow_files: Vec<PathBuf>,
    /// Files with those that may not, likewise.
    deny_files: Vec<PathBuf>,
    /// What holds for all others, and for clients without an address (Unix sockets): `deny` if anything is said in `allow` or
    /// `allow_files`, else `allow`, unless it is said here.
    otherwise: Option<Otherwise>,
    /// The status of those that are refused.
    status: u16,
    /// How often files are looked at; `"0"` for never.
    refresh: Time,
}

/// What holds for those that are in no list.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Otherwise {
    /// They may pass.
    Allow,
    /// They may not.
    Deny,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            deny: Vec::new(),
            allow_files: Vec::new(),
            deny_files: Vec::new(),
            otherwise: None,
            status: 403,
            refresh: watched::PERIOD,
        }
    }
}

#[hooks]
impl Plugin for IpFilter {
    const NAME: &'static str = "ip-filter";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    type State = ();

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        let allows = !options.allow.is_empty() || !options.allow_files.is_empty();
        let denies = !options.deny.is_empty() || !options.deny_files.is_empty();
        if !allows && !denies {
            return Err(BuildError::new("", "no address is said")
                .with_help("say which in `allow`, `deny`, `allow_files` or `deny_files`"));
        }
        let otherwise = match options.otherwise {
            Some(Otherwise::Allow) => Verdict::Allow,
            Some(Otherwise::Deny) => Verdict::Deny,
            None if allows => Verdict::Deny,
            None => Verdict::Allow,
        };
        let status = refusal("status", options.status)?;
        let mut inline = Vec::new();
        for (path, list, verdict) in
            [("allow", &options.allow, Verdict::Allow), ("deny", &options.deny, Verdict::Deny)]
        {
            inline.extend(each(path, list, net)?.into_iter().map(|net| (net, verdict)));
        }
        let mut files = Vec::new();
        for (option, list, verdict) in [
            ("allow_files", &options.allow_files, Verdict::Allow),
            ("deny_files", &options.deny_files, Verdict::Deny),
        ] {
            for (index, file) in list.iter().enumerate() {
                let option = format!("{option}[{index}]");
                files.push((Watched::open(&option, file, setup, nets)?, verdict));
            }
        }
        if !files.is_empty() {
            watch("refresh", options.refresh, setup)?;
        }
        let filter = Self { inline, files, table: ArcSwap::default(), otherwise, status };
        filter.table.store(Arc::new(filter.table()));
        Ok(filter)
    }

    async fn on_request(&self, (): &mut (), request: &mut Request<'_>) -> Flow {
        let said = request.client_address().and_then(|address| self.table.load().verdict(address));
        match said.unwrap_or(self.otherwise) {
            Verdict::Allow => Flow::Continue,
            Verdict::Deny => Flow::status(self.status),
        }
    }

    async fn on_tick(&self, background: &mut Background<'_>) {
        let mut changed = false;
        for (file, _) in &self.files {
            changed |= file.refresh(background).await;
        }
        if changed {
            self.table.store(Arc::new(self.table()));
        }
    }
}

impl IpFilter {
    /// Some 10 ms for 100,000 networks, by the thread that reads files.
    fn table(&self) -> Table {
        let mut nets = self.inline.clone();
        for (file, verdict) in &self.files {
            nets.extend(file.current().iter().map(|net| (*net, *verdict)));
        }
        Table::new(nets)
    }
}

fn nets(text: &str) -> Result<Vec<IpNet>, String> {
    let located = |(number, line)| net(line).map_err(|why| format!("line {number}: {why}"));
    lines(text).map(located).collect()
}

/// An address, or a network whose address has nothing behind its prefix.
fn net(text: &str) -> Result<IpNet, String> {
    let text = text.split_once('#').map_or(text, |(before, _)| before.trim_end());
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Ok(address.into());
    }
    let net: IpNet = text.parse().map_err(|_| format!("`{text}` is no address and no network"))?;
    if net.trunc() != net {
        return Err(format!("`{text}` has bits behind its prefix: `{}` is meant?", net.trunc()));
    }
    Ok(net)
}

/// Takes any text for a file of networks: each of them is in the table that is made of them.
pub(crate) fn check_file(text: &str) {
    let Ok(nets) = nets(text) else { return };
    let table = Table::new(nets.iter().map(|net| (*net, Verdict::Deny)));
    for net in nets {
        // A network of addresses that are IPv4 in truth, and others, is asked for by the others.
        if net.addr().to_canonical() == net.addr() {
            assert_eq!(table.verdict(net.addr()), Some(Verdict::Deny), "{net}");
        }
    }
}

#[cfg(test)]
mod tests;
