//! How endpoints are found: names, and files that list them.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::build::Findings;
use super::upstreams::plan_endpoints;
use super::{EndpointAddress, EndpointPlan, FileStamp};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location, Severity};
use crate::model::{Count, Endpoint, OrText, Upstream};
use crate::native::Gaps;

/// How long what a name stands for is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvePlan {
    /// At least so long.
    pub min: Duration,
    /// At most so long.
    pub max: Duration,
}

pub(super) fn resolve(upstream: &Upstream, findings: &mut Findings<'_>) -> ResolvePlan {
    let resolve = &upstream.resolve;
    if *resolve.max < *resolve.min {
        let message = "`max` is shorter than `min`";
        findings.error(Code::BadValue, &resolve.max.at, message);
    }
    let every = upstream.resolve_every.map_or(Duration::MAX, |every| every.std());
    let max = resolve.max.std().min(every);
    ResolvePlan { min: resolve.min.std().min(max), max }
}

/// Larger files are refused.
const MAX_FILE: u64 = 1024 * 1024;

/// A file that lists endpoints, beside those that the configuration names.
#[derive(Clone, Debug)]
pub struct EndpointsFilePlan {
    /// Where it is.
    pub path: PathBuf,
    at: Location,
    /// What the configuration itself says.
    own: Box<Upstream>,
}

/// What such a file says at some moment.
#[derive(Debug)]
pub struct EndpointsRead {
    /// By which a later change is noticed; `None` when the file is not there.
    pub stamp: Option<FileStamp>,
    /// All endpoints, those of the configuration first; `None` when there are mistakes.
    pub endpoints: Option<Vec<EndpointPlan>>,
    /// The mistakes.
    pub diagnostics: Vec<Diagnostic>,
}

impl EndpointsFilePlan {
    pub(super) fn new(path: &At<PathBuf>, own: &Upstream) -> Self {
        Self { path: path.value.clone(), at: path.at.clone(), own: Box::new(own.clone()) }
    }

    /// What the file says now. Reads up to 1 MiB, so it may take a while.
    #[must_use]
    pub fn read(&self) -> EndpointsRead {
        // Before it is read: what changes while it is will be noticed.
        let stamp = FileStamp::of(&self.path);
        let gaps = Gaps::default();
        let mut findings = Findings::new(&gaps);
        let listed = read_bounded(&self.path).map_err(|error| error.to_string());
        let endpoints = match listed.and_then(|text| self.parse(&text)) {
            Ok(listed) => {
                let mut all = (*self.own).clone();
                all.endpoints.extend(listed);
                plan_endpoints(&all.endpoints, &self.at, &all, &mut findings)
            }
            Err(reason) => {
                let message = format!("the file of endpoints {}: {reason}", self.path.display());
                findings.error(Code::EndpointsFile, &self.at, message);
                Vec::new()
            }
        };
        let diagnostics = findings.into_diagnostics();
        let is_wrong = diagnostics.iter().any(|found| found.severity == Severity::Error);
        EndpointsRead { stamp, endpoints: (!is_wrong).then_some(endpoints), diagnostics }
    }

    fn parse(&self, text: &str) -> Result<Vec<OrText<Endpoint>>, String> {
        if !text.is_empty() && !text.ends_with('\n') {
            return Err("its last line has no end: it seems to be half written".to_owned());
        }
        let lines = text.lines().zip(1..).map(|(line, number)| (line.trim(), number));
        let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
        let endpoints = lines.map(|(line, number): (&str, u32)| {
            self.parse_line(line).map_err(|reason| format!("line {number}: {reason}"))
        });
        let endpoints: Vec<_> = endpoints.collect::<Result<_, _>>()?;
        match endpoints.is_empty() {
            true => Err("it lists no endpoint".to_owned()),
            false => Ok(endpoints),
        }
    }

    fn parse_line(&self, line: &str) -> Result<OrText<Endpoint>, String> {
        let mut words = line.split_ascii_whitespace();
        let text = words.next().unwrap_or_default();
        let address = EndpointAddress::read(text, self.path.parent())
            .ok_or_else(|| format!("`{text}` is not an address to connect to"))?;
        let mut endpoint = Endpoint::at(At::new(address, self.at.clone()));
        for word in words {
            let weight = word.strip_prefix("weight=").and_then(|weight| weight.parse().ok());
            let weight = weight.filter(|weight| (1..=1000).contains(weight));
            let weight = weight.ok_or_else(|| format!("`{word}` is not as in weight=2"))?;
            endpoint.weight = Count::clamped(weight);
        }
        Ok(OrText(endpoint))
    }
}

fn read_bounded(path: &Path) -> io::Result<String> {
    // Asked before it is opened: opening a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}
