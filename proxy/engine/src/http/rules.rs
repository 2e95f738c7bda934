//! Changes to heads, as the operator wrote them.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_error::{Error, ErrorType};
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_conf::plan::HeaderRules;
use switchback_value::{Facts, Template};

use super::fault::{Fault, Kind};

/// A head whose fields can be changed.
pub(crate) trait Fields {
    /// The fields as they are.
    fn fields(&self) -> &HeaderMap;
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
            fn fields(&self) -> &HeaderMap {
                &self.headers
            }

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

/// That of what is stored.
impl Fields for HeaderMap {
    fn fields(&self) -> &HeaderMap {
        self
    }

    fn remove(&mut self, name: &HeaderName) {
        Self::remove(self, name);
    }

    fn replace(&mut self, name: &HeaderName, value: HeaderValue) -> Result<(), Box<Error>> {
        self.try_insert(name.clone(), value).map(drop).map_err(too_many)
    }

    fn append(&mut self, name: &HeaderName, value: HeaderValue) -> Result<(), Box<Error>> {
        self.try_append(name.clone(), value).map(drop).map_err(too_many)
    }
}

fn too_many(error: http::header::MaxSizeReached) -> Box<Error> {
    Error::because(ErrorType::InternalError, "changing a head", error)
}

/// One step in changing a head.
#[derive(Debug)]
pub(crate) enum Change<'r> {
    /// Every line of that name goes.
    Remove(&'r HeaderName),
    /// One line in place of all of that name.
    Replace(&'r HeaderName, HeaderValue),
    /// One line more.
    Append(&'r HeaderName, HeaderValue),
}

/// What `rules` change, found out before anything is changed: facts may borrow the very head that changes.
pub(crate) fn changes<'r>(
    rules: &'r [Arc<HeaderRules>],
    facts: &dyn Facts,
) -> Result<Vec<Change<'r>>, Fault> {
    let mut changes = Vec::new();
    for rules in rules.iter().filter(|rules| rules.when.holds(facts)) {
        changes.extend(rules.remove.iter().map(Change::Remove));
        for (name, template) in &rules.set {
            changes.push(match value(name, template, facts)? {
                Some(value) => Change::Replace(name, value),
                None => Change::Remove(name),
            });
        }
        for (name, template) in &rules.add {
            changes.extend(value(name, template, facts)?.map(|value| Change::Append(name, value)));
        }
    }
    Ok(changes)
}

/// Makes `changes` in their order.
pub(crate) fn apply(head: &mut impl Fields, changes: Vec<Change<'_>>) -> Result<(), Fault> {
    for change in changes {
        match change {
            Change::Remove(name) => head.remove(name),
            Change::Replace(name, value) => head.replace(name, value).map_err(Fault::internal)?,
            Change::Append(name, value) => head.append(name, value).map_err(Fault::internal)?,
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

/// A value without the blanks around it, which are no part of it (RFC 9110, 5.5) and malformed over HTTP/2 (RFC 9113, 8.2.1).
pub(crate) fn unpadded(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The same of a value that is one already.
pub(crate) fn without_padding(value: &HeaderValue) -> HeaderValue {
    let (bytes, least) = (value.as_bytes(), unpadded(value.as_bytes()));
    if least.len() == bytes.len() {
        return value.clone();
    }
    // A part of a value is one.
    HeaderValue::from_bytes(least).unwrap_or_else(|_| value.clone())
}

/// A header value, checked where it is made: no line break can come in by a variable.
fn value(
    name: &HeaderName,
    template: &Template,
    facts: &dyn Facts,
) -> Result<Option<HeaderValue>, Fault> {
    let mut bytes = Vec::new();
    template.render(facts, &mut bytes);
    let bytes = unpadded(&bytes);
    if bytes.is_empty() {
        return Ok(None);
    }
    let value = HeaderValue::from_bytes(bytes);
    value.map(Some).map_err(|_| {
        Fault::client(
            Kind::BadRequest,
            format!("the value of `{name}` would hold a control character from the request"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_around_a_value_are_no_part_of_it() {
        for (padded, value) in
            [(" a", "a"), ("a \t", "a"), ("\t a b ", "a b"), (" ", ""), ("a", "a")]
        {
            assert_eq!(unpadded(padded.as_bytes()), value.as_bytes());
            assert_eq!(without_padding(&HeaderValue::from_static(padded)), value);
        }
    }
}
