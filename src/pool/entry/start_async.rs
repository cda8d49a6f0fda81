//! An asynchronous borrow in its caller's thread: what can be answered at once is, the rest becomes
//! a task of the engine.
#![forbid(unsafe_code)]

use crate::handle::Owned;
use crate::pool::background::async_dial::AsyncDial;
use crate::pool::background::progress::{waker, Progress, Stage};
use crate::pool::background::queue::Recipient;
use crate::pool::background::reply::QueueReply;
use crate::pool::conn::Conn;
use crate::pool::dialing::wait::{Borrower, WaitState};
use crate::pool::engine::task::Task;
use crate::pool::engine::Engine;
use crate::pool::errors::no_engine;
use crate::pool::lend::hand_over::NotLent;
use crate::pool::state::answer::{Refusal, Take};
use crate::pool::{BorrowOptions, Pool};
use crate::sync::Arc;
use crate::values::destination::Destination;
use crate::values::error::{Error, Result};

/// An address for which a file may have to be read.
pub(crate) struct UnparsedAddress {
    /// What was asked for, as a failure names it.
    pub(crate) asked: Box<str>,
    pub(crate) read: Box<dyn FnOnce() -> Result<Destination> + Send>,
}

/// Where to dial.
pub(crate) enum AsyncTarget {
    Known(Destination),
    Unparsed(UnparsedAddress),
}

/// How an asynchronous dial began.
#[derive(Debug)]
pub(crate) enum Started {
    Conn(Owned<Conn>),
    /// The answer goes to the queue.
    Later,
}

impl Pool {
    /// Borrows without waiting: what cannot be had at once is answered to `recipient`.
    pub(crate) fn borrow_async(
        self: &Arc<Self>,
        place: AsyncTarget,
        mut options: BorrowOptions,
        recipient: Recipient,
    ) -> Result<Started> {
        let is_queued = recipient.is_queued;
        options.reply = Some(Arc::new(QueueReply::to(&recipient)));
        let result = match place {
            AsyncTarget::Known(destination) => {
                let destination = Arc::new(destination);
                self.borrow_at_once(&destination, &options)
                    .map_err(|error| error.of(format_args!("dial {destination}")))
            }
            AsyncTarget::Unparsed(unread) => {
                let asked = unread.asked.clone();
                self.parse_in_background(unread, options)
                    .map_err(|error| error.of(asked))
            }
        };
        match result {
            Ok(Started::Conn(conn)) if is_queued => recipient.answer(Ok(conn)),
            Err(error) if is_queued => recipient.answer(Err(error)),
            result => return result,
        }
        Ok(Started::Later)
    }

    fn parse_in_background(
        self: &Arc<Self>,
        unread: UnparsedAddress,
        options: BorrowOptions,
    ) -> Result<Started> {
        options.may_begin()?;
        let engine = self.engine_or_fail()?;
        let dial = AsyncDial::new(self, options);
        let task = Task::new(engine.reactor(), dial.clone());
        let progress = Progress {
            asked: Some(unread.asked),
            ..Progress::at(Stage::Unparsed(unread.read))
        };
        dial.hand_to_engine(&task, progress);
        Ok(Started::Later)
    }

    fn borrow_at_once(
        self: &Arc<Self>,
        destination: &Arc<Destination>,
        options: &BorrowOptions,
    ) -> Result<Started> {
        options.may_begin()?;
        let engine = self.engine_or_fail()?;
        let mut wait_state = WaitState::of(options);
        let mut made = None;
        let mut make = || {
            let dial = AsyncDial::new(self, options.clone());
            (Task::new(engine.reactor(), dial.clone()), dial)
        };
        let mut borrower = Borrower {
            pool: self,
            options,
            destination,
            wait_state: &mut wait_state,
        };
        let mut taken = borrower.take(|| waker(&made.get_or_insert_with(&mut make).0))?;
        let stage = loop {
            match taken {
                Take::Refused(refusal) => return Err(refusal.into()),
                Take::Reuse(conn) if !self.asks_on_reuse(&conn) => {
                    match self.lend_unasked(conn, options) {
                        Ok(conn) => return Ok(Started::Conn(conn)),
                        Err(NotLent::Unfit(conn, cause)) => {
                            let waker = || waker(&made.get_or_insert_with(&mut make).0);
                            taken = borrower.take_another(conn, cause, waker);
                        }
                        Err(NotLent::Failed(error)) => return Err(error),
                    }
                }
                Take::Wait => {
                    break Stage::Waiting {
                        since: borrower.begin_wait()?,
                    }
                }
                taken => break Stage::Taken(taken),
            }
        };
        let (task, dial) = made.unwrap_or_else(make);
        let progress = Progress {
            destination: Some(destination.clone()),
            wait_state,
            ..Progress::at(stage)
        };
        dial.hand_to_engine(&task, progress);
        Ok(Started::Later)
    }

    fn engine_or_fail(self: &Arc<Self>) -> Result<Arc<Engine>> {
        match self.engine() {
            Some(engine) if !engine.reactor().is_broken() => {
                let has_room = engine.reactor().try_reserve();
                has_room.then_some(engine).ok_or_else(Error::no_memory)
            }
            _ if self.is_closed() => Err(Refusal::PoolClosed.into()),
            _ => Err(no_engine()),
        }
    }
}
