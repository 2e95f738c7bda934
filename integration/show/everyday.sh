#!/usr/bin/env bash
# `make show-everyday`: ten everyday sites beside nginx, and what was promised of files and logs, each with its figure.
# `--quick` measures with a build that takes minutes less and is not what is released.
exec "$(dirname "$0")/released.sh" show-everyday "$@"
