//! The text of conditions: a recursive descent with one function for each rule.

use std::net::IpAddr;
use std::ops::Range;

use http::Method;
use ipnet::IpNet;
use regex::bytes::Regex;

use super::error::{ConditionError, ConditionErrorKind, MAX_DEPTH, STRING, TEST};
use super::quoted::{QUOTES, Quoted};
use super::{Condition, Test};
use crate::reference;
use crate::scope::Scope;
use crate::template::Template;
use crate::variable::{Known, Variable};

pub(super) fn condition(text: &str, scope: &Scope) -> Result<Condition, ConditionError> {
    let mut parser = Parser { text, rest: text, scope, depth: 0 };
    let condition = parser.any()?;
    parser.skip_space();
    if parser.rest.is_empty() {
        Ok(condition)
    } else {
        Err(parser.unexpected("`&&`, `||` or the end"))
    }
}

struct Parser<'t, 's> {
    text: &'t str,
    rest: &'t str,
    scope: &'s Scope,
    depth: usize,
}

/// The rules.
impl<'t> Parser<'t, '_> {
    fn any(&mut self) -> Result<Condition, ConditionError> {
        let mut parts = vec![self.all()?];
        while self.eat("||") {
            parts.push(self.all()?);
        }
        Ok(Condition::any(parts))
    }

    fn all(&mut self) -> Result<Condition, ConditionError> {
        let mut parts = vec![self.single()?];
        while self.eat("&&") {
            parts.push(self.single()?);
        }
        Ok(Condition::all(parts))
    }

    fn single(&mut self) -> Result<Condition, ConditionError> {
        if self.eat("!") {
            return self.nested(Self::single).map(Condition::not);
        }
        if self.eat("(") {
            let inner = self.nested(Self::any)?;
            self.expect(")", "`&&`, `||` or `)`")?;
            return Ok(inner);
        }
        if self.eat_word("always") {
            return Ok(Condition::always());
        }
        if self.eat_word("never") {
            return Ok(Condition::never());
        }
        if self.eat_word("exists") {
            return self.variable("a variable").map(Condition::present);
        }
        let variable = self.variable(TEST)?;
        self.test(variable)
    }

    fn nested(
        &mut self,
        rule: impl Fn(&mut Self) -> Result<Condition, ConditionError>,
    ) -> Result<Condition, ConditionError> {
        if self.depth == MAX_DEPTH {
            return Err(wrong(self.here()..self.text.len(), ConditionErrorKind::TooDeep));
        }
        self.depth += 1;
        let condition = rule(self)?;
        self.depth -= 1;
        Ok(condition)
    }

    fn variable(&mut self, expected: &'static str) -> Result<Variable, ConditionError> {
        self.skip_space();
        if !self.rest.starts_with(['$', '{']) {
            return Err(self.unexpected(expected));
        }
        let (variable, rest) = reference::read(self.rest, self.here(), self.scope)?;
        self.rest = rest;
        Ok(variable)
    }

    fn test(&mut self, variable: Variable) -> Result<Condition, ConditionError> {
        if self.eat("==") {
            return self.equals(variable);
        }
        if self.eat("!=") {
            return self.equals(variable).map(Condition::not);
        }
        if self.eat("~*") {
            return self.matches(variable, "(?i)");
        }
        if self.eat("~") {
            return self.matches(variable, "");
        }
        if self.eat("!~*") {
            return self.matches(variable, "(?i)").map(Condition::not);
        }
        if self.eat("!~") {
            return self.matches(variable, "").map(Condition::not);
        }
        if self.eat_word("in") {
            return self.one_of(variable);
        }
        if self.eat_word("not") {
            self.expect("in", "`in`")?;
            return self.one_of(variable).map(Condition::not);
        }
        Ok(Condition(Test::True(variable)))
    }

    fn equals(&mut self, variable: Variable) -> Result<Condition, ConditionError> {
        let template = self.template()?;
        Ok(Condition(Test::Equals(variable, template)))
    }

    fn matches(&mut self, variable: Variable, flags: &str) -> Result<Condition, ConditionError> {
        let quoted = self.quoted()?;
        match Regex::new(&format!("{flags}{}", quoted.raw())) {
            Ok(regex) => Ok(Condition::matches(variable, regex)),
            Err(error) => {
                Err(wrong(quoted.at(), ConditionErrorKind::Regex { reason: reason(&error) }))
            }
        }
    }

    fn one_of(&mut self, variable: Variable) -> Result<Condition, ConditionError> {
        match variable {
            Variable::Known(Known::RemoteAddr) => self.list(Self::network).map(Condition::client),
            Variable::Known(Known::RequestMethod) => self.list(Self::method).map(Condition::method),
            _ => {
                let entries = self.list(|parser| parser.entry(&variable))?;
                Ok(Condition(Test::OneOf(variable, entries)))
            }
        }
    }

    fn list<T>(
        &mut self,
        entry: impl Fn(&mut Self) -> Result<T, ConditionError>,
    ) -> Result<Vec<T>, ConditionError> {
        self.expect("[", "`[`")?;
        let mut entries = vec![entry(self)?];
        while self.eat(",") {
            if self.eat("]") {
                return Ok(entries);
            }
            entries.push(entry(self)?);
        }
        self.expect("]", "`,` or `]`")?;
        Ok(entries)
    }

    fn network(&mut self) -> Result<IpNet, ConditionError> {
        let (text, at) = self.word()?;
        text.parse()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| wrong(at, ConditionErrorKind::Network { text: text.into() }))
    }

    fn method(&mut self) -> Result<Method, ConditionError> {
        let (text, at) = self.word()?;
        Method::from_bytes(text.as_bytes())
            .map_err(|_| wrong(at, ConditionErrorKind::Method { text: text.into() }))
    }

    fn entry(&mut self, variable: &Variable) -> Result<Template, ConditionError> {
        self.skip_space();
        if self.rest.starts_with(QUOTES) {
            return self.template();
        }
        let (text, at) = self.word()?;
        if text.contains('/') && text.parse::<IpNet>().is_ok() {
            let variable = variable.to_string().into();
            return Err(wrong(at, ConditionErrorKind::OnlyText { text: text.into(), variable }));
        }
        Ok(Template::literal(text))
    }

    fn template(&mut self) -> Result<Template, ConditionError> {
        let quoted = self.quoted()?;
        Template::parse(&quoted.unescaped(), self.scope).map_err(|error| {
            let at = quoted.offset_of(error.at.start)..quoted.offset_of(error.at.end);
            wrong(at, ConditionErrorKind::Value(error.kind))
        })
    }
}

