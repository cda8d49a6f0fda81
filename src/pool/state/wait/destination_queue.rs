//! The waiters of one destination, in the order of their tickets.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use crate::pool::state::answer::{Reuse, Ticket};

/// The waiters of one destination. Boxed, because most destinations have none.
#[derive(Debug, Default)]
pub(in crate::pool::state) struct DestinationQueue(Option<Box<Tickets>>);

#[derive(Debug, Default)]
struct Tickets {
    any: BTreeSet<Ticket>,
    fresh: BTreeSet<Ticket>,
    /// The ticket that `slot_waiters` has of this destination.
    head: Option<Ticket>,
}

impl DestinationQueue {
    pub(in crate::pool::state) fn is_empty(&self) -> bool {
        self.waiting() == 0
    }

    /// No waiters, and no head.
    pub(super) fn is_unused(&self) -> bool {
        self.0.is_none()
    }

    pub(in crate::pool::state) fn has_fresh(&self) -> bool {
        self.0.as_ref().is_some_and(|one| !one.fresh.is_empty())
    }

    pub(in crate::pool::state) fn waiting(&self) -> u32 {
        let count = |one: &Tickets| one.any.len() + one.fresh.len();
        self.0.as_deref().map_or(0, count) as u32
    }

    pub(super) fn insert(&mut self, ticket: Ticket, reuse: Reuse) {
        let tickets = self.0.get_or_insert_default();
        tickets.of(reuse).insert(ticket);
    }

    pub(super) fn remove(&mut self, ticket: Ticket, reuse: Reuse) {
        if let Some(tickets) = &mut self.0 {
            tickets.of(reuse).remove(&ticket);
        }
    }

    pub(super) fn oldest_of_any(&self) -> Option<Ticket> {
        self.0.as_ref()?.any.first().copied()
    }

    pub(super) fn oldest(&self) -> Option<(Ticket, Reuse)> {
        let fresh = self.0.as_ref()?.fresh.first();
        let fresh = fresh.map(|&ticket| (ticket, Reuse::Never));
        let any = self.oldest_of_any().map(|ticket| (ticket, Reuse::Allowed));
        match (any, fresh) {
            (Some(any), Some(fresh)) => Some(if any.0 < fresh.0 { any } else { fresh }),
            (any, fresh) => any.or(fresh),
        }
    }

    pub(super) fn head(&self) -> Option<Ticket> {
        self.0.as_ref()?.head
    }

    /// Without waiters and without a head nothing is kept.
    pub(super) fn set_head(&mut self, head: Option<Ticket>) {
        if head.is_none() && self.is_empty() {
            self.0 = None;
        } else {
            self.0.get_or_insert_default().head = head;
        }
    }
}

impl Tickets {
    fn of(&mut self, reuse: Reuse) -> &mut BTreeSet<Ticket> {
        match reuse {
            Reuse::Never => &mut self.fresh,
            _ => &mut self.any,
        }
    }
}
