//! A page with pictures in a browser.

use switchback_integration::{PICTURES, Show, browse};

/// Its first visit, and the second.
pub(crate) fn visits(show: &mut Show, _quick: bool) {
    let what = format!("a page with {PICTURES} pictures in Chromium");
    let Some(found) = browse() else { return show.absent(&what, "chromium") };
    let (br, texts) = found.br;
    show.line(
        &what,
        &format!("{} came as WebP, {br} of {texts} texts as br", found.webp),
        "all",
        found.webp == PICTURES && br == texts && texts > 0,
    );
    show.line(
        "  pictures that a curl without Accept gets as they are",
        &found.originals.to_string(),
        &PICTURES.to_string(),
        found.originals == PICTURES,
    );
    show.line(
        "  answers to the second visit that are no 304",
        &format!("{} of {}", found.changed.len(), found.second),
        "0",
        found.changed.is_empty() && found.second > PICTURES,
    );
    found.changed.iter().take(5).for_each(|line| show.say(&format!("    {line}")));
}
