//! Idle connections in order: one shelf per destination, and one row of all of them by age.
//!
//! Times only grow, so each list is ordered by "idle since" by appending alone: expiry and eviction
//! look at one end, and every operation is O(1). What was borrowed and brought back in place
//! (`handle::shelved`) stands too far on the old side of the row, until somebody looks there for
//! the oldest: then it is moved to where it belongs. Knows no limits and no reasons; `state` calls
//! it.
#![forbid(unsafe_code)]

use super::held::{Held, NOWHERE};
use crate::values::clock::Time;
use crate::values::options::ReuseOrder;

const FEW: usize = 64;
const MANY: usize = 4096;

/// The two ends of one destination's shelf.
#[derive(Debug)]
pub(crate) struct Shelf {
    oldest: u32,
    newest: u32,
    len: u32,
}

impl Shelf {
    pub(crate) const EMPTY: Shelf = Shelf {
        oldest: NOWHERE,
        newest: NOWHERE,
        len: 0,
    };

    pub(crate) fn len(&self) -> u32 {
        self.len
    }
}

#[derive(Debug, Clone, Copy)]
struct Link {
    older: u32,
    newer: u32,
}

#[derive(Debug)]
struct Node<C> {
    /// `None`: a free node, chained by `shelf.newer`.
    held: Option<C>,
    destination: u32,
    shelf: Link,
    age: Link,
    idle_since: Time,
}

/// All shelves' nodes.
#[derive(Debug)]
pub(crate) struct IdleList<C> {
    nodes: Vec<Node<C>>,
    free: u32,
    oldest: u32,
    newest: u32,
    len: u32,
    /// So many nodes were walked over to put others in their places since all were.
    walked: u32,
}

