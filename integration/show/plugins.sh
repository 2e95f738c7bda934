#!/usr/bin/env bash
# `make show-plugins`: what was promised of plugins, each with its figure. `--quick` measures less. A name plays that part alone:
# conformance, faults, reload, instructions, examples and bench. PROXY_WASM_SDK=FOLDER is a copy of github.com/proxy-wasm/proxy-wasm-rust-sdk for `examples`.
set -euo pipefail
cd "$(dirname "$0")/../.."

profile=release
[ "${1:-}" = --quick ] && profile=demo
case " $* " in
    # A program with plugins linked in that do nothing.
    *" instructions "* | "  " | " --quick ") cargo build --quiet --profile "$profile" -p switchback --example idle_plugins ;;
esac
exec integration/show/released.sh show-plugins "$@"
