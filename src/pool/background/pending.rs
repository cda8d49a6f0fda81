//! A dial that nobody sleeps on: an asynchronous one, whose answer goes to a queue, the rest of one whose caller was served, or
//! those for connections that are to be idle.
//!
//! | stage | waits for | and then |
//! |---|---|---|
//! | Unread | a thread to look the address's service name up on | Asking |
//! | Asking | nothing | Taken |
//! | Refilling | nothing | Dialing for nobody, and then the same again; or, when enough are idle, nothing |
//! | Taken | a thread that may block, for on_reuse | the answer, Waiting or Dialing |
//! | Waiting | its turn in the wait queue | Taken; or, where events are told, Waited |
//! | Waited | a thread that may block, for on_event | Taken |
//! | Dialing | sockets, lookups, time, a connection given back; a thread that may block, for callbacks and on_open | the answer, or Served |
//! | Served | a thread that may block, for on_reuse | the answer, and Dialing for nobody; or, refused, Dialing |
//!
//! Each look goes as far as it can without waiting (`steps`). It is the engine's, or a helper's where code of the program may run.
//! Whether its time is over, its token has fired or its pool is closed is the engine's to see at every stage: that must not wait
//! until a helper is free. What on_event is to be told of such an end, a helper tells later.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::dial::drive::connected::ConnectedSocket;
use crate::dial::drive::dial::Dial;
use crate::handle::Owned;
use crate::pool::callbacks::Hook;
use crate::pool::conn::Conn;
use crate::pool::dialing::wait::{Borrower, Taken, WaitState};
use crate::pool::dialing::Dialing;
use crate::pool::engine::client::Client;
use crate::pool::engine::task::{Next, Pollable, Task, Thread};
use crate::pool::engine::Engine;
use crate::pool::errors::{canceled, no_engine, system_error};
use crate::pool::state::answer::{Refusal, Take};
use crate::pool::state::wait_loop::{WaitError, Waiter};
use crate::pool::{BorrowOptions, Pool, Reply};
use crate::sync::{Arc, Mutex};
use crate::sys::clock;
use crate::sys::wake::Wake;
use crate::values::clock::{Deadline, Time};
use crate::values::destination::Destination;
use crate::values::error::{Error, Phase, Result};

pub(crate) enum Stage {
    Unread(Box<dyn FnOnce() -> Result<Destination> + Send>),
    Asking,
    Refilling,
    Taken(Taken),
    Waiting {
        since: Time,
    },
    /// Answered in line, which an observer is to be told.
    Waited {
        since: Time,
        taken: Taken,
    },
    Dialing(Box<Dialing>, Progress),
    /// Given a connection while it dialed.
    Served(Box<Dialing>, Progress, Owned<Conn>),
    Done,
}

/// How far a dial is.
pub(crate) enum Progress {
    NotBegun,
    OnItsWay(Box<Dial>),
    Connected(ConnectedSocket),
}

impl Stage {
    fn dialing(&self) -> Option<&Dialing> {
        match self {
            Self::Dialing(dialing, _) | Self::Served(dialing, ..) => Some(dialing),
            _ => None,
        }
    }

    fn loses_patience(&mut self) {
        if let Self::Dialing(dialing, _) | Self::Served(dialing, ..) = self {
            dialing.loses_patience();
        }
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").finish_non_exhaustive()
    }
}

/// What changes from look to look.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) stage: Stage,
    pub(crate) destination: Option<Arc<Destination>>,
    /// What was asked for, until the destination is read.
    pub(crate) asked: Option<Box<str>>,
    pub(crate) wait_state: WaitState,
    pub(crate) carries_token: bool,
    /// Since when it has waited for a thread.
    pub(crate) asked_for_thread: Option<Time>,
    /// It had to wait long for one.
    pub(crate) has_lacked_thread: bool,
}

/// Where a thread is free it comes much sooner; after so long it was the lack of one that took a dial's time.
const LACK_OF_THREADS: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) pool: Arc<Pool>,
    pub(crate) options: BorrowOptions,
    /// For whose idle connections it dials, one after another.
    pub(crate) refills: Option<Arc<Destination>>,
    /// Taken out for a look. Guards itself alone.
    course: Mutex<Option<Course>>,
}

/// Where a look has led to.
pub(crate) enum Step {
    On(Stage),
    Rests(Stage, Deadline),
    NeedsThread(Stage),
    Done,
}

pub(crate) fn waker(task: &Arc<Task>) -> Arc<dyn Wake> {
    task.clone()
}

/// Connected, it waits for a thread to run on_open on, and what is given back meanwhile may come first.
fn served_while_it_waits(stage: Stage) -> Stage {
    let Stage::Dialing(dialing, progress @ Progress::Connected(_)) = stage else {
        return stage;
    };
    match dialing.answer() {
        Some(conn) => Stage::Served(dialing, progress, conn),
        None => Stage::Dialing(dialing, progress),
    }
}