/// The words that the rules are made of.
impl<'t> Parser<'t, '_> {
    fn here(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, sign: &str) -> bool {
        self.skip_space();
        let Some(rest) = self.rest.strip_prefix(sign) else { return false };
        self.rest = rest;
        true
    }

    fn eat_word(&mut self, word: &str) -> bool {
        self.skip_space();
        let Some(rest) = self.rest.strip_prefix(word).filter(|rest| !rest.starts_with(is_letter))
        else {
            return false;
        };
        self.rest = rest;
        true
    }

    fn expect(&mut self, sign: &str, expected: &'static str) -> Result<(), ConditionError> {
        if self.eat(sign) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    /// A string with its quotes.
    fn quoted(&mut self) -> Result<Quoted<'t>, ConditionError> {
        self.skip_space();
        let start = self.here();
        if !self.rest.starts_with(QUOTES) {
            return Err(self.unexpected(STRING));
        }
        let Some((quoted, rest)) = Quoted::split(self.rest, start) else {
            return Err(wrong(start..self.text.len(), ConditionErrorKind::UnclosedString));
        };
        self.rest = rest;
        Ok(quoted)
    }

    /// A word as it stands, or a string without variables, and where it is.
    fn word(&mut self) -> Result<(&'t str, Range<usize>), ConditionError> {
        self.skip_space();
        if self.rest.starts_with(QUOTES) {
            let quoted = self.quoted()?;
            return Ok((quoted.raw(), quoted.at()));
        }
        let start = self.here();
        let len = run_len(self.rest, is_bare);
        if len == 0 {
            return Err(self.unexpected("an entry"));
        }
        let (word, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok((word, start..start + len))
    }

    /// The error that `expected` does not stand here.
    fn unexpected(&self, expected: &'static str) -> ConditionError {
        let rest = self.rest.trim_start();
        let start = self.text.len() - rest.len();
        let word = first_word(rest);
        let found = if word.is_empty() { "the end".into() } else { format!("`{word}`").into() };
        wrong(start..start + word.len(), ConditionErrorKind::Unexpected { expected, found })
    }
}

