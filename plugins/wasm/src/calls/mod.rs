//! The functions that a module may call: those of proxy-wasm 0.1.0, 0.2.0 and 0.2.1 that concern HTTP, and what libraries need of WASI.

mod basics;
mod buffers;
mod foreign;
mod http;
pub(crate) mod maps;
mod properties;
mod shares;
mod stream;
pub(crate) mod wasi;

use wasmtime::{Caller, Engine, ExternType, FuncType, Linker, Module, Val};

use crate::call::{Out, Span, answer};
use crate::host::Host;
use crate::status::Status;

macro_rules! link {
    ($linker:ident; $($name:literal => |$call:ident $(, $arg:ident: $kind:ty)*| $body:expr;)*) => {$(
        $linker.func_wrap("env", $name, |caller: Caller<'_, Host> $(, $arg: $kind)*| {
            answer(caller, |$call| $body)
        })?;
    )*};
}

/// All functions, for `module`.
pub(crate) fn linker(engine: &Engine, module: &Module) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    linker.allow_shadowing(true);
    wasi::link_absent(&mut linker, module)?;
    wasi::link(&mut linker)?;
    link_fields(&mut linker)?;
    link_streams(&mut linker)?;
    link_shares(&mut linker)?;
    link_grpc(&mut linker)?;
    // Emscripten tells whoever wants to know that the memory has grown.
    linker.func_wrap("env", "emscripten_notify_memory_growth", |_: u32| {})?;
    link_silent(&mut linker, module)?;
    Ok(linker)
}

fn link_fields(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    link! { linker;
        "proxy_get_header_map_size" => |call, map: u32, size: u32| maps::size(call, map, size);
        "proxy_get_header_map_pairs" => |call, map: u32, data: u32, size: u32| {
            maps::pairs(call, map, Out(data, size))
        };
        "proxy_set_header_map_pairs" => |call, map: u32, data: u32, size: u32| {
            maps::set(call, map, Span(data, size))
        };
        "proxy_get_header_map_value" => |call, map: u32, key: u32, key_size: u32, data: u32, size: u32| {
            maps::value(call, map, Span(key, key_size), Out(data, size))
        };
        "proxy_add_header_map_value" => |call, map: u32, key: u32, key_size: u32, data: u32, size: u32| {
            maps::add(call, map, Span(key, key_size), Span(data, size))
        };
        "proxy_replace_header_map_value" => |call, map: u32, key: u32, key_size: u32, data: u32, size: u32| {
            maps::replace(call, map, Span(key, key_size), Span(data, size))
        };
        "proxy_remove_header_map_value" => |call, map: u32, key: u32, key_size: u32| {
            maps::remove(call, map, Span(key, key_size))
        };
        "proxy_get_buffer_bytes" => |call, buffer: u32, from: u32, most: u32, data: u32, size: u32| {
            buffers::read(call, buffer, from, most, Out(data, size))
        };
        "proxy_get_buffer_status" => |call, buffer: u32, size: u32, unused: u32| {
            buffers::length(call, buffer, size, unused)
        };
        "proxy_set_buffer_bytes" => |call, buffer: u32, from: u32, length: u32, data: u32, size: u32| {
            buffers::write(call, buffer, Span(from, length), Span(data, size))
        };
        "proxy_get_configuration" => |call, data: u32, size: u32| {
            buffers::configuration(call, Out(data, size))
        };
        "proxy_get_property" => |call, path: u32, path_size: u32, data: u32, size: u32| {
            properties::read(call, Span(path, path_size), Out(data, size))
        };
        "proxy_set_property" => |call, path: u32, path_size: u32, data: u32, size: u32| {
            properties::write(call, Span(path, path_size), Span(data, size))
        };
    }
    Ok(())
}

