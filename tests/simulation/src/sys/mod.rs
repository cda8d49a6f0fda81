//! The kernel that the library is compiled against here: the names of src/sys, over the world.
//!
//! What is no system call comes from there as it is.

pub(crate) mod clock;
pub(crate) mod epoll;
pub(crate) mod eventfd;
pub(crate) mod foreign;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod getaddrinfo;
pub(crate) mod memory;
pub(crate) mod poll;
pub(crate) mod random;
pub(crate) mod socket;
pub(crate) mod thread;

pub(crate) use crate::real_sys::{
    errno, errno_text, is_shortage, keep_errno, names, sockaddr, wake,
};

/// True if nothing can be opened now.
pub(crate) fn is_out_of_descriptors() -> bool {
    let probe = eventfd::EventFd::new();
    probe.is_err_and(|error| matches!(errno(&error), libc::EMFILE | libc::ENFILE))
}
