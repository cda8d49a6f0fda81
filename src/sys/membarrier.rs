//! membarrier(2): a barrier in every thread of the process that runs, paid for by the one who wants it. So the others, who come by
//! often, need none of their own.

/// Linux 4.14, linux/membarrier.h.
const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

/// When it returns true, each thread's memory accesses are either done and seen here, or not begun and see what was done here. False: the
/// kernel, or a filter of system calls, has none.
pub(crate) fn in_all_threads() -> bool {
    // A process registers once; each child anew, where it must.
    call(PRIVATE_EXPEDITED) || (call(REGISTER_PRIVATE_EXPEDITED) && call(PRIVATE_EXPEDITED))
}

fn call(command: libc::c_int) -> bool {
    // SAFETY: takes no pointer.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_where_the_tests_run() {
        assert!(in_all_threads());
        assert!(in_all_threads());
    }
}