fn wrong(at: Range<usize>, kind: ConditionErrorKind) -> ConditionError {
    ConditionError { at, kind }
}

fn is_letter(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// What entries of lists are made of that need no quotes: words, addresses, networks, host names, media types.
fn is_bare(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | ':' | '/' | '+' | '*')
}

/// What a reader takes for one thing: a word, an operator, or a single sign.
fn first_word(text: &str) -> &str {
    let len = match text.chars().next() {
        None => 0,
        Some(first) if is_letter(first) => run_len(text, is_letter),
        Some(first) if is_operator(first) => run_len(text, is_operator),
        Some(first) => first.len_utf8(),
    };
    text.split_at(len).0
}

fn run_len(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|letter| !belongs(letter)).unwrap_or(text.len())
}

fn is_operator(letter: char) -> bool {
    matches!(letter, '=' | '!' | '~' | '&' | '|' | '<' | '>')
}

/// The last line of a regex error; those before it draw the regex, which diagnostics do in their own way.
fn reason(error: &regex::Error) -> Box<str> {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).into()
}

#[cfg(test)]
mod tests {
    use super::MAX_DEPTH;
    use crate::scope::Scope;
    use crate::{Condition, ConditionError, ConditionErrorKind};

    fn error(text: &str) -> ConditionError {
        Condition::parse(text, &Scope::with_captures(["id"])).unwrap_err()
    }

    /// The wrong part of the text and the message.
    fn complaint(text: &str) -> (&str, String) {
        let error = error(text);
        (&text[error.at.clone()], error.to_string())
    }

    fn hint(text: &str) -> Option<String> {
        error(text).hint()
    }

    fn unexpected(at: &'static str, message: &str) -> (&'static str, String) {
        (at, message.to_owned())
    }

    #[test]
    fn nothing_is_no_condition() {
        assert_eq!(complaint(""), unexpected("", "expected a condition, found the end"));
        assert_eq!(error("  ").at, 2..2);
        assert_eq!(complaint("()"), unexpected(")", "expected a condition, found `)`"));
        assert_eq!(complaint("!"), unexpected("", "expected a condition, found the end"));
    }

    #[test]
    fn operators_need_both_sides() {
        assert_eq!(complaint("$host && "), unexpected("", "expected a condition, found the end"));
        assert_eq!(complaint("|| $host"), unexpected("||", "expected a condition, found `||`"));
        assert_eq!(
            complaint("exists host"),
            unexpected("host", "expected a variable, found `host`")
        );
    }

    #[test]
    fn a_condition_begins_with_a_variable() {
        assert_eq!(
            complaint("host == 'a'"),
            unexpected("host", "expected a condition, found `host`")
        );
        assert_eq!(
            hint("host == 'a'").as_deref(),
            Some("a condition begins with a variable, such as `$host`")
        );
    }

    #[test]
    fn words_that_begin_like_keywords_are_not_keywords() {
        assert_eq!(complaint("alwaysx").0, "alwaysx");
        assert_eq!(complaint("never_").0, "never_");
        assert_eq!(complaint("existsé $host").0, "existsé");
        assert_eq!(complaint("$host inn [a]").0, "inn");
        assert_eq!(complaint("$host nott in [a]").0, "nott");
    }

