#!/usr/bin/env bash
# vconnpool/mariadb.h against a real MariaDB, which is started for this run on a free port and a socket of its own, and ends
# with it. The server's own lists are the proof.
#
#     tests/drivers/mariadb.sh [TEST...]      all tests, or those named
#
# VCP_C_PREFIX (put before the program, as 'valgrind -q') and VCP_SLOW as for the C programs. Needs Debian's packages
# mariadb-server, libmariadb-dev, openssl.
set -euo pipefail
cd "$(dirname "$0")/../.."

dir=$(mktemp -d)
server=
clean_up() {
    if [ -n "$server" ]; then
        kill -CONT "$server" 2>/dev/null || true # a test that failed may have left it stopped
        kill -KILL "$server" 2>/dev/null || true
    fi
    wait 2>/dev/null
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'echo "FAILED: tests/drivers/mariadb.sh, line $LINENO" >&2' ERR
die() {
    echo "FAILED: $*" >&2
    exit 1
}
is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# ---- the program, with what is shipped; its calls of the two functions go through counters ----

cargo rustc --quiet --release --lib --no-default-features --crate-type cdylib,staticlib
target=$(cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
ln -s "$target/release/libvconnpool.so" "$dir/libvconnpool.so.0"
flags="-D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror -O1 -g -Iinclude -Itests/c/support $(pkg-config --cflags libmariadb)"
g++ -std=c++11 $flags -fsyntax-only -x c++ tests/drivers/mariadb.c
gcc -std=c99 $flags tests/drivers/mariadb.c -o "$dir/mariadb" -pthread \
    -Wl,--wrap=mysql_thread_init,--wrap=mysql_thread_end \
    "$dir/libvconnpool.so.0" '-Wl,-rpath,$ORIGIN' $(pkg-config --libs libmariadb)

# ---- the server ----

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null
user=$(id -un)
mariadb-install-db --no-defaults --user="$user" --datadir="$dir/data" --skip-test-db \
    --auth-root-authentication-method=normal >"$dir/log" 2>&1 || { tail "$dir/log" >&2; die "mariadb-install-db"; }
# A number may be taken between the look and the start, so a few are tried.
for _ in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 10000))
    if is_open "$port"; then continue; fi
    mariadbd --no-defaults --user="$user" --datadir="$dir/data" --socket="$dir/socket" --port="$port" \
        --bind-address=127.0.0.1 --skip-name-resolve --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=16M \
        --performance-schema=OFF --ssl-cert="$dir/cert.pem" --ssl-key="$dir/key.pem" >"$dir/log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        if is_open "$port"; then break 2; fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$server" 2>/dev/null || true
    server=
done
[ -n "$server" ] || { tail "$dir/log" >&2; die "MariaDB does not start"; }
mariadb --no-defaults -u root -S "$dir/socket" <<'SQL'
CREATE DATABASE shop;
CREATE DATABASE other;
CREATE USER alice IDENTIFIED BY 'secret of alice';
CREATE USER bob IDENTIFIED BY 'secret of bob';
GRANT ALL ON shop.* TO alice, bob;
GRANT ALL ON other.* TO alice;
CREATE TABLE shop.accounts (id INT PRIMARY KEY, balance INT NOT NULL);
INSERT INTO shop.accounts SELECT seq, 100000 FROM shop.seq_0_to_99;
SQL
cat >"$dir/.my.cnf" <<CONF
[commanded]
init-command = SET @greeting = 'hello'
[secured]
ssl-ca = $dir/cert.pem
ssl-verify-server-cert = 0
CONF

HOME=$dir VCP_MARIADB_SOCKET=$dir/socket VCP_MARIADB_PORT=$port VCP_MARIADB_PID=$server \
    timeout "${VCP_C_TIMEOUT:-300}" ${VCP_C_PREFIX:-} "$dir/mariadb" "$@"
if [ $# -gt 0 ]; then exit; fi

# ---- the example ----

gcc -std=c99 -O2 -Wall -Wextra -Wpedantic -Werror -Iinclude $(pkg-config --cflags libmariadb) examples/c/mysql_mariadb.c \
    -o "$dir/example" -pthread "$dir/libvconnpool.so.0" '-Wl,-rpath,$ORIGIN' $(pkg-config --libs libmariadb)
for address in "$dir/socket" "127.0.0.1:$port"; do
    "$dir/example" "$address" alice 'secret of alice' shop 'user=bob;password=secret of bob' \
        >"$dir/output" 2>"$dir/message" || { cat "$dir/message" >&2; die "mysql_mariadb"; }
    cat "$dir/output"
    grep -q 'FROM vcp_example: 1001$' "$dir/output" || die "1,001 transactions were to be done"
    grep -q ': alice@%$' "$dir/output" && grep -q ': bob@%$' "$dir/output" || die "two users were to log in"
    [ "$(grep -c . "$dir/message")" -eq 1 ] || die "one session was to be killed"
done
