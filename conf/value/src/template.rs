//! Texts made of literals and variables.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use memchr::memchr3;

use crate::reference;
use crate::scope::Scope;
use crate::variable::{Facts, Variable};

/// Literals and variables: `"$scheme://$host$request_uri"`, `"/v2/{id}?$args"`.
///
/// A variable is written `$name` or `${name}`, a capture of the route `{name}`, `$1` or `$name`. `$$` is a dollar sign,
/// `{{` and `}}` are braces. Parsed once, rendered per request without allocating anything but room in the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    source: Box<str>,
    parts: Box<[Part]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Never empty, and never beside another literal.
    Literal(Box<str>),
    Variable(Variable),
}

/// A part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// This text; never empty.
    Literal(&'t str),
    /// The value of this variable.
    Variable(&'t Variable),
}

impl Template {
    /// Reads `text`, which may use the registry and what is in `scope`.
    pub fn parse(text: &str, scope: &Scope) -> Result<Self, TemplateError> {
        let mut parts = Parts::default();
        let mut rest = text;
        while let Some(special) = memchr3(b'$', b'{', b'}', rest.as_bytes()) {
            let (literal, from_special) = rest.split_at(special);
            parts.add_literal(literal);
            rest = match split_doubled(from_special) {
                Some((sign, after)) => {
                    parts.add_literal(sign);
                    after
                }
                None => {
                    let offset = text.len() - from_special.len();
                    let (variable, after) = reference::read(from_special, offset, scope)?;
                    parts.add_variable(variable);
                    after
                }
            };
        }
        parts.add_literal(rest);
        Ok(Self { source: text.into(), parts: parts.finish() })
    }

    /// Exactly `text`, in which dollar signs and braces mean themselves.
    pub fn literal(text: impl Into<Box<str>>) -> Self {
        let text = text.into();
        let source = escape_literal(&text).into();
        let parts = if text.is_empty() {
            Box::default()
        } else {
            Box::new([Part::Literal(text)]) as Box<[Part]>
        };
        Self { source, parts }
    }

    /// What it renders to, when that is the same for every request.
    pub fn as_literal(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// What every text it renders to begins with.
    pub fn literal_prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Literal(text)) => text,
            _ => "",
        }
    }

    /// The text it was parsed from; parsing it again in the same scope gives an equal template.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The variables in the order they are rendered; one that is used twice comes twice.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Variable(variable) => Some(variable),
        })
    }

    /// Its literals and variables in order.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.parts.iter().map(|part| match part {
            Part::Literal(text) => Piece::Literal(text),
            Part::Variable(variable) => Piece::Variable(variable),
        })
    }

    /// Appends the text for this request to `out`. What is absent renders as nothing.
    pub fn render(&self, facts: &dyn Facts, out: &mut Vec<u8>) {
        self.render_with(facts, out, |value, out| out.extend_from_slice(value), b"");
    }

    /// As [`render`](Self::render), but every value goes through `write`, which is told whose it is.
    ///
    /// For texts in which some values must not mean more than they say, such as a path with its query.
    pub fn render_by(
        &self,
        facts: &dyn Facts,
        out: &mut Vec<u8>,
        write: impl Fn(&Variable, &[u8], &mut Vec<u8>),
    ) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Variable(variable) => {
                    if let Some(value) = facts.fact(variable) {
                        write(variable, &value, out);
                    }
                }
            }
        }
    }

    /// As [`render`](Self::render), but every value goes through `escape`, and what is absent renders as `absent`.
    ///
    /// For logs: `escape` is one of [`escape`](mod@crate::escape), and `absent` is `-`. Literals are not escaped.
    pub fn render_with(
        &self,
        facts: &dyn Facts,
        out: &mut Vec<u8>,
        escape: impl Fn(&[u8], &mut Vec<u8>),
        absent: &[u8],
    ) {
        self.render_each(facts, out, |_, value, out| escape(value, out), absent);
    }

    /// As [`render_with`](Self::render_with), but `escape` is also told which of [`variables`](Self::variables) a value is of, by
    /// its index.
    pub fn render_each(
        &self,
        facts: &dyn Facts,
        out: &mut Vec<u8>,
        escape: impl Fn(usize, &[u8], &mut Vec<u8>),
        absent: &[u8],
    ) {
        let mut index = 0;
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Variable(variable) => {
                    match facts.fact(variable) {
                        Some(value) => escape(index, &value, out),
                        None => out.extend_from_slice(absent),
                    }
                    index += 1;
                }
            }
        }
    }

    /// Whether it renders to exactly `text`, found out without rendering.
    pub fn renders_to(&self, text: &[u8], facts: &dyn Facts) -> bool {
        let mut rest = text;
        for part in &self.parts {
            let after = match part {
                Part::Literal(literal) => rest.strip_prefix(literal.as_bytes()),
                Part::Variable(variable) => {
                    rest.strip_prefix(&*facts.fact(variable).unwrap_or_default())
                }
            };
            let Some(after) = after else { return false };
            rest = after;
        }
        rest.is_empty()
    }
}

