#!/usr/bin/env bash
# `make show-variants`: what was promised of forms of a response, each with its figure.
# `--quick` plays less, with a build that takes minutes less and is not what is released. A name plays that part alone:
# matrix, browser, bytes, bombs.
set -euo pipefail
cd "$(dirname "$0")/../.."

profile=release
[ "${1:-}" = --quick ] && profile=demo
cargo build --quiet --profile "$profile" -p switchback
target=${CARGO_TARGET_DIR:-target}
export SWITCHBACK_BIN="$target/$profile/switchback"
exec cargo run --quiet --profile demo -p switchback-integration --bin show-variants -- "$@"
