#!/usr/bin/env bash
# The library for 64-bit ARM, built with the oldest promised Rust, and the C tests on it, in an emulator.
#
#     .ci/arm.sh                all programs of tests/c but what is named below, and what make installs
#     .ci/arm.sh PROGRAM...     these
#
# Needs the promised Rust of Debian, also for that machine (which brings its libc), gcc-aarch64-linux-gnu, qemu-user: .ci/run arm.
set -euo pipefail
cd "$(dirname "$0")/.."
export VCP_SLOW=${VCP_SLOW:-20}
target=aarch64-unknown-linux-gnu
work=target/arm
compiler=aarch64-linux-gnu-gcc
emulator=qemu-aarch64

# madvise(MADV_WIPEONFORK) of qemu-user 7.2 says that it is done, and does nothing: a child does not know that it is one. Left out
# where that is so: programs of forked children, and such TESTs of others.
child_programs="a_callback_forks_after_the_close a_child_has_pools_of_its_own forks_among_busy_threads forks_under_load
    hooks_that_run_at_a_fork sessions_across_a_fork"
child_tests="a_child_has_the_limits_that_were_set a_child_takes_nothing_of_its_parents data_is_never_freed_in_a_child
    a_fork_while_a_session_is_opened_ends_it_in_no_child a_child_has_an_empty_queue_of_its_own
    a_fork_inside_a_hook_ends_the_call_in_the_child a_fork_while_a_session_is_given_back_ends_it_in_no_child"

# It knows no IP_BIND_ADDRESS_NO_PORT and no SO_TIMESTAMPING.
emulator_tests="a_local_ip_is_bound a_local_ip_and_port_is_bound
    news_in_the_error_queue_end_no_connection"

build_library() {
    PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$compiler \
        cargo build --quiet --locked --lib --no-default-features --target $target --target-dir "$work"
    mkdir -p "$work/c"
    # A new file: another run may have the old one mapped.
    cp --remove-destination "$work/$target/debug/libvconnpool.so" "$work/c/libvconnpool.so.0"
}

# Whether the emulator's madvise does what it says.
wipes_on_fork() {
    local probe='
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
    int status = 1;
    char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (madvise(page, 4096, MADV_WIPEONFORK) != 0) return 1;
    *page = 1;
    if (fork() == 0) _exit(*page);
    wait(&status);
    return status != 0;
}'
    echo "$probe" | $compiler -D_GNU_SOURCE -x c - -o "$work/probe"
    $emulator "$work/probe"
}

is_one_of() { case " $(echo $2) " in *" $1 "*) true ;; *) false ;; esac }

programs() {
    local source name
    for source in tests/c/*/*.c; do
        name=$(basename "$source" .c)
        is_one_of "$name" "$left_out" || echo "$name"
    done
}

# The TESTs of a program, but those that are left out; nothing: all.
tests_of() {
    local all
    all=$($emulator "$1" --list | cut -f1)
    if grep -qxF "$(tr -s ' ' '\n' <<<"$left_out")" <<<"$all"; then
        grep -vxF "$(tr -s ' ' '\n' <<<"$left_out")" <<<"$all"
    fi
}

# One program: whether it is built and passes.
run_one() {
    local program=$work/c/$1 began=$SECONDS status=0
    : >"$program.log"
    $compiler -std=c99 -D_GNU_SOURCE -DVCP_EMULATED -Wall -Wextra -Wpedantic -Werror -g -O1 -pthread -Iinclude -Itests/c/support \
        -o "$program" tests/c/*/"$1.c" "$work/c/libvconnpool.so.0" -Wl,-rpath,"$PWD/$work/c" || status=$?
    if [ "$status" -eq 0 ]; then
        timeout -k 5 "${VCP_C_TIMEOUT:-300}" $emulator "$program" $(tests_of "$program") >"$program.log" 2>&1 || status=$?
    fi
    if [ "$status" -ne 0 ]; then
        tail -30 "$program.log"
        echo "arm: $1: FAILED ($status) after $((SECONDS - began)) s. Alone: .ci/arm.sh $1"
    else
        echo "$1" >>"$work/passed"
        echo "arm: $1: $((SECONDS - began)) s"
    fi
}

build_library
left_out=$emulator_tests
if ! wipes_on_fork; then left_out="$left_out $(echo $child_programs $child_tests)"; fi
echo "arm: left out because of the emulator:" $left_out
: >"$work/passed"
if [ $# -eq 0 ]; then
    CROSS=${compiler%gcc} EMULATOR=$emulator tests/install/built_by "$work/install" \
        CARGO_BUILD_TARGET=$target CARGO=/usr/bin/cargo RUSTC=/usr/bin/rustc CARGO_TARGET_DIR="$PWD/$work"
fi
chosen=${*:-$(programs)}
export -f run_one tests_of
export work compiler emulator left_out
# The programs mostly wait: three times as many at once as there are CPUs.
printf '%s\n' $chosen | xargs -P "$(($(nproc) * 3))" -I{} bash -c 'run_one {}'
passed=$(wc -l <"$work/passed") all=$(wc -w <<<"$chosen")
echo "arm: $passed of $all programs pass"
[ "$passed" -eq "$all" ]
