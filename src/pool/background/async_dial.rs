//! A dial that nobody sleeps on: an asynchronous one, whose answer goes to a queue, the rest of one
//! whose caller was served, or those for connections that are to be idle.
//!
//! | stage | waits for | and then |
//! |---|---|---|
//! | Unparsed | a thread, to look up the service name of the address | Borrowing |
//! | Borrowing | nothing | Taken |
//! | Refilling | nothing | Dialing, and Refilling again until enough are idle |
//! | Taken | a thread, for on_reuse | the answer, Waiting or Dialing |
//! | Waiting | its turn in the wait queue | Taken; or, where events are emitted, Waited |
//! | Waited | a thread, for on_event | Taken |
//! | Dialing | sockets, lookups, time, a connection given back; a thread, for callbacks | Served |
//! | Served | a thread, for on_reuse | the answer, and Dialing for no borrower |
//!
//! A "thread" is one that may block. A dial that connects is answered too; one whose connection
//! on_reuse refused goes back to Dialing.
//!
//! Each poll goes as far as it can without waiting (`steps`). It is the engine's, or a helper's
//! where code of the program may run. Whether its time is over, its token has fired or its pool is
//! closed is the engine's to see at every stage: that must not wait until a helper is free. What
//! on_event is to be told of such an end, a helper tells later.
#![forbid(unsafe_code)]

use crate::dial::drive::dial::Dial;
use crate::handle::Owned;
use crate::pool::background::progress::{
    take_connection_given_back, ConnectPhase, Progress, Stage, Step,
};
use crate::pool::callbacks::Hook;
use crate::pool::conn::Conn;
use crate::pool::dialing::wait::Borrower;
use crate::pool::dialing::Dialing;
use crate::pool::engine::client::Client;
use crate::pool::engine::task::{Next, Pollable, Task, Thread};
use crate::pool::engine::Engine;
use crate::pool::errors::{canceled, no_engine, system_error};
use crate::pool::state::answer::{Refusal, Take};
use crate::pool::state::wait::wait_loop::{WaitError, Waiter};
use crate::pool::{BorrowOptions, Pool, Reply};
use crate::sync::{Arc, Mutex};
use crate::sys::wake::Wake;
use crate::sys::{clock, memory};
use crate::thread_pool::Job;
use crate::values::clock::Deadline;
use crate::values::destination::Destination;
use crate::values::error::{Error, Phase, Result};

/// A dial that no thread sleeps on.
#[derive(Debug)]
pub(crate) struct AsyncDial {
    pub(crate) pool: Arc<Pool>,
    pub(crate) options: BorrowOptions,
    /// For whose idle connections it dials, one after another.
    pub(crate) refills: Option<Arc<Destination>>,
    /// Taken out for a look. Guards itself alone.
    progress: Mutex<Option<Progress>>,
}

impl AsyncDial {
    pub(crate) fn new(pool: &Arc<Pool>, options: BorrowOptions) -> Arc<Self> {
        Arc::new(Self {
            pool: pool.clone(),
            options,
            refills: None,
            progress: Mutex::new(None),
        })
    }

    pub(crate) fn hand_to_engine(&self, task: &Arc<Task>, progress: Progress) {
        *self.progress.lock() = Some(progress);
        task.wake();
        task.start(Deadline::NEVER);
        // Whoever freed the queue meanwhile may have been too early to see it on the list.
        if self
            .reply()
            .is_some_and(|reply| reply.abandon_if_queue_freed())
        {
            task.poll();
        }
    }

    /// The rest of a dial whose caller was served otherwise.
    pub(crate) fn go_on(engine: &Arc<Engine>, mut dialing: Dialing, mut drive: Box<Dial>) {
        let dial = Self::new(dialing.pool(), dialing.pool().background_options());
        let task = Task::new(engine.reactor(), dial.clone());
        dialing.orphan_to(&task);
        drive.set_waker(task.clone());
        let progress = Progress {
            destination: Some(dialing.destination().clone()),
            ..Progress::at(Stage::Dialing(
                Box::new(dialing),
                ConnectPhase::OnItsWay(drive),
            ))
        };
        dial.hand_to_engine(&task, progress);
    }

    /// Dials until enough are idle.
    pub(crate) fn refill(engine: &Arc<Engine>, pool: &Arc<Pool>, destination: Arc<Destination>) {
        let dial = Arc::new(Self {
            pool: pool.clone(),
            options: pool.background_options(),
            refills: Some(destination),
            progress: Mutex::new(None),
        });
        let task = Task::new(engine.reactor(), dial.clone());
        dial.hand_to_engine(&task, Progress::at(Stage::Refilling));
    }

    fn refill_failed(&self) {
        if let Some(destination) = &self.refills {
            self.pool
                .change(|state, now, _| state.refill_failed(destination, now));
        }
    }

