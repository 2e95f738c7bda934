//! What a test says about an answer, as a sentence: `response.expect_status(200).expect_header("via", "1.1 x")`.

use crate::message::Response;

impl Response {
    /// The status is this one.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn expect_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "unexpected status in {self}");
        self
    }

    /// There is exactly one such field, with this value.
    ///
    /// # Panics
    /// When it is absent, doubled or different.
    #[track_caller]
    pub fn expect_header(&self, name: &str, value: &str) -> &Self {
        assert_eq!(self.headers.all(name), [value], "unexpected `{name}` in {self}");
        self
    }

    /// There is no such field.
    ///
    /// # Panics
    /// When there is one.
    #[track_caller]
    pub fn expect_no_header(&self, name: &str) -> &Self {
        assert!(self.headers.all(name).is_empty(), "unexpected `{name}` in {self}");
        self
    }

    /// The body is exactly this.
    ///
    /// # Panics
    /// When it differs; the first difference is named.
    #[track_caller]
    pub fn expect_body(&self, body: impl AsRef<[u8]>) -> &Self {
        let body = body.as_ref();
        let differs = self.body.iter().zip(body).position(|(got, wanted)| got != wanted);
        assert!(
            self.body == body,
            "the body has {} bytes where {} were expected; first difference at {:?}; {self}",
            self.body.len(),
            body.len(),
            differs
        );
        self
    }

    /// The body holds this text.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn expect_text(&self, part: &str) -> &Self {
        assert!(self.text().contains(part), "no {part:?} in {self}");
        self
    }
}

impl std::fmt::Display for Response {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let head = String::from_utf8_lossy(&self.raw_head);
        let body = self.text();
        let shown: String = body.chars().take(300).collect();
        write!(
            formatter,
            "the answer\n{head}{shown}{}",
            if shown.len() < body.len() { " …" } else { "" }
        )
    }
}
