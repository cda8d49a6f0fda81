# What the scripts beside this one share: where things lie, and how a program is built and run. Sourced at the root of the
# repository; "work" is a directory of the caller's own.
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
strict="-std=c99 -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror"
strict_cxx="-std=c++17 -Wall -Wextra -Wpedantic -Werror"
here=tests/install

fail() {
    echo "install: $*" >&2
    exit 1
}

quietly() {
    "$@" >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; fail "$* failed"; }
}

# What is installed, a path a line; a link with its aim. The documentation is left out.
files_of() {
    (cd "$1" && find . ! -type d ! -path './share/*' \( -type l -printf '%P -> %l\n' -o -printf '%P\n' \)) |
        sed "s/\.so\.$version/.so.VERSION/g" | LC_ALL=C sort
}

# pkg-config, for a tree that was installed with DESTDIR and the prefix /usr/local.
in_root() { PKG_CONFIG_SYSROOT_DIR=$1 PKG_CONFIG_LIBDIR=$1/usr/local/lib/pkgconfig pkg-config "${@:2}"; }

# pkg-config, for a prefix of one's own; what it is without the system's packages that the adapters need.
in_prefix() { PKG_CONFIG_PATH=$1/lib/pkgconfig pkg-config "${@:2}"; }

# The shared libraries that a program names.
needed_by() { LC_ALL=C readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }

names_the_library() { needed_by "$1" | grep -x 'libvconnpool\.so\.0' >/dev/null; }

# The archive shows vcp_* alone, carries no bitcode and no section groups, and is no larger than was promised.
check_archive() {
    local nm=$1nm readelf=$1readelf archive=$2 shown
    shown=$($nm --defined-only --extern-only "$archive" | awk 'NF == 3 { print $3 }')
    [ "$(grep -c '^vcp_' <<<"$shown")" -ge 70 ] || fail "$archive shows too few functions"
    ! grep -v '^vcp_' <<<"$shown" >&2 || fail "$archive shows more than vcp_*"
    ! $readelf -SW "$archive" | grep -E ' \.llvm(bc|cmd) ' >/dev/null || fail "$archive carries bitcode"
    LC_ALL=C $readelf -gW "$archive" | grep 'no section groups' >/dev/null || fail "$archive has section groups: two Rust libraries meet"
    [ "$(stat -c %s "$archive")" -le 3500000 ] || fail "$archive has $(stat -c %s "$archive") bytes"
}
