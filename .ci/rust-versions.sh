#!/usr/bin/env bash
# The oldest Rust that Cargo.toml promises and the newest one here build the library, and a C program runs with each. With the
# oldest one it is also built, installed and linked as it is shipped.
#
# The oldest comes from rustup, or is Debian's rustc-web with its cargo-web. What the library calls in Rust's
# standard library is also held to it by clippy (incompatible_msrv, in "make lint").
set -euo pipefail
cd "$(dirname "$0")/.."

promised=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
program='
#include <vconnpool.h>
int main(void)
{
    vcp_pool *pool;
    return vcp_version_number() != VCP_VERSION_NUMBER || vcp_pool_new(0, &pool) || vcp_pool_close(pool);
}'

# The header is printed in "check" only: it proves that cbindgen and what it needs build, too.
build() {
    local target=target/rust/$1 version
    shift
    version=$("$@" rustc --version)
    echo "rust: $version"
    "$@" cargo build --quiet --locked --lib --no-default-features --target-dir "$target"
    "$@" cargo check --quiet --locked --lib --target-dir "$target"
    echo "$program" | cc -std=c99 -Iinclude -x c - -x none -o "$target/program" "$target/debug/libvconnpool.a" \
        -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
    "$target/program"
    built+=("${version% (*}")
}

# No "grep -q" behind a pipe: it leaves early, and the writer fails.
rustup_has() { rustup toolchain list 2>/dev/null | grep "^$promised[.-]" >/dev/null; }

debian_has() { /usr/bin/rustc --version 2>/dev/null | grep "^rustc $promised\." >/dev/null && [ -x /usr/bin/cargo ]; }

for page in README.md docs/install.md; do
    grep -q "Rust ($promised or newer)" $page || { echo "rust: $page names another Rust than $promised" >&2; exit 1; }
done

# As it is shipped, which is one long job of the linker, on one CPU: beside the others.
install_with() {
    mkdir -p target/rust
    tests/install/built_by target/rust/install CARGO_TARGET_DIR="$PWD/target/rust/install/cargo" "$@" >target/rust/install.log 2>&1 &
    shipped=$!
    trap wait EXIT # whatever fails here: nothing goes on behind it
}

built=()
if rustup_has; then
    install_with RUSTUP_TOOLCHAIN="$promised"
    build oldest env RUSTUP_TOOLCHAIN="$promised"
elif debian_has; then
    install_with CARGO=/usr/bin/cargo RUSTC=/usr/bin/rustc
    build oldest env PATH="/usr/bin:$PATH" RUSTC=/usr/bin/rustc
else
    echo "rust: no Rust $promised here (rustup toolchain install $promised, or rustc-web and cargo-web of Debian 12)" >&2
    exit 1
fi
build newest env
wait "$shipped" || { cat target/rust/install.log >&2; exit 1; }
cat target/rust/install.log
echo "rust: the library builds and runs with ${built[0]} and ${built[1]}"
