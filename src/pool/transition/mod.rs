//! One transition of a pool: a change under its lock, whose effects are applied after unlock.
#![forbid(unsafe_code)]

pub(crate) mod close_conn;

use crate::handle::Owned;
use crate::pool::conn::follow_up::FollowUp;
use crate::pool::conn::sleepers::sleepers;
use crate::pool::conn::Conn;
use crate::pool::engine::Engine;
use crate::pool::events::tell::free_what_is_being_told;
use crate::pool::state::answer::Effects;
use crate::pool::state::closing::unfinished::Unfinished;
use crate::pool::state::counters::CloseCause;
use crate::pool::state::held::Held;
use crate::pool::state::State;
use crate::pool::Pool;
use crate::sync::atomic::Ordering::SeqCst;
use crate::sync::{Arc, MutexGuard};
use crate::sys::{clock, memory};
use crate::values::clock::Time;
use crate::values::error::{Error, Result};

impl Pool {
    /// One transition: the change under the lock, its effects after it.
    pub(crate) fn change<R>(
        &self,
        change: impl FnOnce(&mut State<Owned<Conn>>, Time, &mut Effects<Owned<Conn>>) -> R,
    ) -> R {
        if self.is_observed() {
            free_what_is_being_told();
        }
        let now = clock::now_coarse();
        let mut effects = Effects::none();
        let mut state = self.locked();
        let result = change(&mut state, now, &mut effects);
        self.wake_by(state.next_deadline());
        drop(state);
        self.apply(effects);
        result
    }

    /// A change that may have more effects than one transition.
    pub(crate) fn change_in_parts(
        &self,
        change: impl FnOnce(&mut State<Owned<Conn>>, Time, &mut Effects<Owned<Conn>>) -> Unfinished,
    ) {
        let mut unfinished = self.change(change);
        while !unfinished.is_nothing() {
            self.change(|state, now, effects| state.go_on(&mut unfinished, now, effects));
        }
    }

    /// Makes room for one more connection in the state's lists, before anything changes.
    pub(crate) fn reserve_one(&self, state: &mut State<Owned<Conn>>) -> Result<()> {
        memory::or_none(|| state.try_reserve_one()).ok_or_else(Error::no_memory)
    }

    /// As `change`, on a helper thread: once the pool is closed, no event is emitted. What is
    /// counted before that is told before the close returns.
    pub(crate) fn change_in_background<R>(
        &self,
        change: impl FnOnce(&mut State<Owned<Conn>>, Time, &mut Effects<Owned<Conn>>) -> R,
    ) -> R {
        if !self.is_observed() {
            return self.change_untold(change);
        }
        let mut change = Some(change);
        let told = self.gate.within(|| Some(self.change(change.take()?)));
        match (told.flatten(), change) {
            (Some(result), _) => result,
            (None, Some(change)) => self.change_untold(change),
            (None, None) => unreachable!("a change that has begun has a result"),
        }
    }

    fn change_untold<R>(
        &self,
        change: impl FnOnce(&mut State<Owned<Conn>>, Time, &mut Effects<Owned<Conn>>) -> R,
    ) -> R {
        let now = clock::now_coarse();
        let mut effects = Effects::none();
        let mut state = self.locked();
        let result = change(&mut state, now, &mut effects);
        self.wake_by(state.next_deadline());
        drop(state);
        wake(&mut effects);
        let leaves_waiters = effects.leaves_waiters;
        let closes = effects.closes.into_iter();
        closes.for_each(close_conn::close_untold);
        self.serve_if(leaves_waiters);
        result
    }

    /// Serves waiters that a transition has left because it served many.
    pub(crate) fn serve_if(&self, mut leaves_waiters: bool) {
        while leaves_waiters {
            let mut effects = Effects::none();
            let mut state = self.locked();
            state.serve(clock::now_coarse(), &mut effects);
            self.wake_by(state.next_deadline());
            drop(state);
            leaves_waiters = effects.leaves_waiters;
            self.apply_once(effects);
        }
    }

    /// Frees what an event that has been told makes possible.
    pub(crate) fn follow(self: &Arc<Self>, then: FollowUp) {
        if self.is_inherited() {
            // The callback has forked, and this is the child.
            if let FollowUp::GiveBack(returning) = then {
                close_conn::discard(returning.conn);
            }
            return;
        }
        self.change(|state, now, effects| match then {
            FollowUp::Free(untold) => state.told(untold, now, effects),
            FollowUp::GiveBack(returning) => state.finish_give_back(returning, now, effects),
            FollowUp::EndWait(ticket) => state.wait_told(ticket),
        });
    }

    /// Wakes who was served, and closes what the pool let go of.
    pub(crate) fn apply(&self, effects: Effects<Owned<Conn>>) {
        let leaves_waiters = effects.leaves_waiters;
        self.apply_once(effects);
        self.serve_if(leaves_waiters);
    }

    fn apply_once(&self, mut effects: Effects<Owned<Conn>>) {
        if effects.wakes.is_empty() && effects.closes.is_empty() {
            return;
        }
        if Engine::is_this_thread() {
            return self.apply_in_background(effects);
        }
        wake(&mut effects);
        effects.closes.into_iter().for_each(close_conn::close);
    }

    /// Under the state's lock: the engine has to look at `due`, if not earlier.
    pub(crate) fn wake_by(&self, due: Time) {
        if due < self.due() {
            self.due.store(due.nanos(), SeqCst);
            if let Some(engine) = self.engine_if_running() {
                engine.wake_by(due);
            }
        }
    }

    /// Gives a descriptor back to the system: the longest idle connection's, or where none is idle,
    /// those of wakers that no thread sleeps on. False if there is none of either.
    pub(crate) fn close_longest_idle(&self) -> bool {
        self.change(|state, now, effects| state.close_longest_idle(now, effects))
            || sleepers().release_spare()
    }

    pub(crate) fn close_idle(&self) {
        self.change_in_parts(|state, now, effects| {
            state.close_idle(CloseCause::Evicted, now, effects)
        });
    }

    /// A connection that was counted as closed for that cause was forgotten instead.
    fn count_as_foreign(&self, cause: CloseCause) {
        if cause != CloseCause::ForeignFd && !self.is_inherited() {
            self.locked().count_as_foreign(cause);
        }
    }

    pub(crate) fn reject(&self, conn: Owned<Conn>, cause: CloseCause) {
        let id = conn.destination_id();
        self.change(|state, now, effects| state.reject(id, conn, cause, now, effects));
    }

    /// The state with exact numbers.
    pub(crate) fn counted(&self) -> MutexGuard<'_, State<Owned<Conn>>> {
        let mut state = self.locked();
        state.revoke_all_out();
        state
    }
}

pub(crate) fn wake(effects: &mut Effects<Owned<Conn>>) {
    effects.wakes.drain(..).for_each(|waker| waker.wake());
}
