//! What is lost stays lost; what a thread of the library is about to free does not.
//!
//! libFuzzer's own check after an input takes memory that another thread is just moving for lost.
//! So LeakSanitizer is asked now and then, and what it names must be there each time.

use std::ffi::c_int;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

const RUNS_BETWEEN: u32 = 512;
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

extern "C" {
    /// Not 0 if memory is lost (sanitizer/lsan_interface.h).
    fn __lsan_do_recoverable_leak_check() -> c_int;
}

fn is_lost() -> bool {
    // SAFETY: AddressSanitizer's runtime is in every build of this package.
    unsafe { __lsan_do_recoverable_leak_check() != 0 }
}

/// Called at the end of an input, when all that it made was closed.
pub(crate) fn check() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    if RUNS.fetch_add(1, Relaxed) % RUNS_BETWEEN != RUNS_BETWEEN - 1 {
        return;
    }
    for _ in 0..LOOKS {
        if !is_lost() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("one of the last {RUNS_BETWEEN} inputs has lost memory");
}
