//! Fields that plugins change.

use http::{HeaderName, HeaderValue, header};
use switchback_plugin::{FieldName, Map, Part, Refused, fields};

use super::{Request, Response, View, parts};
use crate::http::answer_head::AnswerHead;
use crate::http::{receive, rules};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The name of a field that a plugin may change.
fn changeable(name: FieldName<'_>) -> Result<HeaderName, Refused> {
    let name = fields::named(name, &mut None)?.clone();
    if fields::is_kept(name.as_str()) { Err(Refused::Invalid) } else { Ok(name) }
}

pub(super) fn value(bytes: &[u8]) -> Result<HeaderValue, Refused> {
    HeaderValue::from_bytes(rules::unpadded(bytes)).map_err(|_| Refused::Invalid)
}

/// A head that may be changed.
enum Head<'v> {
    Request(&'v mut pingora_http::RequestHeader),
    Response(&'v mut pingora_http::ResponseHeader),
    Own(&'v mut AnswerHead),
}

fn head<'v>(view: &'v mut View<'_>, map: Map) -> Result<Head<'v>, Refused> {
    match (map, &mut view.request, &mut view.response) {
        (Map::RequestHeaders, Request::Ours(head), _) => {
            view.context.filtering.changes_fields();
            Ok(Head::Request(head))
        }
        (Map::RequestHeaders, Request::Copy(head), _) => Ok(Head::Request(head)),
        (Map::ResponseHeaders, _, Response::Head(head)) => Ok(Head::Response(head)),
        (Map::ResponseHeaders, _, Response::Own(head)) => Ok(Head::Own(head)),
        (Map::RequestTrailers | Map::ResponseTrailers, ..) => Err(Refused::Unsupported),
        _ => Err(Refused::NotNow),
    }
}

/// What a head may grow to. A map of three times as many panics at one more.
const MOST_FIELDS: usize = 8192;

/// A head that may have one field more.
fn with_room(head: Head<'_>) -> Result<Head<'_>, Refused> {
    let count = match &head {
        Head::Request(head) => head.headers.len(),
        Head::Response(head) => head.headers.len(),
        Head::Own(head) => head.count(),
    };
    if count < MOST_FIELDS { Ok(head) } else { Err(Refused::Full) }
}

pub(super) fn set(
    view: &mut View<'_>,
    map: Map,
    name: FieldName<'_>,
    value: HeaderValue,
) -> Result<(), Refused> {
    let name = changeable(name)?;
    if map == Map::RequestHeaders && name == header::HOST {
        let host = value.to_str().map_err(|_| Refused::Invalid)?;
        return parts::set(view, Part::Host, host);
    }
    if let (Map::RequestHeaders, Request::Ours(_)) = (map, &view.request)
        && name == REQUEST_ID
        && let Some(id) = receive::fit_id(&value)
    {
        // It is called so from here on: in logs, and by the upstream.
        view.context.request.id = id;
    }
    let set = match with_room(head(view, map)?)? {
        Head::Request(head) => head.insert_header(name, value),
        Head::Response(head) => head.insert_header(name, value),
        Head::Own(head) => return head.replace(&name, value).map_err(|_| Refused::Invalid),
    };
    set.map_err(|_| Refused::Invalid)
}

pub(super) fn append(
    view: &mut View<'_>,
    map: Map,
    name: FieldName<'_>,
    bytes: &[u8],
) -> Result<(), Refused> {
    let (name, value) = (changeable(name)?, value(bytes)?);
    if map == Map::RequestHeaders && name == header::HOST {
        return Err(Refused::Invalid);
    }
    let added = match with_room(head(view, map)?)? {
        Head::Request(head) => head.append_header(name, value),
        Head::Response(head) => head.append_header(name, value),
        Head::Own(head) => return head.append(&name, value).map_err(|_| Refused::Full),
    };
    match added {
        Ok(_) => Ok(()),
        Err(_) => Err(Refused::Full),
    }
}

pub(super) fn remove(view: &mut View<'_>, map: Map, name: FieldName<'_>) -> Result<(), Refused> {
    let name = changeable(name)?;
    if map == Map::RequestHeaders && name == header::HOST {
        return Err(Refused::Invalid);
    }
    match head(view, map)? {
        Head::Request(head) => drop(head.remove_header(&name)),
        Head::Response(head) => drop(head.remove_header(&name)),
        Head::Own(head) => head.remove(&name).map_err(|_| Refused::Full)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_around_what_plugins_say_are_no_part_of_it() {
        assert_eq!(value(b" a b\t").unwrap(), "a b");
        assert_eq!(value(b"a\n"), Err(Refused::Invalid));
    }
}
