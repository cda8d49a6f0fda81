//! on_idle: checkers, each of which is asked about one connection after another.
#![forbid(unsafe_code)]

use super::{pick, same, World, Wrong};
use crate::pool::state::answer::Disposition;
use crate::pool::state::held::NOWHERE;
use crate::pool::state::idle_checks::Check;
use crate::pool::state::model::fake::Fake;
use crate::pool::state::model::reference::Conn;
use crate::values::clock::Time;

impl World<'_> {
    /// The engine starts as many checkers as are wanted, and each takes one.
    pub(super) fn ask(&mut self) -> Result<(), Wrong> {
        let (checkers, next) = self.state.start_checkers(self.now);
        for _ in 0..checkers {
            self.take_check()?;
        }
        // What the fast path has, or had a moment ago, is looked at later.
        if self.rules.are_plain() {
            return Ok(());
        }
        let mut idle = self.reference.conns.iter();
        same(
            "is asked later",
            idle.find(|conn| self.is_due(conn)).map(|conn| conn.id),
            None,
        )?;
        // Or as the last who took one has told.
        let told = self.state.next_deadline();
        self.check_next_check(next.min(told))
    }

    fn is_due(&self, conn: &Conn) -> bool {
        self.reference.is_to_be_asked(conn)
    }

    fn check_next_check(&self, next: Time) -> Result<(), Wrong> {
        let all = self.reference.conns.iter();
        let due = all
            .filter_map(|conn| self.reference.to_be_asked_at(conn))
            .min();
        match due {
            Some(due) if next > due => Err(format!("asks next at {next:?}, should at {due:?}")),
            _ => Ok(()),
        }
    }

    /// A checker takes the next one, or ends.
    fn take_check(&mut self) -> Result<(), Wrong> {
        let taken = self.state.take_check(self.now, self.now, &mut self.effects);
        // Such as were too old.
        let closed: Vec<u64> = self.effects.closes.iter().map(|one| one.conn.id).collect();
        for id in closed {
            if !self.reference.has_closed(id) {
                self.reference.close_too_old(id);
            }
        }
        if let Some((conn, check)) = taken {
            same("may be asked about", self.reference.ask(conn.id), true)?;
            self.asked.push((conn, check));
        }
        Ok(())
    }

    /// on_idle has returned, and its checker goes on.
    pub(super) fn end_ask(&mut self, who: u8, disposition: Disposition) -> Result<(), Wrong> {
        let Some(at) = pick(&self.asked, who) else {
            return Ok(());
        };
        let (conn, check): (Fake, Check) = self.asked.remove(at);
        let facts = conn.facts().clone();
        let id = facts.id;
        let is_kept = self
            .state
            .end_check(conn, check, disposition, self.now, &mut self.effects);
        same(
            "is kept or handed on",
            is_kept,
            self.reference.end_ask(id, disposition),
        )?;
        // As `Pool::check` does: by then the watch may have looked at all of its age.
        if facts.node.get() != NOWHERE {
            facts.is_armed.set(true);
        }
        self.take_check()
    }
}
