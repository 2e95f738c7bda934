//! What the attribute makes of an implementation, and what it finds wrong with one.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{Error, ImplItem, ImplItemFn, Item, ItemImpl, ReturnType, Type, parse_quote};

use crate::waits;

/// Hooks by method, as `Hook` calls them, and whether they are written with `async`.
const HOOKS: [(&str, &str, bool); 10] = [
    ("on_request", "Request", true),
    ("on_route", "Route", true),
    ("on_upstream", "Upstream", true),
    ("on_upstream_request", "UpstreamRequest", true),
    ("on_upstream_response", "UpstreamResponse", true),
    ("on_response", "Response", true),
    ("on_request_body", "RequestBody", true),
    ("on_response_body", "ResponseBody", false),
    ("on_log", "Log", false),
    ("on_tick", "Tick", true),
];

/// The implementation with what is written by the attribute. What is wrong stands beside it, so that the compiler says that alone.
pub(crate) fn hooks(options: &TokenStream, item: TokenStream) -> TokenStream {
    let mut item = match syn::parse2(item) {
        Ok(Item::Impl(item)) => item,
        Ok(other) => return misplaced(other.span()).to_compile_error(),
        Err(error) => return error.to_compile_error(),
    };
    let mut wrong = Vec::new();
    if !options.is_empty() {
        wrong.push(Error::new_spanned(options, "`#[hooks]` takes no options"));
    }
    let is_plugin = item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
    if is_plugin.is_none_or(|segment| segment.ident != "Plugin") {
        return misplaced(item.impl_token.span).to_compile_error();
    }
    item.items.retain(|item| match check(item) {
        Ok(()) => true,
        Err(error) => {
            wrong.push(error);
            false
        }
    });
    let consts = consts(&item);
    item.items.extend(consts);
    let wrong = wrong.iter().map(Error::to_compile_error);
    quote!(#item #(#wrong)*)
}

fn consts(item: &ItemImpl) -> [ImplItem; 2] {
    let written: Vec<(&ImplItemFn, Ident)> = item.items.iter().filter_map(hook).collect();
    let all = written.iter().map(|(_, hook)| hook);
    let immediate = written.iter().filter(|(method, _)| waits::never(method)).map(|(_, hook)| hook);
    [
        parse_quote! {
            const HOOKS: ::switchback_plugin::Hooks =
                ::switchback_plugin::Hooks::of(&[#(::switchback_plugin::Hook::#all),*]);
        },
        parse_quote! {
            const IMMEDIATE: ::switchback_plugin::Hooks =
                ::switchback_plugin::Hooks::of(&[#(::switchback_plugin::Hook::#immediate),*]);
        },
    ]
}

fn misplaced(span: Span) -> Error {
    Error::new(span, "`#[hooks]` stands on `impl Plugin for ..`")
}

fn hook(item: &ImplItem) -> Option<(&ImplItemFn, Ident)> {
    let ImplItem::Fn(method) = item else { return None };
    let name = &method.sig.ident;
    let (_, hook, _) = HOOKS.iter().find(|(written, ..)| name == written)?;
    Some((method, Ident::new(hook, name.span())))
}

/// What the compiler would say less well, or not at all.
fn check(item: &ImplItem) -> Result<(), Error> {
    match item {
        ImplItem::Const(constant)
            if ["HOOKS", "IMMEDIATE"].iter().any(|name| constant.ident == name) =>
        {
            let message = format!("`{}` is written by `#[hooks]`: remove it", constant.ident);
            Err(Error::new_spanned(&constant.ident, message))
        }
        ImplItem::Fn(method) => check_method(method),
        _ => Ok(()),
    }
}

fn check_method(method: &ImplItemFn) -> Result<(), Error> {
    let name = &method.sig.ident;
    let text = name.to_string();
    if text == "build" {
        return Ok(());
    }
    let Some((_, _, waits)) = HOOKS.iter().find(|(written, ..)| text == *written) else {
        return Err(Error::new_spanned(name, unknown(&text)));
    };
    match (&method.sig.asyncness, waits) {
        (Some(token), false) => {
            let message = format!("`{text}` cannot wait: write `fn`, not `async fn`");
            Err(Error::new_spanned(token, message))
        }
        (None, true) if !gives_future(&method.sig.output) => {
            let message = format!("`{text}` may wait: write `async fn`");
            Err(Error::new_spanned(method.sig.fn_token, message))
        }
        _ => Ok(()),
    }
}

fn gives_future(output: &ReturnType) -> bool {
    match output {
        ReturnType::Default => false,
        ReturnType::Type(_, given) => match &**given {
            Type::Path(path) => !path.path.is_ident("Flow"),
            other => !other.to_token_stream().is_empty(),
        },
    }
}

fn unknown(name: &str) -> String {
    let near = HOOKS.iter().map(|(hook, ..)| (strsim::jaro_winkler(hook, name), hook));
    let near = near.max_by(|(one, _), (other, _)| one.total_cmp(other));
    match near {
        Some((likeness, hook)) if likeness > 0.85 => {
            format!("`{name}` is no hook: did you mean `{hook}`?")
        }
        _ => {
            let hooks: Vec<_> = HOOKS.iter().map(|(hook, ..)| format!("`{hook}`")).collect();
            let hooks = hooks.join(", ");
            format!(
                "`{name}` is no hook; they are {hooks}. Other methods belong to an `impl` of their own"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(options: &str, item: &str) -> String {
        hooks(&options.parse().unwrap(), item.parse().unwrap()).to_string()
    }

    /// What the compiler says of a body of `impl Plugin for Gate`.
    fn said(body: &str) -> Option<String> {
        let text = expanded("", &format!("impl Plugin for Gate {{ {body} }}"));
        let (_, message) = text.split_once("compile_error ! { \"")?;
        message.split_once("\" }").map(|(message, _)| message.to_owned())
    }

    #[test]
    fn hooks_that_are_written_are_told_and_those_that_never_wait() {
        let text = expanded(
            "",
            "impl switchback_plugin::Plugin for Gate {
                fn build() {}
                async fn on_request() -> Flow { Flow::Continue }
                async fn on_response() -> Flow { a.await }
                fn on_log() {}
            }",
        );
        let sets: Vec<_> = text.split("Hooks :: of").skip(1).collect();
        let names = |set: &str| -> Vec<String> {
            let set = set.split(')').next().unwrap_or_default();
            let words: Vec<&str> = set.split_whitespace().collect();
            let hooks = words.windows(3).filter(|words| words.starts_with(&["Hook", "::"]));
            hooks.map(|words| words[2].trim_end_matches([',', ']']).to_owned()).collect()
        };
        assert_eq!(names(sets[0]), ["Request", "Response", "Log"]);
        assert_eq!(names(sets[1]), ["Request"]);
        assert!(!text.contains("compile_error"), "{text}");
    }

    #[test]
    fn a_misspelt_hook_is_told_with_the_one_that_is_meant() {
        assert_eq!(
            said("async fn on_requst() -> Flow {}").as_deref(),
            Some("`on_requst` is no hook: did you mean `on_request`?")
        );
        assert_eq!(
            said("fn onLog() {}").as_deref().map(|said| said.ends_with("did you mean `on_log`?")),
            Some(true)
        );
        let other = said("fn check() {}").unwrap();
        assert!(other.starts_with("`check` is no hook; they are `on_request`, "), "{other}");
    }

    #[test]
    fn what_can_wait_is_async_and_what_cannot_is_not() {
        assert_eq!(
            said("async fn on_log() {}").as_deref(),
            Some("`on_log` cannot wait: write `fn`, not `async fn`")
        );
        assert_eq!(
            said("fn on_request() -> Flow { Flow::Continue }").as_deref(),
            Some("`on_request` may wait: write `async fn`")
        );
        assert_eq!(
            said("fn on_tick() {}").as_deref(),
            Some("`on_tick` may wait: write `async fn`")
        );
        assert_eq!(said("fn on_request() -> impl Future<Output = Flow> { other() }"), None);
    }

    #[test]
    fn what_the_attribute_writes_is_not_written_by_hand() {
        let message = said("const HOOKS: Hooks = Hooks::NONE;").unwrap();
        assert_eq!(message, "`HOOKS` is written by `#[hooks]`: remove it");
    }

    #[test]
    fn it_stands_on_the_implementation_of_a_plugin() {
        for item in ["struct Gate;", "impl Gate {}", "impl Other for Gate {}", "fn gate() {}"] {
            let text = expanded("", item);
            assert!(text.contains("`#[hooks]` stands on `impl Plugin for ..`"), "{text}");
        }
        let text = expanded("all", "impl Plugin for Gate {}");
        assert!(text.contains("`#[hooks]` takes no options"), "{text}");
    }
}
