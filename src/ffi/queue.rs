//! `vcp_queue_*`.

use std::ffi::{c_int, c_void};

use super::arguments::sized_struct::{self, SizedStruct};
use super::basics::error::remember;
use super::guard::{guard, guard_with_memory};
use super::handles::{no_such_queue, queue_of, vcp_conn, vcp_queue};
use crate::handle::Kept;
use crate::pool::background::queue::{Queue, QueueHandle};
use crate::pool::errors::system_error;
use crate::values::error::Error;

/// ---- ANSWERS OF ASYNCHRONOUS DIALS ----
///
/// ----
///
/// One answer of an asynchronous dial.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_completion {
    /// The size that the caller gave.
    pub size: usize,
    /// The pointer token that vcp_dial_async was called with.
    pub token: *mut c_void,
    /// The descriptor, or the vcp_status of the failure.
    pub status: c_int,
    /// The connection, borrowed as by vcp_dial_with; NULL if the dial failed.
    pub conn: *mut vcp_conn,
}

// SAFETY: repr(C), size first, integers and pointers only.
unsafe impl SizedStruct for vcp_completion {
    const NAME: &'static str = "vcp_completion";
    const LEAST_SIZE: usize = size_of::<vcp_completion>();
}

/// ---- QUEUES ----
///
/// The answers of asynchronous dials arrive in a queue, whose descriptor an event loop can watch.
///
/// ----
///
/// Makes a queue and writes its handle to *queue.
///
/// Errors: VCP_ERR_INVALID_ARGUMENT if queue is NULL; VCP_ERR_SYSTEM if no descriptor is to be had;
/// VCP_ERR_NO_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn vcp_queue_new(queue: *mut *mut vcp_queue) -> c_int {
    guard_with_memory(|| {
        if queue.is_null() {
            return Err(Error::invalid_argument("queue is NULL"));
        }
        let made = Queue::new();
        made.fd().map_err(|error| system_error("eventfd", &error))?;
        let owned = QueueHandle::table()
            .insert(QueueHandle::new(made))
            .map_err(|_| Error::no_memory())?;
        // SAFETY: not NULL, and writable by the program's promise.
        unsafe { *queue = owned.lend() as *mut vcp_queue };
        Ok(0)
    })
}

/// Returns a descriptor that is readable exactly while a completion waits, for epoll, libuv,
/// io_uring or poll. It is valid until vcp_queue_free. Never read, write or close it. With EPOLLET,
/// call vcp_queue_next until it returns 0: while one completion waits, another makes no new edge. A
/// forked child has an empty queue with a descriptor of its own, and must ask for it again.
///
/// Errors: VCP_ERR_INVALID_HANDLE; VCP_ERR_SYSTEM in a forked child, if no descriptor is to be had.
#[no_mangle]
pub extern "C" fn vcp_queue_fd(queue: *mut vcp_queue) -> c_int {
    guard(|| {
        let fd = queue_of(queue)?.fd();
        // Another thread may have freed it a moment ago.
        fd.map_err(|error| system_error("eventfd", &error))?
            .ok_or_else(no_such_queue)
    })
}

/// Fetches the oldest completion. Returns 1 if it has filled *completion, and 0 if none waits; it
/// never blocks. Pass sizeof *completion as size. The completion of a failed dial also sets this
/// thread's last error.
///
/// Errors: VCP_ERR_INVALID_HANDLE; VCP_ERR_INVALID_ARGUMENT if completion is NULL, or size is
/// shorter than version 0.1's or longer than 64 KiB. The completion then stays in the queue.
#[no_mangle]
pub unsafe extern "C" fn vcp_queue_next(
    queue: *mut vcp_queue,
    completion: *mut vcp_completion,
    size: usize,
) -> c_int {
    guard(|| {
        let queue = queue_of(queue)?;
        sized_struct::check_out(completion, size)?;
        let Some(next) = queue.next() else {
            return Ok(0);
        };
        let (status, handle) = match next.result {
            Ok(lent) => (lent.fd, lent.handle),
            Err(error) => (remember(error), 0),
        };
        let filled = vcp_completion {
            size,
            token: next.token as *mut c_void,
            status,
            conn: handle as *mut vcp_conn,
        };
        // SAFETY: the program promises `size` writable bytes.
        unsafe { sized_struct::write(completion, size, filled) }?;
        Ok(1)
    })
}

/// Frees a queue and closes its descriptor; take that out of your event loop first. NULL is VCP_OK.
/// Dials in flight for the queue are canceled, and nothing is told of them. The connections of
/// completions that were not fetched are given back.
///
/// Errors: VCP_ERR_INVALID_HANDLE.
#[no_mangle]
pub extern "C" fn vcp_queue_free(queue: *mut vcp_queue) -> c_int {
    guard(|| {
        if queue.is_null() {
            return Ok(0);
        }
        let owned = QueueHandle::table()
            .take_back(queue as usize, |_| {})
            .map_err(|_| no_such_queue())?;
        owned.queue().close();
        Ok(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::arguments::address::Asked;
    use crate::ffi::dial::request::read_async;
    use crate::ffi::handles::pool_of;
    use crate::ffi::pool::lifecycle::{vcp_pool_close, vcp_pool_new};
    use crate::pool::entry::start_async::{AsyncTarget, Started, UnparsedAddress};
    use crate::sys::poll::{self, Interest};
    use crate::values::clock::Deadline;
    use crate::values::error::Status;
    use std::os::fd::BorrowedFd;

    /// The dial stayed marked as being worked on: it was never answered and never left the list.
    #[test]
    fn a_panic_while_a_dial_is_looked_at_is_its_answer() {
        let (mut pool, mut queue) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: out parameters on the stack, texts that end in NUL.
        let borrow = unsafe {
            assert_eq!(vcp_pool_new(std::ptr::null(), &mut pool), 0);
            assert_eq!(vcp_queue_new(&mut queue), 0);
            let asked = Asked::new("dial", c"tcp".as_ptr(), c"127.0.0.1:1".as_ptr());
            let (_, borrow, _) =
                read_async(&pool_of(pool).unwrap(), asked, std::ptr::null()).unwrap();
            borrow
        };
        let recipient = queue_of(queue).unwrap().expect(7, false).unwrap();
        let place = AsyncTarget::Unparsed(UnparsedAddress {
            asked: "dial tcp 127.0.0.1:1".into(),
            read: Box::new(|| panic!("for a test")),
        });
        let begun = pool_of(pool)
            .unwrap()
            .borrow_async(place, borrow, recipient);
        assert!(matches!(begun, Ok(Started::Later)));
        // SAFETY: open until the queue is freed.
        let fd = unsafe { BorrowedFd::borrow_raw(vcp_queue_fd(queue)) };
        poll::wait(&mut [Interest::new(fd, poll::READABLE)], Deadline::NEVER).unwrap();
        let completion = queue_of(queue).unwrap().next().unwrap();
        let error = completion.result.unwrap_err();
        assert_eq!((completion.token, error.status), (7, Status::Internal));
        assert_eq!(error.message, "a bug in libvconnpool: for a test");
        assert_eq!(vcp_queue_free(queue), 0);
        assert_eq!(vcp_pool_close(pool), 0);
    }
}
