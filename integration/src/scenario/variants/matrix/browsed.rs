//! A browser that asks for all cells, and reads them.

use std::time::Duration;

use serde_json::Value;

use super::super::chromium::Chromium;
use super::cells::{Cell, FORMS};
use super::programs::Place;
use super::{Job, Said};
use crate::message::Reply;
use crate::origin::{Origin, Received};
use crate::patience::{Deadline, eventually};

/// It says of itself what it takes, so there is a job for each cell, and that in the form that it was found to have.
pub(super) fn chromium(place: &Place, cells: &[Cell], origin: &Origin) -> (Vec<Job>, Vec<Said>) {
    let targets: Vec<String> = cells.iter().map(Cell::target).collect();
    let page = Reply::ok(include_str!("page.html")).header("Content-Type", "text/html");
    origin.now_serve("/start", page);
    origin.now_serve("/jobs", Reply::ok(Value::from(targets).to_string()));
    origin.now_serve("/found", Reply::ok(""));
    let (mut jobs, mut said) = (Vec::new(), Vec::new());
    for scheme in ["http", "https"] {
        let (asked, found) = play(place, scheme, origin);
        let form = FORMS.iter().find(|form| form.lines == [asked.as_str()]);
        let form = form.unwrap_or_else(|| panic!("the list has no {asked:?}"));
        for (cell, one) in cells.iter().enumerate() {
            let (target, lines) = (one.target(), form.lines.to_vec());
            jobs.push(Job { cell, form, scheme, is_h2: scheme == "https", target, lines });
        }
        said.extend(found);
    }
    (jobs, said)
}

/// What it takes, and what it has found.
fn play(place: &Place, scheme: &str, origin: &Origin) -> (String, Vec<Said>) {
    let before = origin.requests("/found").len();
    let address = if scheme == "https" { place.secure } else { place.plain };
    let browser = Chromium::open(scheme, address, "/start").expect("it was there");
    let what = "the browser has asked for all";
    let last = |path: &str| origin.requests(path).pop();
    let found: Received = eventually(what, Deadline::after(Duration::from_mins(5)), || {
        (origin.requests("/found").len() > before).then(|| last("/found")).flatten()
    });
    drop(browser);
    let asked =
        last("/start").and_then(|asked| asked.headers.get("accept-encoding").map(str::to_owned));
    let found: Value = serde_json::from_slice(&found.body).expect("a list in JSON");
    let found = found.as_array().into_iter().flatten().map(Said::of).collect();
    (asked.unwrap_or_default(), found)
}
