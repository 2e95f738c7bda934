//! What routes make of pictures.

use std::sync::Arc;
use std::time::Duration;

use switchback_conf::Diagnostic;
use switchback_conf::plan::{ImageFormat, ImageModePlan, ImagesPlan, Plan, missing_image_formats};
use switchback_images::{Format, Hints, Ladder, Limits, Target};
use switchback_variant::{Capabilities, ImageForm, ImageType, Needs, Varies};

use crate::encoders::Room;

/// What a route makes of pictures.
#[derive(Debug)]
pub(crate) struct ImageSettings {
    /// For how long clients wait for what is made of what is stored; `None` is not at all.
    pub(crate) patience: Option<Duration>,
    /// What is too much.
    pub(crate) limits: Limits,
    /// How much is made at once.
    pub(crate) room: Room,
    /// What of a request decides which form of a picture it is answered with.
    pub(crate) varies: Varies,
    targets: Box<[Target]>,
    ladder: Ladder,
    plan: Arc<ImagesPlan>,
}

impl ImageSettings {
    pub(super) fn new(plan: &Arc<ImagesPlan>, room: Room) -> Self {
        let targets = plan.formats.iter().map(|format| target(format.value));
        Self {
            patience: match plan.mode {
                ImageModePlan::Background => None,
                ImageModePlan::Inline { deadline } => Some(deadline),
            },
            limits: Limits {
                bytes: plan.max_bytes,
                pixels: plan.max_pixels,
                frames: if plan.animated { plan.max_frames } else { 1 },
                ..Limits::default()
            },
            room,
            varies: varies(plan),
            targets: targets.collect(),
            ladder: Ladder::new(plan.widths.iter().copied().map(u32::from)),
            plan: Arc::clone(plan),
        }
    }

    /// Whether it is made of this plan.
    pub(super) fn is_of(&self, plan: &Arc<ImagesPlan>) -> bool {
        Arc::ptr_eq(&self.plan, plan)
    }

    /// What has to be known of clients.
    pub(super) fn needs(&self) -> Needs {
        if self.varies == Varies::IMAGE { Needs::IMAGES } else { Needs::IMAGES.and(Needs::HINTS) }
    }

    /// The form that a client is to have of a picture that is stored in this format, if not that.
    pub(crate) fn choose(&self, client: &Capabilities, stored: Format) -> Option<ImageForm> {
        let of = image_type(stored);
        let mut chosen = None;
        for &target in &self.targets {
            let format = made_type(target);
            // What moves would have to stand still.
            let is_possible = (target, stored) != (Target::Avif, Format::Gif);
            let is_better = |before| !client.takes_image(before, format);
            if is_possible && client.takes_image(format, of) && chosen.is_none_or(is_better) {
                chosen = Some(format);
            }
        }
        let form = self.form(chosen?, client);
        let is_stored = form.format == of && form.width.is_none() && !self.saves(client);
        (!is_stored).then_some(form)
    }

    /// Whether a form that a client has is the one that it would be sent, if there is a picture to make it of.
    pub(crate) fn suits(&self, form: ImageForm, client: &Capabilities) -> bool {
        let is_made = self.targets.iter().any(|&target| made_type(target) == form.format);
        is_made
            && client.takes_image(form.format, ImageType::Jpeg)
            && form == self.form(form.format, client)
    }

    fn form(&self, format: ImageType, client: &Capabilities) -> ImageForm {
        let plan = &self.plan;
        let quality = if self.saves(client) { plan.save_data_quality } else { plan.quality };
        ImageForm { format, width: self.width(client), quality }
    }

    /// Whether a client gets what is made for those who save data.
    pub(crate) fn saves(&self, client: &Capabilities) -> bool {
        client.hints().save_data && self.plan.save_data_quality != self.plan.quality
    }

    /// The width that a client has room for.
    fn width(&self, client: &Capabilities) -> Option<u16> {
        let hints = client.hints();
        let hints = Hints {
            width: hints.width.map(u32::from),
            viewport_width: hints.viewport_width.map(u32::from),
            dpr: hints.dpr.map(|thousandths| f32::from(thousandths) / 1000.0),
        };
        self.ladder.for_hints(hints)?.try_into().ok()
    }
}

/// What makes a picture of this type.
pub(crate) fn target_of(format: ImageType) -> Option<Target> {
    [Target::WebP, Target::Avif].into_iter().find(|&target| made_type(target) == format)
}

/// Those formats that routes ask for and this build does not make.
pub(super) fn missing(plan: &Plan) -> Vec<Diagnostic> {
    let all = [ImageFormat::Avif, ImageFormat::Webp];
    let made: Vec<_> = all.into_iter().filter(|&format| target(format).is_built()).collect();
    missing_image_formats(plan, &made)
}