/// Its source.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// `text` with dollar signs and braces doubled, so that a template in which it stands renders it as it is.
pub fn escape_literal(text: &str) -> Cow<'_, str> {
    if memchr3(b'$', b'{', b'}', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        escaped.push(letter);
        if matches!(letter, '$' | '{' | '}') {
            escaped.push(letter);
        }
    }
    Cow::Owned(escaped)
}

/// The sign that a doubled sign at the beginning of `text` stands for, and the text after it.
fn split_doubled(text: &str) -> Option<(&'static str, &str)> {
    [("$$", "$"), ("{{", "{"), ("}}", "}")]
        .into_iter()
        .find_map(|(doubled, sign)| text.strip_prefix(doubled).map(|after| (sign, after)))
}

/// Parts being collected; neighbouring literals become one.
#[derive(Default)]
struct Parts {
    done: Vec<Part>,
    literal: String,
}

impl Parts {
    fn add_literal(&mut self, text: &str) {
        self.literal.push_str(text);
    }

    fn add_variable(&mut self, variable: Variable) {
        self.end_literal();
        self.done.push(Part::Variable(variable));
    }

    fn end_literal(&mut self) {
        if !self.literal.is_empty() {
            self.done.push(Part::Literal(std::mem::take(&mut self.literal).into()));
        }
    }

    fn finish(mut self) -> Box<[Part]> {
        self.end_literal();
        self.done.into()
    }
}

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct TemplateError {
    /// The bytes of the text that are wrong.
    pub at: Range<usize>,
    /// What is wrong with them.
    pub kind: TemplateErrorKind,
}

impl TemplateError {
    /// What to write instead, where that can be said.
    pub fn hint(&self) -> Option<String> {
        self.kind.hint()
    }
}

/// What can be wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateErrorKind {
    /// `$name` is neither in the registry nor in scope.
    #[error("unknown variable `${name}`")]
    UnknownVariable {
        /// The name without dollar sign.
        name: Box<str>,
        /// What was probably meant, as it is written.
        suggestion: Option<String>,
    },
    /// `{name}` is not in scope.
    #[error("there is no capture `{{{name}}}` here")]
    UnknownCapture {
        /// The name without braces.
        name: Box<str>,
        /// What was probably meant, as it is written.
        suggestion: Option<String>,
    },
    /// `$3` where there are fewer captures.
    #[error("there is no capture number {name} here")]
    NoSuchNumber {
        /// The number as written.
        name: Box<str>,
        /// How many captures there are.
        captures: usize,
    },
    /// Braces around something that cannot be a name.
    #[error("`{name}` is not a name")]
    BadName {
        /// What stands between the braces.
        name: Box<str>,
    },
    /// `{` or `${` without `}`.
    #[error("this brace is never closed")]
    Unclosed,
    /// `}` that closes nothing.
    #[error("this brace closes nothing")]
    StrayBrace,
    /// `$` before something that cannot be a name.
    #[error("no name follows this dollar sign")]
    LoneDollar,
}

