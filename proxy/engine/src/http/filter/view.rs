//! One request, as plugins see and change it: the border that [`Exchange`] is.

mod change;
mod facts;
mod parts;

use std::cell::OnceCell;
use std::sync::Arc;
use std::task::{Context as Waking, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, Version};
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_conf::plan::SiteId;
use switchback_plugin::{
    Endpoint, Exchange, Fact, FieldName, Hook, Level, Map, Operation, OperationError, OperationId,
    Outcome, Part, Refused, Steer, Value, fields,
};
use switchback_plugin_host::Chain;

use super::Sides;
use super::bodies::Piece;
use super::endpoints::Endpoints;
use super::operations::{Host, Operations};
use super::talk::Talk;
use super::{background, steering};
use crate::http::answer_head::{AnswerHead, Lines};
use crate::http::context::Context;
use crate::http::rules;
use crate::plugins;

/// What a hook is given of a request.
pub(super) struct View<'a> {
    pub(super) hook: Hook,
    pub(super) context: &'a mut Context,
    pub(super) request: Request<'a>,
    pub(super) response: Response<'a>,
    /// The piece of a body at hand.
    pub(super) piece: Option<&'a mut Piece>,
    /// Where the client can be told something, and asked for its body.
    pub(super) talk: Option<&'a Talk>,
    /// Whose numbers plugins have.
    pub(super) chain: Option<&'a Chain>,
    /// Which of the chains that is.
    pub(super) level: usize,
    pub(super) plugin: u32,
    pub(super) operations: Operations,
    pub(super) changed: Changed,
    /// Who may be asked, once somebody has looked.
    pub(super) endpoints: OnceCell<Endpoints>,
    /// Whom a plugin would have asked.
    pub(super) preferred: Option<Box<[usize]>>,
}

