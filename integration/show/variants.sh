#!/usr/bin/env bash
# `make show-variants`: what was promised of forms of a response, each with its figure.
# `--quick` plays less, with a build that takes minutes less and is not what is released. A name plays that part alone:
# matrix, browser, bytes, bombs, hit-path, nginx.
exec "$(dirname "$0")/released.sh" show-variants "$@"
