//! Which number a destination has, found by a hash of its text: few texts are compared, and few cache lines are touched, however many
//! destinations there are.
//!
//! An ordered map all the same: std's hash map keeps pointers into the middle of its memory only, which valgrind calls "possibly lost" when a
//! pool is alive at the program's end.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use super::DestinationId;
use crate::sync::Arc;
use crate::values::address::Destination;

type Known = (Arc<Destination>, DestinationId);

/// See the module.
#[derive(Debug)]
pub(super) struct Index {
    known: BTreeMap<u64, Place>,
    len: usize,
    /// Drawn, so that nobody can choose addresses whose hashes fall together.
    hasher: RandomState,
}

#[derive(Debug)]
enum Place {
    One(Known),
    /// Of the same hash.
    Several(Vec<Known>),
}

impl Place {
    fn all(&self) -> &[Known] {
        match self {
            Place::One(known) => std::slice::from_ref(known),
            Place::Several(known) => known,
        }
    }
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            known: BTreeMap::new(),
            len: 0,
            hasher: RandomState::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn hash(&self, destination: &Destination) -> u64 {
        self.hasher
            .hash_one((&destination.address.text, &destination.tag))
    }

    pub(super) fn find(&self, destination: &Destination) -> Option<DestinationId> {
        let place = self.known.get(&self.hash(destination))?;
        let known = place.all().iter();
        let mut found = known.filter(|(own, _)| **own == *destination);
        found.next().map(|&(_, id)| id)
    }

    /// One that is not known yet.
    pub(super) fn insert(&mut self, destination: Arc<Destination>, id: DestinationId) {
        let hash = self.hash(&destination);
        let new = (destination, id);
        let place = match self.known.remove(&hash) {
            None => Place::One(new),
            Some(Place::One(one)) => Place::Several(vec![one, new]),
            Some(Place::Several(mut several)) => {
                several.push(new);
                Place::Several(several)
            }
        };
        self.known.insert(hash, place);
        self.len += 1;
    }

    pub(super) fn remove(&mut self, destination: &Destination) {
        let hash = self.hash(destination);
        match self.known.remove(&hash) {
            None => return,
            Some(Place::One(_)) => {}
            Some(Place::Several(mut several)) => {
                several.retain(|(own, _)| **own != *destination);
                if !several.is_empty() {
                    self.known.insert(hash, Place::Several(several));
                }
            }
        }
        self.len -= 1;
    }

    /// In no order.
    pub(super) fn ids(&self) -> impl Iterator<Item = DestinationId> + '_ {
        let all = self.known.values().flat_map(Place::all);
        all.map(|&(_, id)| id)
    }
}
