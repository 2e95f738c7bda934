#!/bin/sh
# Changes the code of the pure packages, one place at a time, and counts how often a test notices.
set -eu

# The share, in percent, below which the tests are too weak.
least=80
out=target/mutants

cargo mutants --version >/dev/null 2>&1 || cargo install --locked cargo-mutants
rm -rf "$out"
mkdir -p "$out"
# It ends with an error when a mutant lives; the share decides.
cargo mutants --jobs 2 --output "$out" -p switchback-value -p switchback-route -p switchback-conf || true

count() {
    if [ -e "$out/mutants.out/$1.txt" ]; then wc -l <"$out/mutants.out/$1.txt"; else echo 0; fi
}

# A mutant that makes a test hang has been noticed too.
caught=$(($(count caught) + $(count timeout)))
viable=$((caught + $(count missed)))
[ "$viable" -gt 0 ] || { echo "no mutant was tested" >&2; exit 1; }
share=$((caught * 100 / viable))
echo "mutants_caught: $share % ($least %)"
[ "$share" -ge "$least" ]
