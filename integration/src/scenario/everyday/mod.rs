//! Ten everyday sites, as nginx.conf and as our own configuration, asked the same by the same bytes.
//!
//! The configurations are `conf/compat/NAME.nginx.conf` and `conf/examples/NAME.toml`, as they stand; only the addresses
//! and paths that they name are replaced by those of the test. Status, headers, body and what the origins received are
//! compared. What differs on purpose is in one table with its reason, and counted.

mod case;
mod cases;
mod compare;
mod intended;
mod side;
mod tree;

use std::path::{Path, PathBuf};

use case::Case;
use cases::Site;
use compare::{Difference, differences};
use intended::{Exchange, INTENDED};
use side::{Ground, Side};

/// What the comparison of all sites came to.
#[derive(Clone, Debug, Default)]
pub struct Everyday {
    /// How many requests were sent to both.
    pub requests: usize,
    /// How many were answered in the same way in every respect.
    pub equal: usize,
    /// How many differ only in what is meant to differ.
    pub as_intended: usize,
    /// The differences that are meant: the reason of each, and in how many requests it was seen.
    pub intended: Vec<(&'static str, usize)>,
    /// What differs otherwise.
    pub differences: Vec<String>,
    /// For each site its name, its requests, and how many of them differ otherwise.
    pub sites: Vec<(&'static str, usize, usize)>,
}

/// Compares Switchback with nginx over all sites; `None` when nginx is not installed.
#[must_use]
pub fn everyday() -> Option<Everyday> {
    compare_sites(&cases::sites(), |ground, site| {
        Side::switchback(ground, &read(&ours_of(site.name)))
    })
}

/// Compares nginx with nginx over these sites, with this change to the text of the second's configuration: how the
/// comparison itself is tested.
#[must_use]
pub fn nginx_twice(names: &[&str], change: impl Fn(String) -> String) -> Option<Everyday> {
    let mut sites = cases::sites();
    sites.retain(|site| names.contains(&site.name));
    compare_sites(&sites, |ground, site| {
        let config = change(read(&nginx_of(site.name)));
        Side::nginx(ground, &config).ok_or_else(|| "nginx is not installed".to_owned())
    })
}

/// The requests for the site of files, as bytes: ordinary ones and every odd one.
pub(super) fn odd_requests() -> Vec<Vec<u8>> {
    let sites = cases::sites();
    sites.into_iter().take(1).flat_map(|site| site.cases).map(|case| case.bytes).collect()
}

fn compare_sites(
    sites: &[Site],
    second: impl for<'a> Fn(&'a Ground, &Site) -> Result<Side<'a>, String>,
) -> Option<Everyday> {
    let intended = INTENDED.iter().map(|entry| (entry.reason, 0)).collect();
    let mut found = Everyday { intended, ..Everyday::default() };
    for site in sites {
        let ground = Ground::new(&site.answers);
        let first = Side::nginx(&ground, &read(&nginx_of(site.name)))?;
        let before = found.differences.len();
        match second(&ground, site) {
            Ok(second) => {
                site.cases.iter().for_each(|case| found.compare(site, case, (&first, &second)));
            }
            // What cannot be asked does not count as answered alike.
            Err(reason) => {
                found.requests += site.cases.len();
                found.differences.push(format!("{}: no start: {reason}", site.name));
            }
        }
        let differing = found.differences.len() - before;
        found.sites.push((site.name, site.cases.len(), differing));
    }
    Some(found)
}

impl Everyday {
    fn compare(&mut self, site: &Site, case: &Case, (first, second): (&Side<'_>, &Side<'_>)) {
        let (nginx, ours) = (first.ask(case), second.ask(case));
        self.requests += 1;
        let differences = differences(&nginx, &ours);
        if differences.is_empty() {
            self.equal += 1;
            return;
        }
        let exchange = Exchange { case, nginx: &nginx, ours: &ours };
        let rest = unintended(&exchange, &differences, &mut self.intended);
        if rest.is_empty() {
            self.as_intended += 1;
            return;
        }
        let told: Vec<String> = rest
            .iter()
            .map(|it| format!("    {}: nginx {:?}, ours {:?}", it.what, it.first, it.second))
            .collect();
        self.differences.push(format!("{}: {}\n{}", site.name, case.label(), told.join("\n")));
    }
}

/// The differences that no entry of the table covers. The first that covers one is counted, once for each request.
fn unintended(
    exchange: &Exchange<'_>,
    differences: &[Difference],
    seen: &mut [(&'static str, usize)],
) -> Vec<Difference> {
    let covers = |it: &Difference| INTENDED.iter().position(|entry| (entry.covers)(exchange, it));
    let mut numbers: Vec<usize> = differences.iter().filter_map(covers).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into_iter().for_each(|number| seen[number].1 += 1);
    differences.iter().filter(|it| covers(it).is_none()).cloned().collect()
}

fn nginx_of(site: &str) -> PathBuf {
    conf().join("compat").join(format!("{site}.nginx.conf"))
}

fn ours_of(site: &str) -> PathBuf {
    conf().join("examples").join(format!("{site}.toml"))
}

fn conf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("conf")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}
