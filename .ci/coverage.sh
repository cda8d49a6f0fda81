#!/usr/bin/env bash
# Which lines and branches of src the tests run: Rust's unit tests and the model, the C programs, histories of the
# simulation, and the torture's sample. Prints both by room. Fails below 95 % of lines or 90 % of branches. What nothing
# ran: target/coverage/uncovered.txt.
#
#     .ci/coverage.sh                 prints the lines of pool, handle and ffi that nothing ran and nobody argues
#     .ci/coverage.sh --every-line    fails, too, when there is one, or when one that is argued is run or gone: threads
#                                     meet at different moments from run to run, so this is no check of every change
set -euo pipefail
case ${1:-} in
    "" | --every-line) ;;
    *) sed -n '6,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/.."

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

# Runs a command whose programs count into the profiles of that name.
counting() { # name, command...
    LLVM_PROFILE_FILE="$out/profiles/$1/%p%c.profraw" "${@:2}"
}

cargo_test() { # name, argument...
    counting "$1" cargo test --quiet --no-default-features --target $target --target-dir "$out" "${@:2}"
}

simulation() {
    CARGO_PROFILE_DEV_DEBUG=0 counting simulation cargo run --quiet --locked --target $target \
        --manifest-path tests/simulation/Cargo.toml --target-dir "$out/simulation" -- --first 1 --histories 3000
}

torture() {
    TORTURE_TARGET=target/coverage/torture counting torture tests/torture/run --sample
}

export_json() { # name, object
    $llvm/llvm-profdata merge --sparse -o "$out/$1.profdata" "$out/profiles/$1"
    $llvm/llvm-cov export --instr-profile "$out/$1.profdata" "$2" >"$out/$1.json"
}

cargo_test unit --lib
unit=$(cargo_test unit --lib --no-run --message-format json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
cargo_test library --test c_programs
simulation
torture
export_json unit "$unit"
export_json library "$out/$target/debug/deps/libvconnpool.so"
export_json simulation "$out/simulation/$target/debug/vconnpool-simulation"
export_json torture "$out/torture/debug/libvconnpool.so"

unset RUSTFLAGS RUSTC_BOOTSTRAP
cargo run --quiet --locked --manifest-path tests/coverage/Cargo.toml -- "${1:---percentages}" "$PWD" "$out/uncovered.txt" \
    "$out"/{library,unit,simulation,torture}.json
