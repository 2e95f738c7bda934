#!/usr/bin/env bash
# `make show-foundation`: every promise of the foundation with the figure that was measured for it.
# `--no-fresh` leaves out the clean clone, which takes as long as a first build.
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo build --quiet --profile demo -p switchback
fresh=--fresh
[ "${1:-}" = --no-fresh ] && fresh=
exec cargo run --quiet --profile demo -p switchback-integration --bin show-foundation -- $fresh
