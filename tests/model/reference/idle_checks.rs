//! on_idle: "asked about each idle connection every on_idle_ms".
#![forbid(unsafe_code)]

use super::{Conn, Reference, SlotId};
use crate::pool::state::answer::Disposition;
use crate::pool::state::counters::CloseCause;
use crate::values::clock::Time;

impl Reference {
    /// When on_idle is to be asked about it; `None`: it is not idle, or there is no on_idle.
    pub(in super::super) fn to_be_asked_at(&self, conn: &Conn) -> Option<Time> {
        let every = self.rules.on_idle?;
        match conn.place {
            SlotId::Idle { since } => Some(since.max(conn.asked_at).after(every)),
            _ => None,
        }
    }

    pub(in super::super) fn is_to_be_asked(&self, conn: &Conn) -> bool {
        self.to_be_asked_at(conn).is_some_and(|at| at <= self.now)
    }

    pub(in super::super) fn asked_of(&self, to: usize) -> u32 {
        self.count(|conn| conn.to == to && conn.is_asked())
    }

    /// Whether on_idle may be asked about that one. Meanwhile "it counts as borrowed".
    pub(in super::super) fn ask(&mut self, id: u64) -> bool {
        let conn = *self.find(id);
        let SlotId::Idle { since } = conn.place else {
            return false;
        };
        let may_be = self.is_to_be_asked(&conn) && self.expired(&conn).is_none();
        self.find(id).place = SlotId::Asked {
            since,
            is_to_close: false,
        };
        may_be
    }

    /// One that was to be asked about is too old, and closed.
    pub(in super::super) fn close_too_old(&mut self, id: u64) {
        let conn = *self.find(id);
        if let (true, Some(cause)) = (self.is_to_be_asked(&conn), self.expired(&conn)) {
            self.remove_idle(id, cause);
        }
    }

    /// "close_idle closes it when its hook returns."
    pub(in super::super) fn close_asked(&mut self) {
        for conn in &mut self.conns {
            if let SlotId::Asked { is_to_close, .. } = &mut conn.place {
                *is_to_close = true;
            }
        }
    }

    /// "0 keeps it, and its time on the shelf goes on as if it had not been asked." True if it is
    /// kept or handed on.
    pub(in super::super) fn end_ask(&mut self, id: u64, disposition: Disposition) -> bool {
        self.counters.idle_checks += 1;
        self.find(id).asked_at = self.now;
        self.settle_in(id, disposition)
    }

    /// Of what is closed so far in this step.
    pub(in super::super) fn has_closed(&self, id: u64) -> bool {
        self.closes
            .iter()
            .any(|&(closed, _): &(u64, CloseCause)| closed == id)
    }
}
