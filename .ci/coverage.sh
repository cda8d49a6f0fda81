#!/usr/bin/env bash
# Which lines and branches of src the tests run: Rust's unit tests, the model, the C programs, and with "all" the C++
# programs too. Prints both by room, and fails below 95 % of lines or 90 % of branches.
# usage: .ci/coverage.sh [all] [--strict]. --strict: also fails when a line of pool, handle or ffi that nothing ran is
# not argued in tests/coverage/argued.md. What nothing ran: target/coverage/uncovered.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
suites=(c_programs)
if [ "${1:-}" = all ]; then
    suites+=(cpp_programs)
    shift
fi
case "$#${1:-}" in
    0 | 1--strict) ;;
    *) echo "usage: .ci/coverage.sh [all] [--strict]" >&2; exit 2 ;;
esac

# Debian's own llvm is too old for what rustc writes.
llvm=/usr/lib/llvm-19/bin
[ -x $llvm/llvm-cov ] || { echo "install llvm-19 (.ci/run packages)" >&2; exit 1; }
target=x86_64-unknown-linux-gnu
out=$PWD/target/coverage
rm -rf "$out/profiles"
mkdir -p "$out/profiles"

# The counters are the profile itself, mapped (%c), so that what ends by a signal or by _exit, and what was forked, is
# counted; that needs counters that can be moved. Times are longer, so the tests' upper bounds are wider.
export RUSTC_BOOTSTRAP=1 VCP_SLOW=${VCP_SLOW:-10} VCP_MODEL_SEQUENCES=${VCP_MODEL_SEQUENCES:-2000}
export RUSTFLAGS="-Cinstrument-coverage -Zcoverage-options=branch -Cllvm-args=-runtime-counter-relocation"

cargo_test() { # profiles, target
    LLVM_PROFILE_FILE="$out/profiles/$1/%p%c.profraw" \
        cargo test --quiet --target $target --target-dir "$out" "${@:2}"
}

export_json() { # profiles, object
    $llvm/llvm-profdata merge --sparse -o "$out/$1.profdata" "$out/profiles/$1"
    $llvm/llvm-cov export --instr-profile "$out/$1.profdata" "$2" >"$out/$1.json"
}

cargo_test unit --lib
unit=$(cargo_test unit --lib --no-run --message-format json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
for suite in "${suites[@]}"; do cargo_test library --test "$suite"; done
export_json unit "$unit"
export_json library "$out/$target/debug/deps/libvconnpool.so"

unset RUSTFLAGS RUSTC_BOOTSTRAP
cargo run --quiet --locked --manifest-path tests/coverage/Cargo.toml -- "$@" "$PWD" "$out/uncovered.txt" \
    "$out/library.json" "$out/unit.json"
