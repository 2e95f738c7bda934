#!/usr/bin/env bash
# released.sh PROGRAM [ARGUMENT...]: plays a show against the binary as it is released; with `--quick` first among the arguments,
# against one whose build takes minutes less.
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$1
shift
profile=release
[ "${1:-}" = --quick ] && profile=demo
cargo build --quiet --profile "$profile" -p switchback
target=${CARGO_TARGET_DIR:-target}
export SWITCHBACK_BIN="$target/$profile/switchback"
# Some programs start others of their package, which `cargo run` would not build.
cargo build --quiet --profile demo -p switchback-integration --bins
exec cargo run --quiet --profile demo -p switchback-integration --bin "$program" -- "$@"
