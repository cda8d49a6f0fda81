#!/usr/bin/env bash
# <vconnpool/openssl.h> with OpenSSL's own server and with nginx, on free ports.
#
#     tests/drivers/openssl.sh [TEST...]      all tests, or those named
#
# VCP_C_PREFIX is put before the program: 'valgrind -q ...'. Needs Debian's packages libssl-dev, openssl, nginx-light.
set -euo pipefail
cd "$(dirname "$0")/../.."

dir=$(mktemp -d)
nginx=
clean_up() {
    [ -z "$nginx" ] || kill "$nginx" 2>/dev/null || true
    wait
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'echo "FAILED: tests/drivers/openssl.sh, line $LINENO" >&2' ERR
die() {
    echo "FAILED: $*" >&2
    exit 1
}
is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# ---- certificates: of an authority, and one of another ----
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=test authority" -keyout "$dir/ca.key" -out "$dir/ca.pem" 2>/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=nobody" -keyout "$dir/other.key" -out "$dir/other.pem" 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout "$dir/key.pem" -out "$dir/request.pem" 2>/dev/null
echo "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1" >"$dir/names"
openssl x509 -req -in "$dir/request.pem" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 2 \
    -extfile "$dir/names" -out "$dir/cert.pem" 2>/dev/null

# ---- nginx ----
mkdir "$dir/root"
echo "hello from nginx" >"$dir/root/index.html"
chmod 755 "$dir" "$dir/root"
for _ in 1 2 3 4 5; do # a number may be taken between the look and the start
    port=$((20000 + RANDOM % 10000))
    if is_open "$port"; then continue; fi
    cat >"$dir/nginx.conf" <<CONF
daemon off;
master_process off;
error_log $dir/error.log;
pid $dir/nginx.pid;
events { worker_connections 1024; }
http {
    client_body_temp_path $dir/a; proxy_temp_path $dir/b; fastcgi_temp_path $dir/c; uwsgi_temp_path $dir/d; scgi_temp_path $dir/e;
    keepalive_requests 100000;
    access_log off;
    server {
        listen 127.0.0.1:$port ssl; root $dir/root;
        ssl_certificate $dir/cert.pem; ssl_certificate_key $dir/key.pem;
    }
}
CONF
    nginx -p "$dir" -c "$dir/nginx.conf" 2>"$dir/nginx.out" &
    nginx=$!
    for _ in $(seq 100); do
        if is_open "$port"; then break 2; fi
        kill -0 "$nginx" 2>/dev/null || break
        sleep 0.1
    done
    wait "$nginx" || true
    nginx=
done
[ -n "$nginx" ] || { cat "$dir/nginx.out" >&2; die "nginx does not start"; }

# ---- the tests, as C99 and as C++11 ----
cargo rustc --quiet --release --lib --no-default-features --crate-type cdylib,staticlib
target=$(cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
ln -s "$target/release/libvconnpool.so" "$dir/libvconnpool.so.0"
flags="-D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror -g -O1 -pthread -Iinclude -Itests/c/support $(pkg-config --cflags openssl)"
c++ -std=c++11 -x c++ $flags -fsyntax-only tests/drivers/openssl.c
cc -std=c99 $flags tests/drivers/openssl.c -o "$dir/openssl" "$dir/libvconnpool.so.0" '-Wl,-rpath,$ORIGIN' \
    $(pkg-config --libs openssl)
# The program of the guide.
sed -n '/^```c$/,/^```$/p' docs/guide/tls.md | grep -v '^```' >"$dir/https.c"
cc -std=c99 $flags "$dir/https.c" -o "$dir/https" "$dir/libvconnpool.so.0" '-Wl,-rpath,$ORIGIN' $(pkg-config --libs openssl)
VCP_TLS=$dir VCP_NGINX=localhost:$port timeout 300 ${VCP_C_PREFIX:-} "$dir/openssl" "$@"

if [ $# -eq 0 ]; then
    "$dir/https" "localhost:$port" "$dir/ca.pem" >"$dir/said"
    sed -i 's/TLSv1\.[23]/TLS/' "$dir/said"
    printf '%s, TLS: HTTP/1.1 200\n' dialed reused | diff - "$dir/said"
fi
