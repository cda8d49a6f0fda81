//! The age list: every idle connection in the order in which they became idle.
//!
//! Times only grow, so the list is kept in order by appending alone. A connection that the fast
//! path borrowed and brought back in place stands too far on the old side, until a search for the
//! oldest passes it: then it is moved to where it belongs.
#![forbid(unsafe_code)]

use super::{Held, IdleList, Link, NOWHERE};
use crate::values::clock::Time;

/// So many are moved in one walk, so that the memory for it is bounded.
const MOST_MOVED: usize = 1024;

impl<C: Held> IdleList<C> {
    /// The longest idle node of all that does not belong to `except`, and its destination.
    pub(crate) fn oldest_not_of(&mut self, except: Option<u32>) -> Option<(u32, u32)> {
        let mut at = self.oldest;
        let mut passed = NOWHERE;
        while at != NOWHERE {
            let node = &self.nodes[at as usize];
            let (destination, newer) = (node.destination, node.age.newer);
            if Some(destination) == except || node.held.is_none() {
                passed = at;
                at = newer;
            } else if self.is_stale(at) {
                passed = if self.move_from(at) { NOWHERE } else { passed };
                at = match passed {
                    NOWHERE => self.oldest,
                    passed => self.node(passed).age.newer,
                };
            } else {
                return Some((at, destination));
            }
        }
        None
    }

    /// Moves the stale ones from there on, up to the first that is not, to where they belong:
    /// together, because a walk costs what it walks over. When walks have cost as much as one over
    /// all, all are moved; true then.
    fn move_from(&mut self, first: u32) -> bool {
        if self.walked > self.len {
            self.move_old(Time::NEVER);
            self.walked = 0;
            return true;
        }
        let mut stale = Vec::new();
        let mut at = first;
        while at != NOWHERE && self.is_stale(at) && stale.len() < MOST_MOVED {
            stale.push(at);
            at = self.node(at).age.newer;
        }
        self.move_all(stale);
        false
    }

    /// The longest idle node, its destination, and since when.
    pub(crate) fn oldest(&mut self) -> Option<(u32, u32, Time)> {
        let (at, destination) = self.oldest_not_of(None)?;
        Some((at, destination, self.node(at).idle_since))
    }

    /// It was borrowed and brought back since it was put where it stands in the row.
    pub(super) fn is_stale(&self, at: u32) -> bool {
        let node = &self.nodes[at as usize];
        let held = node.held.as_ref();
        held.is_some_and(|held| held.returned_at() > node.idle_since)
    }

    /// Moves those on the old side, up to that time, to where they belong.
    pub(crate) fn move_old(&mut self, up_to: Time) {
        let mut has_more = true;
        while has_more {
            let mut stale = Vec::new();
            let mut at = self.oldest;
            while at != NOWHERE && self.node(at).idle_since <= up_to && stale.len() < MOST_MOVED {
                if self.is_stale(at) {
                    stale.push(at);
                }
                at = self.node(at).age.newer;
            }
            has_more = stale.len() == MOST_MOVED;
            self.move_all(stale);
        }
    }

    /// Moves those on the new side, after that time, that please `choose`, to where they belong; as
    /// many as one walk moves.
    pub(crate) fn move_new(&mut self, after: Time, choose: impl Fn(&C) -> bool) {
        let mut stale = Vec::new();
        let mut at = self.newest;
        while at != NOWHERE && self.node(at).idle_since > after && stale.len() < MOST_MOVED {
            if self.is_stale(at) && self.held(at).is_some_and(&choose) {
                stale.push(at);
            }
            at = self.node(at).age.older;
        }
        self.move_all(stale);
    }

    /// In one walk from the new side.
    fn move_all(&mut self, mut stale: Vec<u32>) {
        for &at in &stale {
            self.leave_row(at);
            let node = self.node(at);
            node.idle_since = node.held.as_ref().map_or(node.idle_since, C::returned_at);
        }
        stale.sort_by_key(|&at| std::cmp::Reverse(self.nodes[at as usize].idle_since));
        let mut older = self.newest;
        for at in stale {
            let since = self.node(at).idle_since;
            while older != NOWHERE && self.node(older).idle_since > since {
                older = self.node(older).age.older;
                self.walked = self.walked.saturating_add(1);
            }
            self.enter_row(at, older);
        }
    }

    /// Into the row, behind `older`.
    pub(super) fn enter_row(&mut self, at: u32, older: u32) {
        let newer = match older {
            NOWHERE => std::mem::replace(&mut self.oldest, at),
            older => std::mem::replace(&mut self.node(older).age.newer, at),
        };
        match newer {
            NOWHERE => self.newest = at,
            newer => self.node(newer).age.older = at,
        }
        self.node(at).age = Link { older, newer };
    }

