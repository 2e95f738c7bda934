//! Writes the header from the sources of this package. cbindgen, which does the same for any source, is under a licence that this
//! repository does not take in (MPL-2.0), and writes no assertions of offsets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read its input fails")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use quote::ToTokens;
use switchback_plugin_abi::layout::LAYOUTS;
use syn::{Attribute, Expr, Item, ItemConst, ItemStruct, ItemType, ReturnType, Type, TypeBareFn};

const SOURCES: [&str; 5] = ["number.rs", "value.rs", "operation.rs", "host.rs", "plugin.rs"];

const HEAD: &str = r#"/*
 * The C interface between Switchback and native plugin modules.
 *
 * This file is generated from plugins/abi/src; do not change it by hand.
 *
 * A module is a shared library that exports switchback_plugin_v1. What holds everywhere:
 *  - Bytes and fields that are given to a function are valid for the call, and are copied by whoever wants to keep them. Bytes that the
 *    host hands out are valid until the hook returns or the plugin calls a function that changes something, whichever comes first.
 *  - Each side frees what it has allocated itself.
 *  - No exception passes a function of these tables.
 *  - An exchange is of use during the call of the hook that it is given to, on one thread at a time.
 *  - Structs that begin with a size grow at their ends in later minor versions: set it to sizeof, and what you do not know stays zero.
 *  - A module is never unloaded.
 */
