#!/usr/bin/env bash
# `make show-edge`: what was promised of listeners, processes and connections, each with its figure.
# `--quick` measures a tenth, with a build that takes minutes less and is not what is released.
exec "$(dirname "$0")/released.sh" show-edge "$@"
