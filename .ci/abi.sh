#!/usr/bin/env bash
# Programs that were linked against an older library find what they need in this one.
#
#     .ci/abi.sh            compares the header and the shipped library with the newest version in abi/,
#                           after it has shown that it finds each kind of break
#     .ci/abi.sh record     writes that version's facts for the version that Cargo.toml names
#
# Needs clang, cc, make and abidiff (abigail-tools).
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

work=target/abi/work
rm -rf "$work"
mkdir -p "$work"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
header=include/vconnpool.h
library=target/stage/libvconnpool.so

fail() {
    echo "abi: $*" >&2
    exit 1
}

# ---- what a header says, a fact a line ----

# The line of each "typedef struct {" and the name that its end gives it.
struct_names() {
    awk '/^typedef struct \{/ { begin = NR } /^} / { sub(/;$/, "", $2); print begin, $2 }' "$1"
}

# "struct vcp_event 32 const char * address", "struct vcp_event sizeof 88", "constant VCP_OK 0",
# "vcp_free_fn is void (*)(void *)".
layout() {
    struct_names "$1" >"$work/names"
    clang -x c -std=c99 -fsyntax-only -Xclang -fdump-record-layouts-complete "$1" |
        awk -v header="$1" '
            NR == FNR { name[$1] = $2; next }
            /\*\*\* Dumping/ { struct = "" }
            index($0, "(unnamed at " header ":") { split($0, at, ":"); struct = name[at[2]]; next }
            struct == "" { next }
            match($0, /sizeof=[0-9]+/) { print "struct", struct, "sizeof", substr($0, RSTART + 7, RLENGTH - 7) }
            $2 == "|" { offset = $1; sub(/^ *[0-9]+ \| +/, ""); print "struct", struct, offset, $0 }
        ' "$work/names" -
    clang -x c -std=c99 -E -dM "$1" |
        sed -n '/VCP_VERSION_/d; s/^#define \(VCP_[A-Z_]*\) /constant \1 /p' | sort
    clang -x c -std=c99 -fsyntax-only -Xclang -ast-dump "$1" |
        sed -n "s/^.-\(Function\|Typedef\)Decl .* \(vcp_[a-z0-9_]*\) '\([^']*\)'.*/\2 is \3/p" | grep -v ' is struct '
}

functions() {
    layout "$1" | sed -n '/(\*)/d; s/^\(vcp_[a-z0-9_]*\) is .*(.*/\1/p' | sort
}

types() {
    sed -n 's/^typedef .*(\*\(vcp_[a-z_]*\))(.*/\1/p; s/^typedef .* \(vcp_[a-z_]*\);/\1/p; s/^} \(vcp_[a-z_]*\);/\1/p' "$1"
}

# A library that has a variable for each function and type of the header, so that abidiff sees them all.
probe() {
    {
        echo "#include \"$PWD/$1\""
        functions "$1" | sed 's/.*/__typeof__(\&&) probe_&;/'
        types "$1" | sed 's/.*/& *probe_type_&;/'
    } >"$2.c"
    cc -std=gnu11 -g -shared -fPIC "$2.c" -o "$2.so"
}

# ---- the comparison of two headers ----

# A struct that begins with its size may grow: a new field begins where the old struct ended, so that no
# older caller's padding is read as it. All else stays as it was.
lost_layout() {
    awk '
        NR == FNR && $1 == "struct" && $3 == "sizeof" { old_size[$2] = $4; next }
        NR == FNR { old[$0] = 1; if ($3 == 0 && $0 ~ /size_t size$/) grows[$2] = 1; next }
        $1 == "struct" && $3 == "sizeof" {
            if ($2 in old_size && ($4 < old_size[$2] || ($4 > old_size[$2] && !($2 in grows))))
                print "size of " $2 ": " old_size[$2] " became " $4
            next
        }
        $0 in old { delete old[$0]; next }
        $1 == "struct" && $2 in old_size && (!($2 in grows) || $3 < old_size[$2]) {
            print "a field inside the old " $2 ": " $0
        }
        END { for (fact in old) print "gone: " fact }
    ' "$1" "$2"
}

