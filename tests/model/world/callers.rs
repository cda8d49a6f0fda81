//! Those who ask for a connection, from `take` to what they are answered.
#![forbid(unsafe_code)]

use super::conns::Came;
use super::dials::{Dial, Phase};
use super::{pick, same, World, Wrong};
use crate::pool::state::answer::{Request, Reuse, Take, Ticket, WaitPoll};
use crate::pool::state::counters::CloseCause;
use crate::pool::state::model::fake::Fake;
use crate::pool::state::model::reference::{Answer, Call, Found, Late};
use crate::sync::Arc;
use crate::values::destination::Destination;

/// One who called `take`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) ticket: Ticket,
    pub(super) call: Call,
}

impl World<'_> {
    pub(super) fn take(&mut self, to: usize, reuse: Reuse, may_wait: bool) -> Result<(), Wrong> {
        // Where events are told, a caller whose unfit connection frees a slot waits for its turn to
        // dial until that is told, though an older waiter gets the slot: the reference, which tells
        // at once, refuses it.
        let may_wait = may_wait || self.rules.is_observed;
        let call = Call {
            ticket: self.new_waker(),
            to,
            reuse,
            may_wait,
            distrusts_idle: false,
            has_waited: false,
        };
        self.reserve_one();
        let (ticket, taken) = self.state.take(
            request(call, &self.destinations[to]),
            self.now,
            || call.ticket,
            &mut self.effects,
        );
        let answer = self.reference.take(call);
        self.receive(Caller { ticket, call }, taken, answer)
    }

    pub(super) fn take_another(
        &mut self,
        who: u8,
        cause: CloseCause,
        distrusts_idle: bool,
    ) -> Result<(), Wrong> {
        let Some(at) = pick(&self.borrowers, who) else {
            return Ok(());
        };
        let Came::Reused(mut caller) = self.borrowers[at].came else {
            return Ok(());
        };
        caller.call.distrusts_idle |= distrusts_idle;
        let borrower = self.borrowers.remove(at);
        let unfit = self.take_back(&borrower.conn);
        let (Caller { ticket, call }, id) = (caller, unfit.id);
        let taken = self.state.take_another(
            ticket,
            (unfit, cause),
            request(call, &self.destinations[call.to]),
            self.now,
            || call.ticket,
            &mut self.effects,
        );
        let answer = self.reference.take_another(id, cause, call);
        self.receive(caller, taken, answer)
    }

    /// What somebody who asked has got.
    fn receive(
        &mut self,
        caller: Caller,
        taken: Take<Fake>,
        should_be: Answer,
    ) -> Result<(), Wrong> {
        // Whoever is answered at once is not asleep.
        self.effects
            .wakes
            .retain(|&waker| waker != caller.call.ticket);
        let is = match &taken {
            Take::Reuse(conn) => Answer::Reuse(conn.id),
            Take::Dial(right, _) => Answer::Dial {
                // Its number is the reference's; the destination is checked below.
                id: match should_be {
                    Answer::Dial { id, .. } => id,
                    _ => 0,
                },
                is_probe: right.is_probe,
            },
            Take::Refused(refusal) => Answer::Refused(refusal.clone()),
            Take::Wait => Answer::Wait,
        };
        same("the answer", &is, &should_be)?;
        match (taken, is) {
            (Take::Reuse(conn), _) => {
                conn.uses.set(conn.uses.get() + 1);
                self.state.count_reuse();
                self.reference.is_reused(conn.id);
                self.lend(conn, Came::Reused(caller));
            }
            (Take::Dial(right, destination), Answer::Dial { id, .. }) => {
                same("dials", &destination, &self.destinations[caller.call.to])?;
                self.dials.push(Dial {
                    id,
                    right,
                    ticket: caller.call.ticket,
                    reuse: caller.call.reuse,
                    is_for_nobody: false,
                    phase: Phase::Granted,
                });
            }
            (Take::Wait, _) => {
                let mut caller = caller;
                caller.call.has_waited = true;
                self.waiting.push(caller);
            }
            _ => {}
        }
        Ok(())
    }

    /// Canceled.
    pub(super) fn leave(&mut self, who: u8) -> Result<(), Wrong> {
        if let Some(at) = pick(&self.waiting, who) {
            let caller = self.waiting.remove(at);
            self.state
                .cancel_wait(caller.ticket, self.now, &mut self.effects);
            self.reference.leave(caller.call.ticket);
        }
        Ok(())
    }

    /// By its waker, by time, or for no reason.
    pub(super) fn wake_up(&mut self, who: u8, late: Late) -> Result<(), Wrong> {
        let Some(at) = pick(&self.waiting, who) else {
            return Ok(());
        };
        let caller = self.waiting[at];
        let is = self.state.poll_wait(
            caller.ticket,
            late != Late::InTime,
            late == Late::ForDialing,
            self.now,
            &mut self.effects,
        );
        match (is, self.reference.look_after(caller.call.ticket, late)) {
            (WaitPoll::Pending, Found::Nothing) => return Ok(()),
            (WaitPoll::Ready(taken), Found::Answer(answer)) => {
                self.receive(caller, taken, answer)?;
            }
            (WaitPoll::TimedOut(is), Found::Timeout(should_be)) => {
                same("why it waited", is, should_be)?;
            }
            (is, should_be) => {
                return Err(format!("the wait: {is:?}, should be {should_be:?}"));
            }
        }
        self.waiting.remove(at);
        Ok(())
    }
}

fn request(call: Call, destination: &Arc<Destination>) -> Request<'_> {
    Request {
        destination,
        reuse: call.reuse,
        may_wait: call.may_wait,
        distrusts_idle: call.distrusts_idle,
        has_waited: call.has_waited,
    }
}