    #[test]
    fn texts_stand_in_quotes() {
        assert_eq!(
            complaint("$status == 404"),
            unexpected("404", "expected a text in quotes, found `404`")
        );
        assert_eq!(
            complaint("$host ~ a_b.c"),
            unexpected("a_b", "expected a text in quotes, found `a_b`")
        );
        assert_eq!(hint("$status == 404"), None);
    }

    #[test]
    fn a_test_is_followed_by_an_operator_or_the_end() {
        let message = "expected `&&`, `||` or the end, found";
        assert_eq!(complaint("$host $uri"), unexpected("$", &format!("{message} `$`")));
        assert_eq!(complaint("$host)"), unexpected(")", &format!("{message} `)`")));
        assert_eq!(complaint("$host → $uri"), unexpected("→", &format!("{message} `→`")));
        assert_eq!(complaint("$host <= 'a'"), unexpected("<=", &format!("{message} `<=`")));
        assert_eq!(complaint("$host 'a'"), unexpected("'", &format!("{message} `'`")));
    }

    #[test]
    fn a_parenthesis_must_be_closed() {
        assert_eq!(
            complaint("($host && $uri"),
            unexpected("", "expected `&&`, `||` or `)`, found the end")
        );
    }

    #[test]
    fn operators_of_other_languages_are_translated() {
        for (text, translation) in [
            ("$host = 'a'", "equality is written `==`"),
            ("$host and $uri", "`and` is written `&&`"),
            ("$host & $uri", "`and` is written `&&`"),
            ("$host or $uri", "`or` is written `||`"),
            ("$host | $uri", "`or` is written `||`"),
            ("not $host", "`not` is written `!`"),
        ] {
            assert_eq!(hint(text).as_deref(), Some(translation), "{text}");
        }
        assert_eq!(complaint("$host === 'a'").1, "expected a text in quotes, found `=`");
        assert_eq!(hint("$host xor $uri"), None);
    }

    #[test]
    fn a_string_must_be_closed() {
        assert_eq!(
            complaint("$host == \"a && $uri"),
            unexpected("\"a && $uri", "this string is never closed")
        );
        assert_eq!(
            hint("$host == 'a").as_deref(),
            Some("a quote within a string is written `\\\"`")
        );
    }

    #[test]
    fn a_wrong_variable_is_shown_where_it_stands() {
        assert_eq!(
            complaint("$uri || $hosst == 'a'"),
            unexpected("$hosst", "unknown variable `$hosst`")
        );
        assert_eq!(hint("$uri || $hosst == 'a'").as_deref(), Some("did you mean `$host`?"));
        assert_eq!(complaint("{idd}"), unexpected("{idd}", "there is no capture `{idd}` here"));
    }

