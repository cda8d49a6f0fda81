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

# A little of each kind that "make docs" leaves in a directory. vcp-probe is an example: it is not installed, nor is its page.
built_documentation() {
    mkdir -p "$1/html/_static" "$1/man/man1" "$1/man/man3" "$1/man/man7"
    touch "$1/html/index.html" "$1/html/_static/site.css" "$1/html/.buildinfo"
    touch "$1/man/man1/vcp-probe.1" "$1/man/man3/vcp_dial.3" "$1/man/man7/vconnpool.7"
}

# The relative links of a page of Markdown, one a line, without what it shows as code.
links_of() { sed -e '/^ *```/,/^ *```/d' -e 's/`[^`]*`//g' "$1" | grep -o '](\([^):#][^):]*\))' | sed 's/^](\([^#]*\).*)$/\1/'; }

# Each link of the pages in a directory leads to what is there.
links_lead_somewhere() {
    local page link count=0
    for page in $(cd "$1" && find . -name '*.md'); do
        for link in $(links_of "$1/$page"); do
            [ -e "$1/$(dirname "$page")/$link" ] || fail "$page links to $link, which is not installed"
            count=$((count + 1))
        done
    done
    [ $count -gt 100 ] || fail "$count links: they are not seen"
}

# pkg-config, for a tree that was installed with DESTDIR and the prefix /usr/local.
in_root() { PKG_CONFIG_SYSROOT_DIR=$1 PKG_CONFIG_LIBDIR=$1/usr/local/lib/pkgconfig pkg-config "${@:2}"; }

# pkg-config, for a prefix of one's own; what it is without the system's packages that the adapters need.
in_prefix() { PKG_CONFIG_PATH=$1/lib/pkgconfig pkg-config "${@:2}"; }

# The shared libraries that a program names.
needed_by() { LC_ALL=C readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }

names_the_library() { needed_by "$1" | grep -x 'libvconnpool\.so\.0' >/dev/null; }

# ---- each way to link a program; the first argument calls pkg-config ----

linked_shared() {
    cc $strict $here/program.c $($1 --cflags --libs vconnpool) -o "$work/shared"
    names_the_library "$work/shared" || fail "the program does not name libvconnpool.so.0"
    "$work/shared"
}

linked_statically() {
    cc $strict $here/program.c $($1 --cflags --libs vconnpool-static) -o "$work/static"
    ! names_the_library "$work/static" || fail "vconnpool-static.pc links the shared library"
    "$work/static"
}

# Beside a library of Rust, $2. Both bring Rust's standard library: in either order.
linked_beside() {
    local flags
    flags=$($1 --cflags --libs vconnpool-static)
    cc $strict -DOTHER_RUST_LIBRARY $here/program.c "$2" $flags -o "$work/beside"
    cc $strict -DOTHER_RUST_LIBRARY $here/program.c $flags "$2" $flags -o "$work/before"
    "$work/beside"
    "$work/before"
}

linked_in_cxx() {
    c++ $strict_cxx $here/program.cpp $($1 --cflags --libs vconnpool) -o "$work/cxx"
    "$work/cxx"
}

# Asio has no package of pkg-config.
linked_with_the_drivers() {
    c++ $strict_cxx $here/adapters.cpp $($1 --cflags --libs vconnpool libpq libmariadb hiredis openssl) -o "$work/adapters"
    quietly "$work/adapters"
}

# By CMake, which is told what the arguments say.
built_by_cmake() {
    local built=$work/cmake program
    quietly cmake -S $here -B "$built" -DVERSION="$version" -DCMAKE_BUILD_TYPE=Release "$@"
    quietly cmake --build "$built"
    for program in shared shared_cxx static static_cxx; do "$built/$program"; done
    names_the_library "$built/shared" || fail "vconnpool::vconnpool is not the shared library"
    ! names_the_library "$built/static" || fail "vconnpool::static is the shared library"
}

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
