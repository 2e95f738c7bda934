#!/usr/bin/env bash
# `make show-upstreams`: what was promised of shards and of endpoints that fail, each with its figure.
# `--quick` plays less, with a build that takes minutes less and is not what is released. A name plays that part alone: mapping, hot, reshard, failures, hedging, overload, storm.
exec "$(dirname "$0")/released.sh" show-upstreams "$@"
