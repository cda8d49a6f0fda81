#!/usr/bin/env bash
# The examples that use other people's libraries, against the real servers: nginx (HTTP and HTTPS) and Redis, on free ports. The
# servers' own counters are the proof.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
nginx=
redis=
resetting=
example=
clean_up() {
    for process in $example $resetting $redis $nginx; do kill "$process" 2>/dev/null || true; done
    wait
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'echo "FAILED: .ci/interop.sh, line $LINENO" >&2' ERR
die() {
    echo "FAILED: $*" >&2
    exit 1
}
is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_port() {
    for _ in $(seq 50); do
        port=$((20000 + RANDOM % 10000))
        if ! is_open "$port"; then echo "$port" && return; fi
    done
    die "no free port"
}
until_open() { # process, port
    for _ in $(seq 100); do
        if is_open "$2"; then return; fi
        kill -0 "$1" 2>/dev/null || die "the server on port $2 does not start"
        sleep 0.1
    done
    die "nothing listens on port $2"
}

make --no-print-directory -C examples/c interop >/dev/null
build=examples/c/build

# ---- nginx, with a certificate of its own authority ----
http=$(free_port)
https=$(free_port)
status=$(free_port)
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=test authority" -keyout "$dir/ca.key" -out "$dir/ca.pem" 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout "$dir/key.pem" -out "$dir/request.pem" 2>/dev/null
echo "subjectAltName=DNS:localhost,IP:127.0.0.1" >"$dir/names"
openssl x509 -req -in "$dir/request.pem" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 2 \
    -extfile "$dir/names" -out "$dir/cert.pem" 2>/dev/null
mkdir "$dir/root"
echo "hello from nginx" >"$dir/root/index.html"
chmod 755 "$dir" "$dir/root"
cat >"$dir/nginx.conf" <<CONF
daemon off;
master_process off;
error_log $dir/error.log;
pid $dir/nginx.pid;
events { worker_connections 1024; }
http {
    log_format handshakes '\$connection \$connection_requests \$ssl_session_reused \$ssl_server_name';
    client_body_temp_path $dir/a; proxy_temp_path $dir/b; fastcgi_temp_path $dir/c; uwsgi_temp_path $dir/d; scgi_temp_path $dir/e;
    keepalive_requests 100000;
    access_log $dir/http.log handshakes;
    server { listen 127.0.0.1:$http; root $dir/root; }
    server { listen 127.0.0.1:$status; access_log off; location / { stub_status; } }
    server {
        listen 127.0.0.1:$https ssl; root $dir/root;
        ssl_certificate $dir/cert.pem; ssl_certificate_key $dir/key.pem;
        access_log $dir/https.log handshakes;
    }
}
CONF
nginx -p "$dir" -c "$dir/nginx.conf" 2>"$dir/nginx.out" &
nginx=$!
until_open "$nginx" "$https"
until_open "$nginx" "$status"

# One stub_status: "server accepts handled requests", then the three numbers. Asking is one connection and one request.
nginx_counts() {
    exec 3<>"/dev/tcp/127.0.0.1/$status"
    printf 'GET / HTTP/1.0\r\n\r\n' >&3
    tr -d '\r' <&3 | awk 'found { print $1, $3; exit } /server accepts/ { found = 1 }'
    exec 3>&-
}
# Runs an example; the connections that nginx accepted and the requests it answered meanwhile.
counted() {
    local before after
    before=$(nginx_counts)
    "$@" >"$dir/output" || die "$* ended with status $?"
    after=$(nginx_counts)
    cat "$dir/output"
    accepted=$((${after% *} - ${before% *} - 1))
    answered=$((${after#* } - ${before#* } - 1))
    echo "  nginx: $accepted connections, $answered requests"
}

counted $build/tls_openssl "localhost:$https" "$dir/ca.pem" 1000
[ "$answered" -eq 1000 ] || die "1,000 requests were to be answered"
[ "$accepted" -ge 1 ] && [ "$accepted" -le 8 ] || die "1 to 8 connections were to be accepted"
handshakes=$(awk '{ print $1 }' "$dir/https.log" | sort -u | wc -l)
[ "$handshakes" -le 8 ] || die "$handshakes handshakes, not at most 8"
[ "$(awk '$4 == "localhost"' "$dir/https.log" | wc -l)" -eq 1000 ] || die "the name was to be asked for (SNI)"
counted $build/tls_openssl "127.0.0.1:$https" "$dir/ca.pem" 100
[ "$answered" -eq 100 ] || die "100 requests were to be answered"
# The certificate is verified: another authority's is refused, and so is another name's.
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=nobody" -keyout "$dir/other.key" -out "$dir/other.pem" 2>/dev/null
if $build/tls_openssl "localhost:$https" "$dir/other.pem" 4 >"$dir/output" 2>"$dir/message"; then
    die "a certificate of an unknown authority was accepted"
fi
grep -q "on_open callback refused: 1: " "$dir/message" || die "the message does not say that the handshake failed"
if $build/tls_openssl "ip6-localhost:$https" "$dir/ca.pem" 4 >"$dir/output" 2>"$dir/message"; then
    die "another name's certificate was accepted"
fi

# A server that resets idle connections must not end the program by SIGPIPE, whatever becomes of its requests.
resets=$(free_port)
cc -std=c99 -Wall -Wextra -Werror -o "$dir/server" .ci/tls_server_that_resets.c -pthread -lssl -lcrypto
"$dir/server" "$resets" "$dir/cert.pem" "$dir/key.pem" &
resetting=$!
until_open "$resetting" "$resets"
for _ in $(seq 20); do
    ended=0
    $build/tls_openssl "127.0.0.1:$resets" "$dir/ca.pem" 100 >/dev/null 2>&1 || ended=$?
    [ "$ended" -lt 128 ] || die "tls_openssl was killed by signal $((ended - 128))"
done
kill "$resetting"
wait "$resetting" || true
resetting=

counted $build/http_libcurl "http://127.0.0.1:$http/" 200
[ "$answered" -eq 200 ] && [ "$accepted" -eq 1 ] || die "200 requests were to be answered on one connection"
counted $build/loop_epoll "127.0.0.1:$http" 1000
[ "$answered" -eq 1000 ] && [ "$accepted" -le 50 ] || die "1,000 requests were to be answered on at most 50 connections"
counted $build/pages "127.0.0.1:$http" 100
[ "$answered" -eq 100 ] && [ "$accepted" -eq 10 ] || die "every tenth request was to discard its connection"
counted $build/pages_asio "127.0.0.1:$http" 1000
[ "$answered" -eq 1000 ] && [ "$accepted" -le 4 ] || die "1,000 requests were to be answered on at most 4 connections"
counted $build/loop_libuv "127.0.0.1:$http" 1000
[ "$answered" -eq 1000 ] && [ "$accepted" -le 50 ] || die "1,000 requests were to be answered on at most 50 connections"
counted $build/prefork "127.0.0.1:$http" 100
[ "$answered" -eq 501 ] && [ "$accepted" -eq 5 ] || die "501 requests were to be answered on 5 connections"
counted $build/leaks "127.0.0.1:$http"
grep -q '^LEAKED .* by "forgetful"' "$dir/output" || die "the leak was to be told"
grep -q '^leak returned .* by "forgetful"' "$dir/output" || die "its return was to be told"
kill "$nginx"
wait "$nginx" || true
nginx=

# ---- Redis, restarted in the middle ----
port=$(free_port)
start_redis() {
    redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --daemonize no --dir "$dir" >>"$dir/redis.log" 2>&1 &
    redis=$!
    until_open "$redis" "$port"
}
start_redis
mkfifo "$dir/progress"
$build/redis_hiredis "127.0.0.1:$port" 20000 >"$dir/progress" &
example=$!
exec 5<"$dir/progress"
read -r line <&5
[ "$line" = half ] || die "redis_hiredis was to say that it is half done"
before=$(redis-cli -h 127.0.0.1 -p "$port" INFO commandstats | tr -d '\r' | sed -n 's/^cmdstat_set:calls=\([0-9]*\).*/\1/p')
kill -9 "$redis"
wait "$redis" || true
start_redis
read -r line <&5
exec 5<&-
wait "$example" || die "redis_hiredis ended with status $?"
example=
echo "$line"
after=$(redis-cli -h 127.0.0.1 -p "$port" INFO commandstats | tr -d '\r' | sed -n 's/^cmdstat_set:calls=\([0-9]*\).*/\1/p')
clients=$(redis-cli -h 127.0.0.1 -p "$port" INFO clients | tr -d '\r' | sed -n 's/^connected_clients:\([0-9]*\).*/\1/p')
echo "  redis: at least $before commands before the restart, $after after it; $((clients - 1)) connections are left"
[ "$before" -ge 100000 ] && [ "${after:-0}" -ge 1 ] || die "commands were to be done before and after the restart"
repeated=$(sed -n 's/.*, \([0-9]*\) repeated.*/\1/p' <<<"$line")
[ $((before + after)) -le $((200000 + repeated * 10)) ] || die "more commands than asked for"
[ "$((clients - 1))" -eq 0 ] || die "connections are left after the pool was closed"
