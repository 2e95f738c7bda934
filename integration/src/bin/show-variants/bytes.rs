//! What each form saves, and what it takes to make.

use switchback_integration::{Saved, Show, next_bundle, saved_of_pictures, saved_of_texts};

/// A table of samples and forms, and what was promised of some.
pub(crate) fn table(show: &mut Show, quick: bool) {
    let mut found = saved_of_texts(12_000);
    found.extend(saved_of_pictures(if quick { 4 } else { 1 }));
    for one in &found {
        let Saved { sample, form, original, bytes, .. } = one;
        let (saved, cost) = (one.percent_under(*original), one.cost());
        show.say(&format!(
            "  {sample}, {form}: {bytes} of {original} bytes, {saved:.1} % saved, {cost:.1} ms of a processor for a megabyte"
        ));
    }
    let of = |sample: &str, form: &str| {
        found.iter().find(|one| one.sample == sample && one.form.starts_with(form))
    };
    for sample in ["page", "bundle"] {
        let (Some(br), Some(gzip)) = (of(sample, "br 11"), of(sample, "gzip 6")) else { continue };
        at_least(show, &format!("br 11 under gzip 6, {sample}"), br.percent_under(gzip.bytes), 15);
    }
    for coding in ["dcb 11", "dcz 19"] {
        let Some(next) = of("next bundle", coding) else { continue };
        let percent = 100.0 - next.percent_under(next.original);
        show.line(
            &format!("the next bundle for who has the one before, {coding}"),
            &format!("{percent:.1} % of it"),
            "under 5 %",
            percent < 5.0,
        );
    }
    let found_through = next_bundle(12_000);
    let percent = 100.0 * found_through.sent as f64 / found_through.original as f64;
    let coding = found_through.coding.as_deref().unwrap_or("nothing");
    let right = if found_through.is_right { "right" } else { "wrong" };
    show.line(
        "  the same through the proxy, as it is first sent",
        &format!("{percent:.1} % of it in {coding}, decoded {right}"),
        "under 5 % in dcb or dcz, right",
        percent < 5.0 && coding.starts_with("dc") && found_through.is_right,
    );
    for sample in ["photo (JPEG)", "photo (PNG)"] {
        let Some(photo) = of(sample, "") else { continue };
        at_least(show, &format!("WebP, {sample}"), photo.percent_under(photo.original), 30);
    }
}

fn at_least(show: &mut Show, what: &str, percent: f64, wanted: u32) {
    let (figure, holds) = (format!("{percent:.1} % saved"), percent >= f64::from(wanted));
    show.line(what, &figure, &format!("at least {wanted} %"), holds);
}
