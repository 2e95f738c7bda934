//! Certificates of listeners and sites, and the files they are in.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::build::Findings;
use super::{ListenerId, SitePlan};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{Certificate, Config, ListenerTls, OrText, Site, SiteTls, is_host_name};

/// A certificate that is read from files.
#[derive(Clone, Debug)]
pub struct CertificatePlan {
    /// PEM: the chain, leaf first.
    pub certificate: PathBuf,
    /// PEM; may be the same file.
    pub key: PathBuf,
    /// DER.
    pub ocsp: Option<PathBuf>,
    /// Where it stands in the configuration.
    pub at: Location,
}

/// Those that a listener reads.
pub(super) fn of_listener(
    tls: &At<ListenerTls>,
    findings: &mut Findings<'_>,
) -> Vec<CertificatePlan> {
    let first = pair(&tls.certificate, &tls.key, &tls.ocsp, &tls.at);
    let certificates = certificates(first, &tls.certificates, findings);
    if let Some(names) = &tls.self_signed {
        let has_files = tls.certificate.is_some() || !tls.certificates.is_empty();
        check_self_signed(tls, names, has_files, findings);
    }
    certificates
}

/// The certificates that a site brings along.
pub(super) fn of_site(site: &Site, findings: &mut Findings<'_>) -> Vec<CertificatePlan> {
    let Some(tls) = &site.tls else { return Vec::new() };
    let SiteTls { certificate, key, ocsp, certificates: more } = &tls.value;
    let before = findings.count();
    let plans = certificates(pair(certificate, key, ocsp, &tls.at), more, findings);
    if plans.is_empty() && findings.count() == before {
        let message = "this says nothing about a certificate";
        let hint = "write `certificate` and `key`, or `certificates`";
        findings.report(Diagnostic::error(Code::TlsForm, tls.at.clone(), message).hint(hint));
    }
    plans
}

/// Every TLS listener needs a certificate from somewhere, and every certificate of a site a TLS listener.
pub(super) fn check(config: &Config, plans: &[SitePlan], findings: &mut Findings<'_>) {
    for (listener, id) in config.listeners.iter().zip((0..).map(ListenerId)) {
        let Some(tls) = &listener.tls else { continue };
        let says_some = tls.certificate.is_some()
            || tls.key.is_some()
            || tls.self_signed.is_some()
            || !tls.certificates.is_empty();
        let has_site_with = config
            .sites
            .iter()
            .zip(plans)
            .any(|(site, plan)| site.tls.is_some() && plan.listeners.contains(&id));
        if !says_some && !has_site_with {
            let hint = "write `certificate` and `key`, `certificates` or `self_signed`, here or in the sites' own `tls`";
            let message = "this says nothing about a certificate";
            let diagnostic = Diagnostic::error(Code::TlsForm, tls.at.clone(), message);
            findings.missing(diagnostic.hint(hint));
        }
    }
    for (site, plan) in config.sites.iter().zip(plans) {
        let Some(tls) = &site.tls else { continue };
        let is_tls = |id: &ListenerId| {
            config.listeners.get(id.0 as usize).is_some_and(|listener| listener.tls.is_some())
        };
        if !plan.listeners.iter().any(is_tls) {
            let message = "no listener of this site speaks TLS";
            findings.missing(Diagnostic::error(Code::NoEffect, tls.at.clone(), message));
        }
    }
}

/// What `certificate`, `key` and `ocsp` of one table say together.
#[derive(Clone, Copy)]
struct Pair<'a> {
    certificate: Option<&'a At<PathBuf>>,
    key: Option<&'a At<PathBuf>>,
    ocsp: Option<&'a At<PathBuf>>,
    at: &'a Location,
}

fn pair<'a>(
    certificate: &'a Option<At<PathBuf>>,
    key: &'a Option<At<PathBuf>>,
    ocsp: &'a Option<At<PathBuf>>,
    at: &'a Location,
) -> Pair<'a> {
    Pair { certificate: certificate.as_ref(), key: key.as_ref(), ocsp: ocsp.as_ref(), at }
}

