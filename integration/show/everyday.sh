#!/usr/bin/env bash
# `make show-everyday`: ten everyday sites beside nginx, and what was promised of files and logs, each with its figure.
# `--quick` measures with a build that takes minutes less and is not what is released.
set -euo pipefail
cd "$(dirname "$0")/../.."

profile=release
[ "${1:-}" = --quick ] && profile=demo
cargo build --quiet --profile "$profile" -p switchback
target=${CARGO_TARGET_DIR:-target}
export SWITCHBACK_BIN="$target/$profile/switchback"
exec cargo run --quiet --profile demo -p switchback-integration --bin show-everyday