    #[test]
    fn a_wrong_variable_within_a_string_is_shown_where_it_stands() {
        assert_eq!(
            complaint(r#"$uri == "a\"é\\$hosst!""#),
            unexpected("$hosst", "unknown variable `$hosst`")
        );
        assert_eq!(
            complaint("$host in [a, 'b$hosst']"),
            unexpected("$hosst", "unknown variable `$hosst`")
        );
        assert_eq!(hint("$uri == '$hosst'").as_deref(), Some("did you mean `$host`?"));
    }

    #[test]
    fn a_wrong_regex_is_explained_in_one_line() {
        assert_eq!(
            complaint("$uri ~ '^(a'"),
            unexpected("^(a", "not a regular expression: unclosed group")
        );
        assert_eq!(complaint("$uri ~* 'a(?=b)'").0, "a(?=b)");
        let (_, message) = complaint("$uri ~ 'x{1000}{1000}{1000}'");
        assert!(message.contains("size limit") && !message.contains('\n'), "{message}");
        assert_eq!(hint("$uri ~ '^(a'"), None);
    }

    #[test]
    fn a_list_has_brackets_commas_and_at_least_one_entry() {
        assert_eq!(complaint("$host in a"), unexpected("a", "expected `[`, found `a`"));
        assert_eq!(complaint("$host in []"), unexpected("]", "expected an entry, found `]`"));
        assert_eq!(complaint("$host in [a b]"), unexpected("b", "expected `,` or `]`, found `b`"));
        assert_eq!(complaint("$host in [a,,b]"), unexpected(",", "expected an entry, found `,`"));
        assert_eq!(complaint("$host in [a"), unexpected("", "expected `,` or `]`, found the end"));
        assert_eq!(complaint("$host not [a]"), unexpected("[", "expected `in`, found `[`"));
        assert_eq!(complaint("$host in [$uri]"), unexpected("$", "expected an entry, found `$`"));
    }

    #[test]
    fn entries_without_quotes_may_be_names_addresses_and_media_types() {
        for entry in ["a-b_c.D9", "image/svg+xml", "*/*", "[::1]:80", "2001:db8::1", "10/8"] {
            let text = format!("$host in [{entry}]");
            let parsed = Condition::parse(&text, &Scope::new());
            assert_eq!(parsed.is_ok(), !entry.starts_with('['), "{entry}");
        }
    }

    #[test]
    fn networks_must_be_networks() {
        assert_eq!(
            complaint("$remote_addr in [::1, 10.0.0.0/33]"),
            unexpected("10.0.0.0/33", "`10.0.0.0/33` is neither an address nor a network")
        );
        assert_eq!(complaint("$remote_addr in ['a b']").0, "a b");
        assert_eq!(
            hint("$remote_addr in [localhost]").as_deref(),
            Some("networks are written `10.0.0.0/8` or `2001:db8::/32`")
        );
    }

    #[test]
    fn networks_are_not_compared_as_text_by_mistake() {
        assert_eq!(
            complaint("$realip_remote_addr in [10.0.0.1, 10.0.0.0/8]"),
            unexpected(
                "10.0.0.0/8",
                "`10.0.0.0/8` is a network, but `$realip_remote_addr` is compared as text"
            )
        );
        assert_eq!(
            hint("$realip_remote_addr in [10.0.0.0/8]").as_deref(),
            Some("only `$remote_addr` can be looked for in networks")
        );
        assert!(Condition::parse("$arg_x in ['10.0.0.0/8', 10.0.0.1]", &Scope::new()).is_ok());
    }

    #[test]
    fn methods_must_be_methods() {
        assert_eq!(
            complaint("$request_method in [GET, 'A B']"),
            unexpected("A B", "`A B` is not a method")
        );
        assert_eq!(hint("$request_method in ['']"), None);
    }

    #[test]
    fn nesting_has_a_bound() {
        let nested = |depth: usize| format!("{}$host{}", "(".repeat(depth), ")".repeat(depth));
        assert!(Condition::parse(&nested(MAX_DEPTH), &Scope::new()).is_ok());
        let text = nested(MAX_DEPTH + 1);
        let error = error(&text);
        assert_eq!(error.kind, ConditionErrorKind::TooDeep);
        assert_eq!(error.at, MAX_DEPTH + 1..text.len());
        assert_eq!(error.hint().as_deref(), Some("at most 32 levels"));
        assert!(Condition::parse(&format!("{}$host", "!".repeat(100_000)), &Scope::new()).is_err());
    }

    #[test]
    fn neighbours_do_not_add_to_the_depth() {
        let text = vec!["(!$host)"; 3 * MAX_DEPTH].join(" && ");
        assert!(Condition::parse(&text, &Scope::new()).is_ok());
    }

    #[test]
    fn space_is_free() {
        let tight = "!exists$host&&($uri=='a'||$args~'b')&&$host not in[a,'b']";
        let wide =
            " ! exists\t$host\n&& ( $uri  == 'a' || $args ~ 'b' ) && $host  not  in [ a , 'b' , ] ";
        let [tight, wide] =
            [tight, wide].map(|text| Condition::parse(text, &Scope::new()).unwrap());
        assert_eq!(tight.to_string(), wide.to_string());
    }
}
