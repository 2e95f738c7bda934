//! The attribute that tells which hooks a plugin has. See `switchback_plugin::hooks`.

use proc_macro::TokenStream;
use proc_macro2::{TokenStream as Tokens, TokenTree};
use quote::{ToTokens, quote};
use syn::{ImplItem, ImplItemFn, ItemImpl, parse_macro_input, parse_quote};

/// Hooks by method, as `Hook` calls them.
const HOOKS: [(&str, &str); 10] = [
    ("on_request", "Request"),
    ("on_route", "Route"),
    ("on_upstream", "Upstream"),
    ("on_upstream_request", "UpstreamRequest"),
    ("on_upstream_response", "UpstreamResponse"),
    ("on_response", "Response"),
    ("on_request_body", "RequestBody"),
    ("on_response_body", "ResponseBody"),
    ("on_log", "Log"),
    ("on_tick", "Tick"),
];

/// Macros that never hold an `.await` unless it is written in what they are given.
const KNOWN_MACROS: [&str; 12] = [
    "assert",
    "assert_eq",
    "assert_ne",
    "concat",
    "debug_assert",
    "format",
    "format_args",
    "matches",
    "panic",
    "unreachable",
    "vec",
    "write",
];

/// Put on `impl Plugin for ..`: tells the proxy which hooks are written there, so that others cost nothing, and which of them never wait,
/// so that they are called without a future on the heap.
#[proc_macro_attribute]
pub fn hooks(_options: TokenStream, item: TokenStream) -> TokenStream {
    let mut item = parse_macro_input!(item as ItemImpl);
    let written: Vec<(&ImplItemFn, proc_macro2::Ident)> =
        item.items.iter().filter_map(hook).collect();
    let all: Vec<_> = written.iter().map(|(_, hook)| hook).collect();
    let immediate: Vec<_> =
        written.iter().filter(|(method, _)| never_waits(method)).map(|(_, hook)| hook).collect();
    let all: ImplItem = parse_quote! {
        const HOOKS: ::switchback_plugin::Hooks =
            ::switchback_plugin::Hooks::of(&[#(::switchback_plugin::Hook::#all),*]);
    };
    let immediate: ImplItem = parse_quote! {
        const IMMEDIATE: ::switchback_plugin::Hooks =
            ::switchback_plugin::Hooks::of(&[#(::switchback_plugin::Hook::#immediate),*]);
    };
    item.items.extend([all, immediate]);
    quote!(#item).into()
}

fn hook(item: &ImplItem) -> Option<(&ImplItemFn, proc_macro2::Ident)> {
    let ImplItem::Fn(method) = item else { return None };
    let name = &method.sig.ident;
    let (_, hook) = HOOKS.iter().find(|(written, _)| name == written)?;
    Some((method, proc_macro2::Ident::new(hook, name.span())))
}

/// An `async fn` without `.await`, and without macros that might hold one, is ready when it is polled for the first time.
fn never_waits(method: &ImplItemFn) -> bool {
    method.sig.asyncness.is_some() && !may_wait(method.block.to_token_stream())
}

fn may_wait(tokens: Tokens) -> bool {
    let mut last = String::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                if may_wait(group.stream()) {
                    return true;
                }
                last.clear();
            }
            TokenTree::Ident(name) if name == "await" => return true,
            TokenTree::Ident(name) => last = name.to_string(),
            TokenTree::Punct(sign) if sign.as_char() == '!' && !last.is_empty() => {
                if !KNOWN_MACROS.contains(&last.as_str()) && is_macro(&last) {
                    return true;
                }
            }
            _ => last.clear(),
        }
    }
    false
}

/// `a != b` has the sign behind a name, too, but never behind a keyword.
fn is_macro(name: &str) -> bool {
    !matches!(name, "return" | "if" | "while" | "match" | "else" | "in")
}
