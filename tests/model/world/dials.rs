//! Dials, from the right to dial to a connection, or to the connection that their caller got
//! instead.
#![forbid(unsafe_code)]

use super::conns::Came;
use super::{pick, same, World, Wrong};
use crate::pool::state::answer::{DialRight, LateBinding, Reuse};
use crate::pool::state::counters::CloseCause;
use crate::pool::state::held::Held;
use crate::pool::state::model::fake::Fake;
use crate::pool::state::model::steps::{Blame, Percent};
use crate::values::error::{Error, Status};

/// How far a dial has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Granted,
    Running,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Dial {
    pub(super) id: u64,
    pub(super) right: DialRight,
    pub(super) ticket: u64,
    pub(super) reuse: Reuse,
    /// For the shelf, or its caller has left with another connection.
    pub(super) is_for_nobody: bool,
    pub(super) phase: Phase,
}

impl World<'_> {
    /// What a caller like this one may be answered with: a fresh one with nothing but its own
    /// connect.
    fn allowed(dial: &Dial, takes: LateBinding) -> LateBinding {
        match takes {
            _ if dial.reuse == Reuse::Never || dial.is_for_nobody => LateBinding::Off,
            takes => takes,
        }
    }

    /// The dial runs from now on; `unfit` of those that it is offered turn out to be so.
    pub(super) fn start_dial(
        &mut self,
        which: u8,
        takes: LateBinding,
        unfit: u8,
    ) -> Result<(), Wrong> {
        let Some(at) = pick(&self.dials, which) else {
            return Ok(());
        };
        if self.dials[at].phase == Phase::Running {
            return Ok(());
        }
        let Some(offered) = self.begins(at, takes)? else {
            return Ok(());
        };
        if let Some(conn) = self.fit_one(at, offered, unfit)? {
            self.borrow_instead(conn);
            let dial = self.dials.remove(at);
            self.state.give_up(dial.right, self.now, &mut self.effects);
            self.reference.give_up(dial.id);
        }
        Ok(())
    }

    /// What it is offered at once. A dial that a closed pool refuses is over.
    fn begins(&mut self, at: usize, takes: LateBinding) -> Result<Option<Fake>, Wrong> {
        let waker = self.new_waker();
        let dial = self.dials[at];
        let takes = Self::allowed(&dial, takes);
        let begun = self
            .state
            .start_dial(dial.right, takes, waker, self.now, &mut self.effects);
        let takes = (takes != LateBinding::Off, takes == LateBinding::Any);
        let should_be = self
            .reference
            .start_dial(dial.id, dial.ticket, waker, takes);
        let is = begun.as_ref().map(|conn| conn.as_ref().map(|conn| conn.id));
        same("the dial begins", is, should_be.as_ref().map(|&id| id))?;
        match begun {
            Ok(offered) => {
                self.dials[at].phase = Phase::Running;
                Ok(offered)
            }
            Err(_) => {
                self.dials.remove(at);
                self.state.give_up(dial.right, self.now, &mut self.effects);
                self.reference.give_up(dial.id);
                Ok(None)
            }
        }
    }

    /// That one, or a later one.
    fn fit_one(&mut self, at: usize, offered: Fake, unfit: u8) -> Result<Option<Fake>, Wrong> {
        let dial = self.dials[at];
        let mut conn = offered;
        for _ in 0..unfit {
            let (id, to, cause) = (conn.id, conn.destination_id(), CloseCause::StaleAtBorrow);
            self.state
                .reject(to, conn, cause, self.now, &mut self.effects);
            self.reference.reject(id, cause);
            self.tell();
            let next = self
                .state
                .resume_late_binding(dial.right, self.now, &mut self.effects);
            let should_be = self.reference.resume_late_binding(dial.id);
            same("the next one", next.as_ref().map(|one| one.id), should_be)?;
            let Some(next) = next else {
                return Ok(None);
            };
            conn = next;
        }
        Ok(Some(conn))
    }

    fn borrow_instead(&mut self, conn: Fake) {
        conn.uses.set(conn.uses.get() + 1);
        self.state.count_reuse();
        self.reference.is_reused(conn.id);
        self.lend(conn, Came::ForADial);
    }

    /// The waker of a dial was woken, perhaps: with a connection its caller leaves, and the dial
    /// goes on for nobody or is given up.
    pub(super) fn fetch_answer(
        &mut self,
        which: u8,
        unfit: u8,
        goes_on: bool,
    ) -> Result<(), Wrong> {
        let running = |dial: &Dial| dial.phase == Phase::Running && !dial.is_for_nobody;
        let running: Vec<usize> = (0..self.dials.len())
            .filter(|&at| running(&self.dials[at]))
            .collect();
        let Some(at) = pick(&running, which).map(|at| running[at]) else {
            return Ok(());
        };
        let dial = self.dials[at];
        let is_answered = self.state.is_dial_answered(dial.right);
        let answer = self.state.take_dial_answer(dial.right);
        same("there is an answer", is_answered, answer.is_some())?;
        let should_be = self.reference.take_dial_answer(dial.id);
        same("its answer", answer.as_ref().map(|one| one.id), should_be)?;
        let Some(answer) = answer else {
            return Ok(());
        };
        let Some(conn) = self.fit_one(at, answer, unfit)? else {
            return Ok(());
        };
        self.borrow_instead(conn);
        if goes_on {
            self.dials[at].is_for_nobody = true;
            return Ok(());
        }
        self.fail(at, None);
        Ok(())
    }

    fn fail(&mut self, at: usize, blame: Option<&Error>) {
        let dial = self.dials.remove(at);
        let untold = self.state.dial_failed(
            dial.right,
            blame.map(|error| (error, self.now)),
            self.now,
            &mut self.effects,
        );
        self.tell_end_of_dial(untold);
        self.reference.dial_failed(dial.id, blame);
    }

    pub(super) fn dialed(&mut self, which: u8, percent: Percent) -> Result<(), Wrong> {
        let Some(at) = pick(&self.dials, which) else {
            return Ok(());
        };
        if self.dials[at].phase == Phase::Granted {
            let before = self.dials.len();
            self.begins(at, LateBinding::Off)?;
            if self.dials.len() < before {
                return Ok(());
            }
        }
        let dial = self.dials.remove(at);
        let (retire_at, has_fast_path) = (self.lifetime(percent), self.rules.are_plain());
        let conn = Fake::new(dial.id, dial.right.destination, retire_at, has_fast_path);
        let is = self
            .state
            .dial_done(dial.right, &conn, self.now, &mut self.effects);
        let is = is.map(|untold| self.tell_end_of_dial(untold));
        same(
            "dialed",
            &is,
            &self.reference.dialed(dial.id, conn.retire_at()),
        )?;
        if is.is_ok() {
            self.conns.push(conn.facts().clone());
            let came = if dial.is_for_nobody {
                Came::DialedAhead
            } else {
                conn.uses.set(1);
                self.reference.is_used(dial.id);
                Came::ForADial
            };
            self.lend(conn, came);
        }
        Ok(())
    }

    /// Before it has begun it is given up instead.
    pub(super) fn dial_failed(&mut self, which: u8, blame: Blame) -> Result<(), Wrong> {
        let Some(at) = pick(&self.dials, which) else {
            return Ok(());
        };
        let dial = self.dials[at];
        if dial.phase == Phase::Granted {
            self.dials.remove(at);
            self.state.give_up(dial.right, self.now, &mut self.effects);
            self.reference.give_up(dial.id);
        } else {
            let error = Error::new(Status::Connect, "").numbered(dial.id as i32);
            self.fail(at, blame.then_some(&error));
        }
        Ok(())
    }

    /// A dial for the shelf.
    pub(super) fn warm(&mut self, to: usize, wanted: u32) -> Result<(), Wrong> {
        self.reserve_one();
        let destination = &self.destinations[to];
        let is = self.state.take_for_idle(destination, wanted, self.now);
        let should_be = self.reference.take_for_idle(to, wanted);
        match (is, should_be) {
            (Ok(Some((right, at))), Ok(Some(answer))) => {
                let (id, is_probe) = answer.dial();
                same("a probe", right.is_probe, is_probe)?;
                same("dials", &at, destination)?;
                let ticket = self.new_waker();
                self.dials.push(Dial {
                    id,
                    right,
                    ticket,
                    reuse: Reuse::Allowed,
                    is_for_nobody: true,
                    phase: Phase::Granted,
                });
                Ok(())
            }
            (Ok(None), Ok(None)) => Ok(()),
            (Err(is), Err(should_be)) => same("warm", is, should_be),
            (is, should_be) => Err(format!("warm: {is:?}, should be {should_be:?}")),
        }
    }
}
