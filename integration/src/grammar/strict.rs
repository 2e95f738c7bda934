//! An origin's parser that takes nothing but what RFC 9112 lets a sender send, written apart from the proxy's.

/// A message as an origin reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Its method.
    pub(crate) method: String,
    /// Its target.
    pub(crate) target: String,
    /// Its header lines in order.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    /// How its body came.
    pub(crate) framing: Framing,
    /// Its body without framing.
    pub(crate) body: Vec<u8>,
    /// Its bytes altogether.
    pub(crate) length: usize,
}

/// How a body came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    Nothing,
    /// By `Content-Length`.
    Length,
    /// In chunks.
    Chunked,
}

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsound(pub(crate) &'static str);

impl Message {
    /// The values of all header lines of this name.
    pub(crate) fn all<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m [u8]> {
        let named = self.fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_slice())
    }

    fn only(&self, name: &'static str) -> Result<Option<&[u8]>, Unsound> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() {
            Err(Unsound("a header that decides framing twice"))
        } else {
            Ok(first)
        }
    }
}

/// The message that `bytes` begin with; `None` if it is not whole.
///
/// # Errors
/// The bytes are not the beginning of a message.
pub(crate) fn message(bytes: &[u8]) -> Result<Option<Message>, Unsound> {
    let mut at = 0;
    while bytes[at..].starts_with(b"\r\n") {
        at += 2;
    }
    let Some(first) = line(bytes, &mut at)? else { return Ok(None) };
    let (method, target) = first_line(first)?;
    let mut fields = Vec::new();
    loop {
        match line(bytes, &mut at)? {
            None => return Ok(None),
            Some(b"") => break,
            Some(text) => fields.push(field(text)?),
        }
    }
    let (framing, body) = (Framing::Nothing, Vec::new());
    let mut message = Message { method, target, fields, framing, body, length: 0 };
    if message.only("host")?.is_none_or(<[u8]>::is_empty) {
        return Err(Unsound("no host"));
    }
    let body = match (message.only("content-length")?, message.only("transfer-encoding")?) {
        (None, None) => Some(Vec::new()),
        (Some(_), Some(_)) => return Err(Unsound("a length beside chunks")),
        (Some(length), None) => {
            let length = decimal(length)?;
            message.framing = Framing::Length;
            let body = bytes.get(at..at.saturating_add(length)).map(<[u8]>::to_vec);
            at = at.saturating_add(length);
            body
        }
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => {
            message.framing = Framing::Chunked;
            chunks(bytes, &mut at)?
        }
        _ => return Err(Unsound("a coding that is not chunked")),
    };
    let Some(body) = body else { return Ok(None) };
    Ok(Some(Message { body, length: at, ..message }))
}

/// The next line without its end.
fn line<'b>(bytes: &'b [u8], at: &mut usize) -> Result<Option<&'b [u8]>, Unsound> {
    let rest = bytes.get(*at..).unwrap_or_default();
    let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\0'));
    let Some(end) = end else { return Ok(None) };
    let Some(text) = rest[..end].strip_suffix(b"\r").filter(|_| rest[end] == b'\n') else {
        return Err(Unsound("a line that does not end with CR LF"));
    };
    if text.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return Err(Unsound("a control byte in a line"));
    }
    *at += end + 1;
    Ok(Some(text))
}

fn first_line(text: &[u8]) -> Result<(String, String), Unsound> {
    let words: Vec<&[u8]> = text.split(|byte| *byte == b' ').collect();
    let [method, target, b"HTTP/1.1"] = words[..] else { return Err(Unsound("no request line")) };
    let is_target = |byte: &u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(byte);
    if method.is_empty() || !method.iter().all(is_token) {
        return Err(Unsound("no method"));
    }
    if target.is_empty() || !target.iter().all(is_target) {
        return Err(Unsound("no target"));
    }
    Ok((text_of(method), text_of(target)))
}

fn field(text: &[u8]) -> Result<(String, Vec<u8>), Unsound> {
    let colon =
        text.iter().position(|byte| *byte == b':').ok_or(Unsound("a line without colon"))?;
    let (name, value) = (&text[..colon], &text[colon + 1..]);
    if name.is_empty() || !name.iter().all(is_token) {
        return Err(Unsound("a name that is none"));
    }
    Ok((text_of(name), value.trim_ascii().to_vec()))
}

fn decimal(text: &[u8]) -> Result<usize, Unsound> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(text).ok().filter(|_| is_number);
    number.and_then(|text| text.parse().ok()).ok_or(Unsound("a length that is none"))
}

fn chunks(bytes: &[u8], at: &mut usize) -> Result<Option<Vec<u8>>, Unsound> {
    let mut body = Vec::new();
    loop {
        let Some(text) = line(bytes, at)? else { return Ok(None) };
        let digits = text.split(|byte| *byte == b';').next().unwrap_or_default();
        if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(Unsound("a chunk size that is none"));
        }
        let size = usize::from_str_radix(&text_of(digits), 16)
            .map_err(|_| Unsound("a chunk too large"))?;
        if size == 0 {
            break;
        }
        let end = at.saturating_add(size);
        let Some(chunk) = bytes.get(*at..end) else { return Ok(None) };
        body.extend_from_slice(chunk);
        match bytes.get(end..end + 2) {
            Some(b"\r\n") => *at = end + 2,
            Some(_) => return Err(Unsound("no line end after a chunk")),
            None => return Ok(None),
        }
    }
    loop {
        match line(bytes, at)? {
            None => return Ok(None),
            Some(b"") => return Ok(Some(body)),
            Some(text) => drop(field(text)?),
        }
    }
}

fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
