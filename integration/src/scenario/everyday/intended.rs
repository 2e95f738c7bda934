//! The differences that are meant, all of them, each with its reason.

use super::case::Case;
use super::compare::{Difference, received};
use super::side::Outcome;
use super::tree::{LATER, MUCH_LATER};
use crate::message::Response;

/// A difference that is meant.
pub(super) struct Intended {
    /// What it is, and why we do not do as nginx does.
    pub(super) reason: &'static str,
    pub(super) covers: fn(&Exchange<'_>, &Difference) -> bool,
}

/// A request and what came of it.
pub(super) struct Exchange<'a> {
    pub(super) case: &'a Case,
    pub(super) nginx: &'a Outcome,
    pub(super) ours: &'a Outcome,
}

/// All of them. The first that covers a difference is counted.
pub(super) const INTENDED: &[Intended] = &[
    Intended {
        reason: "the page of an error or redirect that nobody configured: ours is plain text with the request's id, or empty",
        covers: |exchange, difference| {
            ["body", "content-type", "content-length"].contains(&&*difference.what)
                && exchange.same_status()
                && exchange.has_built_in_page()
        },
    },
    Intended {
        reason: "a number in a range that no computer holds is a large one (RFC 9110, 14.1.2), not a range that cannot be read",
        covers: |exchange, _| {
            let asks = exchange.case.asks_for_huge_range();
            asks && exchange.statuses() == Some((416, 206))
        },
    },
    Intended {
        reason: "Expires beside Cache-Control: max-age is not sent; whoever knows the one ignores the other (RFC 9111, 5.3)",
        covers: |_, difference| difference.what == "expires" && difference.second.is_empty(),
    },
    Intended {
        reason: "where a folder's slash is added, Location is a path (RFC 9110, 10.2.2): right behind any other proxy",
        covers: |_, difference| {
            let path = difference.first.strip_prefix("http://").and_then(|it| it.find('/'));
            let path = path.map(|slash| &difference.first["http://".len() + slash..]);
            difference.what == "location"
                && difference.second.starts_with('/')
                && path == Some(&difference.second)
        },
    },
    Intended {
        reason: "a request line or Host that is not exactly as RFC 9112 has it is refused unless `tolerate` says otherwise, so are control \
                 characters in a path",
        covers: |exchange, difference| {
            // Our own page, not that of a library below.
            let is_ours = difference.what != "cache-control" || difference.second.is_empty();
            let is_refused = matches!(exchange.our_status(), Some(400 | 505));
            is_ours && is_refused && exchange.case.is_loose()
        },
    },
    Intended {
        reason: "a request that is refused before its site is looked for has no headers of that site",
        covers: |exchange, difference| {
            let is_header =
                !["body", "content-type", "content-length"].contains(&&*difference.what);
            exchange.statuses() == Some((400, 400)) && is_header && difference.second.is_empty()
        },
    },
    Intended {
        reason: "what is of the client's own hop, or meant for a proxy, ends here (RFC 9110, 7.6.1 and 11.7.2)",
        covers: |exchange, difference| {
            difference.what == "x-hop"
                || exchange.origin_but_for(difference, &["x-hop", "proxy-authorization", "upgrade"])
        },
    },
    Intended {
        reason: "what a client that is not trusted says of its way is dropped: Via, Forwarded, X-Request-ID",
        covers: |exchange, difference| {
            exchange.origin_but_for(difference, &["via", "forwarded", "x-request-id"])
        },
    },
    Intended {
        reason: "Expect: 100-continue is for the origin to answer (RFC 9110, 10.1.1)",
        covers: |exchange, difference| exchange.origin_but_for(difference, &["expect"]),
    },
    Intended {
        reason: "a body in chunks stays one; nginx counts it when it came at once",
        covers: |exchange, difference| {
            exchange.case.is_chunked() && exchange.origin_but_for(difference, &["content-length"])
        },
    },
    Intended {
        reason: "header names with `.` are as good as others (RFC 9110, 5.1); nginx drops them",
        covers: |exchange, difference| exchange.origin_but_for(difference, &["x.dot"]),
    },
    Intended {
        reason: "conditions are judged as RFC 9110, 13.2.2 wants: a later If-Modified-Since is met, what is no date is ignored, \
                 tags come before dates, and several lines are one list",
        covers: |exchange, _| {
            let case = exchange.case;
            let is_beside = |tags: &str, dates: &str| case.has(tags) && case.has(dates);
            let is_judged = matches!(exchange.our_status(), Some(200 | 206 | 304 | 412));
            let is_no_date = |name: &str| case.has(name) && !case.values(name)[0].ends_with("GMT");
            let is_otherwise = case.values("If-None-Match").len() > 1
                || case
                    .values("If-Modified-Since")
                    .iter()
                    .any(|date| date == LATER || date == MUCH_LATER)
                || is_no_date("If-Unmodified-Since")
                || is_beside("If-None-Match", "If-Modified-Since")
                || is_beside("If-Match", "If-Unmodified-Since");
            is_judged && is_otherwise
        },
    },
    Intended {
        reason: "a fixed answer is always the same: it is not asked conditionally",
        covers: |exchange, _| {
            let is_conditional =
                exchange.case.has("If-None-Match") || exchange.case.has("If-Match");
            let is_tagged = exchange.our_header("etag").is_some();
            is_conditional && !is_tagged && matches!(exchange.statuses(), Some((304 | 412, 200)))
        },
    },
    Intended {
        reason: "an error page that is a file has no ETag: nobody asks for it again",
        covers: |exchange, difference| {
            let is_error = exchange.our_status().is_some_and(|status| status >= 400);
            difference.what == "etag" && is_error && difference.second.is_empty()
        },
    },
    Intended {
        reason: "Accept-Encoding is read as RFC 9110, 12.5.3 has it: `*`, `x-gzip`, spaces, several lines",
        covers: |exchange, _| {
            let accepted = exchange.case.values("Accept-Encoding");
            let is_read_otherwise = ["*", "x-gzip", "gzip\t;q=1"].map(str::to_owned);
            accepted.len() > 1 || accepted.iter().any(|it| is_read_otherwise.contains(it))
        },
    },
    Intended {
        reason: "Vary: Accept-Encoding wherever compressed siblings are looked for and a file is found, not with 404",
        covers: |_, difference| {
            difference.what == "vary"
                && [&*difference.first, &*difference.second].contains(&"Accept-Encoding")
                && difference.first.is_empty() != difference.second.is_empty()
        },
    },
    Intended {
        reason: "compressed siblings are served in ranges as other files are",
        covers: |exchange, difference| {
            let is_packed = exchange.our_header("content-encoding").is_some();
            let is_range = exchange.case.has("Range") && exchange.our_status() == Some(206);
            is_packed && (is_range || difference.what == "accept-ranges")
        },
    },
    Intended {
        reason: "405 says which methods there are (RFC 9110, 15.5.6)",
        covers: |exchange, difference| {
            difference.what == "allow"
                && exchange.our_status() == Some(405)
                && difference.second == "GET, HEAD"
        },
    },
    Intended {
        reason: "a folder does not take POST: 405, where nginx adds the slash first, or finds a listing forbidden",
        covers: |exchange, _| {
            exchange.case.method == "POST" && matches!(exchange.statuses(), Some((301 | 403, 405)))
        },
    },
    Intended {
        reason: "a rewritten path is sent as RFC 3986 has it, a kept %2F too, where nginx sends what it decoded",
        covers: |exchange, difference| {
            let targets = |outcome: &Outcome| -> Option<String> {
                let [(_, received)] = outcome.received.as_slice() else { return None };
                Some(received.target.clone())
            };
            let (Some(nginx), Some(ours)) = (targets(exchange.nginx), targets(exchange.ours))
            else {
                return false;
            };
            difference.what == "origin"
                && nginx.matches('?').count() == ours.matches('?').count()
                && decoded(&nginx) == decoded(&ours)
        },
    },
    Intended {
        reason: "listings: the same entries in a page of our own, and JSON without carriage returns, both with their length",
        covers: |exchange, difference| {
            ["body", "content-type", "content-length"].contains(&&*difference.what)
                && exchange.same_listing()
        },
    },
    Intended {
        reason: "a list of ranges may have empty elements (RFC 9110, 5.6.1)",
        covers: |exchange, _| {
            let ranges = exchange.case.values("Range");
            ranges.iter().any(|range| range.ends_with(',') || range.contains("=,"))
        },
    },
    Intended {
        reason: "nginx adds the same header twice to an answer with 416",
        covers: |exchange, difference| {
            exchange.our_status() == Some(416)
                && difference.first == format!("{0}\n{0}", difference.second)
        },
    },
    Intended {
        reason: "nginx refuses TRACE before it knows the location: no headers of one, and 405 where others find nothing",
        covers: |exchange, _| exchange.case.method == "TRACE",
    },
    Intended {
        reason: "the page for an error is sent whatever the method was; nginx asks a named one by the request's own, and says 405",
        covers: |exchange, _| {
            let is_read = ["GET", "HEAD"].contains(&&*exchange.case.method);
            !is_read && matches!(exchange.statuses(), Some((405, 404 | 503)))
        },
    },
    Intended {
        reason: "the path of `http://host?query` is `/` (RFC 9112, 3.2.1)",
        covers: |exchange, difference| {
            let has_no_path = exchange.case.target().starts_with("http://example.org?");
            let with_path = difference.first.replacen("example.org?", "example.org/?", 1);
            has_no_path && difference.what == "location" && difference.second == with_path
        },
    },
    Intended {
        reason: "OPTIONS * is a request like others (RFC 9110, 9.3.7)",
        covers: |exchange, _| exchange.case.method == "OPTIONS" && exchange.case.target() == "*",
    },
];