# What is new of "comm"'s two files, if this version may bring nothing new.
not_yet() {
    if [ "$3" = same ]; then comm -13 <(sort "$1") <(sort "$2") | sed 's/^/new, and the version is not: /'; fi
}

signature_changes() {
    cat >"$work/grows.suppr" <<'EOF'
[suppress_type]
    type_kind = struct
    has_data_member_inserted_at = end
EOF
    local status=0
    abidiff --no-added-syms --suppressions "$work/grows.suppr" "$1" "$2" >"$work/abidiff" || status=$?
    [ $((status & 3)) -eq 0 ] || fail "abidiff ended with $status"
    if [ "$status" -ne 0 ]; then cat "$work/abidiff"; fi
}

# breaks OLD NEW same|newer: prints what programs that were compiled with OLD would miss in NEW.
breaks() {
    local old=$work/old new=$work/new header
    layout "$1" >"$old.layout"
    layout "$2" >"$new.layout"
    lost_layout "$old.layout" "$new.layout"
    not_yet "$old.layout" "$new.layout" "$3"
    probe "$1" "$old"
    probe "$2" "$new"
    signature_changes "$old.so" "$new.so"
}

# ---- the proof that it finds what it is for ----

# planted NAME SED-SCRIPT: a header with that change.
planted() {
    sed -E "$2" "abi/$last/vconnpool.h" >"$work/planted.h"
    ! cmp -s "$work/planted.h" "abi/$last/vconnpool.h" || fail "the change \"$1\" was not planted"
}

finds() {
    planted "$1" "$2"
    [ -n "$(breaks "abi/$last/vconnpool.h" "$work/planted.h" newer)" ] || fail "does not find: $1"
    found=$((found + 1))
}

accepts() {
    planted "$1" "$2"
    local said
    said=$(breaks "abi/$last/vconnpool.h" "$work/planted.h" newer)
    [ -z "$said" ] || fail "refuses: $1: $said"
    [ -n "$(breaks "abi/$last/vconnpool.h" "$work/planted.h" same)" ] || fail "accepts without a new version: $1"
}

prove() {
    found=0
    finds "a function is gone" '/^int vcp_conn_close\(/d'
    finds "a parameter has another type" 's/^int vcp_conn_close\(vcp_conn \*/int vcp_conn_close(const vcp_conn */'
    finds "a parameter is narrower" 's/(vcp_conn_set_deadline_at\(vcp_conn \*conn, )int64_t/\1int32_t/'
    [ -n "$(signature_changes "$work/old.so" "$work/new.so")" ] || fail "abidiff is blind"
    finds "a result has another type" 's/^int64_t vcp_now_ms/int32_t vcp_now_ms/'
    finds "a callback has another parameter" 's/^typedef void \(\*vcp_free_fn\)\(void \*/typedef void (*vcp_free_fn)(const void */'
    finds "two fields changed places" '/^ *vcp_free_fn free_data;/{h;d}; /^ *vcp_session_fd_fn fd;/G'
    finds "a field is gone" '/^ *vcp_session_fd_fn fd;/d'
    finds "a field has another name" 's/vcp_session_fd_fn fd;/vcp_session_fd_fn number;/'
    finds "a field stands in old padding" 's/^} vcp_session;/    int32_t added;\n&/'
    finds "a constant has another value" 's/^#define VCP_ERR_TIMEOUT -7/#define VCP_ERR_TIMEOUT -8/'
    finds "a constant is gone" '/^#define VCP_ERR_TIMEOUT /d'
    accepts "a field at the end" 's/^} vcp_pool_options;/    int64_t added;\n&/'
    accepts "a function" 's/^int vcp_conn_close\(/int vcp_conn_added(vcp_conn *conn, int32_t how);\n&/'
    accepts "a constant" 's/^#define VCP_OK 0/&\n#define VCP_ERR_ADDED -98/'
}

