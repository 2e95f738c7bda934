//! A request for unit tests.

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::IpAddr;

use http::Method;

use crate::variable::{Facts, Variable};

/// Facts set one by one, which remember what they were asked.
pub(crate) struct Sample {
    facts: Vec<(Variable, Vec<u8>)>,
    client: Option<IpAddr>,
    method: Method,
    asked: RefCell<Vec<String>>,
}

impl Sample {
    pub(crate) fn new() -> Self {
        Self { facts: Vec::new(), client: None, method: Method::GET, asked: RefCell::default() }
    }

    /// `name` is a name of the registry, or the number of a capture.
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let capture = name.parse().map(|number: u8| Variable::Capture(number - 1)).ok();
        let variable = capture.or_else(|| Variable::from_name(name)).unwrap();
        self.facts.push((variable, value.as_ref().to_vec()));
        self
    }

    pub(crate) fn with_client(mut self, address: &str) -> Self {
        self.client = Some(address.parse().unwrap());
        self
    }

    pub(crate) fn with_method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// The names asked for since the last call, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.take()
    }
}

impl Facts for Sample {
    fn fact(&self, variable: &Variable) -> Option<Cow<'_, [u8]>> {
        self.asked.borrow_mut().push(variable.name().into_owned());
        let (_, value) = self.facts.iter().find(|(own, _)| own == variable)?;
        Some(Cow::Borrowed(value))
    }

    fn client_ip(&self) -> Option<IpAddr> {
        self.asked.borrow_mut().push("client_ip".to_owned());
        self.client
    }

    fn method(&self) -> &Method {
        &self.method
    }
}
