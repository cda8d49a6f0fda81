#!/usr/bin/env bash
# vconnpool/libpq.h against a real PostgreSQL, which is started for this run on a free port and a socket of its own, as the
# user postgres (initdb refuses root), and ends with it. The server's own views are the proof.
#
#     tests/drivers/postgres.sh [TEST...]      all tests, or those named
#
# VCP_C_PREFIX is put before the program: 'valgrind -q ...'. Needs Debian's packages postgresql, libpq-dev, openssl.
set -euo pipefail
cd "$(dirname "$0")/../.."

dir=$(mktemp -d)
postmaster=
clean_up() {
    if [ -n "$postmaster" ]; then
        # A test that failed may have left it stopped.
        kill -CONT "$postmaster" $(cat "/proc/$postmaster/task/$postmaster/children") 2>/dev/null || true
        as_postgres "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
    fi
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'echo "FAILED: tests/drivers/postgres.sh, line $LINENO" >&2' ERR
die() {
    echo "FAILED: $*" >&2
    exit 1
}
as_postgres() { if [ "$EUID" -eq 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)
[ -x "$bin/initdb" ] || die "no initdb in /usr/lib/postgresql/*/bin (Debian's package postgresql)"

# ---- the program, with what is shipped ----

cargo rustc --quiet --release --lib --no-default-features --crate-type cdylib,staticlib
target=$(cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
ln -s "$target/release/libvconnpool.so" "$dir/libvconnpool.so.0"
strict="-std=c99 -Wall -Wextra -Wpedantic -Werror -O1 -g -Iinclude -pthread $(pkg-config --cflags libpq)"
libraries=("$dir/libvconnpool.so.0" '-Wl,-rpath,$ORIGIN' $(pkg-config --libs libpq))
gcc $strict -D_GNU_SOURCE -Itests/c/support tests/drivers/postgres.c -o "$dir/postgres" "${libraries[@]}"
gcc $strict examples/c/postgres_libpq.c -o "$dir/postgres_libpq" "${libraries[@]}"
# The program of the guide.
sed -n '/^```c$/,/^```$/p' docs/guide/database-sessions.md | grep -v '^```' >"$dir/accounts.c"
gcc $strict "$dir/accounts.c" -o "$dir/accounts" "${libraries[@]}"

# ---- the server ----

chmod 755 "$dir"
mkdir "$dir/data" "$dir/socket"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null
chmod 600 "$dir/key.pem"
if [ "$EUID" -eq 0 ]; then chown postgres "$dir/data" "$dir/socket" "$dir/key.pem"; fi
as_postgres "$bin/initdb" -D "$dir/data" -U postgres --auth=trust -E UTF8 --locale=C --no-sync >/dev/null
cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$dir/socket'
ssl = on
ssl_cert_file = '$dir/cert.pem'
ssl_key_file = '$dir/key.pem'
fsync = off
max_connections = 150
shared_buffers = 32MB
autovacuum = off
log_min_messages = fatal
CONF
# A number may be taken between the look and the start, so a few are tried.
for _ in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 10000))
    if as_postgres "$bin/pg_ctl" -D "$dir/data" -l "$dir/data/log" -o "-p $port" -w start >/dev/null 2>&1; then
        postmaster=$(head -1 "$dir/data/postmaster.pid")
        break
    fi
done
[ -n "$postmaster" ] || { tail "$dir/data/log" >&2; die "PostgreSQL does not start"; }
"$bin/psql" -q -h "$dir/socket" -p "$port" -U postgres -v ON_ERROR_STOP=1 <<'SQL'
CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN;
CREATE DATABASE shop;
\c shop
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
INSERT INTO accounts SELECT id, 1000 FROM generate_series(0, 99) AS id;
CREATE TABLE notes (text text);
GRANT CREATE ON SCHEMA public TO alice;
SQL

VCP_POSTGRES_SOCKET="$dir/socket/.s.PGSQL.$port" VCP_POSTGRES_PORT=$port VCP_POSTGRES_PID=$postmaster \
    VCP_POSTGRES_CERTIFICATE="$dir/cert.pem" timeout "${VCP_C_TIMEOUT:-300}" ${VCP_C_PREFIX:-} "$dir/postgres" "$@"

if [ $# -eq 0 ]; then
    status=0
    "$dir/postgres_libpq" unix "$dir/socket/.s.PGSQL.$port" "dbname=shop user=alice" alice bob >"$dir/said" || status=$?
    [ "$status" -eq 0 ] || die "postgres_libpq ended with status $status"
    cat "$dir/said"
    grep -qx "after a rollback: no table" "$dir/said" || die "the transaction was not rolled back"
    [ "$(grep "logged in as" "$dir/said" | tr '\n' ' ')" = "logged in as alice logged in as bob logged in as alice " ] ||
        die "other users than those that were asked for"
    "$dir/accounts" unix "$dir/socket/.s.PGSQL.$port" "dbname=shop user=alice" >"$dir/said"
    printf '2\nalice\n' | diff - "$dir/said"
fi