impl Course {
    pub(crate) fn at(stage: Stage) -> Self {
        Self {
            stage,
            destination: None,
            asked: None,
            wait_state: WaitState::default(),
            carries_token: false,
            asked_for_thread: None,
            has_lacked_thread: false,
        }
    }

    /// With what was asked for in front.
    fn name_in(&self, error: Error) -> Error {
        match (&self.destination, &self.asked) {
            (Some(destination), _) => error.of(format_args!("dial {destination}")),
            (None, Some(asked)) => error.of(asked),
            (None, None) => error,
        }
    }

    fn lacks_thread(&self) -> bool {
        let since = self.asked_for_thread;
        self.has_lacked_thread
            || since.is_some_and(|since| clock::now().since(since) >= LACK_OF_THREADS)
    }

    fn has_got_thread(&mut self) {
        self.has_lacked_thread = self.lacks_thread();
        self.asked_for_thread = None;
    }
}

impl Pending {
    pub(crate) fn new(pool: &Arc<Pool>, options: BorrowOptions) -> Arc<Self> {
        Arc::new(Self {
            pool: pool.clone(),
            options,
            refills: None,
            course: Mutex::new(None),
        })
    }

    pub(crate) fn hand_to_engine(&self, task: &Arc<Task>, course: Course) {
        *self.course.lock() = Some(course);
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
        let pending = Self::new(dialing.pool(), dialing.pool().background_options());
        let task = Task::new(engine.reactor(), pending.clone());
        dialing.is_left_to(&task);
        drive.set_waker(task.clone());
        let course = Course {
            destination: Some(dialing.destination().clone()),
            ..Course::at(Stage::Dialing(Box::new(dialing), Progress::OnItsWay(drive)))
        };
        pending.hand_to_engine(&task, course);
    }

    /// Dials until enough are idle.
    pub(crate) fn refill(engine: &Arc<Engine>, pool: &Arc<Pool>, destination: Arc<Destination>) {
        let pending = Arc::new(Self {
            pool: pool.clone(),
            options: pool.background_options(),
            refills: Some(destination),
            course: Mutex::new(None),
        });
        let task = Task::new(engine.reactor(), pending.clone());
        pending.hand_to_engine(&task, Course::at(Stage::Refilling));
    }

    fn refill_failed(&self) {
        if let Some(destination) = &self.refills {
            self.pool
                .change(|state, now, _| state.refill_failed(destination, now));
        }
    }

    /// Answers whoever asked, once. In a child that was forked inside a callback there is nobody to answer.
    pub(crate) fn answer(&self, course: &Course, result: Result<Owned<Conn>>) -> Step {
        if self.pool.is_inherited() {
            return Step::Done;
        }
        if result.is_err() {
            self.refill_failed();
        }
        if let Some(reply) = self.reply() {
            reply.answer(result.map_err(|error| course.name_in(error)));
        }
        Step::Done
    }

    fn reply(&self) -> Option<&dyn Reply> {
        self.options.reply.as_deref()
    }

    /// Why nobody wants the answer any more, or none can come.
    fn ended(&self, stage: &Stage, task: &Task) -> Option<Error> {
        let is_left = stage.dialing().is_some_and(Dialing::is_left);
        if !is_left && self.reply().is_some_and(|reply| reply.is_abandoned()) {
            return Some(canceled());
        }
        if task.is_broken() {
            return Some(no_engine());
        }
        if matches!(stage, Stage::Waiting { .. }) {
            // The line is told of a close, and whoever looks at it asks for the token.
            return None;
        }
        if self.pool.is_closed() {
            return Some(Refusal::PoolClosed.into());
        }
        let token = self.options.token.as_ref().filter(|_| !is_left);
        token.is_some_and(|token| token.has_fired()).then(canceled)
    }

    /// From now on the token wakes it.
    fn carry_token(&self, course: &mut Course, task: &Task) -> Result<()> {
        let Some(token) = self
            .options
            .token
            .as_ref()
            .filter(|_| !course.carries_token)
        else {
            return Ok(());
        };
        let mut carried = task.add_token(token);
        if carried.is_err() && self.pool.close_longest_idle() {
            carried = task.add_token(token);
        }
        course.carries_token = true;
        carried.map_err(|error| system_error("eventfd", &error))
    }

