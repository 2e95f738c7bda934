//! Which hooks never wait, by what is written in them.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::ImplItemFn;

/// Macros that do not await what they are given. Any other might.
const KNOWN: [&str; 35] = [
    "assert",
    "assert_eq",
    "assert_ne",
    "cfg",
    "concat",
    "dbg",
    "debug",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "env",
    "eprint",
    "eprintln",
    "error",
    "format",
    "format_args",
    "include_bytes",
    "include_str",
    "info",
    "json",
    "line",
    "matches",
    "panic",
    "print",
    "println",
    "stringify",
    "thread_local",
    "todo",
    "trace",
    "unimplemented",
    "unreachable",
    "vec",
    "warn",
    "write",
    "writeln",
];

/// Words after which `!` means "not", whatever follows.
const KEYWORDS: [&str; 9] =
    ["break", "else", "if", "in", "match", "move", "return", "while", "yield"];

/// Whether a hook is ready when it is polled for the first time: an `async fn` without `.await`, and without macros that might hold one.
pub(crate) fn never(method: &ImplItemFn) -> bool {
    method.sig.asyncness.is_some() && !may(method.block.to_token_stream())
}

fn may(tokens: TokenStream) -> bool {
    let mut tokens = tokens.into_iter().peekable();
    // The name before a `!`, if nothing is between.
    let mut name: Option<String> = None;
    while let Some(token) = tokens.next() {
        let before = name.take();
        match token {
            TokenTree::Group(group) if may(group.stream()) => return true,
            TokenTree::Ident(word) if word == "await" => return true,
            TokenTree::Ident(word) => name = Some(word.to_string()),
            // `a != b` has no brackets behind the sign, and `if !(a)` a keyword before it.
            TokenTree::Punct(sign)
                if sign.as_char() == '!'
                    && matches!(tokens.peek(), Some(TokenTree::Group(_)))
                    && before.is_some_and(|name| is_unknown(&name)) =>
            {
                return true;
            }
            _ => {}
        }
    }
    false
}

fn is_unknown(name: &str) -> bool {
    !KNOWN.contains(&name) && !KEYWORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use syn::parse_str;

    use super::never;

    fn is_immediate(body: &str) -> bool {
        never(&parse_str(&format!("async fn on_request() -> Flow {{ {body} }}")).unwrap())
    }

    #[test]
    fn what_awaits_waits_however_deep_it_is_written() {
        for body in [
            "request.sleep(time).await",
            "if a { match b { _ => vec![c.await] } }",
            "let x = async { 1 }; x.await",
            "tokio::join!(a, b)",
            "select! { a => {} }",
            "if !matches!(a, b) { unknown!() }",
        ] {
            assert!(!is_immediate(body), "{body}");
        }
    }

    #[test]
    fn what_does_not_await_does_not_wait() {
        for body in [
            "Flow::Continue",
            "if a != b { return Flow::Continue }",
            "if a != (b) { return Flow::Continue }",
            "if !(a) { Flow::Continue } else { Flow::status(403) }",
            "let x = a && !b; !x",
            "assert!(a != b); Flow::fail(format!(\"{a}\"))",
            "tracing::debug!(\"{a}\"); writeln!(a, \"b\")",
            "return !(a)",
        ] {
            assert!(is_immediate(body), "{body}");
        }
    }

    #[test]
    fn what_is_not_async_may_give_any_future() {
        let method = "fn on_request() -> impl Future<Output = Flow> { other() }";
        assert!(!never(&parse_str(method).unwrap()));
    }
}