# ---- the library ----

# "vcp_dial@@VCONNPOOL_0.1" of all that a library shows.
symbols() {
    nm -D --with-symbol-versions --defined-only "$1" | awk '$2 != "A" { print $3 }' | sort
}

# The symbols of the last version stay under the version that they have; nothing but the header's functions is shown.
check_symbols() {
    symbols "$library" >"$work/symbols"
    diff <(sed 's/@.*//' "$work/symbols") <(functions "$header") >&2 ||
        fail "the library (<) and the header (>) have not the same functions: abi/vconnpool.map lists them"
    local lost
    lost=$(comm -23 "abi/$last/symbols" "$work/symbols")
    [ -z "$lost" ] || fail "gone from the library: $lost"
    ! grep -v '@@VCONNPOOL_[0-9]' "$work/symbols" >&2 || fail "these symbols have no version"
    readelf -d "$library" | grep 'SONAME.*\[libvconnpool\.so\.0\]' >/dev/null || fail "the library has another soname"
    readelf -d "$library" | grep NODELETE >/dev/null || fail "the library could be unloaded"
}

# A program that was linked against a library without versions (as cargo links one) starts with this one, and one linked
# against this one starts with that.
check_exchange() {
    local program='
#include <vconnpool.h>
int main(void)
{
    vcp_pool *pool;
    return vcp_version_number() != VCP_VERSION_NUMBER || vcp_pool_new(NULL, &pool) || vcp_pool_close(pool);
}'
    local stub="$work/unversioned/libvconnpool.so.0" linked loaded
    mkdir -p "$work/unversioned" "$work/versioned"
    cargo rustc --quiet --lib --no-default-features --crate-type cdylib --target-dir target/abi/cargo
    cp "target/abi/cargo/debug/libvconnpool.so" "$stub"
    [ -z "$(symbols "$stub" | grep @)" ] || fail "cargo's library has versions: compare it as the shipped one"
    cp "$library" "$work/versioned/libvconnpool.so.0"
    for linked in unversioned versioned; do
        echo "$program" | cc -std=c99 -Iinclude -x c - -x none -o "$work/$linked/program" "$work/$linked/libvconnpool.so.0"
        for loaded in unversioned versioned; do
            LD_LIBRARY_PATH=$work/$loaded "$work/$linked/program" >"$work/out" 2>&1 ||
                fail "a program linked against the $linked library does not start with the $loaded one"
        done
    done
}

# ---- what is asked for ----

record() {
    [ -z "$(git tag --list "v$version")" ] || fail "$version has been released: what it promised stays"
    make --silent
    mkdir -p "abi/$version"
    cp "$header" "abi/$version/vconnpool.h"
    layout "$header" >"abi/$version/layout"
    symbols "$library" >"abi/$version/symbols"
    echo "abi: recorded $version"
}

check() {
    local said how=newer
    [ "$version" != "$last" ] || how=same
    [ "$(printf '%s\n' "$last" "$version" | sort -V | tail -1)" = "$version" ] || fail "$version is older than abi/$last"
    layout "abi/$last/vconnpool.h" | diff - "abi/$last/layout" >&2 || fail "abi/$last/layout is not that of its header"
    prove
    said=$(breaks "abi/$last/vconnpool.h" "$header" "$how")
    [ -z "$said" ] || fail "$version breaks what $last promised:"$'\n'"$said"
    make --silent
    check_symbols
    check_exchange
    echo "abi: $(wc -l <"$work/symbols") symbols and $(wc -l <"abi/$last/layout") facts of the layout as in $last;" \
        "$found of $found planted breaks found"
}

if [ "${1:-}" = record ]; then
    record
else
    last=$(ls -d abi/[0-9]* | sed 's,abi/,,' | sort -V | tail -1)
    check
fi