fn certificates(
    first: Pair<'_>,
    more: &[At<OrText<Certificate>>],
    findings: &mut Findings<'_>,
) -> Vec<CertificatePlan> {
    let mut plans = Vec::new();
    let problem = match (first.certificate, first.key, first.ocsp) {
        (Some(certificate), Some(key), ocsp) => {
            plans.push(one(certificate, key, ocsp, findings));
            None
        }
        (Some(_), None, _) => Some("the `key` of this certificate is missing"),
        (None, Some(_), _) => Some("the `certificate` of this key is missing"),
        (None, None, Some(_)) => Some("the `certificate` of this `ocsp` is missing"),
        (None, None, None) => None,
    };
    if let Some(problem) = problem {
        let diagnostic = Diagnostic::error(Code::TlsForm, first.at.clone(), problem);
        findings.report(diagnostic.hint("write `certificate` and `key`"));
    }
    for certificate in more {
        plans.extend(several(certificate, findings));
    }
    plans
}

fn one(
    certificate: &At<PathBuf>,
    key: &At<PathBuf>,
    ocsp: Option<&At<PathBuf>>,
    findings: &mut Findings<'_>,
) -> CertificatePlan {
    findings.readable(certificate, &certificate.at, "certificate");
    if key.value != certificate.value {
        findings.readable(key, &key.at, "key");
    }
    if let Some(ocsp) = ocsp {
        findings.readable(ocsp, &ocsp.at, "OCSP answer");
    }
    CertificatePlan {
        certificate: certificate.value.clone(),
        key: key.value.clone(),
        ocsp: ocsp.map(|ocsp| ocsp.value.clone()),
        at: certificate.at.clone(),
    }
}

/// One certificate, or those that a pattern finds.
fn several(written: &At<OrText<Certificate>>, findings: &mut Findings<'_>) -> Vec<CertificatePlan> {
    let Certificate { certificate, key, ocsp } = &written.value.0;
    let text = certificate.to_string_lossy();
    if !text.contains(['*', '?']) || certificate.exists() {
        let own_key = || At::new(key_of(certificate), certificate.at.clone());
        let key = key.clone().unwrap_or_else(own_key);
        return vec![one(certificate, &key, ocsp.as_ref(), findings)];
    }
    if key.is_some() || ocsp.is_some() {
        let message = "a pattern stands alone: `key` and `ocsp` would be those of all it finds";
        findings.error(Code::TlsForm, &certificate.at, message);
        return Vec::new();
    }
    let found: Vec<PathBuf> = match glob::glob(&text) {
        Ok(paths) => paths.flatten().filter(|path| path.is_file()).collect(),
        Err(error) => {
            let message = format!("this is no pattern: {}", error.msg);
            findings.error(Code::TlsForm, &certificate.at, message);
            return Vec::new();
        }
    };
    if found.is_empty() {
        let message = format!("no file matches {text}");
        findings.error(Code::FileUnreadable, &certificate.at, message);
    }
    let plan = |path: PathBuf| {
        let key = At::new(key_of(&path), certificate.at.clone());
        one(&At::new(path, certificate.at.clone()), &key, None, findings)
    };
    found.into_iter().map(plan).collect()
}

/// `a.key` for `a.pem` where there is one, else the file itself.
fn key_of(certificate: &Path) -> PathBuf {
    let beside = certificate.with_extension("key");
    if beside.exists() { beside } else { certificate.to_owned() }
}

fn check_self_signed(
    tls: &At<ListenerTls>,
    names: &[At<Box<str>>],
    has_files: bool,
    findings: &mut Findings<'_>,
) {
    if has_files {
        let message = "a certificate is either read from files or made on the spot";
        let hint = "write `certificate` and `key`, or `self_signed` alone";
        findings.report(Diagnostic::error(Code::TlsForm, tls.at.clone(), message).hint(hint));
    }
    if names.is_empty() {
        let message = "a certificate needs at least one name, such as \"localhost\"";
        findings.error(Code::Empty, &tls.at, message);
    }
    for name in names {
        let host = name.strip_prefix("*.").unwrap_or(name);
        if !is_host_name(host) && name.parse::<IpAddr>().is_err() {
            let message = format!("`{}` is neither a host name nor an address", **name);
            findings.error(Code::BadValue, &name.at, message);
        }
    }
}
