//! What stands in braces: `{now-60}`, `{now+5 rfc850}`, `{1:Last-Modified}`, `{own:Date}` (of the answer itself), `{path}`.

use std::time::{Duration, SystemTime};

use super::case::Field;

/// What may be referred to.
pub(super) struct Known<'a> {
    /// The path of the case.
    pub(super) path: &'a str,
    /// The authority the client asks for.
    pub(super) host: &'a str,
    /// What the origin has sent in answer to each step.
    pub(super) sent: &'a [(usize, Vec<Field>)],
    /// The step that `own` stands for.
    pub(super) own: usize,
}

impl Known<'_> {
    /// The text with everything in braces replaced; what is not known stays.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let Some((inside, behind)) = after.split_once('}') else {
                filled.push('{');
                rest = after;
                continue;
            };
            match self.value(inside) {
                Some(value) => filled.push_str(&value),
                None => filled.push_str(&format!("{{{inside}}}")),
            }
            rest = behind;
        }
        filled + rest
    }

    fn value(&self, inside: &str) -> Option<String> {
        let (what, form) = inside.split_once(' ').unwrap_or((inside, ""));
        match what {
            "path" => return Some(self.path.to_owned()),
            "host" => return Some(self.host.to_owned()),
            _ => {}
        }
        if let Some(shift) = what.strip_prefix("now") {
            let shift: i64 = if shift.is_empty() { 0 } else { shift.parse().ok()? };
            return Some(in_form(&imf(shift), form));
        }
        let (step, name) = what.split_once(':')?;
        let step: usize = if step == "own" { self.own } else { step.parse().ok()? };
        let fields = self.sent.iter().rev().find(|(number, _)| *number == step);
        let fields = fields.map(|(_, fields)| fields)?;
        let (_, value) = fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(in_form(value, form))
    }
}

/// The date so many seconds from now, as RFC 9110, 5.6.7 prefers it.
fn imf(shift: i64) -> String {
    let far = Duration::from_secs(shift.unsigned_abs());
    let now = SystemTime::now();
    let then = if shift < 0 { now.checked_sub(far) } else { now.checked_add(far) };
    httpdate::fmt_http_date(then.unwrap_or(now))
}

/// The same date in one of the obsolete forms.
fn in_form(date: &str, form: &str) -> String {
    let parts: Vec<&str> = date.split(' ').collect();
    let [weekday, day, month, year, time, _] = parts.as_slice() else { return date.to_owned() };
    match form {
        "rfc850" => {
            let long = match weekday.trim_end_matches(',') {
                "Mon" => "Monday",
                "Tue" => "Tuesday",
                "Wed" => "Wednesday",
                "Thu" => "Thursday",
                "Fri" => "Friday",
                "Sat" => "Saturday",
                _ => "Sunday",
            };
            format!("{long}, {day}-{month}-{} {time} GMT", year.get(2..).unwrap_or_default())
        }
        "asctime" => {
            let day = day.trim_start_matches('0');
            format!("{} {month} {day:>2} {time} {year}", weekday.trim_end_matches(','))
        }
        _ => date.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, in_form};

    #[test]
    fn a_date_in_its_obsolete_forms() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(in_form(date, "rfc850"), "Sunday, 06-Nov-94 08:49:37 GMT");
        assert_eq!(in_form(date, "asctime"), "Sun Nov  6 08:49:37 1994");
    }

    #[test]
    fn what_is_known_is_filled_in_and_the_rest_stays() {
        let sent = [(1, vec![("ETag".to_owned(), "\"a\"".to_owned())])];
        let known = Known { path: "/p/1", host: "localhost", sent: &sent, own: 1 };
        assert_eq!(known.fill("x{own:etag}y{path}{2:ETag}{"), "x\"a\"y/p/1{2:ETag}{");
        assert!(known.fill("{now-10}").ends_with(" GMT"));
    }
}
