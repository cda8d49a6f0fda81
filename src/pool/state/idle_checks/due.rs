//! Which node of the idle list is due next: a binary heap that knows where each node stands, so
//! that any of them can be taken out. Its memory is made before it is needed.
#![forbid(unsafe_code)]

use std::collections::TryReserveError;

use crate::values::clock::Time;

/// Not in the heap.
const NOT_DUE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Due {
    at: Time,
    /// Its place in the heap, or `NOT_DUE`.
    place: u32,
}

/// Nodes, each with the time at which it is due.
#[derive(Debug, Default)]
pub(super) struct DueNodes {
    /// Each is due no later than those at 2i + 1 and 2i + 2.
    heap: Vec<u32>,
    /// By the number of the node.
    of: Vec<Due>,
}

impl DueNodes {
    /// Sees to it that nodes with numbers below this one find room.
    pub(super) fn try_reserve(&mut self, nodes: usize) -> Result<(), TryReserveError> {
        self.heap
            .try_reserve(nodes.saturating_sub(self.heap.len()))?;
        self.of.try_reserve(nodes.saturating_sub(self.of.len()))
    }

    /// Gives the memory back if nothing is due.
    pub(super) fn trim(&mut self) {
        if self.heap.is_empty() {
            *self = Self::default();
        }
    }

    /// So many nodes find room without memory being asked for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.heap.capacity().min(self.of.capacity())
    }

    /// The first, and when it is due.
    pub(super) fn first(&self) -> Option<(u32, Time)> {
        let &node = self.heap.first()?;
        Some((node, self.at(node)))
    }

    /// How many are due by then, if they are fewer than `most`.
    pub(super) fn count(&self, by: Time, most: usize) -> usize {
        self.count_below(0, by, most)
    }

    fn count_below(&self, place: usize, by: Time, most: usize) -> usize {
        match self.heap.get(place) {
            Some(&node) if most > 0 && self.at(node) <= by => {
                let left = self.count_below(2 * place + 1, by, most - 1);
                1 + left + self.count_below(2 * place + 2, by, most - 1 - left)
            }
            _ => 0,
        }
    }

    /// The node is due at that time, and no more at another one.
    pub(super) fn insert(&mut self, node: u32, at: Time) {
        self.remove(node);
        let place = self.heap.len() as u32;
        if self.of.len() <= node as usize {
            let none = Due {
                at: Time::NEVER,
                place: NOT_DUE,
            };
            self.of.resize(node as usize + 1, none);
        }
        self.of[node as usize] = Due { at, place };
        self.heap.push(node);
        self.rise(place as usize);
    }

    pub(super) fn remove(&mut self, node: u32) {
        let Some(due) = self.of.get_mut(node as usize) else {
            return;
        };
        let place = std::mem::replace(&mut due.place, NOT_DUE) as usize;
        if place == NOT_DUE as usize {
            return;
        }
        self.heap.swap_remove(place);
        if let Some(&moved) = self.heap.get(place) {
            self.of[moved as usize].place = place as u32;
            self.rise(place);
            self.sink(place);
        }
    }

    fn at(&self, node: u32) -> Time {
        self.of[node as usize].at
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        for place in [one, other] {
            self.of[self.heap[place] as usize].place = place as u32;
        }
    }

    fn is_before(&self, one: usize, other: usize) -> bool {
        self.at(self.heap[one]) < self.at(self.heap[other])
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 && self.is_before(place, (place - 1) / 2) {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let below = 2 * place + 1..self.heap.len().min(2 * place + 3);
            let Some(least) = below.min_by_key(|&one| self.at(self.heap[one])) else {
                return;
            };
            if !self.is_before(least, place) {
                return;
            }
            self.swap(least, place);
            place = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn memory_is_given_back_when_nothing_is_due() {
        let mut nodes = DueNodes::default();
        assert!(nodes.try_reserve(100).is_ok());
        assert!(nodes.capacity() >= 100);
        nodes.insert(7, Time::from_nanos(1));
        assert!(nodes.try_reserve(100).is_ok() && nodes.capacity() >= 100);
        nodes.trim();
        assert_eq!(nodes.first(), Some((7, Time::from_nanos(1))));
        nodes.remove(7);
        nodes.trim();
        assert_eq!((nodes.heap.capacity(), nodes.of.capacity()), (0, 0));
    }

    /// Against a map, by a generator of its own.
    #[test]
    fn the_first_is_the_first_whatever_came_and_went() {
        let (mut nodes, mut map) = (DueNodes::default(), BTreeMap::new());
        let mut random = 1u64;
        for step in 0..20_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let (node, at) = ((random >> 33) as u32 % 200, Time::from_nanos(random >> 40));
            if random >> 63 == 0 {
                nodes.insert(node, at);
                map.insert(node, at);
            } else {
                nodes.remove(node);
                map.remove(&node);
            }
            let first = map.values().min().copied();
            assert_eq!(nodes.first().map(|(_, at)| at), first);
            if step % 50 == 0 {
                let by = Time::from_nanos(1 << 23);
                let due = map.values().filter(|&&at| at <= by).count();
                assert_eq!(nodes.count(by, 1000), due);
                assert_eq!(nodes.count(by, 16), due.min(16));
            }
        }
    }
}
