//! Callbacks that the library's own threads run for a pool: none begins once the pool's close has
//! returned, and none is running then but open_session, on_idle and an on_release in the
//! background.
#![forbid(unsafe_code)]

use std::cell::Cell;

use crate::dial::callbacks::CallbackGate;
use crate::sync::{Condvar, Mutex};
use crate::sys::fork;

thread_local! {
    /// How many gates this thread has gone through.
    static WITHIN: Cell<u32> = const { Cell::new(0) };
    /// The last of them.
    static INNERMOST: Cell<*const Gate> = const { Cell::new(std::ptr::null()) };
}

#[derive(Debug, Default)]
struct Passage {
    is_shut: bool,
    /// Who has shut it waits for nobody any more.
    is_over: bool,
    inside: usize,
}

/// Lets callbacks of library threads in until the pool's close, which waits for those inside.
#[derive(Debug)]
pub(crate) struct Gate {
    /// The process that it belongs to (`sys::fork`).
    epoch: u32,
    /// Guards itself alone.
    passage: Mutex<Passage>,
    emptied: Condvar,
}

/// Inside, for as long as it lives.
struct Inside<'a> {
    gate: &'a Gate,
    epoch: u32,
    /// The gate that the thread went through before.
    around: *const Gate,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        WITHIN.set(WITHIN.get() - 1);
        INNERMOST.set(self.around);
        // A callback has forked, and this is the child: the gate is its parent's.
        if self.epoch == fork::epoch() {
            self.gate.leave();
        }
    }
}

/// A thread that is inside has gone out, for as long as it lives.
struct Outside<'a> {
    gate: &'a Gate,
    within: u32,
}

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        WITHIN.set(self.within);
        INNERMOST.set(self.gate);
        if self.gate.epoch == fork::epoch() {
            self.gate.passage.lock().inside += 1;
        }
    }
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            epoch: fork::epoch(),
            passage: Mutex::default(),
            emptied: Condvar::new(),
        }
    }

    /// Runs what may call the program; `None`, and not at all, once the gate is shut, or in a child
    /// to which it was brought by a callback that forked. A thread that is inside is let in again
    /// while one who has shut the gate waits for it.
    pub(crate) fn within<R>(&self, work: impl FnOnce() -> R) -> Option<R> {
        if self.epoch != fork::epoch() {
            return None;
        }
        let mut passage = self.passage.lock();
        if self.has_let_in() && !passage.is_over {
            drop(passage);
            return Some(work());
        }
        if passage.is_shut {
            return None;
        }
        passage.inside += 1;
        drop(passage);
        WITHIN.set(WITHIN.get() + 1);
        let _inside = Inside {
            gate: self,
            epoch: self.epoch,
            around: INNERMOST.replace(self),
        };
        Some(work())
    }

    /// Runs what may last as long as the program likes, and what the pool's close does not wait
    /// for. A thread that is inside is outside meanwhile; what it calls afterwards asks again.
    /// `None`, and not at all, once the gate is shut.
    pub(crate) fn outside<R>(&self, work: impl FnOnce() -> R) -> Option<R> {
        if !self.has_let_in() {
            return Some(work());
        }
        if !self.leave_if_open() {
            return None;
        }
        let _outside = Outside {
            gate: self,
            within: WITHIN.replace(0),
        };
        INNERMOST.set(std::ptr::null());
        Some(work())
    }

    /// This thread went through no other gate after this one.
    fn has_let_in(&self) -> bool {
        INNERMOST.get() == std::ptr::from_ref(self)
    }

    fn leave_if_open(&self) -> bool {
        let mut passage = self.passage.lock();
        let is_open = !passage.is_shut;
        passage.inside -= usize::from(is_open);
        is_open
    }

    /// Nobody has shut it, so a callback may begin.
    pub(crate) fn is_open(&self) -> bool {
        self.epoch == fork::epoch() && !self.passage.lock().is_shut
    }

    fn leave(&self) {
        let mut passage = self.passage.lock();
        passage.inside -= 1;
        if passage.inside == 0 {
            self.emptied.notify_all();
        }
    }

    /// Lets nobody in any more, and waits for those inside; not from inside a gate, where that
    /// might be for ever.
    pub(crate) fn shut(&self) {
        let mut passage = self.passage.lock();
        passage.is_shut = true;
        if WITHIN.get() == 0 {
            while passage.inside > 0 {
                passage = self.emptied.wait(passage);
            }
        }
        passage.is_over = true;
    }
}

impl CallbackGate for Gate {
    fn let_in(&self, callback: &mut dyn FnMut()) {
        self.within(callback);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread that goes through the gate, and looks again while another one shuts it.
    fn enter_while_it_is_being_shut(gate: &Gate) -> Option<bool> {
        std::thread::scope(|threads| {
            gate.within(|| {
                threads.spawn(|| gate.shut());
                while gate.is_open() {
                    std::thread::yield_now();
                }
                gate.within(|| gate.passage.lock().is_over)
            })
            .flatten()
        })
    }

    #[test]
    fn a_thread_that_is_waited_for_is_let_in_again() {
        let gate = Gate::new();
        assert_eq!(enter_while_it_is_being_shut(&gate), Some(false));
        assert_eq!(gate.within(|| ()), None);
    }

    #[test]
    fn a_thread_that_was_outside_at_the_end_is_not_let_in_again() {
        let gate = Gate::new();
        let after = gate.within(|| {
            let shut = || std::thread::scope(|threads| drop(threads.spawn(|| gate.shut()).join()));
            assert_eq!(gate.outside(shut), Some(()));
            gate.within(|| ())
        });
        assert_eq!(after, Some(None));
    }
}
