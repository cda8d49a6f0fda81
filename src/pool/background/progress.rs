//! How far an asynchronous dial is: its stage, and what it carries from poll to poll.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::dial::drive::connected::Dialed;
use crate::dial::drive::dial::Dial;
use crate::handle::Owned;
use crate::pool::background::opening::Opening;
use crate::pool::conn::Conn;
use crate::pool::dialing::wait::{Taken, WaitState};
use crate::pool::dialing::Dialing;
use crate::pool::engine::task::Task;
use crate::pool::state::answer::Take;
use crate::sync::Arc;
use crate::sys::wake::Wake;
use crate::sys::{clock, memory};
use crate::thread_pool::Job;
use crate::values::clock::{Deadline, Time};
use crate::values::destination::Destination;
use crate::values::error::{Error, Result};

pub(crate) enum Stage {
    Unparsed(Box<dyn FnOnce() -> Result<Destination> + Send>),
    Borrowing,
    Refilling,
    Taken(Taken),
    Waiting {
        since: Time,
    },
    /// Answered in the wait queue, which an observer is to be told.
    Waited {
        since: Time,
        taken: Taken,
    },
    Dialing(Box<Dialing>, ConnectPhase),
    /// Given a connection while it dialed.
    Served(Box<Dialing>, ConnectPhase, Owned<Conn>),
    Done,
}

/// How far the connecting of a dial is.
pub(crate) enum ConnectPhase {
    NotBegun,
    OnItsWay(Box<Dial>),
    /// A callback of the program dials it.
    Opening(Arc<Opening>),
    Connected(Dialed),
}

impl Stage {
    pub(crate) fn dialing(&self) -> Option<&Dialing> {
        match self {
            Self::Dialing(dialing, _) | Self::Served(dialing, ..) => Some(dialing),
            _ => None,
        }
    }

    /// The next step makes something. (A connection that is there is only handed over.)
    pub(crate) fn needs_memory(&self) -> bool {
        match self {
            Self::Taken(taken) | Self::Waited { taken, .. } => matches!(taken, Take::Dial(..)),
            Self::Waiting { .. } | Self::Served(..) | Self::Done => false,
            _ => true,
        }
    }

    pub(crate) fn stop_blaming_destination(&mut self) {
        if let Self::Dialing(dialing, _) | Self::Served(dialing, ..) = self {
            dialing.stop_blaming_destination();
        }
    }
}

/// What changes from poll to poll.
pub(crate) struct Progress {
    pub(crate) stage: Stage,
    pub(crate) destination: Option<Arc<Destination>>,
    /// What was asked for, until the destination is read.
    pub(crate) asked: Option<Box<str>>,
    pub(crate) wait_state: WaitState,
    pub(crate) carries_token: bool,
    /// Since when it has waited for a thread.
    pub(crate) thread_wanted_since: Option<Time>,
    /// It had to wait long for one.
    pub(crate) has_waited_long_for_thread: bool,
    /// What this thread is to do when the poll has ended: the callback.
    pub(crate) job: Option<Job>,
}

/// Where a thread is free it comes much sooner. After so long it was the lack of threads that took
/// a dial's time, not the destination.
const LONG_WAIT_FOR_THREAD: Duration = Duration::from_millis(100);

/// Where one step has led to.
pub(crate) enum Step {
    Continue(Stage),
    Sleep(Stage, Deadline),
    NeedsThread(Stage),
    Done,
}

pub(crate) fn waker(task: &Arc<Task>) -> Arc<dyn Wake> {
    task.clone()
}

/// While it waits for a thread, what is given back may come first.
pub(crate) fn take_connection_given_back(stage: Stage) -> Stage {
    let (dialing, phase) = match stage {
        Stage::Dialing(dialing, phase) => (dialing, phase),
        stage => return stage,
    };
    match dialing.answer() {
        Some(conn) => Stage::Served(dialing, phase, conn),
        None => Stage::Dialing(dialing, phase),
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

impl Progress {
    pub(crate) fn at(stage: Stage) -> Self {
        Self {
            stage,
            destination: None,
            asked: None,
            wait_state: WaitState::default(),
            carries_token: false,
            thread_wanted_since: None,
            has_waited_long_for_thread: false,
            job: None,
        }
    }

    /// With what was asked for in front.
    pub(crate) fn name_in(&self, error: Error) -> Error {
        if memory::is_short() {
            // The answer waits in a queue, and so would the memory for its text.
            return Error {
                message: "there is no memory for more than this".into(),
                ..error
            };
        }
        match (&self.destination, &self.asked) {
            (Some(destination), _) => error.of(format_args!("dial {destination}")),
            (None, Some(asked)) => error.of(asked),
            (None, None) => error,
        }
    }

    pub(crate) fn waited_long_for_thread(&self) -> bool {
        let since = self.thread_wanted_since;
        self.has_waited_long_for_thread
            || since.is_some_and(|since| clock::now().since(since) >= LONG_WAIT_FOR_THREAD)
    }

    /// A thread that may block has come.
    pub(crate) fn note_thread(&mut self) {
        self.has_waited_long_for_thread = self.waited_long_for_thread();
        self.thread_wanted_since = None;
    }
}