fn varies(plan: &ImagesPlan) -> Varies {
    let mut varies = Varies::IMAGE;
    if plan.save_data_quality != plan.quality {
        varies |= Varies::SAVE_DATA;
    }
    if !plan.widths.is_empty() {
        varies |= Varies::WIDTH;
    }
    varies
}

fn target(format: ImageFormat) -> Target {
    match format {
        ImageFormat::Avif => Target::Avif,
        ImageFormat::Webp => Target::WebP,
    }
}

fn made_type(target: Target) -> ImageType {
    match target {
        Target::WebP => ImageType::Webp,
        Target::Avif => ImageType::Avif,
    }
}

fn image_type(format: Format) -> ImageType {
    match format {
        Format::Jpeg => ImageType::Jpeg,
        Format::Png => ImageType::Png,
        Format::Gif => ImageType::Gif,
        Format::WebP => ImageType::Webp,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use switchback_conf::At;

    use super::*;

    fn settings(formats: &[ImageFormat], widths: &[u16]) -> ImageSettings {
        let plan = ImagesPlan {
            formats: formats.iter().copied().map(At::from).collect(),
            quality: 80,
            save_data_quality: 65,
            widths: widths.to_vec(),
            mode: ImageModePlan::Background,
            hints: true,
            animated: true,
            max_bytes: 1 << 20,
            max_pixels: 1 << 20,
            max_frames: 60,
        };
        ImageSettings::new(&Arc::new(plan), Room { threads: 1, queue: 2 })
    }

    fn client(lines: &[(&'static str, &'static str)]) -> Capabilities {
        let line = |&(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        Capabilities::of(&lines.iter().map(line).collect::<HeaderMap>(), Needs::ALL)
    }

    const BOTH: [ImageFormat; 2] = [ImageFormat::Avif, ImageFormat::Webp];

    #[test]
    fn what_a_client_wants_most_is_made_and_else_the_first() {
        let settings = settings(&BOTH, &[]);
        let chosen = |accept, stored| {
            let form = settings.choose(&client(&[("accept", accept)]), stored);
            form.map(|form| form.format)
        };
        let (avif, webp) = (Some(ImageType::Avif), Some(ImageType::Webp));
        assert_eq!(chosen("image/webp, image/avif", Format::Jpeg), avif);
        assert_eq!(chosen("image/webp, image/avif;q=0.9", Format::Jpeg), webp);
        assert_eq!(chosen("image/webp, image/avif;q=0", Format::Png), webp);
        assert_eq!(chosen("image/webp;q=0.5, image/*", Format::Jpeg), None);
        assert_eq!(chosen("*/*", Format::Jpeg), None);
        // It may move.
        assert_eq!(chosen("image/webp, image/avif", Format::Gif), webp);
        assert_eq!(chosen("image/webp", Format::WebP), None);
        assert_eq!(chosen("image/webp, image/avif", Format::WebP), avif);
    }

    #[test]
    fn a_form_that_a_client_has_suits_while_it_would_be_sent_again() {
        let settings = settings(&BOTH[1..], &[320, 640]);
        let accept = ("accept", "image/webp");
        let small = client(&[accept, ("sec-ch-width", "300")]);
        let form = settings.choose(&small, Format::Jpeg).unwrap();
        assert_eq!((form.width, form.quality), (Some(320), 80));
        assert!(settings.suits(form, &small));
        for other in [
            client(&[accept]),
            client(&[accept, ("sec-ch-width", "400")]),
            client(&[accept, ("sec-ch-width", "300"), ("save-data", "on")]),
            client(&[("sec-ch-width", "300")]),
        ] {
            assert!(!settings.suits(form, &other), "{other:?}");
        }
        assert!(!settings.suits(ImageForm { format: ImageType::Avif, ..form }, &small));
    }

    #[test]
    fn what_is_webp_is_made_again_to_be_narrower_or_to_save_data() {
        let settings = settings(&BOTH[1..], &[320]);
        let chosen = |line| {
            let form = settings.choose(&client(&[("accept", "image/webp"), line]), Format::WebP);
            form.map(|form| (form.width, form.quality))
        };
        assert_eq!(chosen(("sec-ch-viewport-width", "100")), Some((Some(320), 80)));
        assert_eq!(chosen(("save-data", "on")), Some((None, 65)));
        assert_eq!(chosen(("save-data", "off")), None);
    }

    #[test]
    fn only_what_makes_a_difference_is_looked_at() {
        assert_eq!(settings(&BOTH, &[]).varies, Varies::IMAGE | Varies::SAVE_DATA);
        let all = Varies::IMAGE | Varies::SAVE_DATA | Varies::WIDTH;
        assert_eq!(settings(&BOTH, &[320]).varies, all);
    }
}
