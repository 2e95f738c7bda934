//! Changes to the cookies that an upstream sets, as the operator wrote them.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use switchback_conf::plan::{CookieRule, CookieText, SameSite};
use switchback_value::{Facts, Template};

use super::fault::{Fault, Kind};
use super::set_cookie::SetCookie;

/// All `Set-Cookie` lines as `rules` make them; `None` when they leave them as they are.
pub(crate) fn changed(
    rules: &[Arc<CookieRule>],
    headers: &HeaderMap,
    facts: &dyn Facts,
) -> Result<Option<Vec<HeaderValue>>, Fault> {
    if rules.is_empty() || !headers.contains_key(header::SET_COOKIE) {
        return Ok(None);
    }
    let mut lines = Vec::new();
    let mut is_changed = false;
    for line in headers.get_all(header::SET_COOKIE) {
        match line_after(rules, line.as_bytes(), facts)? {
            Line::Same => lines.push(line.clone()),
            Line::Gone => is_changed = true,
            Line::Changed(bytes) => {
                is_changed = true;
                lines.push(HeaderValue::from_bytes(&bytes).map_err(|_| out_of_place())?);
            }
        }
    }
    Ok(is_changed.then_some(lines))
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Same,
    Gone,
    Changed(Vec<u8>),
}

fn line_after(rules: &[Arc<CookieRule>], line: &[u8], facts: &dyn Facts) -> Result<Line, Fault> {
    let mut cookie = SetCookie::parse(line);
    let name = cookie.name();
    let is_meant =
        |rule: &&Arc<CookieRule>| rule.name.as_ref().is_none_or(|own| own.is_match(name));
    for rule in rules.iter().filter(is_meant) {
        if rule.remove {
            return Ok(Line::Gone);
        }
        change(&mut cookie, rule, facts)?;
    }
    Ok(cookie.changed().map_or(Line::Same, Line::Changed))
}

fn change(cookie: &mut SetCookie<'_>, rule: &CookieRule, facts: &dyn Facts) -> Result<(), Fault> {
    if let Some(domain) = &rule.domain {
        set_text(cookie, "Domain", domain, facts)?;
    }
    if let Some(path) = &rule.path {
        set_text(cookie, "Path", path, facts)?;
    }
    set_flag(cookie, "Secure", rule.secure);
    set_flag(cookie, "HttpOnly", rule.http_only);
    if let Some(same_site) = rule.same_site {
        let value: &[u8] = match same_site {
            SameSite::Strict => b"Strict",
            SameSite::Lax => b"Lax",
            SameSite::None => b"None",
        };
        cookie.set("SameSite", value);
    }
    Ok(())
}

fn set_flag(cookie: &mut SetCookie<'_>, name: &str, wanted: Option<bool>) {
    match wanted {
        Some(true) => cookie.flag(name),
        Some(false) => cookie.remove(name),
        None => {}
    }
}

/// An attribute that becomes empty is taken out.
fn set_text(
    cookie: &mut SetCookie<'_>,
    name: &str,
    text: &CookieText,
    facts: &dyn Facts,
) -> Result<(), Fault> {
    let value = match text {
        CookieText::Whole(template) => rendered(template, facts)?,
        CookieText::Replace(replacements) => {
            let Some(old) = cookie.attribute(name) else { return Ok(()) };
            let matching = replacements
                .iter()
                .find_map(|(pattern, new)| Some((new, pattern.rest(old)?.to_vec())));
            let Some((new, rest)) = matching else { return Ok(()) };
            [rendered(new, facts)?, rest].concat()
        }
    };
    if value.is_empty() {
        cookie.remove(name)
    } else {
        cookie.set(name, &value)
    }
    Ok(())
}

/// Text for an attribute: nothing of a request may end it, or the line.
fn rendered(template: &Template, facts: &dyn Facts) -> Result<Vec<u8>, Fault> {
    let mut value = Vec::new();
    template.render(facts, &mut value);
    match value.iter().any(|byte| byte.is_ascii_control() || *byte == b';') {
        true => Err(out_of_place()),
        false => Ok(value),
    }
}