    /// Answers whoever asked, once. In a child that was forked inside a callback there is nobody to
    /// answer.
    pub(crate) fn answer(&self, progress: &Progress, result: Result<Owned<Conn>>) -> Step {
        if self.pool.is_inherited() {
            return Step::Done;
        }
        if result.is_err() {
            self.refill_failed();
        }
        if let Some(reply) = self.reply() {
            reply.answer(result.map_err(|error| progress.name_in(error)));
        }
        Step::Done
    }

    fn reply(&self) -> Option<&dyn Reply> {
        self.options.reply.as_deref()
    }

    /// Why nobody wants the answer any more, or none can come.
    fn ended(&self, stage: &Stage, task: &Task) -> Option<Error> {
        let is_orphaned = stage.dialing().is_some_and(Dialing::is_orphaned);
        if !is_orphaned && self.reply().is_some_and(|reply| reply.is_abandoned()) {
            return Some(canceled());
        }
        let is_waiting = matches!(stage, Stage::Waiting { .. });
        // The wait queue is told of a close, and polling it asks for the token. The engine ends
        // with its last pool.
        if self.pool.is_closed() && !is_waiting {
            return Some(Refusal::PoolClosed.into());
        }
        if task.is_broken() {
            return Some(no_engine());
        }
        if is_waiting {
            return None;
        }
        if stage.needs_memory() && memory::is_short() {
            return Some(Error::no_memory());
        }
        let token = self.options.token.as_ref().filter(|_| !is_orphaned);
        token.is_some_and(|token| token.has_fired()).then(canceled)
    }

    /// The token wakes the task, from the first call on.
    fn carry_token(&self, progress: &mut Progress, task: &Task) -> Result<()> {
        let Some(token) = self
            .options
            .token
            .as_ref()
            .filter(|_| !progress.carries_token)
        else {
            return Ok(());
        };
        let mut carried = task.add_token(token);
        if carried.is_err() && self.pool.close_longest_idle() {
            carried = task.add_token(token);
        }
        progress.carries_token = true;
        carried.map_err(|error| system_error("eventfd", &error))
    }

    /// Code of the program may run in the next step: a callback, or on_event with what it tells at
    /// once.
    fn needs_thread(&self, stage: &Stage) -> bool {
        let pool = &self.pool;
        let callbacks = pool.dialer.callbacks.as_ref();
        let is_told = pool.is_observed();
        match stage {
            Stage::Unparsed(_) => true,
            Stage::Taken(Take::Wait) | Stage::Waited { .. } => is_told,
            Stage::Taken(Take::Reuse(conn)) | Stage::Served(_, _, conn) => {
                is_told || pool.asks_on_reuse(conn)
            }
            Stage::Dialing(_, ConnectPhase::Connected(_)) => is_told || pool.has_hook(Hook::Open),
            Stage::Dialing(_, ConnectPhase::NotBegun) => {
                is_told || callbacks.is_some_and(|callbacks| callbacks.runs_first())
            }
            Stage::Dialing(_, ConnectPhase::Opening(opening)) => opening.has_returned(),
            Stage::Dialing(_, ConnectPhase::OnItsWay(_)) => {
                is_told || callbacks.is_some_and(|callbacks| callbacks.has_control())
            }
            Stage::Borrowing
            | Stage::Refilling
            | Stage::Taken(_)
            | Stage::Waiting { .. }
            | Stage::Done => false,
        }
    }

    fn deadline(&self, stage: &Stage) -> Deadline {
        let dialing = stage.dialing();
        dialing.map_or(self.options.deadline, Dialing::deadline)
    }

    /// While it waits for a thread, its time may run out.
    fn is_late(&self, stage: &Stage) -> Option<Error> {
        let now = clock::now();
        if !self.deadline(stage).has_passed(now) {
            return None;
        }
        Some(match stage {
            Stage::Dialing(_, ConnectPhase::OnItsWay(drive)) => drive.note_timeout(now),
            Stage::Taken(Take::Reuse(_))
            | Stage::Served(..)
            | Stage::Dialing(_, ConnectPhase::Connected(_)) => Error::timeout(Phase::Opening, ""),
            Stage::Dialing(_, ConnectPhase::Opening(_)) => {
                Error::timeout(self.pool.callback_phase(), "")
            }
            _ => Error::timeout(Phase::Connecting, ""),
        })
    }

