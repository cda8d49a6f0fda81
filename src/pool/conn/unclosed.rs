//! Connections that the engine has taken out of a pool with on_event, until a thread that may run
//! code of the program closes them: a helper, or the pool's close where none has come yet.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

use crate::handle::Owned;
use crate::pool::conn::Conn;
use crate::pool::state::answer::Closed;

/// What is taken out and not closed yet.
#[derive(Debug, Default)]
pub(crate) struct Unclosed {
    waiting: VecDeque<Closed<Owned<Conn>>>,
    /// The pool's close has taken the last one.
    is_over: bool,
}

impl Unclosed {
    /// Gives it back where no close will come for it.
    pub(crate) fn push(&mut self, closed: Closed<Owned<Conn>>) -> Option<Closed<Owned<Conn>>> {
        if self.is_over {
            return Some(closed);
        }
        self.waiting.push_back(closed);
        None
    }

    pub(crate) fn pop(&mut self) -> Option<Closed<Owned<Conn>>> {
        self.waiting.pop_front()
    }

    /// As `pop`, for the pool's close: after the last one nothing waits here any more.
    pub(crate) fn pop_at_end(&mut self) -> Option<Closed<Owned<Conn>>> {
        self.is_over = self.waiting.is_empty();
        self.pop()
    }
}