fn out_of_place() -> Fault {
    Fault::client(
        Kind::BadRequest,
        "an attribute of `Set-Cookie` would hold a semicolon or control character from the request",
    )
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::net::IpAddr;

    use http::Method;
    use proptest::prelude::*;
    use switchback_conf::plan::CookiePattern;
    use switchback_value::{Scope, Variable};

    use super::*;

    /// A request of which every variable has this value.
    struct Says(&'static str);

    impl Facts for Says {
        fn fact(&self, _: &Variable) -> Option<Cow<'_, [u8]>> {
            Some(self.0.as_bytes().into())
        }

        fn client_ip(&self) -> Option<IpAddr> {
            None
        }

        fn method(&self) -> &Method {
            &Method::GET
        }
    }

    fn blank() -> CookieRule {
        CookieRule {
            name: None,
            remove: false,
            domain: None,
            path: None,
            secure: None,
            http_only: None,
            same_site: None,
        }
    }

    fn template(text: &str) -> Template {
        Template::parse(text, &Scope::new()).unwrap()
    }

    fn after(rules: Vec<CookieRule>, lines: &[&str], says: &'static str) -> Option<Vec<String>> {
        let rules: Vec<_> = rules.into_iter().map(Arc::new).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::SET_COOKIE, line.parse().unwrap());
        }
        let changed = changed(&rules, &headers, &Says(says)).unwrap()?;
        Some(changed.iter().map(|line| line.to_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn every_line_is_judged_by_every_rule_in_order() {
        let named = |name: &str| Some(CookiePattern::Text(name.into()));
        let rules = vec![
            CookieRule { secure: Some(true), ..blank() },
            CookieRule { name: named("gone"), remove: true, ..blank() },
            CookieRule { name: named("a"), http_only: Some(true), secure: Some(false), ..blank() },
            CookieRule { same_site: Some(SameSite::Lax), ..blank() },
        ];
        assert_eq!(
            after(rules, &["a=1", "gone=2; Secure", "b=3; samesite=none"], "").unwrap(),
            ["a=1; HttpOnly; SameSite=Lax", "b=3; samesite=Lax; Secure"]
        );
    }

    #[test]
    fn a_domain_is_replaced_where_it_is_named_or_everywhere() {
        let replace = vec![
            (CookiePattern::Domain("a.example".into()), template("$host")),
            (CookiePattern::Domain("b.example".into()), template("")),
        ];
        let rule = CookieRule { domain: Some(CookieText::Replace(replace)), ..blank() };
        let lines = ["x=1; domain=.A.example", "x=2; Domain=b.example; a", "x=3; Domain=c", "x=4"];
        assert_eq!(
            after(vec![rule], &lines, "h").unwrap(),
            ["x=1; domain=h", "x=2; a", "x=3; Domain=c", "x=4"]
        );
        let whole = |says| {
            let domain = Some(CookieText::Whole(template("$host")));
            after(vec![CookieRule { domain, ..blank() }], &lines[2..], says).unwrap()
        };
        assert_eq!(whole("h"), ["x=3; Domain=h", "x=4; Domain=h"]);
        assert_eq!(whole(""), ["x=3", "x=4"]);
    }

    #[test]
    fn of_a_path_the_beginning_is_replaced() {
        let replace = vec![(CookiePattern::Prefix("/app/".into()), template("/$host/"))];
        let rule = CookieRule { path: Some(CookieText::Replace(replace)), ..blank() };
        assert_eq!(
            after(vec![rule], &["x=1; Path=/app/y; Secure", "x=2; Path=/app"], "h").unwrap(),
            ["x=1; Path=/h/y; Secure", "x=2; Path=/app"]
        );
    }

    #[test]
    fn no_variable_ends_an_attribute() {
        for breaking in ["a;b", "a\r\nb", "a\0"] {
            let domain = Some(CookieText::Whole(template("$host")));
            let rules = [Arc::new(CookieRule { domain, ..blank() })];
            let mut headers = HeaderMap::new();
            headers.append(header::SET_COOKIE, HeaderValue::from_static("x=1"));
            assert!(changed(&rules, &headers, &Says(breaking)).is_err());
        }
    }

    proptest! {
        #[test]
        fn a_rule_that_meets_no_cookie_leaves_every_line(
            lines in proptest::collection::vec("[ -~]{0,40}", 0..4),
        ) {
            let rules = vec![
                CookieRule {
                    name: Some(CookiePattern::Text("~none~".into())),
                    remove: true,
                    ..blank()
                },
                CookieRule {
                    domain: Some(CookieText::Replace(Vec::new())),
                    path: Some(CookieText::Replace(Vec::new())),
                    ..blank()
                },
            ];
            let lines: Vec<_> = lines.iter().map(|line| line.trim()).collect();
            prop_assert_eq!(after(rules, &lines, ""), None);
        }
    }
}
