//! `vcp_dial_async` and `vcp_queue_*`.

use std::ffi::{c_char, c_int, c_void};

use crate::ffi::arguments::sized_struct::{self, Record};
use crate::ffi::conn::borrow::vcp_conn;
use crate::ffi::dial::blocking::{hit_at_once, named, read_async, vcp_dial_options};
use crate::ffi::error::remember;
use crate::ffi::guard::guard;
use crate::ffi::pool::lifecycle::{pool_of, vcp_pool};
use crate::ffi::status::VCP_ERR_IN_PROGRESS;
use crate::handle::{Inherited, Kept};
use crate::pool::background::queue::{Asker, Listed, Queue};
use crate::pool::entry::start_async::AtOnce;
use crate::pool::errors::system_error;
use crate::pool::hints;
use crate::sync::Arc;
use crate::values::error::{Error, Result, Status};

/// Where the answers of asynchronous dials arrive. Any number of dials, of any number of pools, may answer to one queue, and any
/// thread may fetch from it. Freed with vcp_queue_free.
pub struct vcp_queue {
    _private: [u8; 0],
}

/// One answer of an asynchronous dial.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vcp_completion {
    /// The size that the caller gave.
    pub size: usize,
    /// What was passed to vcp_dial_async.
    pub token: *mut c_void,
    /// The descriptor, or a vcp_status.
    pub status: c_int,
    /// The connection, or NULL. Ends with vcp_conn_close or vcp_conn_detach, as one from vcp_dial.
    pub conn: *mut vcp_conn,
}

// SAFETY: repr(C), size first, integers and pointers only.
unsafe impl Record for vcp_completion {
    const NAME: &'static str = "vcp_completion";
    const LEAST_SIZE: usize = size_of::<vcp_completion>();
}

fn no_such_queue() -> Error {
    Error::new(Status::InvalidHandle, "not a queue")
}

fn queue_of(queue: *mut vcp_queue) -> Result<Arc<Queue>> {
    let pin = Listed::table()
        .pin(queue as usize)
        .map_err(|_| no_such_queue())?;
    Ok(pin.queue().clone())
}

/// A forked child keeps its queues, empty.
pub(crate) fn adopt(generation: u32) {
    Listed::table().adopt(generation, Inherited::Lives);
}

/// Borrows a connection without ever blocking. What an idle connection answers is returned at once, as by vcp_dial_with: the
/// descriptor, and *conn. What is known to fail at once (arguments, a limit when not waiting, a token that fired, fail_fast_ms) is
/// returned at once too. Otherwise VCP_ERR_IN_PROGRESS, *conn is NULL, and the answer comes through the queue exactly once,
/// with token; cancellation, the deadline and the close of the pool are answers too. With VCP_DIAL_QUEUED every answer comes through the
/// queue and the call returns VCP_OK; only bad arguments and handles are returned. A pool with on_reuse answers hits through
/// the queue. conn is written before the call returns, and not kept; text is copied.
///
/// The dial is driven by the library's one background thread; callbacks and hooks of the pool run on helper threads (at most 64 at
/// once), never on the background thread and never on the caller. It waits at a limit in one line with blocking dials. A
/// completion may be a success that was already on its way when the token fired.
#[no_mangle]
pub unsafe extern "C" fn vcp_dial_async(
    pool: *mut vcp_pool,
    network: *const c_char,
    address: *const c_char,
    options: *const vcp_dial_options,
    queue: *mut vcp_queue,
    token: *mut c_void,
    conn: *mut *mut vcp_conn,
) -> c_int {
    guard(|| {
        if conn.is_null() {
            return Err(Error::invalid_argument("conn is NULL"));
        }
        // SAFETY: not NULL, and writable by the program's promise.
        unsafe { *conn = std::ptr::null_mut() };
        let owner = pool_of(pool)?;
        let queue = queue_of(queue)?;
        // SAFETY: the program's promises are those of vcp_dial_with.
        let missed = match unsafe { hit_at_once(pool, network, address, options, conn) } {
            Ok(fd) => return Ok(fd),
            Err(missed) => missed,
        };
        // SAFETY: as above.
        let (place, mut borrow, is_queued) =
            unsafe { read_async(&owner, network, address, options) }?;
        borrow.found_unfit = missed.unfit;
        // SAFETY: as above.
        let name = unsafe { named(pool, network, address, options) };
        let asker = Asker {
            queue,
            token: token as usize,
            is_queued,
        };
        match owner.borrow_async(place, borrow, asker)? {
            AtOnce::Conn(borrowed) => {
                let fd = borrowed.raw_fd();
                if let Some(name) = name {
                    hints::note(name, &borrowed);
                }
                // SAFETY: as above.
                unsafe { *conn = borrowed.lend_out() as *mut vcp_conn };
                Ok(fd)
            }
            AtOnce::Later if is_queued => Ok(0),
            AtOnce::Later => Ok(VCP_ERR_IN_PROGRESS),
        }
    })
}