    /// Code of the program may run in the next step: a callback, or on_event with what it tells at once.
    fn needs_thread(&self, stage: &Stage) -> bool {
        let pool = &self.pool;
        let callbacks = pool.dialer.callbacks.as_ref();
        let is_told = pool.is_observed();
        match stage {
            Stage::Unread(_) => true,
            Stage::Taken(Take::Wait) | Stage::Waited { .. } => is_told,
            Stage::Taken(Take::Reuse(_)) | Stage::Served(..) => {
                is_told || pool.has_hook(Hook::Reuse)
            }
            Stage::Dialing(_, Progress::Connected(_)) => is_told || pool.has_hook(Hook::Open),
            Stage::Dialing(_, Progress::NotBegun) => {
                is_told || callbacks.is_some_and(|callbacks| callbacks.has_rewrite_or_dial())
            }
            Stage::Dialing(_, Progress::OnItsWay(_)) => {
                is_told || callbacks.is_some_and(|callbacks| callbacks.has_control())
            }
            Stage::Asking
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
            Stage::Dialing(_, Progress::OnItsWay(drive)) => drive.note_timeout(now),
            Stage::Taken(Take::Reuse(_))
            | Stage::Served(..)
            | Stage::Dialing(_, Progress::Connected(_)) => Error::timeout(Phase::Opening, ""),
            _ => Error::timeout(Phase::Connecting, ""),
        })
    }

    fn step(&self, course: &mut Course, task: &Arc<Task>, thread: Thread) -> Step {
        let mut stage = std::mem::replace(&mut course.stage, Stage::Done);
        if self.pool.is_inherited() {
            return Step::Done;
        }
        if course.lacks_thread() {
            // From now on a deadline that passes says nothing of the destination.
            stage.loses_patience();
        }
        let mut ended = self.ended(&stage, task);
        if ended.is_none() && self.needs_thread(&stage) {
            ended = self.is_late(&stage);
            if ended.is_none() {
                stage = served_while_it_waits(stage);
            }
        }
        let ended = ended.map_or_else(|| self.carry_token(course, task), Err);
        if let Err(error) = ended {
            return self.end(stage, course, error);
        }
        if thread == Thread::Engine && self.needs_thread(&stage) {
            return Step::NeedsThread(stage);
        }
        match stage {
            Stage::Unread(read) => self.read(read, course),
            Stage::Asking => self.ask(course, task),
            Stage::Refilling => self.take_for_refill(course, task),
            Stage::Taken(taken) => self.use_taken(taken, course, task),
            Stage::Waiting { since } => self.look_after(since, course),
            Stage::Waited { since, taken } => self.end_wait(since, taken, course),
            Stage::Dialing(dialing, progress) => self.dial(dialing, progress, course, task),
            Stage::Served(dialing, progress, conn) => self.serve(dialing, progress, conn, course),
            Stage::Done => Step::Done,
        }
    }

    fn end(&self, stage: Stage, course: &mut Course, error: Error) -> Step {
        match stage {
            Stage::Waiting { since } => {
                let borrower = self.borrower(course);
                borrower.cancel_wait(borrower.ticket());
                let _ = borrower.end_wait(since, Err(WaitError::Canceled));
            }
            Stage::Waited { since, taken } => {
                if let Ok(taken) = self.borrower(course).end_wait(since, Ok(taken)) {
                    return self.end(Stage::Taken(taken), course, error);
                }
            }
            Stage::Taken(Take::Reuse(conn)) => self.pool.settle_in(conn),
            Stage::Taken(Take::Dial(right, _)) => self
                .pool
                .change(|state, now, effects| state.give_up(right, now, effects)),
            Stage::Dialing(dialing, _) => {
                drop(dialing.failed(error.clone()));
            }
            Stage::Served(dialing, _, conn) => {
                self.pool.settle_in(conn);
                drop(dialing.failed(error.clone()));
            }
            Stage::Unread(_) | Stage::Asking | Stage::Refilling | Stage::Taken(_) | Stage::Done => {
            }
        }
        self.answer(course, Err(error))
    }

    pub(crate) fn borrower<'a>(&'a self, course: &'a mut Course) -> Borrower<'a> {
        let Course {
            destination: Some(destination),
            wait_state,
            ..
        } = course
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

impl Pending {
    fn go_on_as_far_as_it_can(&self, task: &Arc<Task>, thread: Thread) -> Next {
        let Some(mut course) = self.course.lock().take() else {
            return Next::Done;
        };
        if thread == Thread::Other {
            course.has_got_thread();
        }
        loop {
            let (stage, next) = match self.step(&mut course, task, thread) {
                Step::On(stage) => {
                    course.stage = stage;
                    continue;
                }
                Step::Done => return Next::Done,
                Step::NeedsThread(stage) => {
                    course.asked_for_thread.get_or_insert_with(clock::now);
                    let deadline = self.deadline(&stage);
                    (stage, Next::OnThread(deadline))
                }
                Step::Rests(stage, until) => (stage, Next::At(until)),
            };
            course.stage = stage;
            *self.course.lock() = Some(course);
            return next;
        }
    }
}

impl Pollable for Arc<Pending> {
    fn poll(&self, task: &Arc<Task>, thread: Thread) -> Next {
        let go_on = || self.go_on_as_far_as_it_can(task, thread);
        if thread == Thread::Other || !self.pool.is_observed() {
            return go_on();
        }
        // What the engine leaves to be told is told before the pool's close returns, which waits for those inside.
        self.pool.gate.within(go_on).unwrap_or_else(go_on)
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
