#!/usr/bin/env bash
# vconnpool/hiredis.h against a real redis-server, which is started for this run on a free port and ends with it.
#
#     tests/drivers/hiredis.sh [TEST...]      all tests, or those named
#
# VCP_C_PREFIX is put before the program: 'valgrind -q ...'. Needs Debian's packages libhiredis-dev, redis-server.
set -euo pipefail
cd "$(dirname "$0")/../.."

dir=$(mktemp -d)
server=
clean_up() {
    # A test that failed may have left it stopped.
    [ -z "$server" ] || { kill -CONT "$server" && kill "$server"; } 2>/dev/null || true
    wait
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'echo "FAILED: tests/drivers/hiredis.sh, line $LINENO" >&2' ERR
die() {
    echo "FAILED: $*" >&2
    exit 1
}
is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# ---- the program, with what is shipped; as C++11 it must compile ----

cargo rustc --quiet --release --lib --no-default-features --crate-type cdylib,staticlib
target=$(cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
ln -s "$target/release/libvconnpool.so" "$dir/libvconnpool.so.0"
flags="-D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror -g -O1 -pthread -Iinclude -Itests/c/support $(pkg-config --cflags hiredis)"
c++ -std=c++11 -x c++ $flags -fsyntax-only tests/drivers/hiredis.c
cc -std=c99 $flags tests/drivers/hiredis.c -o "$dir/hiredis" "$dir/libvconnpool.so.0" '-Wl,-rpath,$ORIGIN' \
    $(pkg-config --libs hiredis)

# ---- the server ----

for _ in 1 2 3 4 5; do # a number may be taken between the look and the start
    port=$((20000 + RANDOM % 10000))
    if is_open "$port"; then continue; fi
    cat >"$dir/redis.conf" <<CONF
bind 127.0.0.1
port $port
unixsocket $dir/socket
dir $dir
save ""
requirepass secret
user alice on >wonder ~* &* +@all
user mute on >wonder ~* +ping
CONF
    redis-server "$dir/redis.conf" >"$dir/log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        if [ "$(redis-cli -h 127.0.0.1 -p "$port" -a secret --no-auth-warning PING 2>/dev/null)" = PONG ]; then break 2; fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    kill "$server" 2>/dev/null || true
    wait "$server" || true
    server=
done
[ -n "$server" ] || { cat "$dir/log" >&2; die "redis-server does not start"; }

VCP_REDIS=127.0.0.1:$port VCP_REDIS_SOCKET=$dir/socket VCP_REDIS_PID=$server timeout 300 ${VCP_C_PREFIX:-} "$dir/hiredis" "$@"
