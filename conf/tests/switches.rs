//! What can be switched on and off: all that an error says may be written is understood.

#![cfg(test)]

use std::collections::BTreeMap;

use switchback_conf::read_text;

/// Where a value is written, as `VALUE`.
const ROUTE: &str = "[[sites]]\n[[sites.routes]]\n";
const UPSTREAM: &str = "[upstreams.app]\nendpoints = [\"127.0.0.1:80\"]\n";
const LISTENER: &str = "[[listeners]]\naddress = \":80\"\n";

/// What is said about `value` there, apart from what it means together with others.
fn said((table, key): (&str, &str), value: &str) -> String {
    let text = format!("{table}{}\n", key.replace("VALUE", value));
    read_text("a.toml", &text, &BTreeMap::new()).report()
}

#[test]
fn what_may_be_on_off_or_a_table_is_told_so_and_may_be_each() {
    for key in [
        (ROUTE, "encode = VALUE"),
        (ROUTE, "encode = { best = VALUE }"),
        (ROUTE, "images = VALUE"),
        (UPSTREAM, "hot_keys = VALUE"),
        (UPSTREAM, "hedge = VALUE"),
        (UPSTREAM, "breaker = VALUE"),
    ] {
        for value in ["\"on\"", "\"off\"", "{}"] {
            assert_eq!(said(key, value), "", "{key:?} {value}");
        }
        for (value, message, help) in [
            ("\"maybe\"", "`maybe` is neither on nor off", "\"on\", \"off\" or a table"),
            ("true", "expected \"on\", \"off\" or a table, found a boolean", "write \"on\""),
            ("false", "expected \"on\", \"off\" or a table, found a boolean", "write \"off\""),
            ("[]", "expected \"on\", \"off\" or a table, found a list", ""),
        ] {
            let said = said(key, value);
            let help = format!(" = help: {help}\n");
            assert!(said.contains(message), "{key:?} {value}\n{said}");
            let is_helped =
                if value == "[]" { !said.contains("help") } else { said.contains(&help) };
            assert!(is_helped, "{key:?} {value}\n{said}");
        }
    }
}

#[test]
fn what_may_be_off_or_a_table_is_told_so_and_may_be_each() {
    for key in [
        (UPSTREAM, "outliers = VALUE"),
        (ROUTE, "cache = { zone = \"z\", lock = VALUE }"),
        (LISTENER, "socket = { keepalive = VALUE }"),
        (LISTENER, "tls = { tickets = VALUE }"),
    ] {
        for value in ["\"off\"", "{}"] {
            assert_eq!(said(key, value), "", "{key:?} {value}");
        }
        for value in ["\"on\"", "\"maybe\"", "5", "true"] {
            let said = said(key, value);
            assert!(said.contains("expected a table, found "), "{key:?} {value}\n{said}");
            assert!(said.contains(" = help: or \"off\"\n"), "{key:?} {value}\n{said}");
        }
    }
}