/// Makes a queue.
#[no_mangle]
pub unsafe extern "C" fn vcp_queue_new(queue: *mut *mut vcp_queue) -> c_int {
    guard(|| {
        if queue.is_null() {
            return Err(Error::invalid_argument("queue is NULL"));
        }
        let made = Queue::new();
        made.fd().map_err(|error| system_error("eventfd", &error))?;
        let owned = Listed::table()
            .insert(Listed::new(made))
            .map_err(|(_, error)| system_error("a new queue", &error))?;
        // SAFETY: not NULL, and writable by the program's promise.
        unsafe { *queue = owned.lend() as *mut vcp_queue };
        Ok(0)
    })
}

/// A descriptor that is readable exactly while a completion waits, for epoll, libuv, io_uring or poll: never read, written or
/// closed by the program, and valid until vcp_queue_free. With EPOLLET call vcp_queue_next until it returns 0: while one waits, another
/// makes no new edge. A forked child asks again: it has an empty queue, with a descriptor of its
/// own.
#[no_mangle]
pub extern "C" fn vcp_queue_fd(queue: *mut vcp_queue) -> c_int {
    guard(|| {
        let fd = queue_of(queue)?.fd();
        // Another thread may have freed it a moment ago.
        fd.map_err(|error| system_error("eventfd", &error))?
            .ok_or_else(no_such_queue)
    })
}

/// Fetches the oldest completion: 1 and *completion is filled, or 0 and nothing waits. size is sizeof *completion; one shorter than
/// version 0.1's is VCP_ERR_INVALID_ARGUMENT, and the completion stays. That of a failed dial sets this thread's last error. Never
/// blocks.
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

/// Frees a queue and closes its descriptor (take it out of your event loop before). Dials in flight for it are canceled, and nothing is
/// told of them any more; connections of completions that were not fetched are given back. NULL is VCP_OK.
#[no_mangle]
pub extern "C" fn vcp_queue_free(queue: *mut vcp_queue) -> c_int {
    guard(|| {
        if queue.is_null() {
            return Ok(0);
        }
        let owned = Listed::table()
            .redeem(queue as usize, |_| {})
            .map_err(|_| no_such_queue())?;
        owned.queue().close();
        Ok(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::pool::lifecycle::{vcp_pool_close, vcp_pool_new};
    use crate::pool::entry::start_async::Where;
    use crate::sys::poll::{self, Interest};
    use crate::values::clock::Deadline;
    use std::os::fd::BorrowedFd;

    /// It was left as one that somebody is looking at: never answered, never off the list.
    /// Rule: async: A panic while a dial is looked at in the background is contained: INTERNAL.
    #[test]
    fn a_panic_while_a_dial_is_looked_at_is_its_answer() {
        let (mut pool, mut queue) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: out parameters on the stack, texts that end in NUL.
        let borrow = unsafe {
            assert_eq!(vcp_pool_new(std::ptr::null(), &mut pool), 0);
            assert_eq!(vcp_queue_new(&mut queue), 0);
            let (network, address) = (c"tcp".as_ptr(), c"127.0.0.1:1".as_ptr());
            let (_, borrow, _) =
                read_async(&pool_of(pool).unwrap(), network, address, std::ptr::null()).unwrap();
            borrow
        };
        let asker = Asker {
            queue: queue_of(queue).unwrap(),
            token: 7,
            is_queued: false,
        };
        let place = Where::Unread(Box::new(|| panic!("for a test")));
        let begun = pool_of(pool).unwrap().borrow_async(place, borrow, asker);
        assert!(matches!(begun, Ok(AtOnce::Later)));
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
