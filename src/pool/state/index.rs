//! Which number a destination has, found by its hash: few texts are compared, and few cache lines
//! are touched, however many destinations there are.
//!
//! An ordered map all the same: std's hash map keeps pointers into the middle of its memory only,
//! which valgrind calls "possibly lost" when a pool is alive at the program's end.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::{BTreeMap, TryReserveError};
use std::ops::Bound::{Excluded, Included};

use super::held::Held;
use super::idle_list::Shelf;
use super::refill::Refill;
use super::untold::UntoldCounts;
use super::wait::destination_queue::DestinationQueue;
use super::{DestinationId, DestinationState, State, FEW};
use crate::sync::Arc;
use crate::values::address::Address;
use crate::values::destination::Destination;

/// By the hash, and where several have one hash, by number.
type KnownAt = (u64, DestinationId);

/// Destinations by the hash of their text.
#[derive(Debug)]
pub(super) struct Index {
    known: BTreeMap<KnownAt, Arc<Destination>>,
    /// Where the one is that was found last, and its number: a transition asks several times.
    last: Cell<Option<(usize, DestinationId)>>,
}

impl Index {
    pub(super) const fn new() -> Self {
        Self {
            known: BTreeMap::new(),
            last: Cell::new(None),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn find(&self, destination: &Destination) -> Option<DestinationId> {
        match self.last.get() {
            Some((last, id)) if last == place_of(destination) => Some(id),
            _ => self.look_up(destination),
        }
    }

    fn look_up(&self, destination: &Destination) -> Option<DestinationId> {
        let hash = destination.hash();
        let known = self.known.range((hash, DestinationId::MIN)..);
        let mut known = known.take_while(|((own, _), _)| *own == hash);
        let (&(_, id), found) = known.find(|(_, own)| ***own == *destination)?;
        if std::ptr::eq(&**found, destination) {
            // It stays where it is for as long as it is known.
            self.last.set(Some((place_of(destination), id)));
        }
        Some(id)
    }

    /// One that is not known yet.
    pub(super) fn insert(&mut self, destination: Arc<Destination>, id: DestinationId) {
        self.known.insert((destination.hash(), id), destination);
    }

    pub(super) fn remove(&mut self, destination: &Destination, id: DestinationId) {
        self.known.remove(&(destination.hash(), id));
        self.last.set(None);
    }

    /// Every destination at that address, whatever the tag.
    pub(super) fn at<'a>(
        &'a self,
        address: &'a Address,
    ) -> impl Iterator<Item = DestinationId> + 'a {
        self.after(None, address).map(|(_, id)| id)
    }

    /// The destination at that address behind that place, and its own place; `None`: the first.
    pub(super) fn next_at(
        &self,
        address: &Address,
        place: Option<KnownAt>,
    ) -> Option<(KnownAt, DestinationId)> {
        self.after(place, address).next()
    }

    fn after<'a>(
        &'a self,
        place: Option<KnownAt>,
        address: &'a Address,
    ) -> impl Iterator<Item = (KnownAt, DestinationId)> + 'a {
        let hashes = Destination::hashes_at(address);
        let first = (*hashes.start(), DestinationId::MIN);
        let last = (*hashes.end(), DestinationId::MAX);
        let first = place.map_or(Included(first), Excluded);
        let known = self.known.range((first, Included(last)));
        let there = known.filter(|(_, destination)| destination.is_at(address));
        there.map(|(&place, _)| (place, place.1))
    }
}

impl<C: Held> State<C> {
    /// Makes the room that one more connection takes in the lists that grow with all of them: what
    /// must not fail, as a give-back, finds it there. `Err`: there is no memory, and nothing has
    /// changed.
    pub(crate) fn try_reserve_one(&mut self) -> Result<(), TryReserveError> {
        // A waiter may get the right to dial in a call that has no say about memory.
        let more = self.borrowed + self.dialing + self.queue.waiting() + 1;
        let nodes = self.idle.try_reserve(more)?;
        self.checks.try_reserve(nodes)?;
        self.entries.try_reserve(1)?;
        let free = self.entries.len() + 1 - self.free_entries.len();
        self.free_entries.try_reserve(free)
    }

    pub(super) fn find_or_add(&mut self, destination: &Arc<Destination>) -> DestinationId {
        if let Some(id) = self.index.find(destination) {
            return id;
        }
        let entry = DestinationState {
            destination: destination.clone(),
            shelf: Shelf::EMPTY,
            borrowed: 0,
            checking: 0,
            dialing: 0,
            evicted_at: 0,
            untold: UntoldCounts::default(),
            queue: DestinationQueue::default(),
            refill: Refill::default(),
        };
        let id = match self.free_entries.pop() {
            Some(id) => {
                self.entries[id as usize] = Some(entry);
                id
            }
            None => {
                self.entries.push(Some(entry));
                (self.entries.len() - 1) as DestinationId
            }
        };
        self.index.insert(destination.clone(), id);
        id
    }

    /// A destination with nothing left is forgotten at once, but for one that is refilled.
    pub(super) fn forget_if_empty(&mut self, id: DestinationId) {
        let Some(Some(entry)) = self.entries.get(id as usize) else {
            return;
        };
        if !entry.is_empty() || self.is_kept_empty(entry) {
            return;
        }
        let destination = entry.destination.clone();
        self.entries[id as usize] = None;
        self.index.remove(&destination, id);
        if self.index.len() == 0 && self.entries.len() > FEW {
            self.entries = Vec::new();
            self.free_entries = Vec::new();
            self.index = Index::new();
            self.idle.trim();
            self.checks.trim();
        } else {
            self.free_entries.push(id);
        }
    }
}

fn place_of(destination: &Destination) -> usize {
    std::ptr::from_ref(destination).addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::endpoint::Endpoint;
    use crate::values::network::{Family, Network};

    #[test]
    fn destinations_of_one_hash_are_told_apart() {
        let all: Vec<_> = (1..=5)
            .map(|i| {
                let endpoint = Endpoint::Inet(([127, 0, 0, i], 80).into());
                let address = Address::of_endpoint(Network::Tcp(Family::Any), endpoint);
                Arc::new(Destination::new(address, "").hashed_as(u64::MAX))
            })
            .collect();
        let mut index = Index::new();
        for (id, one) in (0..).zip(&all) {
            assert_eq!(index.find(one), None);
            index.insert(one.clone(), id);
        }
        assert_eq!(index.find(&all[2]), Some(2));
        index.remove(&all[2], 2);
        assert_eq!(index.find(&all[2]), None);
        let found: Vec<_> = all.iter().map(|one| index.find(one)).collect();
        assert_eq!(found, [Some(0), Some(1), None, Some(3), Some(4)]);
        assert_eq!(index.len(), 4);
    }
}
