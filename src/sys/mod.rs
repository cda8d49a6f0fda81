//! The kernel: the only place with system calls.
//!
//! Every call goes through `syscall!` and comes back as `io::Result`; a descriptor becomes an
//! `OwnedFd` on the line it is born. No policy, no retries except EINTR where a caller could only
//! repeat the call.

/// Calls a libc function and turns -1 into the `io::Error` of `errno`.
macro_rules! syscall {
    ($function:ident($($argument:expr),* $(,)?)) => {{
        let result = libc::$function($($argument),*);
        if result == -1 {
            Err(std::io::Error::last_os_error())
        } else {
            Ok(result)
        }
    }};
}

pub(crate) mod clock;
pub(crate) mod epoll;
pub(crate) mod eventfd;
pub(crate) mod foreign;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod getaddrinfo;
pub(crate) mod memory;
pub(crate) mod names;
pub(crate) mod poll;
pub(crate) mod random;
pub(crate) mod sockaddr;
pub(crate) mod socket;
pub(crate) mod thread;
pub(crate) mod wake;

/// The errno of an error that came from a system call, 0 if it has none.
pub(crate) fn errno(error: &std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

/// What `strerror` says of `errno`, in the small letters that fit into a sentence ("connection
/// refused").
pub(crate) fn errno_text(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => format!("errno {errno}"),
    }
}

/// True for the errors that say "this process or system has no more of it", not "this peer cannot
/// be reached": socket(2), accept(2), epoll_ctl(2), pthread_create(3).
pub(crate) fn is_shortage(errno: i32) -> bool {
    matches!(
        errno,
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::ENOSPC
    )
}

/// Runs `body` and puts errno back to what it was: for what a signal handler may call
/// (signal-safety(7)).
pub(crate) fn keep_errno<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: the address of this thread's errno is valid for as long as the thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    let result = body();
    // SAFETY: as above.
    unsafe { *errno = before };
    result
}

/// True if this process, or the system, can open nothing now.
pub(crate) fn is_out_of_descriptors() -> bool {
    let probe = eventfd::EventFd::new();
    probe.is_err_and(|error| matches!(errno(&error), libc::EMFILE | libc::ENFILE))
}
