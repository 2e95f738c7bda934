#!/usr/bin/env bash
# Builds the container image, where something is there to build it with, and asks it once.
set -euo pipefail
cd "$(dirname "$0")/../.."

builder() {
    docker info >/dev/null 2>&1 && echo docker && return
    for name in podman buildah; do
        command -v "$name" >/dev/null && echo "$name" && return
    done
    return 1
}

tool=$(builder) || { echo "image     not built: neither a docker daemon nor podman nor buildah is here"; exit 77; }
case $tool in
    docker) DOCKER_BUILDKIT=1 docker build --quiet -f docker/Dockerfile -t switchback . >/dev/null ;;
    podman) podman build --quiet -f docker/Dockerfile -t switchback . >/dev/null ;;
    buildah) buildah build --quiet -f docker/Dockerfile -t switchback . >/dev/null ;;
esac
[ "$tool" = buildah ] && { echo "image     built with buildah"; exit 0; }

container=$("$tool" run --rm --detach --read-only --tmpfs /tmp \
    --tmpfs /run/switchback:uid=65532,gid=65532,mode=0700 switchback)
trap '"$tool" kill "$container" >/dev/null' EXIT
for _ in $(seq 100); do
    "$tool" exec "$container" switchback status >/dev/null 2>&1 && break
    sleep 0.1
done
"$tool" exec "$container" switchback status >/dev/null
echo "image     built with $tool: $("$tool" exec "$container" switchback version), runs as $("$tool" exec "$container" id -un), serves"
