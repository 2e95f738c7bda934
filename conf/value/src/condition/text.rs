//! Conditions written as text.

use std::fmt::{self, Display, Write as _};

use super::{Condition, REMOTE_ADDR, REQUEST_METHOD, Test};
use crate::template::Template;
use crate::variable::Variable;

/// As it can be parsed again, in any scope with enough captures.
impl Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_test(f, &self.0, Sense::Is)
    }
}

/// Whether a test is written as it is, or turned round.
#[derive(Clone, Copy)]
enum Sense {
    Is,
    IsNot,
}

impl Sense {
    /// The words for this sense.
    fn of(self, is: &'static str, is_not: &'static str) -> &'static str {
        match self {
            Self::Is => is,
            Self::IsNot => is_not,
        }
    }
}

fn write_test(f: &mut fmt::Formatter<'_>, test: &Test, sense: Sense) -> fmt::Result {
    match test {
        Test::All(parts) if parts.is_empty() => f.write_str("always"),
        Test::Any(parts) if parts.is_empty() => f.write_str("never"),
        Test::All(parts) => write_group(f, parts, " && ", sense),
        Test::Any(parts) => write_group(f, parts, " || ", sense),
        // `Condition::not` never nests, so there is no sense to turn.
        Test::Not(inner) => write_test(f, &inner.0, Sense::IsNot),
        Test::Exists(variable) => write!(f, "{}exists {variable}", sense.of("", "!")),
        Test::True(variable) => write!(f, "{}{variable}", sense.of("", "!")),
        Test::Equals(variable, template) => {
            write!(f, "{variable} {} {}", sense.of("==", "!="), Quoted(template.source()))
        }
        Test::Matches(variable, regex) => {
            write!(f, "{variable} {} {}", sense.of("~", "!~"), QuotedRegex(regex.as_str()))
        }
        Test::OneOf(variable, templates) => {
            write_list(f, variable, sense, templates.iter().map(Template::source).map(Quoted))
        }
        Test::Client(nets) => write_list(f, &REMOTE_ADDR, sense, nets.iter()),
        Test::Method(methods) => {
            let methods = methods.iter().map(|method| Quoted(method.as_str()));
            write_list(f, &REQUEST_METHOD, sense, methods)
        }
    }
}

fn write_group(
    f: &mut fmt::Formatter<'_>,
    parts: &[Condition],
    operator: &str,
    sense: Sense,
) -> fmt::Result {
    f.write_str(sense.of("", "!("))?;
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(operator)?;
        }
        // Parts of `||` bind tighter than it; of the parts of `&&`, those with `||` do not.
        if matches!(part.0, Test::Any(_)) { write!(f, "({part})")? } else { write!(f, "{part}")? }
    }
    f.write_str(sense.of("", ")"))
}

fn write_list(
    f: &mut fmt::Formatter<'_>,
    variable: &Variable,
    sense: Sense,
    entries: impl Iterator<Item = impl Display>,
) -> fmt::Result {
    write!(f, "{variable} {} [", sense.of("in", "not in"))?;
    for (index, entry) in entries.enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        write!(f, "{comma}{entry}")?;
    }
    f.write_char(']')
}

/// The source of a template in quotes.
struct Quoted<'t>(&'t str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for letter in self.0.chars() {
            if matches!(letter, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(letter)?;
        }
        f.write_char('"')
    }
}

/// A regex in quotes: it keeps its backslashes, and a quote in it gets one unless it has one.
struct QuotedRegex<'t>(&'t str);

impl Display for QuotedRegex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut is_escaped = false;
        for letter in self.0.chars() {
            if letter == '"' && !is_escaped {
                f.write_char('\\')?;
            }
            f.write_char(letter)?;
            is_escaped = letter == '\\' && !is_escaped;
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use crate::scope::Scope;
    use crate::variable::Variable;
    use crate::{Condition, Known};

    fn rewritten(text: &str) -> String {
        Condition::parse(text, &Scope::with_captures(["id"])).unwrap().to_string()
    }

    #[test]
    fn what_is_written_in_the_usual_way_stays_as_it_is() {
        for text in [
            "always",
            "never",
            "$host",
            "!$host",
            "exists $arg_x",
            "!exists $arg_x",
            r#"$host == "a$uri{{""#,
            r#"$host != "a""#,
            r#"$host ~ "^a\.b$""#,
            r#"$host !~ "^a""#,
            r#"$host in ["a", "b"]"#,
            r#"$host not in ["a"]"#,
            "$remote_addr in [10.0.0.0/8, ::1/128]",
            "$remote_addr not in [10.0.0.0/8]",
            r#"$request_method in ["GET", "PURGE"]"#,
            r#"$request_method not in ["GET"]"#,
            "$host && ($uri || $args) && $scheme",
            "$host || $uri && $args || !$scheme",
            "!($host && ($uri || $args))",
            "!($host || $uri) && $args",
        ] {
            assert_eq!(rewritten(text), text);
        }
    }

    #[test]
    fn other_ways_of_writing_come_to_the_usual_one() {
        for (text, usual) in [
            (" ( ( $host ) ) ", "$host"),
            ("!($host == 'a')", r#"$host != "a""#),
            ("!($host != 'a')", r#"$host == "a""#),
            ("!($host !~* 'a')", r#"$host ~ "(?i)a""#),
            ("${host}==\"a\"", r#"$host == "a""#),
            ("{id} == \"\"", r#"$1 == """#),
            ("$host in[a,b,]", r#"$host in ["a", "b"]"#),
            ("$document_uri", "$uri"),
            ("$remote_addr in [10.0.0.1]", "$remote_addr in [10.0.0.1/32]"),
        ] {
            assert_eq!(rewritten(text), usual);
        }
    }

    #[test]
    fn quotes_and_backslashes_of_texts_are_escaped() {
        assert_eq!(rewritten(r#"$host == 'a"b\c\\d'"#), r#"$host == "a\"b\\c\\d""#);
    }

    #[test]
    fn quotes_in_a_regex_get_the_one_backslash_they_need() {
        assert_eq!(rewritten(r#"$host ~ 'a"b'"#), r#"$host ~ "a\"b""#);
        assert_eq!(rewritten(r#"$host ~ "a\"b""#), r#"$host ~ "a\"b""#);
        assert_eq!(rewritten(r#"$host ~ 'a\\"b'"#), r#"$host ~ "a\\\"b""#);
        assert_eq!(rewritten(r"$host ~ 'a\'b'"), r#"$host ~ "a\'b""#);
    }

    #[test]
    fn a_built_condition_can_be_parsed_again() {
        let built = Condition::equals(Variable::Known(Known::Host), "{$}\"");
        assert_eq!(built.to_string(), r#"$host == "{{$$}}\"""#);
        assert_eq!(rewritten(&built.to_string()), built.to_string());
    }
}
