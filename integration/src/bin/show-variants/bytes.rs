//! What each form saves, and what it takes to make.

use switchback_integration::{Saved, Show, saved_of_texts};

/// A table of samples and forms, and what was promised of some.
pub(crate) fn table(show: &mut Show, quick: bool) {
    let found = saved_of_texts(if quick { 1000 } else { 12_000 });
    for one in &found {
        let Saved { sample, form, original, bytes, .. } = one;
        let (saved, cost) = (one.percent_under(*original), one.cost());
        show.say(&format!(
            "  {sample} {form}: {bytes} of {original} bytes, {saved:.1} % saved, {cost:.1} ms of a processor for a megabyte"
        ));
    }
    for sample in ["page", "bundle"] {
        let of = |form| found.iter().find(|one| one.sample == sample && one.form == form);
        let (Some(br), Some(gzip)) = (of("br 11"), of("gzip 6")) else { continue };
        let percent = br.percent_under(gzip.bytes);
        show.line(
            &format!("br 11 under gzip 6, {sample}"),
            &format!("{percent:.1} %"),
            "at least 15 %",
            percent >= 15.0,
        );
    }
}
