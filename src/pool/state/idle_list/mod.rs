//! Idle connections in order: a shelf per destination, and one list of all by age (`age`).
//!
//! Nodes live in one array and are linked by number, so every operation is O(1). Knows no limits
//! and no reasons for closing; `state` has those.
#![forbid(unsafe_code)]

mod age;

use std::collections::TryReserveError;

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

    /// Its first node in that order.
    pub(crate) fn first(&self, order: ReuseOrder) -> Option<u32> {
        let at = match order {
            ReuseOrder::Lifo => self.newest,
            ReuseOrder::Fifo => self.oldest,
        };
        (at != NOWHERE).then_some(at)
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

/// The idle connections of a pool.
#[derive(Debug)]
pub(crate) struct IdleList<C> {
    nodes: Vec<Node<C>>,
    free: u32,
    oldest: u32,
    newest: u32,
    len: u32,
    /// Nodes whose connection is asked about, and will come back to them.
    lent: u32,
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
            lent: 0,
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
            self.nodes.push(node);
            (self.nodes.len() - 1) as u32
        } else {
            let at = self.free;
            self.free = self.nodes[at as usize].shelf.newer;
            *self.node(at) = node;
            at
        }
    }

    /// Sees to it that so many connections more find a node each; how many nodes there may be then.
    ///
    /// From `FEW` at once to `MANY`, which malloc(3) maps apart from the heap: pages that are not
    /// touched cost nothing, growing further copies nothing, and no smaller array is left behind.
    pub(crate) fn try_reserve(&mut self, more: u32) -> Result<usize, TryReserveError> {
        let wanted = (self.len + self.lent + more) as usize;
        let (len, capacity) = (self.nodes.len(), self.nodes.capacity());
        if wanted > capacity && (FEW..MANY).contains(&capacity) {
            self.nodes.try_reserve_exact(wanted.max(MANY) - len)?;
        } else if wanted > capacity {
            self.nodes.try_reserve(wanted - len)?;
        }
        Ok(wanted.max(len))
    }

    /// So many nodes find room without memory being asked for.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.nodes.capacity()
    }

    /// Puts a connection on its destination's shelf as the newest. Returns its node.
    pub(crate) fn push(&mut self, shelf: &mut Shelf, destination: u32, held: C, now: Time) -> u32 {
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
        at
    }

    /// Takes out the connection in node `at`; the node is occupied and belongs to `shelf`.
    pub(crate) fn remove(&mut self, shelf: &mut Shelf, at: u32) -> Option<(C, Time)> {
        let held = self.take_held(shelf, at)?;
        let idle_since = self.node(at).idle_since.max(held.returned_at());
        self.free_node(shelf, at);
        Some((held, idle_since))
    }

    /// Its node stays where it is.
    fn take_held(&mut self, shelf: &mut Shelf, at: u32) -> Option<C> {
        let held = self.node(at).held.take()?;
        held.set_node(NOWHERE);
        shelf.len -= 1;
        self.len -= 1;
        Some(held)
    }

    fn free_node(&mut self, shelf: &mut Shelf, at: u32) {
        let in_shelf = self.node(at).shelf;
        self.node(at).shelf.newer = self.free;
        self.leave_row(at);
        self.free = at;
        match in_shelf.older {
            NOWHERE => shelf.oldest = in_shelf.newer,
            older => self.node(older).shelf.newer = in_shelf.newer,
        }
        match in_shelf.newer {
            NOWHERE => shelf.newest = in_shelf.older,
            newer => self.node(newer).shelf.older = in_shelf.older,
        }
    }

    /// Takes out a connection that will come back to its node, or be closed.
    pub(crate) fn lend_node(&mut self, shelf: &mut Shelf, at: u32) -> Option<C> {
        let held = self.take_held(shelf, at)?;
        self.lent += 1;
        Some(held)
    }

    /// It is back.
    pub(crate) fn return_node(&mut self, shelf: &mut Shelf, at: u32, held: C) {
        held.set_node(at);
        self.node(at).held = Some(held);
        shelf.len += 1;
        self.len += 1;
        self.lent -= 1;
    }

    /// It does not come back.
    pub(crate) fn drop_node(&mut self, shelf: &mut Shelf, at: u32) {
        self.lent -= 1;
        self.free_node(shelf, at);
    }

    /// Since when the connection in node `at` has been idle.
    pub(crate) fn since(&self, at: u32) -> Time {
        let node = self.nodes.get(at as usize);
        let since = |node: &Node<C>| {
            let held = node.held.as_ref().map(C::returned_at);
            node.idle_since.max(held.unwrap_or_default())
        };
        node.map_or(Time::NEVER, since)
    }

    /// The node that is next in `order` and pleases `choose`.
    pub(crate) fn find(
        &self,
        shelf: &Shelf,
        order: ReuseOrder,
        choose: impl Fn(&C) -> bool,
    ) -> Option<u32> {
        self.in_order(shelf, order)
            .find(|&at| self.held(at).is_some_and(&choose))
    }

    /// The longest idle node of one shelf.
    pub(crate) fn oldest_on(&self, shelf: &Shelf) -> Option<u32> {
        // Of equally old ones the last in this order, which was put there first.
        let younger_first = |&at: &u32| std::cmp::Reverse(self.since(at));
        self.nodes_of(shelf).max_by_key(younger_first)
    }

    /// Every node of a shelf that has its connection, the newest first.
    pub(crate) fn nodes_of(&self, shelf: &Shelf) -> impl Iterator<Item = u32> + '_ {
        self.in_order(shelf, ReuseOrder::Lifo)
            .filter(|&at| self.held(at).is_some())
    }

    fn in_order(&self, shelf: &Shelf, order: ReuseOrder) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(shelf.first(order), move |&at| self.next_on_shelf(at, order))
    }

    /// The node behind that one on its shelf, in that order.
    pub(crate) fn next_on_shelf(&self, at: u32, order: ReuseOrder) -> Option<u32> {
        let link = self.nodes[at as usize].shelf;
        let next = match order {
            ReuseOrder::Lifo => link.older,
            ReuseOrder::Fifo => link.newer,
        };
        (next != NOWHERE).then_some(next)
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

    /// Gives back the memory of nodes when nothing is idle.
    pub(crate) fn trim(&mut self) {
        if self.len + self.lent == 0 {
            *self = Self::new();
        }
    }
}
