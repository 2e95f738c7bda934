//! What each site is asked.

mod applications;
mod downloads;
mod files;
mod gateway;
mod hosts;
mod internal_tools;
mod maintenance;
mod odd;
mod redirects;
mod static_site;
mod upstream;

use super::case::Case;
use crate::message::Reply;

/// One of the ten.
pub(super) struct Site {
    /// As its files are called.
    pub(super) name: &'static str,
    /// What it is asked.
    pub(super) cases: Vec<Case>,
    /// What its origins answer, by path.
    pub(super) answers: Vec<(String, Reply)>,
}

/// All ten.
pub(super) fn sites() -> Vec<Site> {
    let answers = upstream::answers;
    let site = |name, cases, answers| Site { name, cases, answers };
    vec![
        site("static-site", static_site::cases(), Vec::new()),
        site("single-page-app", applications::single_page(), Vec::new()),
        site("reverse-proxy", applications::reverse_proxy(), answers("")),
        site("app-behind-files", applications::behind_files(), answers("")),
        site("redirects", redirects::cases(), Vec::new()),
        site("gateway", gateway::cases(), answers("")),
        site("downloads", downloads::cases(), Vec::new()),
        site("maintenance", maintenance::cases(), maintenance::answers()),
        site("multi-tenant", hosts::multi_tenant(), Vec::new()),
        site("internal-tools", internal_tools::cases(), internal_tools::answers()),
    ]
}