impl Exchange<'_> {
    fn answers(&self) -> Option<(&Response, &Response)> {
        Some((self.nginx.answer.as_ref().ok()?, self.ours.answer.as_ref().ok()?))
    }

    pub(super) fn our_status(&self) -> Option<u16> {
        self.ours.answer.as_ref().ok().map(|response| response.status)
    }

    /// Both statuses, nginx's first.
    pub(super) fn statuses(&self) -> Option<(u16, u16)> {
        self.answers().map(|(nginx, ours)| (nginx.status, ours.status))
    }

    pub(super) fn our_header(&self, name: &str) -> Option<&str> {
        self.ours.answer.as_ref().ok()?.headers.all(name).first().copied()
    }

    /// Whether the origins received the same but for these headers.
    fn origin_but_for(&self, difference: &Difference, headers: &[&str]) -> bool {
        difference.what == "origin" && received(self.nginx, headers) == received(self.ours, headers)
    }

    fn same_status(&self) -> bool {
        self.answers().is_some_and(|(nginx, ours)| nginx.status == ours.status)
    }

    /// Whether both list the same entries. For HEAD it is told by the length, which nginx does not say.
    fn same_listing(&self) -> bool {
        let Some((nginx, ours)) = self.answers() else { return false };
        let (listed, our_list) = (nginx.text(), ours.text());
        let is_folder = self.case.target().split('?').next().is_some_and(|it| it.ends_with('/'));
        match self.case.method.as_str() {
            "HEAD" => is_folder && nginx.headers.all("content-length").is_empty(),
            _ if listed.starts_with("<html>\r\n<head><title>Index of") => {
                links(&listed) == links(&our_list)
            }
            _ => listed.starts_with("[\r\n") && listed.replace('\r', "") == our_list,
        }
    }

    /// Whether both answered with a page that neither configuration names. For HEAD it is told by the length.
    fn has_built_in_page(&self) -> bool {
        let Some((nginx, ours)) = self.answers() else { return false };
        if self.case.method == "HEAD" {
            let content_type = nginx.headers.all("content-type");
            let is_html = content_type.first().is_some_and(|it| it.starts_with("text/html"));
            return nginx.status >= 300 && is_html && is_plain_or_nothing(ours);
        }
        let built_in = nginx.text().contains("<hr><center>nginx");
        built_in && is_built_in(ours)
    }
}

/// With every percent-encoding taken off.
fn decoded(target: &str) -> Vec<u8> {
    let mut bytes = target.bytes();
    let mut result = Vec::new();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digits = [ahead.next(), ahead.next()];
        let digit = |digit: Option<u8>| char::from(digit?).to_digit(16);
        match (byte, digit(digits[0]), digit(digits[1])) {
            (b'%', Some(high), Some(low)) => {
                result.push(u8::try_from(high * 16 + low).unwrap_or_default());
                bytes = ahead;
            }
            _ => result.push(byte),
        }
    }
    result
}

/// What a listing leads to.
fn links(page: &str) -> Vec<&str> {
    let links = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.filter(|link| *link != "../").collect()
}

/// `STATUS REASON`, of an error with the id of the request; or nothing.
fn is_built_in(response: &Response) -> bool {
    let text = response.text();
    let (first, rest) = text.split_once('\n').unwrap_or_default();
    text.is_empty()
        || (first.starts_with(&response.status.to_string())
            && (rest.is_empty() || rest.starts_with("request ")))
}

fn is_plain_or_nothing(response: &Response) -> bool {
    let content_type = response.headers.all("content-type");
    content_type.first().is_none_or(|content_type| content_type.starts_with("text/plain"))
}