/// The head of a request.
pub(super) enum Request<'a> {
    /// That of the request, which everybody goes by after this.
    Ours(&'a mut RequestHeader),
    /// The same where nothing is to be changed any more.
    Fixed(&'a RequestHeader),
    /// What an endpoint is sent.
    Copy(&'a mut RequestHeader),
}

/// The head of a response.
pub(super) enum Response<'a> {
    /// There is none yet, or none any more.
    None,
    /// As it goes on from here.
    Head(&'a mut ResponseHeader),
    /// The same of an answer that the front door sends.
    Own(&'a mut AnswerHead),
    /// What was sent.
    Sent(&'a Lines<'a>),
}

/// What a plugin has changed, so that a route has to be found anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Changed {
    /// Method, path or query.
    pub(super) target: bool,
    /// The host.
    pub(super) host: bool,
    /// The site that routes are looked for in.
    pub(super) site: Option<SiteId>,
}

impl Changed {
    pub(super) fn any(self) -> bool {
        self.target || self.host || self.site.is_some()
    }
}

impl<'a> View<'a> {
    pub(super) fn new(
        hook: Hook,
        context: &'a mut Context,
        Sides { request, response, talk }: Sides<'a>,
        piece: Option<&'a mut Piece>,
    ) -> Self {
        Self {
            hook,
            context,
            request,
            response,
            piece,
            talk,
            chain: None,
            level: 0,
            plugin: 0,
            operations: Operations::default(),
            changed: Changed::default(),
            endpoints: OnceCell::new(),
            preferred: None,
        }
    }

    fn head(&self) -> &RequestHeader {
        match &self.request {
            Request::Ours(head) | Request::Copy(head) => head,
            Request::Fixed(head) => head,
        }
    }

    fn name(&self) -> &str {
        let plugin = self.chain.and_then(|chain| chain.plugins().get(self.plugin as usize));
        plugin.map_or("", |plugin| plugin.name())
    }

    /// As they are at hand. Of an answer that the front door sends, most are not in a map yet.
    fn lines(&self, map: Map) -> Lines<'_> {
        match (map, &self.response) {
            (Map::RequestHeaders, _) => Lines::Map(&self.head().headers),
            (Map::ResponseHeaders, Response::Head(head)) => Lines::Map(&head.headers),
            (Map::ResponseHeaders, Response::Own(head)) => Lines::of(head, None),
            (Map::ResponseHeaders, Response::Sent(lines)) => {
                lines.map().map_or(Lines::None, Lines::Map)
            }
            _ => Lines::None,
        }
    }

    fn endpoints(&self) -> Option<&Endpoints> {
        if self.hook != Hook::Upstream {
            return None;
        }
        Some(self.endpoints.get_or_init(|| Endpoints::of(self.context)))
    }
}

impl Exchange for View<'_> {
    fn enter(&mut self, plugin: u32) {
        self.plugin = plugin;
        if let Some(piece) = &mut self.piece {
            piece.enter((self.level, plugin));
        }
    }

    fn abandon(&mut self) {
        self.operations.cancel_all();
    }

    fn field(&self, map: Map, name: FieldName<'_>) -> Option<Value<'_>> {
        let headers = match (map, &self.response) {
            (Map::RequestHeaders, _) => &self.head().headers,
            (Map::ResponseHeaders, Response::Head(head)) => &head.headers,
            (Map::ResponseHeaders, Response::Own(head)) => {
                return head.value(fields::named(name, &mut None).ok()?);
            }
            (Map::ResponseHeaders, Response::Sent(lines)) => lines.map()?,
            _ => return None,
        };
        fields::first(headers, name)
    }

    fn fields(&self, map: Map, visit: &mut dyn FnMut(&str, &[u8])) {
        let lines = self.lines(map);
        if let Some(map) = lines.map() {
            fields::each(map, visit);
        }
    }

    fn set_field(&mut self, map: Map, name: FieldName<'_>, value: &[u8]) -> Result<(), Refused> {
        change::set(self, map, name, change::value(value)?)
    }

    fn set_value(
        &mut self,
        map: Map,
        name: FieldName<'_>,
        value: &HeaderValue,
    ) -> Result<(), Refused> {
        change::set(self, map, name, rules::without_padding(value))
    }

    fn append_field(&mut self, map: Map, name: FieldName<'_>, value: &[u8]) -> Result<(), Refused> {
        change::append(self, map, name, value)
    }

    fn remove_field(&mut self, map: Map, name: FieldName<'_>) -> Result<(), Refused> {
        change::remove(self, map, name)
    }

    fn fact(&self, fact: Fact) -> Option<Value<'_>> {
        facts::fact(self, fact)
    }

    fn variable(&self, name: &str) -> Option<Value<'_>> {
        facts::variable(self, name)
    }

    fn set_variable(&mut self, name: &str, value: &[u8]) -> Result<(), Refused> {
        self.context.variables.set(name, value)?;
        self.context.memos.maps.forget_passing();
        Ok(())
    }

    fn set_part(&mut self, part: Part, value: &str) -> Result<(), Refused> {
        parts::set(self, part, value)
    }

    fn set_status(&mut self, status: u16) -> Result<(), Refused> {
        let code = StatusCode::from_u16(status).ok().filter(|code| *code >= StatusCode::OK);
        match &mut self.response {
            Response::Head(head) => {
                head.set_status(code.ok_or(Refused::Invalid)?).map_err(|_| Refused::Invalid)
            }
            Response::Own(head) => {
                head.set_status(code.ok_or(Refused::Invalid)?).map_err(|_| Refused::Invalid)
            }
            Response::None | Response::Sent(_) => Err(Refused::NotNow),
        }
    }

    fn steer(&mut self, steer: Steer<'_>) -> Result<(), Refused> {
        if let Some(site) = steering::steer(steer, self.hook, self.context)? {
            self.changed.site = Some(site);
        }
        Ok(())
    }

    fn endpoint_count(&self) -> usize {
        self.endpoints().map_or(0, Endpoints::count)
    }

    fn endpoint(&self, index: usize) -> Option<Endpoint<'_>> {
        self.endpoints()?.at(index)
    }

    fn prefer(&mut self, order: &[usize]) -> Result<(), Refused> {
        if self.hook != Hook::Upstream {
            return Err(Refused::NotNow);
        }
        let count = self.endpoint_count();
        if order.is_empty() || order.iter().any(|index| *index >= count) {
            return Err(Refused::Unknown);
        }
        self.preferred = Some(order.into());
        Ok(())
    }

    fn piece(&self) -> &[u8] {
        self.piece.as_ref().map_or(&[], |piece| piece.bytes())
    }

    fn is_last_piece(&self) -> bool {
        self.piece.as_ref().is_some_and(|piece| piece.is_last())
    }

    fn set_piece(&mut self, bytes: Bytes) -> Result<(), Refused> {
        let piece = self.piece.as_mut().ok_or(Refused::NotNow)?;
        piece.set(bytes);
        Ok(())
    }

    fn hold_piece(&mut self) -> Result<(), Refused> {
        self.piece.as_mut().ok_or(Refused::NotNow)?.hold()
    }

    fn inform(&mut self, status: u16, fields: &[(&str, &[u8])]) -> Result<(), Refused> {
        let talk = self.talk.ok_or(Refused::NotNow)?;
        if self.head().version < Version::HTTP_11 {
            return Err(Refused::Unsupported);
        }
        let is_interim = (100..200).contains(&status) && !matches!(status, 100 | 101);
        if !is_interim {
            return Err(Refused::Invalid);
        }
        let mut head =
            ResponseHeader::build(status, Some(fields.len())).map_err(|_| Refused::Invalid)?;
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Refused::Invalid)?;
            head.append_header(name, change::value(value)?).map_err(|_| Refused::Invalid)?;
        }
        talk.tell(Box::new(head))
    }

    fn begin(&mut self, operation: Operation) -> Result<OperationId, Refused> {
        if !self.hook.may_begin(&operation) {
            return Err(Refused::NotNow);
        }
        if let Operation::Body { limit } = operation {
            let arriving = self.talk.ok_or(Refused::NotNow)?.want_body(limit)?;
            return self.operations.add(Box::pin(async move {
                let body = arriving.await.unwrap_or(Err(OperationError::Cancelled));
                body.map(Outcome::Value)
            }));
        }
        let host = Host {
            snapshot: &self.context.snapshot,
            resident: &self.context.resident,
            client: self.context.fetcher.as_ref().map(|fetcher| &fetcher.client),
        };
        self.operations.begin(operation, &host)
    }

    fn poll(
        &mut self,
        operation: OperationId,
        waking: &mut Waking<'_>,
    ) -> Poll<Result<Outcome, OperationError>> {
        self.operations.poll(operation, waking)
    }

    fn cancel(&mut self, operation: OperationId) {
        self.operations.cancel(operation);
    }

    fn now(&self) -> u64 {
        background::now()
    }

    fn log(&self, level: Level, message: &str) {
        let request = &*self.context.request.id;
        plugins::log(level, self.name(), Some(request), message);
    }
}

/// The head as it was before a plugin changed what is asked for, for logs.
fn keep_received(view: &mut View<'_>) {
    if view.context.received.is_none()
        && let Request::Ours(head) = &view.request
    {
        view.context.received = Some(Arc::new((**head).clone()));
    }
}
