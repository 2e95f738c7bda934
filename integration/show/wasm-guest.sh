#!/usr/bin/env bash
# Builds what tests of Wasm plugins run, where a toolchain for wasm32 can be had, and runs those tests:
#   wasm-guest.sh              the committed fixtures, anew, and all tests of them
#   wasm-guest.sh --examples   the examples of the public Rust SDK of proxy-wasm as well, unchanged, from a copy of its repository:
#                              PROXY_WASM_SDK=FOLDER, or the `proxy-wasm` package's own source where that has them
#   wasm-guest.sh --only-examples   those alone; exit code 77 and the reason where that cannot be done
# The toolchain is Debian's: apt-get install rustc-web cargo-web libstd-rust-web-dev rust-web-src lld-22
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}/wasm-guest
fixtures=$root/plugins/wasm/tests/fixtures

toolchain() {
    if [ ! -x /usr/bin/rustc ] || ! ls /usr/lib/llvm-*/bin/wasm-ld >/dev/null 2>&1; then
        [ "$(id -u)" = 0 ] && apt-get install -y --no-install-recommends \
            rustc-web cargo-web libstd-rust-web-dev rust-web-src lld-22 >/dev/null 2>&1 && return
        echo "no toolchain for wasm32 on this machine: the committed fixtures are run as they are"
        return 1
    fi
}

# A package for wasm32, in FOLDER; the rest goes to cargo.
build() {
    (cd "$1" && shift && env RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_INCREMENTAL=0 CARGO_TARGET_DIR="$target" \
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$(ls /usr/lib/llvm-*/bin/wasm-ld | tail -1)" \
        CARGO_PROFILE_RELEASE_PANIC=abort CARGO_PROFILE_RELEASE_STRIP=true CARGO_PROFILE_RELEASE_DEBUG=0 \
        CARGO_PROFILE_RELEASE_OPT_LEVEL=3 \
        /usr/bin/cargo "$@" --release --target wasm32-unknown-unknown -Zbuild-std=std,panic_abort)
}

# The module that was built, small enough to be committed.
keep() {
    zstd -19 -q -f "$target/wasm32-unknown-unknown/release/$1.wasm" -o "$fixtures/$2.wasm.zst"
    echo "$2: $(stat -c %s "$target/wasm32-unknown-unknown/release/$1.wasm") bytes, $(stat -c %s "$fixtures/$2.wasm.zst") in the repository"
}

# Where the public SDK is, if it has examples.
public_sdk() {
    local sdk=${PROXY_WASM_SDK:-$(ls -d "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/proxy-wasm-0.2.5 2>/dev/null | tail -1)}
    [ -d "$sdk/examples/http_headers" ] && echo "$sdk" && return
    echo "no examples of the public SDK: say where its repository is with PROXY_WASM_SDK" >&2
    return 1
}

# Those of the SDK in FOLDER.
public_examples() {
    local sdk=$1 built=$target/public
    mkdir -p "$built"
    for example in hello_world http_auth_random http_body http_config http_headers; do
        build "$sdk/examples/$example" build --quiet
        cp "$target/wasm32-unknown-unknown/release/proxy_wasm_example_$example.wasm" "$built/$example.wasm"
    done
    SWITCHBACK_PUBLIC_EXAMPLES=$built cargo test --manifest-path "$root/Cargo.toml" -p switchback-plugin-wasm \
        --test all public_examples:: -- --include-ignored
}

if [ "${1:-}" = --only-examples ]; then
    toolchain || exit 77
    sdk=$(public_sdk 2>&1) || { echo "$sdk"; exit 77; }
    public_examples "$sdk"
    exit
fi
if toolchain; then
    build "$root/plugins/wasm/tests/guest" build --quiet
    keep switchback_guest guest
    build "$root" rustc --quiet -p switchback-example-conformance --features module --lib --crate-type cdylib
    keep switchback_example_conformance conformance
    build "$root" rustc --quiet -p switchback-example-touch --features module --lib --crate-type cdylib
    keep switchback_example_touch touch
    if [ "${1:-}" = --examples ] && sdk=$(public_sdk); then public_examples "$sdk"; fi
fi
cargo test --manifest-path "$root/Cargo.toml" -p switchback-plugin-wasm -p switchback-example-conformance