    fn step(&self, progress: &mut Progress, task: &Arc<Task>, thread: Thread) -> Step {
        let mut stage = std::mem::replace(&mut progress.stage, Stage::Done);
        if self.pool.is_inherited() {
            return Step::Done;
        }
        if progress.waited_long_for_thread() {
            // A deadline that passes now says nothing of the destination.
            stage.stop_blaming_destination();
        }
        let mut ended = self.ended(&stage, task);
        if ended.is_none() && self.needs_thread(&stage) {
            ended = self.is_late(&stage);
            if ended.is_none() {
                stage = take_connection_given_back(stage);
            }
        }
        let ended = ended.map_or_else(|| self.carry_token(progress, task), Err);
        if let Err(error) = ended {
            return self.end(stage, progress, error);
        }
        if thread == Thread::Engine && self.needs_thread(&stage) {
            return Step::NeedsThread(stage);
        }
        match stage {
            Stage::Unparsed(read) => self.read(read, progress),
            Stage::Borrowing => self.ask(progress, task),
            Stage::Refilling => self.take_for_refill(progress, task),
            Stage::Taken(taken) => self.use_taken(taken, progress, task, thread),
            Stage::Waiting { since } => self.look_after(since, progress),
            Stage::Waited { since, taken } => self.end_wait(since, taken, progress),
            Stage::Dialing(dialing, phase) => self.dial(dialing, phase, progress, task, thread),
            Stage::Served(dialing, phase, conn) => {
                self.serve(dialing, phase, conn, progress, thread)
            }
            Stage::Done => Step::Done,
        }
    }

    fn end(&self, stage: Stage, progress: &mut Progress, error: Error) -> Step {
        match stage {
            Stage::Waiting { since } => {
                let borrower = self.borrower(progress);
                borrower.cancel_wait(borrower.ticket());
                let _ = borrower.end_wait(since, Err(WaitError::Canceled));
            }
            Stage::Waited { since, taken } => {
                self.borrower(progress).tell_wait_end(since, None);
                return self.end(Stage::Taken(taken), progress, error);
            }
            Stage::Taken(Take::Wait) => self.borrower(progress).leave_queue(),
            Stage::Taken(Take::Refused(_)) => {}
            Stage::Taken(Take::Reuse(conn)) => self.pool.settle_in(conn),
            Stage::Taken(Take::Dial(right, _)) => self
                .pool
                .change(|state, now, effects| state.give_up(right, now, effects)),
            Stage::Dialing(dialing, ConnectPhase::Opening(opening)) => {
                self.leave_opening(dialing, &opening);
            }
            Stage::Dialing(dialing, _) => {
                drop(dialing.failed(error.clone()));
            }
            Stage::Served(dialing, phase, conn) => {
                self.pool.settle_in(conn);
                return self.end(Stage::Dialing(dialing, phase), progress, error);
            }
            Stage::Unparsed(_) | Stage::Borrowing | Stage::Refilling | Stage::Done => {}
        }
        self.answer(progress, Err(error))
    }

    pub(crate) fn borrower<'a>(&'a self, progress: &'a mut Progress) -> Borrower<'a> {
        let Progress {
            destination: Some(destination),
            wait_state,
            ..
        } = progress
        else {
            unreachable!("the address has been read");
        };
        Borrower {
            pool: &self.pool,
            options: &self.options,
            destination,
            wait_state,
        }
    }
}

impl AsyncDial {
    fn run_until_blocked(&self, task: &Arc<Task>, thread: Thread, job: &mut Option<Job>) -> Next {
        let Some(mut progress) = self.progress.lock().take() else {
            return Next::Done;
        };
        if thread == Thread::Other {
            progress.note_thread();
        }
        loop {
            let (stage, next) = match self.step(&mut progress, task, thread) {
                Step::Continue(stage) => {
                    progress.stage = stage;
                    *job = progress.job.take().or(job.take());
                    continue;
                }
                Step::Done => return Next::Done,
                Step::NeedsThread(stage) => {
                    progress.thread_wanted_since.get_or_insert_with(clock::now);
                    let deadline = self.deadline(&stage);
                    (stage, Next::OnThread(deadline))
                }
                Step::Sleep(stage, until) => (stage, Next::At(until)),
            };
            progress.stage = stage;
            *self.progress.lock() = Some(progress);
            return next;
        }
    }
}

impl Pollable for Arc<AsyncDial> {
    fn poll(&self, task: &Arc<Task>, thread: Thread, job: &mut Option<Job>) -> Next {
        self.run_until_blocked(task, thread, job)
    }

    fn is_awaited(&self) -> bool {
        self.reply().is_some_and(|reply| reply.is_pending())
    }

    fn fail(&self, error: Error) {
        self.refill_failed();
        if let Some(reply) = self.reply() {
            reply.answer(Err(error));
        }
    }

    fn client(&self) -> &dyn Client {
        &*self.pool
    }

    fn abandon(&self, queue: usize) -> bool {
        let reply = self.reply();
        reply.is_some_and(|reply| reply.abandon_if_for(queue))
    }
}
