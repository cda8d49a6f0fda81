//! Idle connections in order: one shelf per destination, and one row of all of them by age.
//!
//! Times only grow, so each list is ordered by "idle since" by appending alone: expiry and eviction look at one end, and
//! every operation is O(1). Knows no limits and no reasons; `state` calls it.
#![forbid(unsafe_code)]

use super::stats::Cause;
use crate::values::clock::Time;
use crate::values::options::ReuseOrder;

/// No node.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// What a shelf holds.
pub(crate) trait Held {
    /// Wakes one that waits for a connection.
    type Bell: Clone + std::fmt::Debug;
    /// Never the same for two connections that exist at once.
    fn id(&self) -> u64;
    /// Where it belongs.
    fn destination_id(&self) -> u32;
    /// When its lifetime ends.
    fn retire_at(&self) -> Time;
    /// Borrows so far.
    fn uses(&self) -> u32;
    /// Why it must not be handed out or kept, as far as somebody has noticed.
    fn unfit(&self) -> Option<Cause>;
    /// Its watch does not look for bytes yet, and should once it has been idle for a while.
    fn wants_arming(&self) -> bool;
    /// Keeps the number of the node it stands in ([`NOWHERE`]: none), so that it can be found without a search.
    fn set_node(&self, node: u32);
    /// Its borrow is over, and it is kept or handed on.
    fn came_home(&self);
    /// It is going to be closed.
    fn goes(&self);
}

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
pub(crate) struct Shelves<C> {
    nodes: Vec<Node<C>>,
    free: u32,
    oldest: u32,
    newest: u32,
    len: u32,
}

impl<C: Held> Shelves<C> {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            free: NOWHERE,
            oldest: NOWHERE,
            newest: NOWHERE,
            len: 0,
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
                older: self.newest,
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
        match self.newest {
            NOWHERE => self.oldest = at,
            newest => self.node(newest).age.newer = at,
        }
        shelf.newest = at;
        self.newest = at;
        shelf.len += 1;
        self.len += 1;
    }

    /// Takes out the connection in node `at`; the node is occupied and belongs to `shelf`.
    pub(crate) fn remove(&mut self, shelf: &mut Shelf, at: u32) -> Option<(C, Time)> {
        let free = self.free;
        let node = self.node(at);
        let held = node.held.take()?;
        let (in_shelf, in_age, idle_since) = (node.shelf, node.age, node.idle_since);
        node.shelf.newer = free;
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
        match in_age.older {
            NOWHERE => self.oldest = in_age.newer,
            older => self.node(older).age.newer = in_age.newer,
        }
        match in_age.newer {
            NOWHERE => self.newest = in_age.older,
            newer => self.node(newer).age.older = in_age.older,
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
    pub(crate) fn oldest_not_of(&self, except: Option<u32>) -> Option<(u32, u32)> {
        let mut at = self.oldest;
        while at != NOWHERE {
            let node = &self.nodes[at as usize];
            if Some(node.destination) != except {
                return Some((at, node.destination));
            }
            at = node.age.newer;
        }
        None
    }

    /// The longest idle node, its destination, and since when.
    pub(crate) fn oldest(&self) -> Option<(u32, u32, Time)> {
        let node = self.nodes.get(self.oldest as usize)?;
        Some((self.oldest, node.destination, node.idle_since))
    }

    /// The destination of the connection in node `at`, if that connection is `id`.
    pub(crate) fn destination_of(&self, at: u32, id: u64) -> Option<u32> {
        let node = self.nodes.get(at as usize)?;
        (node.held.as_ref()?.id() == id).then_some(node.destination)
    }

    /// The connection in node `at`.
    pub(crate) fn held(&self, at: u32) -> Option<&C> {
        self.nodes.get(at as usize)?.held.as_ref()
    }

    /// Calls `each` for every connection that became idle after `after`, the newest first.
    pub(crate) fn newer_than(&self, after: Time, mut each: impl FnMut(&C, Time)) {
        let mut at = self.newest;
        while at != NOWHERE {
            let node = &self.nodes[at as usize];
            if node.idle_since <= after {
                return;
            }
            if let Some(held) = &node.held {
                each(held, node.idle_since);
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