    pub(super) fn leave_row(&mut self, at: u32) {
        let Link { older, newer } = self.node(at).age;
        match older {
            NOWHERE => self.oldest = newer,
            older => self.node(older).age.newer = newer,
        }
        match newer {
            NOWHERE => self.newest = older,
            newer => self.node(newer).age.older = older,
        }
    }

    /// Calls `each` for every node whose connection became idle after `after`, the newest first.
    pub(crate) fn newer_than(&self, after: Time, mut each: impl FnMut(u32, &C, Time)) {
        let mut at = self.newest;
        while at != NOWHERE {
            let node = &self.nodes[at as usize];
            if node.idle_since <= after {
                return;
            }
            if let Some(held) = &node.held {
                each(at, held, node.idle_since);
            }
            at = node.age.older;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shelf;
    use super::*;
    use crate::pool::state::model::fake::Fake;

    /// Whatever stands too far on the old side costs about one walk over all, not one walk each.
    #[test]
    fn what_was_used_in_place_in_any_order_is_put_in_its_place_at_little_cost() {
        const MANY: u64 = 2000;
        let reversed = |i: u64| Some(MANY - i);
        let every_other = |i: u64| (i % 2 == 0).then(|| MANY - i);
        let mixed = |i: u64| Some(i * 1201 % MANY);
        for used_at in [reversed, every_other, mixed] {
            let (mut shelves, mut shelf) = (IdleList::new(), Shelf::EMPTY);
            let mut oldest_of_evens = Time::NEVER;
            for i in 0..MANY {
                let put = Time::from_nanos(i);
                let since = used_at(i).map_or(put, |at| Time::from_nanos(MANY + at));
                let destination = (i % 2) as u32;
                let conn = Fake::new(i, destination, Time::NEVER, true);
                conn.make_idle(since, false);
                shelves.push(&mut shelf, destination, conn, put);
                if destination == 0 {
                    oldest_of_evens = oldest_of_evens.min(since);
                }
            }
            let (at, destination) = shelves.oldest_not_of(Some(1)).expect("there are some");
            assert_eq!(
                (shelves.node(at).idle_since, destination),
                (oldest_of_evens, 0)
            );
            let (mut last, mut walked) = (Time::default(), 0);
            while let Some((at, _, since)) = shelves.oldest() {
                assert!(since >= last);
                last = since;
                walked = walked.max(shelves.walked);
                shelves.remove(&mut shelf, at);
            }
            assert_eq!(shelves.len(), 0);
            assert!(u64::from(walked) <= 2 * MANY, "{walked}");
        }
    }

    /// Became idle at 1 to 5; the second and the fourth were used in place, until 10 and 11.
    fn five() -> IdleList<Fake> {
        let (mut list, mut shelf) = (IdleList::new(), Shelf::EMPTY);
        for (put, returned) in [(1, 1), (2, 10), (3, 3), (4, 11), (5, 5)] {
            let conn = Fake::new(put, 0, Time::NEVER, true);
            conn.make_idle(Time::from_nanos(returned), false);
            list.push(&mut shelf, 0, conn, Time::from_nanos(put));
        }
        list
    }

    /// Since when each is idle, from the oldest on.
    fn row(list: &IdleList<Fake>) -> Vec<u64> {
        let mut row = Vec::new();
        let mut at = list.oldest;
        while at != NOWHERE {
            let node = &list.nodes[at as usize];
            row.push(node.idle_since.nanos());
            at = node.age.newer;
        }
        row
    }

    #[test]
    fn those_on_the_old_side_are_moved_up_to_a_time() {
        for (up_to, moved) in [
            (1, [1, 2, 3, 4, 5]),
            (2, [1, 3, 4, 5, 10]),
            (4, [1, 3, 5, 10, 11]),
        ] {
            let mut list = five();
            list.move_old(Time::from_nanos(up_to));
            assert_eq!(row(&list), moved, "up to {up_to}");
        }
    }

    #[test]
    fn those_on_the_new_side_that_please_are_moved_after_a_time() {
        for (after, pleases, moved) in [
            (4, true, [1, 2, 3, 4, 5]),
            (3, true, [1, 2, 3, 5, 11]),
            (3, false, [1, 2, 3, 4, 5]),
            (1, true, [1, 3, 5, 10, 11]),
        ] {
            let mut list = five();
            list.move_new(Time::from_nanos(after), |_| pleases);
            assert_eq!(row(&list), moved, "after {after}");
        }
    }
}