#ifndef SWITCHBACK_H
#define SWITCHBACK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define SB_ASSERT(condition, text) static_assert(condition, text)
extern "C" {
#else
#define SB_ASSERT(condition, text) _Static_assert(condition, text)
#endif

#if defined(__GNUC__)
#define SB_EXPORT __attribute__((visibility("default")))
#else
#define SB_EXPORT
#endif

/* Bytes of a literal, to begin a value with: sb_bytes name = SB_TEXT("x"); */
#define SB_TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}
"#;

/// The whole header.
pub(crate) fn header(sources: &Path) -> String {
    let items: Vec<Item> = SOURCES.iter().flat_map(|file| items(&sources.join(file))).collect();
    let mut text = HEAD.to_owned();
    let structs = || {
        items.iter().filter_map(|item| match item {
            Item::Struct(item) => Some(item),
            _ => None,
        })
    };
    for item in &items {
        if let Item::Const(item) = item {
            constant(&mut text, item);
        }
    }
    text.push('\n');
    for item in structs() {
        let name = c_name(&item.ident.to_string());
        writeln!(text, "typedef struct {name} {name};").unwrap();
    }
    for item in structs().filter(|item| is_opaque(item)) {
        comment(&mut text, "\n", &item.attrs);
        writeln!(text, "struct {};", c_name(&item.ident.to_string())).unwrap();
    }
    for item in &items {
        match item {
            Item::Type(item) => alias(&mut text, item),
            Item::Struct(item) if !is_opaque(item) => structure(&mut text, item),
            _ => {}
        }
    }
    assertions(&mut text);
    text.push_str("\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    text
}

fn items(file: &Path) -> Vec<Item> {
    syn::parse_file(&fs::read_to_string(file).unwrap()).unwrap().items
}

fn is_opaque(item: &ItemStruct) -> bool {
    item.fields.iter().any(|field| field.ident.as_ref().is_some_and(|name| name == "opaque"))
}

fn constant(text: &mut String, item: &ItemConst) {
    let name = &item.ident;
    comment(text, "\n", &item.attrs);
    let value = item.expr.to_token_stream().to_string().replace(' ', "");
    let value = if value.starts_with('-') { format!("({value})") } else { value };
    let sign = if item.ty.to_token_stream().to_string().starts_with('u') { "u" } else { "" };
    writeln!(text, "#define SB_{name} {value}{sign}").unwrap();
}

fn structure(text: &mut String, item: &ItemStruct) {
    comment(text, "\n", &item.attrs);
    writeln!(text, "struct {} {{", c_name(&item.ident.to_string())).unwrap();
    for field in &item.fields {
        comment(text, "    ", &field.attrs);
        let name = field.ident.as_ref().unwrap().to_string();
        writeln!(text, "    {};", declaration(&field.ty, &name)).unwrap();
    }
    text.push_str("};\n");
}

fn alias(text: &mut String, item: &ItemType) {
    comment(text, "\n", &item.attrs);
    let name = item.ident.to_string();
    if name == "Entry" {
        // The one function that has a name of its own.
        let Type::BareFn(function) = &*item.ty else { panic!("no function: {name}") };
        let function = function_text(function, "switchback_plugin_v1");
        writeln!(text, "SB_EXPORT {function};").unwrap();
    } else {
        writeln!(text, "typedef {};", declaration(&item.ty, &c_name(&name))).unwrap();
    }
}

fn assertions(text: &mut String) {
    text.push_str("\n#if UINTPTR_MAX == UINT64_MAX\n");
    for (name, size, members) in LAYOUTS {
        let name = c_name(name);
        writeln!(text, "SB_ASSERT(sizeof({name}) == {size}, \"size of {name}\");").unwrap();
        for (member, offset) in *members {
            writeln!(
                text,
                "SB_ASSERT(offsetof({name}, {member}) == {offset}, \"{name}.{member}\");"
            )
            .unwrap();
        }
    }
    text.push_str("#endif\n");
}

/// A declaration of `name` with that type.
fn declaration(ty: &Type, name: &str) -> String {
    match ty {
        Type::Ptr(pointer) => {
            let constant = if pointer.const_token.is_some() { "const " } else { "" };
            // What a pointer to a pointer does not change is the pointer in the middle.
            match &*pointer.elem {
                Type::Ptr(_) => declaration(&pointer.elem, &format!("*{name}")),
                inner => format!("{constant}{}", declaration(inner, &format!("*{name}"))),
            }
        }
        Type::BareFn(function) => function_text(function, &format!("(*{name})")),
        Type::Path(path) => {
            let last = path.path.segments.last().unwrap();
            if last.ident == "Option" {
                let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else {
                    panic!("an Option of nothing")
                };
                let syn::GenericArgument::Type(inner) = &arguments.args[0] else {
                    panic!("an Option of no type")
                };
                return declaration(inner, name);
            }
            format!("{} {name}", type_name(&last.ident.to_string()))
        }
        other => panic!("no such type in C: {}", other.to_token_stream()),
    }
}

fn function_text(written: &TypeBareFn, name: &str) -> String {
    let inputs: Vec<String> = written
        .inputs
        .iter()
        .map(|input| declaration(&input.ty, &input.name.as_ref().unwrap().0.to_string()))
        .collect();
    let inputs = if inputs.is_empty() { "void".to_owned() } else { inputs.join(", ") };
    let function = format!("{name}({inputs})");
    match &written.output {
        ReturnType::Default => format!("void {function}"),
        ReturnType::Type(_, ty) => declaration(ty, &function),
    }
}

fn type_name(rust: &str) -> String {
    match rust {
        "u8" | "u16" | "u32" | "u64" => format!("uint{}_t", &rust[1..]),
        "i32" | "i64" => format!("int{}_t", &rust[1..]),
        "usize" => "size_t".to_owned(),
        "f64" => "double".to_owned(),
        "c_void" => "void".to_owned(),
        ours => c_name(ours),
    }
}

/// `HttpOperation` is `sb_http_operation`.
fn c_name(rust: &str) -> String {
    let mut name = "sb".to_owned();
    for letter in rust.chars() {
        if letter.is_uppercase() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// What is said about an item, behind `indent` (or an empty line before).
fn comment(text: &mut String, indent: &str, attributes: &[Attribute]) {
    let lines: Vec<String> = attributes.iter().filter_map(said).collect();
    match lines.as_slice() {
        [] => text.push_str(indent.trim_start_matches(' ')),
        [line] => writeln!(text, "{indent}/* {line} */").unwrap(),
        lines => writeln!(
            text,
            "{indent}/* {} */",
            lines.join(&format!("\n   {}", indent.trim_start_matches('\n')))
        )
        .unwrap(),
    }
}

fn said(attribute: &Attribute) -> Option<String> {
    let pair = attribute.meta.require_name_value().ok().filter(|pair| pair.path.is_ident("doc"))?;
    let Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &pair.value else { return None };
    // Functions and values of C are not called as types of Rust are linked to.
    Some(text.value().trim().replace("[`", "`").replace("`]", "`"))
}
