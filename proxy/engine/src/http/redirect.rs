//! Other addresses: for the client, and within a site.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use pingora_http::RequestHeader;
use switchback_conf::plan::RedirectPlan;
use switchback_value::{Facts, Template};

use super::answer::{Answer, Body, blank, insert};
use super::context::Context;
use super::facts::RequestFacts;
use super::fault::Fault;

/// Sends the client to the address that the route names.
pub(super) fn answer(
    plan: &RedirectPlan,
    head: &RequestHeader,
    context: &Context,
) -> Result<Answer, Fault> {
    let to = address(&plan.to, &RequestFacts::new(head, context));
    to_address(plan.status, HeaderValue::from_bytes(&to).map_err(Fault::internal)?)
}

/// Sends the client to `address`.
pub(super) fn to_address(status: StatusCode, address: HeaderValue) -> Result<Answer, Fault> {
    let mut head = blank(status)?;
    head.insert_header(header::LOCATION, address).map_err(Fault::internal)?;
    let text = format!("{} {}\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    insert(&mut head, "Content-Type", "text/plain; charset=utf-8")?;
    insert(&mut head, "Content-Length", &text.len().to_string())?;
    Ok(Answer { head, body: Body::Whole(Bytes::from(text)) })
}

/// Path and query in place of those of the request.
pub(super) fn target(
    template: &Template,
    head: &RequestHeader,
    context: &Context,
) -> Result<Vec<u8>, Fault> {
    let target = address(template, &RequestFacts::new(head, context));
    if target.starts_with(b"/") {
        return Ok(target);
    }
    Err(Fault::ours(
        super::fault::Kind::Internal,
        format!("`rewrite` made `{}`, which begins with no `/`", String::from_utf8_lossy(&target)),
    ))
}

/// What the template renders to, as an address can hold it: variables may bring in line breaks, spaces and other bytes that
/// a header or a request line may not.
fn address(template: &Template, facts: &dyn Facts) -> Vec<u8> {
    let mut rendered = Vec::with_capacity(128);
    template.render(facts, &mut rendered);
    if rendered.iter().all(|byte| may_stand(*byte)) {
        return rendered;
    }
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = Vec::with_capacity(rendered.len() + 16);
    for byte in rendered {
        if may_stand(byte) {
            encoded.push(byte);
        } else {
            let digits = [byte >> 4, byte & 15].map(|digit| DIGITS.get(usize::from(digit)));
            encoded.push(b'%');
            encoded.extend(digits.into_iter().flatten());
        }
    }
    encoded
}

/// Whether a byte may stand in a URI (RFC 3986, 2): all visible ASCII but a few.
fn may_stand(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
}

#[cfg(test)]
mod tests {
    use switchback_value::Scope;

    use super::*;

    struct Nothing;

    impl Facts for Nothing {
        fn fact(&self, _: &switchback_value::Variable) -> Option<std::borrow::Cow<'_, [u8]>> {
            Some(b"a b\r\nX: \xc3\xa9%20|"[..].into())
        }

        fn client_ip(&self) -> Option<std::net::IpAddr> {
            None
        }

        fn method(&self) -> &http::Method {
            &http::Method::GET
        }
    }

    #[test]
    fn what_variables_bring_cannot_leave_the_address() {
        let template = Template::parse("https://h$uri?x", &Scope::new()).unwrap();
        assert_eq!(address(&template, &Nothing), b"https://ha%20b%0D%0AX:%20%C3%A9%20%7C?x");
    }
}