fn link_streams(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    link! { linker;
        "proxy_log" => |call, level: u32, data: u32, size: u32| basics::log(call, level, Span(data, size));
        "proxy_get_log_level" => |call, out: u32| basics::log_level(call, out);
        "proxy_get_current_time_nanoseconds" => |call, out: u32| basics::now(call, out);
        "proxy_set_tick_period_milliseconds" => |call, period: u32| basics::every(call, period);
        "proxy_send_local_response" => |
            call, status: u32, details: u32, details_size: u32, body: u32, body_size: u32,
            headers: u32, headers_size: u32, _grpc: u32
        | {
            let headers = Span(headers, headers_size);
            let response = stream::Response { status, body: Span(body, body_size), headers };
            stream::respond(call, &response, Span(details, details_size))
        };
        "proxy_continue_stream" => |call, stream: u32| stream::go_on(call, stream);
        "proxy_continue_request" => |call| stream::go_on(call, 0);
        "proxy_continue_response" => |call| stream::go_on(call, 1);
        // Routes are looked for anew whenever what they depend on has changed.
        "proxy_clear_route_cache" => |_call| Ok(());
        "proxy_close_stream" => |call, stream: u32| stream::close(call, stream);
        "proxy_set_effective_context" => |call, context: u32| stream::set_context(call, context);
        "proxy_done" => |call| stream::done(call);
        "proxy_http_call" => |
            call, upstream: u32, upstream_size: u32, headers: u32, headers_size: u32, body: u32,
            body_size: u32, trailers: u32, trailers_size: u32, timeout: u32, id: u32
        | {
            let asked = http::Asked {
                upstream: Span(upstream, upstream_size),
                headers: Span(headers, headers_size),
                body: Span(body, body_size),
                trailers: Span(trailers, trailers_size),
                timeout,
            };
            http::call(call, &asked, id)
        };
        "proxy_get_status" => |call, code: u32, data: u32, size: u32| {
            http::status(call, code, Out(data, size))
        };
        "proxy_call_foreign_function" => |
            call, name: u32, name_size: u32, arguments: u32, arguments_size: u32, data: u32, size: u32
        | {
            let arguments = Span(arguments, arguments_size);
            foreign::call(call, Span(name, name_size), arguments, Out(data, size))
        };
    }
    Ok(())
}

fn link_shares(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    link! { linker;
        "proxy_get_shared_data" => |call, key: u32, key_size: u32, data: u32, size: u32, number: u32| {
            shares::value(call, Span(key, key_size), Out(data, size), number)
        };
        "proxy_set_shared_data" => |call, key: u32, key_size: u32, data: u32, size: u32, number: u32| {
            shares::put(call, Span(key, key_size), Span(data, size), number)
        };
        "proxy_register_shared_queue" => |call, name: u32, size: u32, id: u32| {
            shares::register(call, Span(name, size), id)
        };
        "proxy_resolve_shared_queue" => |call, owner: u32, owner_size: u32, name: u32, size: u32, id: u32| {
            shares::resolve(call, Span(owner, owner_size), Span(name, size), id)
        };
        "proxy_enqueue_shared_queue" => |call, queue: u32, data: u32, size: u32| {
            shares::enqueue(call, queue, Span(data, size))
        };
        "proxy_dequeue_shared_queue" => |call, queue: u32, data: u32, size: u32| {
            shares::dequeue(call, queue, Out(data, size))
        };
        "proxy_define_metric" => |call, kind: u32, name: u32, size: u32, id: u32| {
            shares::define(call, kind, Span(name, size), id)
        };
        "proxy_record_metric" => |call, id: u32, value: u64| shares::record(call, id, value);
        "proxy_increment_metric" => |call, id: u32, delta: i64| shares::increment(call, id, delta);
        "proxy_get_metric" => |call, id: u32, out: u32| shares::metric(call, id, out);
    }
    Ok(())
}

/// Calls of gRPC say that there are none.
fn link_grpc(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    const UNIMPLEMENTED: i32 = Status::Unimplemented as i32;
    let of = |count: usize| {
        let numbers = std::iter::repeat_n(wasmtime::ValType::I32, count);
        FuncType::new(linker.engine(), numbers, [wasmtime::ValType::I32])
    };
    let functions = [
        ("proxy_grpc_call", of(12)),
        ("proxy_grpc_stream", of(9)),
        ("proxy_grpc_send", of(4)),
        ("proxy_grpc_cancel", of(1)),
        ("proxy_grpc_close", of(1)),
    ];
    for (name, kind) in functions {
        let unimplemented = |_: Caller<'_, Host>, _: &[Val], results: &mut [Val]| {
            if let Some(result) = results.first_mut() {
                *result = Val::I32(UNIMPLEMENTED);
            }
            Ok(())
        };
        linker.func_new("env", name, kind, unimplemented)?;
    }
    Ok(())
}

/// By the text of 0.1.0, these three say nothing; by its libraries, they do. Modules get what they import.
fn link_silent(linker: &mut Linker<Host>, module: &Module) -> wasmtime::Result<()> {
    for import in module.imports().filter(|import| import.module() == "env") {
        let ExternType::Func(kind) = import.ty() else { continue };
        if kind.params().len() > 0 || kind.results().len() > 0 {
            continue;
        }
        let stream = match import.name() {
            "proxy_continue_request" => Some(0),
            "proxy_continue_response" => Some(1),
            "proxy_clear_route_cache" => None,
            _ => continue,
        };
        let silent = move |caller: Caller<'_, Host>| -> wasmtime::Result<()> {
            answer(caller, |call| stream.map_or(Ok(()), |stream| stream::go_on(call, stream)))?;
            Ok(())
        };
        linker.func_wrap("env", import.name(), silent)?;
    }
    Ok(())
}
