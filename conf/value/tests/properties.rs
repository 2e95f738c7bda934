//! What holds for every text.

use std::borrow::Cow;
use std::net::IpAddr;

use http::Method;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::{collection, prop_assert, prop_assert_eq, sample};
use switchback_value::{Condition, Facts, Scope, Template, Variable, escape, escape_literal};

/// Every variable is its own name, so that what was rendered tells from where it came.
struct Named;

impl Facts for Named {
    fn fact(&self, variable: &Variable) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Owned(variable.name().into_owned().into_bytes()))
    }

    fn client_ip(&self) -> Option<IpAddr> {
        Some(IpAddr::from([10, 1, 2, 3]))
    }

    fn method(&self) -> &Method {
        &Method::GET
    }
}

fn scope() -> Scope {
    Scope::with_captures(["id", "", "post"])
}

fn rendered(template: &Template) -> Vec<u8> {
    let mut out = Vec::new();
    template.render(&Named, &mut out);
    out
}

/// Texts made of the pieces that templates and conditions are made of, in any order: most are wrong, many nearly right.
fn soup() -> impl Strategy<Value = String> {
    let pieces = [
        "$",
        "{",
        "}",
        "${",
        "$$",
        "{{",
        "}}",
        "$host",
        "${arg_a-b}",
        "{id}",
        "$1",
        "$9",
        "$hosst",
        "id",
        "0",
        "é",
        "\"",
        "'",
        "\\",
        "\"a\"",
        "'$uri'",
        " ",
        "(",
        ")",
        "!",
        "!!",
        "&&",
        "||",
        "==",
        "!=",
        "~",
        "~*",
        "!~",
        "!~*",
        "in",
        "not",
        "[",
        "]",
        ",",
        "exists",
        "always",
        "never",
        "$remote_addr",
        "10.0.0.0/8",
        "::1",
        "$request_method",
        "GET",
        "=",
        "|",
        "'a(b'",
    ];
    collection::vec(sample::select(pieces.to_vec()), 0..24).prop_map(|pieces| pieces.concat())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![soup(), any::<String>()]
}

/// Conditions that are right, built from the grammar.
fn written_condition() -> impl Strategy<Value = String> {
    let variable =
        sample::select(vec!["$host", "{id}", "$2", "$http_x_y", "${arg_a.b}", "$remote_addr"]);
    let string = sample::select(vec![
        "''",
        "\"a\"",
        "'it\\'s \"$uri\" \\\\ {{'",
        "\"a\\\"b$$\"",
        "'{post}'",
    ]);
    let regex = sample::select(vec!["'^a\\.b$'", "\"\\\"[\\\"]\"", "'\"'", "'x|\\\\\"'"]);
    let test = prop_oneof![
        variable.clone().prop_map(str::to_owned),
        variable.clone().prop_map(|variable| format!("exists {variable}")),
        (variable.clone(), sample::select(vec!["==", "!="]), string.clone())
            .prop_map(|(variable, operator, string)| format!("{variable} {operator} {string}")),
        (variable, sample::select(vec!["~", "~*", "!~", "!~*"]), regex)
            .prop_map(|(variable, operator, regex)| format!("{variable} {operator} {regex}")),
        (sample::select(vec!["in", "not in"]), string)
            .prop_map(|(operator, string)| format!("$arg_x {operator} [{string}, b]")),
        sample::select(vec![
            "always",
            "never",
            "$remote_addr not in [::1, 10.0.0.0/8]",
            "$request_method in [GET]"
        ])
        .prop_map(str::to_owned),
    ];
    test.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| format!("!({inner})")),
            collection::vec(inner.clone(), 1..4)
                .prop_map(|parts| format!("({})", parts.join(" && "))),
            collection::vec(inner, 1..4).prop_map(|parts| format!("({})", parts.join(" || "))),
        ]
    })
}

proptest! {
    #[test]
    fn a_template_is_read_or_refused_where_it_is_wrong(text in text()) {
        match Template::parse(&text, &scope()) {
            Ok(template) => {
                prop_assert_eq!(template.source(), &text);
                prop_assert_eq!(template.as_literal().is_some(), template.variables().next().is_none());
                prop_assert!(template.renders_to(&rendered(&template), &Named));
            }
            Err(error) => {
                prop_assert!(!error.at.is_empty() && text.get(error.at.clone()).is_some(), "{:?}", error);
                prop_assert!(!error.to_string().is_empty());
                error.hint();
            }
        }
    }

    #[test]
    fn a_condition_is_read_or_refused_where_it_is_wrong(text in text()) {
        match Condition::parse(&text, &scope()) {
            Ok(condition) => {
                condition.holds(&Named);
            }
            Err(error) => {
                prop_assert!(text.get(error.at.clone()).is_some(), "{:?}", error);
                prop_assert!(!error.to_string().is_empty());
                error.hint();
            }
        }
    }

    #[test]
    fn an_escaped_literal_renders_as_it_was(text in text()) {
        let parsed = Template::parse(&escape_literal(&text), &Scope::new()).unwrap();
        prop_assert_eq!(parsed.as_literal(), Some(&*text));
        prop_assert_eq!(rendered(&parsed), text.as_bytes());
        prop_assert_eq!(parsed, Template::literal(text));
    }

    #[test]
    fn a_condition_written_again_is_the_same(text in written_condition()) {
        let condition = Condition::parse(&text, &scope()).unwrap();
        let again = Condition::parse(&condition.to_string(), &scope()).unwrap();
        prop_assert_eq!(again.to_string(), condition.to_string());
        prop_assert_eq!(again.holds(&Named), condition.holds(&Named));
        prop_assert_eq!(again.weight(), condition.weight());
    }

    #[test]
    fn a_logged_value_cannot_end_its_quotes_or_its_line(value: Vec<u8>) {
        let mut out = Vec::new();
        escape::log(&value, &mut out);
        prop_assert!(out.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'"'));
    }

    #[test]
    fn a_value_in_json_is_a_string_of_json(value: Vec<u8>) {
        let mut out = b"\"".to_vec();
        escape::json(&value, &mut out);
        out.push(b'"');
        let parsed: String = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(parsed, String::from_utf8_lossy(&value));
    }
}
