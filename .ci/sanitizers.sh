#!/usr/bin/env bash
# The C tests with AddressSanitizer (and LeakSanitizer) and with ThreadSanitizer, in the library and in the programs.
# usage: .ci/sanitizers.sh [address|thread|both] [program ...]. VCP_C_TIMEOUT: seconds for one program, 300.
# Without names of programs the stress program runs at last, alone: so many cycles under each sanitizer (VCP_STRESS_ADDRESS,
# VCP_STRESS_THREAD; 0: not at all).
set -euo pipefail
cd "$(dirname "$0")/.."
target=x86_64-unknown-linux-gnu
flags="-std=c99 -D_GNU_SOURCE -g -O1 -pthread -Iinclude -Itests/c/support"
# Found when they are built.
library="" runtime=""
which=${1:-both}
shift || true
case $which in
    address | thread | both) ;;
    *) echo "usage: .ci/sanitizers.sh [address|thread|both] [program ...]" >&2; exit 2 ;;
esac
# Times are a few times longer; the tests' upper bounds are widened by as much.
export VCP_SLOW=${VCP_SLOW:-10} RUSTC_BOOTSTRAP=1
# Several times faster than without any, and debug assertions stay.
export CARGO_PROFILE_DEV_OPT_LEVEL=1
stress_address=${VCP_STRESS_ADDRESS:-2000000}
stress_thread=${VCP_STRESS_THREAD:-3000000}

# Programs that look for no race: they fork (TSan loses its threads), count heaps and descriptors (TSan's symbolizer has some), or use
# one thread, or put a pthread_create(3) or a malloc(3) of their own in the place of TSan's.
not_for_threads="memory_runs_out put_starts_no_thread_under_the_lock a_child_has_pools_of_its_own forks_among_busy_threads
    sessions_across_a_fork hooks_that_run_at_a_fork a_callback_forks_after_the_close failing_calls_lose_no_session contract_facts
    life_ends_at_baseline out_of_descriptors forks_under_load loaded_again_and_again canceled_threads_lose_nothing descriptors_run_out_in_steps
    closing_a_pool_keeps_its_promises ten_thousand_idle ten_thousand_dials corners_of_the_kernel every_network_can_be_dialed signals_and_cancellation"
# ASan's own allocator is no heap to be counted, nor to be replaced, it does not know pthread_cancel(3), and LeakSanitizer takes what a child has
# inherited for its own. That of gcc 12 also forks with its allocator's locks as they are: if another thread is inside, the child hangs in its first
# malloc (3 of 36 runs on a loaded machine; the two that a debugger looked at hung there). The forking programs run under valgrind.
not_for_address="memory_runs_out life_ends_at_baseline out_of_descriptors signals_and_cancellation forks_among_busy_threads a_child_has_pools_of_its_own
    sessions_across_a_fork hooks_that_run_at_a_fork a_callback_forks_after_the_close forks_under_load canceled_threads_lose_nothing
    descriptors_run_out_in_steps"

programs() {
    for source in tests/c/*/*.c; do
        program=$(basename "$source" .c)
        case " $(echo $1) " in *" $program "*) ;; *) echo "$program" ;; esac
    done
}

run_one() { # kind, program
    local log=target-$1/c/$2.log began=$SECONDS status=0
    timeout "${VCP_C_TIMEOUT:-300}" "target-$1/c/$2" >"$log" 2>&1 || status=$?
    [ "$status" -eq 0 ] || tail -60 "$log"
    echo "$1: $2: $((SECONDS - began)) s$([ "$status" -eq 0 ] || echo ", FAILED")"
    return "$status"
}

# $1 cycles of everything at once, alone on the machine; what was seen is printed.
run_stress() { # kind, cycles
    if [ "$2" -eq 0 ]; then return; fi
    VCP_STRESS_CYCLES=$2 VCP_C_TIMEOUT=${VCP_C_TIMEOUT:-1800} run_one "$1" everything_at_once
    tail -2 "target-$1/c/everything_at_once.log"
}

build_address() { # program
    gcc $flags -fsanitize=address -fno-omit-frame-pointer -o "target-address/c/$1" tests/c/*/"$1.c" \
        -L"$library" -lvconnpool -Wl,-rpath,"$library"
}

build_thread() { # program
    gcc $flags -fsanitize=thread -c -o "target-thread/c/$1.o" tests/c/*/"$1.c"
    gcc -o "target-thread/c/$1" "target-thread/c/$1.o" -L"$library" -lvconnpool -Wl,-rpath,"$library" \
        -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive -rdynamic -pthread -ldl -lm
}

build_all() { # kind, programs
    local kind=$1
    shift
    export -f build_address build_thread
    export flags library runtime
    printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -e -c "build_$kind {}"
}

# The programs mostly wait: twice as many at once as there are CPUs.
run_all() { # kind, programs
    local kind=$1
    shift
    export -f run_one
    if ! printf '%s\n' "$@" | xargs -P "$(($(nproc) * 2))" -I{} bash -c "run_one $kind {}"; then
        echo "FAILED under the $kind sanitizer. One alone: .ci/sanitizers.sh $kind PROGRAM"
        return 1
    fi
}

if [ "$which" = both ] || [ "$which" = address ]; then
    RUSTFLAGS=-Zsanitizer=address cargo build --quiet --lib --target $target --target-dir target-address
    mkdir -p target-address/c
    library=$PWD/target-address/$target/debug
    ln -sf libvconnpool.so "$library/libvconnpool.so.0"
    chosen=${*:-$(programs "$not_for_address")}
    build_all address $chosen
    ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 run_all address $chosen
    if [ $# -eq 0 ]; then ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 run_stress address "$stress_address"; fi
fi

if [ "$which" = both ] || [ "$which" = thread ]; then
    RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg vcp_instrumented_locks" \
        cargo build --quiet --lib --target $target --target-dir target-thread
    mkdir -p target-thread/c
    library=$PWD/target-thread/$target/debug
    ln -sf libvconnpool.so "$library/libvconnpool.so.0"
    runtime=$(rustc --print sysroot)/lib/rustlib/$target/lib/librustc-stable_rt.tsan.a
    # The fence before an Arc's or a Weak's memory is freed is not understood by TSan (rust-lang/rust, library/alloc/src/sync.rs); nor
    # before a helper thread runs free_user, which the Arc of the pool's callbacks leaves to it when it ends.
    printf 'race:%s\n' 'drop_slow' '<alloc::sync::Arc<std::thread::thread::Inner' 'alloc::sync::Weak<*>*::drop>::drop' \
        '*Weak*Drop*drop' 'drop_in_place*<alloc::sync::Weak' 'CallbackAdapter as core::ops::drop::Drop' >target-thread/suppressions
    chosen=${*:-$(programs "$not_for_threads")}
    build_all thread $chosen
    export TSAN_OPTIONS="suppressions=$PWD/target-thread/suppressions halt_on_error=0 exitcode=66 die_after_fork=0"
    run_all thread $chosen
    if [ $# -eq 0 ]; then run_stress thread "$stress_thread"; fi
fi