impl<C: Held> IdleList<C> {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            free: NOWHERE,
            oldest: NOWHERE,
            newest: NOWHERE,
            len: 0,
            walked: 0,
        }
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    fn node(&mut self, at: u32) -> &mut Node<C> {
        &mut self.nodes[at as usize]
    }

    fn new_node(&mut self, node: Node<C>) -> u32 {
        if self.free == NOWHERE {
            self.make_room();
            self.nodes.push(node);
            (self.nodes.len() - 1) as u32
        } else {
            let at = self.free;
            self.free = self.nodes[at as usize].shelf.newer;
            *self.node(at) = node;
            at
        }
    }

    /// From `FEW` at once to `MANY`, which malloc(3) maps apart from the heap: pages that are not
    /// touched cost nothing, growing further copies nothing, and no smaller array is left behind.
    fn make_room(&mut self) {
        let len = self.nodes.len();
        if len == self.nodes.capacity() && (FEW..MANY).contains(&len) {
            self.nodes.reserve_exact(MANY - len);
        }
    }

    /// Puts a connection on its destination's shelf as the newest.
    pub(crate) fn push(&mut self, shelf: &mut Shelf, destination: u32, held: C, now: Time) {
        let idle_since = match self.nodes.get(self.newest as usize) {
            Some(newest) => now.max(newest.idle_since),
            None => now,
        };
        let at = self.new_node(Node {
            held: None,
            destination,
            shelf: Link {
                older: shelf.newest,
                newer: NOWHERE,
            },
            age: Link {
                older: NOWHERE,
                newer: NOWHERE,
            },
            idle_since,
        });
        held.set_node(at);
        self.node(at).held = Some(held);
        match shelf.newest {
            NOWHERE => shelf.oldest = at,
            newest => self.node(newest).shelf.newer = at,
        }
        self.enter_row(at, self.newest);
        shelf.newest = at;
        shelf.len += 1;
        self.len += 1;
    }

    /// Takes out the connection in node `at`; the node is occupied and belongs to `shelf`.
    pub(crate) fn remove(&mut self, shelf: &mut Shelf, at: u32) -> Option<(C, Time)> {
        let free = self.free;
        let node = self.node(at);
        let held = node.held.take()?;
        let (in_shelf, idle_since) = (node.shelf, node.idle_since.max(held.returned_at()));
        node.shelf.newer = free;
        self.leave_row(at);
        self.free = at;
        held.set_node(NOWHERE);
        match in_shelf.older {
            NOWHERE => shelf.oldest = in_shelf.newer,
            older => self.node(older).shelf.newer = in_shelf.newer,
        }
        match in_shelf.newer {
            NOWHERE => shelf.newest = in_shelf.older,
            newer => self.node(newer).shelf.older = in_shelf.older,
        }
        shelf.len -= 1;
        self.len -= 1;
        Some((held, idle_since))
    }

    /// The node that is next in `order` and pleases `choose`.
    pub(crate) fn find(
        &self,
        shelf: &Shelf,
        order: ReuseOrder,
        choose: impl Fn(&C) -> bool,
    ) -> Option<u32> {
        let mut at = match order {
            ReuseOrder::Lifo => shelf.newest,
            ReuseOrder::Fifo => shelf.oldest,
        };
        while at != NOWHERE {
            let node = &self.nodes[at as usize];
            if node.held.as_ref().is_some_and(&choose) {
                return Some(at);
            }
            at = match order {
                ReuseOrder::Lifo => node.shelf.older,
                ReuseOrder::Fifo => node.shelf.newer,
            };
        }
        None
    }

    /// The longest idle node of all that does not belong to `except`, and its destination.
    pub(crate) fn oldest_not_of(&mut self, except: Option<u32>) -> Option<(u32, u32)> {
        let mut at = self.oldest;
        let mut passed = NOWHERE;
        while at != NOWHERE {
            let node = &self.nodes[at as usize];
            let (destination, newer) = (node.destination, node.age.newer);
            if Some(destination) == except {
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
        while at != NOWHERE && self.is_stale(at) {
            stale.push(at);
            at = self.node(at).age.newer;
        }
        self.move_all(stale);
        false
    }

    /// The longest idle node of one shelf.
    pub(crate) fn oldest_on(&self, shelf: &Shelf) -> Option<u32> {
        let since = |&at: &u32| {
            let node = &self.nodes[at as usize];
            let since = node.held.as_ref().map(C::returned_at);
            since.unwrap_or_default().max(node.idle_since)
        };
        // Of equally old ones that which was put there first.
        self.nodes_of(shelf).into_iter().rev().min_by_key(since)
    }

    /// The longest idle node, its destination, and since when.
    pub(crate) fn oldest(&mut self) -> Option<(u32, u32, Time)> {
        let (at, destination) = self.oldest_not_of(None)?;
        Some((at, destination, self.node(at).idle_since))
    }

    /// It was borrowed and brought back since it was put where it stands in the row.
    fn is_stale(&self, at: u32) -> bool {
        let node = &self.nodes[at as usize];
        let held = node.held.as_ref();
        held.is_some_and(|held| held.returned_at() > node.idle_since)
    }

    /// Moves those on the old side, up to that time, to where they belong.
    pub(crate) fn move_old(&mut self, up_to: Time) {
        let mut stale = Vec::new();
        let mut at = self.oldest;
        while at != NOWHERE && self.node(at).idle_since <= up_to {
            if self.is_stale(at) {
                stale.push(at);
            }
            at = self.node(at).age.newer;
        }
        self.move_all(stale);
    }

    /// The same for those on the new side, after that time, that please `choose`.
    pub(crate) fn move_new(&mut self, after: Time, choose: impl Fn(&C) -> bool) {
        let mut stale = Vec::new();
        let mut at = self.newest;
        while at != NOWHERE && self.node(at).idle_since > after {
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
    fn enter_row(&mut self, at: u32, older: u32) {
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

    fn leave_row(&mut self, at: u32) {
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

    /// Every node of a shelf, the newest first.
    pub(crate) fn nodes_of(&self, shelf: &Shelf) -> Vec<u32> {
        let mut nodes = Vec::with_capacity(shelf.len as usize);
        let mut at = shelf.newest;
        while at != NOWHERE {
            nodes.push(at);
            at = self.nodes[at as usize].shelf.older;
        }
        nodes
    }

    /// The destination of the connection in node `at`, if that connection is `id`.
    pub(crate) fn destination_of(&self, at: u32, id: u64) -> Option<u32> {
        let node = self.nodes.get(at as usize)?;
        (node.held.as_ref()?.id() == id).then_some(node.destination)
    }

    /// Every node has a number below this one.
    pub(crate) fn places(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// The connection in node `at`.
    pub(crate) fn held(&self, at: u32) -> Option<&C> {
        self.nodes.get(at as usize)?.held.as_ref()
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

    /// Gives back the memory of nodes when nothing is idle.
    pub(crate) fn trim(&mut self) {
        if self.len == 0 {
            *self = Self::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::counters::CloseCause;
    use super::*;
    use crate::handle::Absence;
    use std::cell::Cell;
    use std::rc::Rc;

    #[derive(Clone, Debug)]
    struct One(u64, Rc<Cell<Time>>);

    impl Held for One {
        type Waker = ();
        fn id(&self) -> u64 {
            self.0
        }
        fn destination_id(&self) -> u32 {
            0
        }
        fn retire_at(&self) -> Time {
            Time::NEVER
        }
        fn uses(&self) -> u32 {
            1
        }
        fn unfit(&self) -> Option<CloseCause> {
            None
        }
        fn wants_arming(&self) -> bool {
            false
        }
        fn set_node(&self, _: u32) {}
        fn on_returned(&self) {}
        fn on_removed(&self) {}
        fn returned_at(&self) -> Time {
            self.1.get()
        }
        fn make_idle(&self, _: Time, _: bool) {}
        fn checked_out(&self) -> Absence {
            Absence::default()
        }
        fn revoke(&self) -> Absence {
            Absence::default()
        }
        fn leave_to_borrower(self) {}
    }

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
                shelves.push(
                    &mut shelf,
                    destination,
                    One(i, Rc::new(Cell::new(since))),
                    put,
                );
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
}
