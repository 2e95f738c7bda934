//! Changes to heads, as the operator wrote them.

use http::{HeaderName, HeaderValue};
use pingora_error::Error;
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_conf::plan::HeaderRules;
use switchback_value::{Facts, Template};

use super::fault::{Fault, Kind};

/// A head whose fields can be changed.
pub(crate) trait Fields {
    /// Takes out every line of `name`.
    fn remove(&mut self, name: &HeaderName);
    /// Puts one line in place of all of `name`.
    fn replace(&mut self, name: &HeaderName, value: HeaderValue) -> Result<(), Box<Error>>;
    /// Adds a line.
    fn append(&mut self, name: &HeaderName, value: HeaderValue) -> Result<(), Box<Error>>;
}

/// Both heads have the same three methods, but no trait in common.
macro_rules! fields {
    ($head:ty) => {
        impl Fields for $head {
            fn remove(&mut self, name: &HeaderName) {
                self.remove_header(name);
            }

            fn replace(&mut self, name: &HeaderName, value: HeaderValue) -> Result<(), Box<Error>> {
                self.insert_header(name.clone(), value)
            }

            fn append(&mut self, name: &HeaderName, value: HeaderValue) -> Result<(), Box<Error>> {
                self.append_header(name.clone(), value).map(|_| ())
            }
        }
    };
}

fields!(RequestHeader);
fields!(ResponseHeader);

/// The values that `rules` set, before anything is changed: facts may borrow the very head that changes.
pub(crate) fn values(
    rules: &HeaderRules,
    facts: &dyn Facts,
) -> Result<Vec<(HeaderName, Option<HeaderValue>)>, Fault> {
    let rendered =
        rules.set.iter().map(|(name, template)| Ok((name.clone(), value(name, template, facts)?)));
    rendered.collect()
}

/// Removals first, then settings, which replace; a value that is empty removes.
pub(crate) fn apply(
    head: &mut impl Fields,
    rules: &HeaderRules,
    values: Vec<(HeaderName, Option<HeaderValue>)>,
) -> Result<(), Fault> {
    for name in &rules.remove {
        head.remove(name);
    }
    for (name, value) in values {
        match value {
            Some(value) => head.replace(&name, value).map_err(Fault::internal)?,
            None => head.remove(&name),
        }
    }
    Ok(())
}

/// Adds a line; nothing when its value is empty.
pub(crate) fn append(
    head: &mut impl Fields,
    name: &HeaderName,
    template: &Template,
    facts: &dyn Facts,
) -> Result<(), Fault> {
    match value(name, template, facts)? {
        Some(value) => head.append(name, value).map_err(Fault::internal),
        None => Ok(()),
    }
}

/// A header value, checked where it is made: no line break can come in by a variable.
fn value(
    name: &HeaderName,
    template: &Template,
    facts: &dyn Facts,
) -> Result<Option<HeaderValue>, Fault> {
    let mut bytes = Vec::new();
    template.render(facts, &mut bytes);
    if bytes.is_empty() {
        return Ok(None);
    }
    let value = HeaderValue::from_bytes(&bytes);
    value.map(Some).map_err(|_| {
        Fault::client(
            Kind::BadRequest,
            format!("the value of `{name}` would hold a control character from the request"),
        )
    })
}