impl TemplateErrorKind {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownVariable { suggestion, .. } | Self::UnknownCapture { suggestion, .. } => {
                suggestion.as_ref().map(|meant| format!("did you mean `{meant}`?"))
            }
            Self::NoSuchNumber { captures: 0, .. } => {
                Some("the path here captures nothing".to_owned())
            }
            Self::NoSuchNumber { captures, .. } => {
                Some(format!("captures are numbered 1 to {captures}"))
            }
            Self::BadName { .. } | Self::Unclosed => {
                Some("a brace itself is written `{{`".to_owned())
            }
            Self::StrayBrace => Some("a brace itself is written `}}`".to_owned()),
            Self::LoneDollar => Some("a dollar sign itself is written `$$`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Template, TemplateError, TemplateErrorKind, escape_literal};
    use crate::sample::Sample;
    use crate::scope::Scope;
    use crate::{Known, Variable, escape};

    fn scope() -> Scope {
        Scope::with_captures(["id", "post"])
    }

    fn template(text: &str) -> Template {
        Template::parse(text, &scope()).unwrap()
    }

    fn rendered(text: &str, facts: &Sample) -> String {
        let mut out = Vec::new();
        template(text).render(facts, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn error(text: &str) -> TemplateError {
        Template::parse(text, &scope()).unwrap_err()
    }

    /// The wrong part of the text, the message and the hint.
    fn complaint(text: &str) -> (&str, String, Option<String>) {
        let error = error(text);
        (&text[error.at.clone()], error.to_string(), error.hint())
    }

    fn hinted(
        at: &'static str,
        message: &str,
        hint: &str,
    ) -> (&'static str, String, Option<String>) {
        (at, message.to_owned(), Some(hint.to_owned()))
    }

    #[test]
    fn variables_are_replaced_and_the_rest_is_kept() {
        let facts = Sample::new()
            .with("scheme", "https")
            .with("host", "shop.example")
            .with("request_uri", "/a?b");
        assert_eq!(rendered("$scheme://$host$request_uri!", &facts), "https://shop.example/a?b!");
    }

    #[test]
    fn braces_end_a_name_before_a_letter() {
        let facts = Sample::new().with("scheme", "http");
        assert_eq!(rendered("${scheme}s", &facts), "https");
    }

    #[test]
    fn a_capture_has_a_name_and_a_number() {
        let facts = Sample::new().with("1", "7").with("2", "hello");
        for text in ["/{id}/{post}", "/$id/$post", "/${id}/${post}", "/$1/$2", "/{1}/${2}"] {
            assert_eq!(rendered(text, &facts), "/7/hello", "{text}");
        }
    }

    #[test]
    fn a_number_without_braces_has_one_digit() {
        let facts = Sample::new().with("1", "x");
        assert_eq!(rendered("$10", &facts), "x0");
    }

    #[test]
    fn names_in_braces_may_hold_dashes_and_dots() {
        let facts = Sample::new().with("cookie___Host-id", "a").with("arg_user.id", "b");
        assert_eq!(rendered("${cookie___Host-id}${arg_user.id}", &facts), "ab");
        assert_eq!(rendered("$arg_user-id", &Sample::new().with("arg_user", "b")), "b-id");
    }

    #[test]
    fn doubled_signs_stand_for_themselves() {
        let facts = Sample::new().with("1", "7");
        assert_eq!(rendered("$$5 {{id}} {{{id}}} $$$1", &facts), "$5 {id} {7} $7");
    }

    #[test]
    fn absent_values_render_as_nothing() {
        assert_eq!(rendered("[$arg_a]", &Sample::new()), "[]");
    }

    #[test]
    fn a_log_line_escapes_values_but_not_literals_and_marks_what_is_absent() {
        let facts = Sample::new().with("http_user_agent", "a\"b").with("http_referer", "");
        let mut out = b"1: ".to_vec();
        template("\"$http_user_agent\" \"$http_referer\" $remote_user").render_with(
            &facts,
            &mut out,
            escape::log,
            b"-",
        );
        assert_eq!(String::from_utf8(out).unwrap(), r#"1: "a\x22b" "" -"#);
    }

    #[test]
    fn values_are_told_apart_by_the_index_of_their_variable() {
        let facts = Sample::new().with("host", "h").with("scheme", "s");
        let mut out = Vec::new();
        let numbered = |index: usize, value: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(value);
            out.extend_from_slice(index.to_string().as_bytes());
        };
        template("$host.$arg_none.$scheme").render_each(&facts, &mut out, numbered, b"-");
        assert_eq!(out, b"h0.-.s2");
    }

    #[test]
    fn rendering_appends() {
        let mut out = b"a".to_vec();
        template("$host").render(&Sample::new().with("host", "b"), &mut out);
        assert_eq!(out, b"ab");
    }

    #[test]
    fn a_template_without_variables_is_a_literal() {
        assert_eq!(template("").as_literal(), Some(""));
        assert_eq!(template("a{{b}}$$c").as_literal(), Some("a{b}$c"));
        assert_eq!(template("a$host").as_literal(), None);
        assert_eq!(template("$host").as_literal(), None);
    }

    #[test]
    fn a_literal_takes_every_sign_as_it_is() {
        let literal = Template::literal("{$x}");
        assert_eq!(literal.as_literal(), Some("{$x}"));
        assert_eq!(literal.source(), "{{$$x}}");
        assert_eq!(literal, template(literal.source()));
        assert_eq!(Template::literal(""), template(""));
    }

    #[test]
    fn the_source_is_the_text_as_written() {
        assert_eq!(template("a$host{{").source(), "a$host{{");
        assert_eq!(template("a$host{{").to_string(), "a$host{{");
    }

    #[test]
    fn variables_are_listed_in_order_and_with_repetition() {
        let template = template("$host{id}x$host");
        let host = Variable::Known(Known::Host);
        assert_eq!(template.variables().collect::<Vec<_>>(), [&host, &Variable::Capture(0), &host]);
    }

    #[test]
    fn a_text_is_compared_part_by_part() {
        let facts = Sample::new().with("scheme", "https").with("host", "a.example");
        let url = template("$scheme://$host/$arg_none");
        assert!(url.renders_to(b"https://a.example/", &facts));
        assert!(!url.renders_to(b"https://a.example/x", &facts));
        assert!(!url.renders_to(b"https://a.example", &facts));
        assert!(!url.renders_to(b"http://a.example/", &facts));
        assert!(template("").renders_to(b"", &facts));
        assert!(!template("").renders_to(b"x", &facts));
    }

    #[test]
    fn an_unknown_variable_is_named_and_the_nearest_one_proposed() {
        assert_eq!(
            complaint("http://$hosst/"),
            hinted("$hosst", "unknown variable `$hosst`", "did you mean `$host`?")
        );
        assert_eq!(
            complaint("é${htpp_x}"),
            hinted("${htpp_x}", "unknown variable `$htpp_x`", "did you mean `$http_x`?")
        );
        assert_eq!(complaint("$zebra"), ("$zebra", "unknown variable `$zebra`".to_owned(), None));
    }

    #[test]
    fn an_unknown_capture_is_named_and_the_nearest_one_proposed() {
        assert_eq!(
            complaint("/a/{pots}/b"),
            hinted("{pots}", "there is no capture `{pots}` here", "did you mean `{post}`?")
        );
        assert_eq!(
            complaint("{zebra}"),
            ("{zebra}", "there is no capture `{zebra}` here".to_owned(), None)
        );
    }

    #[test]
    fn braces_without_dollar_sign_around_a_variable_are_pointed_out() {
        assert_eq!(
            complaint("{host}"),
            hinted("{host}", "there is no capture `{host}` here", "did you mean `$host`?")
        );
    }

    #[test]
    fn numbers_must_be_those_of_captures() {
        assert_eq!(
            complaint("a$3"),
            hinted("$3", "there is no capture number 3 here", "captures are numbered 1 to 2")
        );
        assert_eq!(complaint("$0").0, "$0");
        assert_eq!(
            complaint("{99999999999999999999999}").1,
            "there is no capture number 99999999999999999999999 here"
        );
        let kind = Template::parse("$1", &Scope::new()).unwrap_err().kind;
        assert_eq!(kind, TemplateErrorKind::NoSuchNumber { name: "1".into(), captures: 0 });
        assert_eq!(kind.hint().as_deref(), Some("the path here captures nothing"));
    }

    #[test]
    fn json_with_single_braces_is_told_to_double_them() {
        assert_eq!(
            complaint(r#"x{"a": "$host"}"#),
            hinted(
                r#"{"a": "$host"}"#,
                r#"`"a": "$host"` is not a name"#,
                "a brace itself is written `{{`"
            )
        );
        assert_eq!(complaint("a{}").1, "`` is not a name");
        assert_eq!(complaint("a${}").0, "${}");
    }

    #[test]
    fn a_brace_that_is_never_closed_is_shown_where_it_opens() {
        let hint = "a brace itself is written `{{`";
        assert_eq!(complaint("ab{id"), hinted("{", "this brace is never closed", hint));
        assert_eq!(complaint("ab${id"), hinted("${", "this brace is never closed", hint));
    }

    #[test]
    fn a_brace_that_closes_nothing_is_refused() {
        assert_eq!(
            complaint("a}b"),
            hinted("}", "this brace closes nothing", "a brace itself is written `}}`")
        );
        assert_eq!(error("a}b").at, 1..2);
    }

    #[test]
    fn a_dollar_sign_before_no_name_is_refused() {
        let lone =
            hinted("$", "no name follows this dollar sign", "a dollar sign itself is written `$$`");
        for text in ["5$", "$ 5", "$-", "a$é"] {
            assert_eq!(complaint(text), lone, "{text}");
        }
    }

    #[test]
    fn only_signs_with_a_meaning_are_escaped() {
        assert_eq!(escape_literal("a${b}"), "a$${{b}}");
        assert!(matches!(escape_literal("plain\"é"), std::borrow::Cow::Borrowed("plain\"é")));
    }
}
