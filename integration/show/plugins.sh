#!/usr/bin/env bash
# `make show-plugins`: what was promised of plugins, each with its figure. `--quick` measures less. A name plays that part alone:
# conformance, faults, bench, missing.
exec "$(dirname "$0")/released.sh" show-plugins "$@"
