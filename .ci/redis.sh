#!/usr/bin/env bash
# The Redis example against a real redis-server: 4 threads x 10,000 operations over at most 8 connections, none of which
# is left once the pool is closed; and what the example says and returns when nothing listens.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
server=
example=
clean_up() {
    [ -z "$example" ] || kill "$example" 2>/dev/null || true
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    wait
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'echo "FAILED: .ci/redis.sh, line $LINENO" >&2' ERR
die() {
    echo "FAILED: $*" >&2
    exit 1
}
is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# One INFO, into a file. Each is one connection of redis-cli's own, and the next one's cmdstat_info counts it.
ask_info() { redis-cli -h 127.0.0.1 -p "$port" INFO everything | tr -d '\r' >"$dir/$1"; }
# One number of such a file.
field() { sed -n "s/^$2[:=]\(calls=\)\{0,1\}\([0-9]*\).*/\2/p" "$dir/$1"; }

make -C examples/c
redis_ping=examples/c/build/redis_ping

# A number may be taken between the look and the start, so a few are tried.
for _ in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 10000))
    if is_open "$port"; then continue; fi
    redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --daemonize no --dir "$dir" \
        --timeout 0 >"$dir/log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        if [ "$(redis-cli -h 127.0.0.1 -p "$port" PING 2>/dev/null)" = PONG ]; then break 2; fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    kill "$server" 2>/dev/null || true
    wait "$server" || true
    server=
done
[ -n "$server" ] || { cat "$dir/log" >&2; die "redis-server does not start"; }
ask_info before
[ "$(field before process_id)" = "$server" ] || die "another server answers on port $port"

mkfifo "$dir/input"
# -w: it closes its pool, says what it did and stays, so that the server is asked while the process still lives.
"$redis_ping" -t 4 -n 10000 -w "127.0.0.1:$port" <"$dir/input" >"$dir/output" &
example=$!
exec 4>"$dir/input"
for _ in $(seq 600); do
    if [ -s "$dir/output" ] || ! kill -0 "$example" 2>/dev/null; then break; fi
    sleep 0.1
done
[ -s "$dir/output" ] || die "redis_ping failed or did not end in 60 s"
left=x
for _ in $(seq 50); do # the server learns of a close when it next looks
    ask_info after
    left=$(($(field after connected_clients) - 1))
    if [ "$left" -eq 0 ]; then break; fi
    sleep 0.1
done
kill -0 "$example" || die "redis_ping was to stay until the server had been asked"
exec 4>&-
wait "$example" || die "redis_ping ended with status $?"
example=
cat "$dir/output"
[ "$left" -eq 0 ] || die "$left connections are left after the pool was closed"

# INFO ran once for "before", which counted itself, and for each look at what is left.
info_before=$(field before cmdstat_info)
looks=$(($(field after cmdstat_info) - ${info_before:-0}))
accepted=$(($(field after total_connections_received) - $(field before total_connections_received) - looks))
commands=$(($(field after total_commands_processed) - $(field before total_commands_processed) - looks))
echo "the server accepted $accepted connections and did $commands commands; $left connections are left"
[ "$accepted" -ge 1 ] && [ "$accepted" -le 8 ] || die "1 to 8 connections were to be accepted"
[ "$commands" -ge 40000 ] || die "40,000 commands were to be done"
grep -q ": $accepted dials, " "$dir/output" || die "the example counted other dials than the server"

kill "$server"
wait "$server" || true
server=
status=0
"$redis_ping" "127.0.0.1:$port" >"$dir/output" 2>"$dir/message" || status=$?
cat "$dir/message"
[ "$status" -eq 1 ] || die "exit status $status, not 1, when nothing listens"
grep -q "127.0.0.1:$port.*refused" "$dir/message" || die "the message does not say what failed"
status=0
"$redis_ping" 2>"$dir/message" || status=$?
[ "$status" -eq 2 ] || die "exit status $status, not 2, without an address"
