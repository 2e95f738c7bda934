#!/usr/bin/env bash
# `make show-edge`: what was promised of listeners, processes and connections, each with its figure.
# `--quick` measures a tenth, with a build that takes minutes less and is not what is released.
set -euo pipefail
cd "$(dirname "$0")/../.."

profile=release
[ "${1:-}" = --quick ] && profile=demo
cargo build --quiet --profile "$profile" -p switchback
target=${CARGO_TARGET_DIR:-target}
export SWITCHBACK_BIN="$target/$profile/switchback"
exec cargo run --quiet --profile demo -p switchback-integration --bin show-edge -- "$@"
