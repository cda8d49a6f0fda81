//! The time of hooks: a task of the engine that ends one when its time is over, its token fires, or
//! the pool that dials is closed.
#![forbid(unsafe_code)]

use crate::handle::{Kept, SlotId};
use crate::pool::conn::sleepers::sleepers;
use crate::pool::conn::Conn;
use crate::pool::engine::client::Client;
use crate::pool::engine::task::{Next, Pollable, Task, Thread};
use crate::pool::errors::no_engine;
use crate::pool::lend::budget::Budget;
use crate::pool::state::answer::Refusal;
use crate::pool::{conn, Pool};
use crate::sync::{Arc, Mutex};
use crate::sys::clock;
use crate::sys::wake::CancelToken;
use crate::thread_pool::Job;
use crate::values::clock::Deadline;
use crate::values::error::{Error, Phase, Status};

/// What ends a hook.
#[derive(Debug)]
pub(crate) enum HookLimit {
    /// The dial's deadline and token, and the end of the pool.
    OfDial(Budget),
    /// Its own time alone.
    Own(Deadline),
}

impl HookLimit {
    fn deadline(&self) -> Deadline {
        match self {
            Self::OfDial(budget) => budget.deadline,
            Self::Own(deadline) => *deadline,
        }
    }

    fn token(&self) -> Option<&Arc<CancelToken>> {
        match self {
            Self::OfDial(budget) => budget.token.as_ref(),
            Self::Own(_) => None,
        }
    }

    fn why_end(&self, pool: &Pool) -> Option<Error> {
        match self {
            Self::OfDial(budget) => pool.why_no_hook(budget),
            Self::Own(deadline) => deadline
                .has_passed(clock::now())
                .then(|| Error::timeout(Phase::Opening, "")),
        }
    }
}

fn cut(slot: SlotId, why: Status) {
    if let Some(conn) = Conn::table().pin_slot(slot) {
        // Before: whoever sees the end of stream must see why.
        conn.mark(match why {
            Status::PoolClosed => conn::ABORTED,
            Status::Canceled => conn::CANCELED,
            _ => conn::LATE,
        });
        conn.cut_at(slot);
    }
    sleepers().wake(slot);
}

#[derive(Debug, Default)]
struct HookEnd {
    is_over: bool,
    /// Why the socket was shut down.
    error: Option<Error>,
}

#[derive(Debug)]
struct HookRun {
    pool: Arc<Pool>,
    slot: SlotId,
    limit: HookLimit,
    /// Guards the end of the hook: nothing is shut down after it.
    end: Mutex<HookEnd>,
}

impl HookRun {
    /// Why no engine is there that would end the hook in time. One whose pool was closed a moment
    /// ago has taken its engine along.
    fn why_alone(&self) -> Error {
        if self.pool.is_closed() {
            Refusal::PoolClosed.into()
        } else {
            no_engine()
        }
    }

    fn why_end(&self) -> Option<Error> {
        self.limit.why_end(&self.pool)
    }
}

/// The task's part of it.
#[derive(Debug)]
struct HookWatch(Arc<HookRun>);

impl Pollable for HookWatch {
    fn poll(&self, task: &Arc<Task>, _: Thread, _: &mut Option<Job>) -> Next {
        let Self(run) = self;
        let mut end = run.end.lock();
        if end.is_over {
            return Next::Done;
        }
        let alone = || task.is_broken().then(|| run.why_alone());
        let Some(error) = run.why_end().or_else(alone) else {
            return Next::At(run.limit.deadline());
        };
        cut(run.slot, error.status);
        end.error = Some(error);
        Next::Done
    }

    fn is_awaited(&self) -> bool {
        true
    }

    /// The hook goes on without a chaperone.
    fn fail(&self, _: Error) {}

    fn client(&self) -> &dyn Client {
        &*self.0.pool
    }

    fn abandon(&self, queue: usize) -> bool {
        match &self.0.limit {
            HookLimit::OfDial(Budget {
                reply: Some(reply), ..
            }) => reply.abandon_if_for(queue),
            _ => false,
        }
    }
}

/// Sees to it that a hook ends in time.
pub(crate) struct Chaperone {
    run: Arc<HookRun>,
    /// `None`: there is no engine that works; then only what the hook does by the library ends in
    /// time.
    task: Option<Arc<Task>>,
}

impl Chaperone {
    pub(crate) fn begin(pool: &Arc<Pool>, slot: SlotId, limit: HookLimit) -> Self {
        let run = Arc::new(HookRun {
            pool: pool.clone(),
            slot,
            limit,
            end: Mutex::default(),
        });
        let engine = pool.engine();
        let working = engine.filter(|engine| !engine.reactor().is_broken());
        let task = working.map(|engine| {
            let task = Task::new(engine.reactor(), HookWatch(run.clone()));
            task.start(run.limit.deadline());
            if let Some(token) = run.limit.token() {
                // Without a descriptor for it, the token ends reads and writes alone.
                let _ = task.add_token(token);
            }
            task
        });
        Self { run, task }
    }

    /// It can end the hook in time.
    pub(crate) fn has_engine(&self) -> bool {
        self.task.is_some()
    }

    /// The hook has returned; why it had to end, if it had.
    pub(crate) fn end(self) -> Option<Error> {
        let mut end = self.run.end.lock();
        end.is_over = true;
        let error = end.error.take().or_else(|| self.run.why_end());
        drop(end);
        if let Some(task) = self.task {
            task.poll();
        }
        error
    }
}
