#!/usr/bin/env bash
# `make show-cache`: what was promised of the cache, each with its figure.
# `--quick` plays less, with a build that takes minutes less and is not what is released. A name plays that part alone:
# conformance, public-suite, hit-ratio, kills, power-cuts, million, herd, dead-origin, side-by-side.
exec "$(dirname "$0")/released.sh" show-cache "$@"
