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

/// See the module.
#[derive(Debug)]
pub(super) struct Index<S = RandomState> {
    /// By hash, and where several have one hash, by number.
    known: BTreeMap<(u64, DestinationId), Arc<Destination>>,
    /// Drawn, so that nobody can choose addresses whose hashes fall together.
    hasher: S,
}

impl Index {
    pub(super) fn new() -> Self {
        Self::with(RandomState::new())
    }
}

impl<S: BuildHasher> Index<S> {
    fn with(hasher: S) -> Self {
        let known = BTreeMap::new();
        Self { known, hasher }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    fn hash(&self, destination: &Destination) -> u64 {
        self.hasher
            .hash_one((&destination.address.text, &destination.tag))
    }

    pub(super) fn find(&self, destination: &Destination) -> Option<DestinationId> {
        let hash = self.hash(destination);
        let mut known = self
            .known
            .range((hash, DestinationId::MIN)..=(hash, DestinationId::MAX));
        let found = known.find(|(_, own)| ***own == *destination);
        found.map(|(&(_, id), _)| id)
    }

    /// One that is not known yet.
    pub(super) fn insert(&mut self, destination: Arc<Destination>, id: DestinationId) {
        let hash = self.hash(&destination);
        self.known.insert((hash, id), destination);
    }

    pub(super) fn remove(&mut self, destination: &Destination) {
        if let Some(id) = self.find(destination) {
            self.known.remove(&(self.hash(destination), id));
        }
    }

    /// In no order.
    pub(super) fn ids(&self) -> impl Iterator<Item = DestinationId> + '_ {
        self.known.keys().map(|&(_, id)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dial::names::SystemNames;
    use crate::values::address::Address;
    use std::hash::{BuildHasherDefault, Hasher};

    #[derive(Default)]
    struct AllTheSame;

    impl Hasher for AllTheSame {
        fn finish(&self) -> u64 {
            u64::MAX
        }
        fn write(&mut self, _: &[u8]) {}
    }

    fn destinations() -> Vec<Arc<Destination>> {
        let texts = (1..=5).map(|i| format!("127.0.0.{i}:80"));
        let addresses = texts.map(|text| Address::parse("tcp", &text, &SystemNames::new()));
        addresses
            .map(|address| {
                Arc::new(Destination {
                    address: address.expect("a literal"),
                    tag: "".into(),
                })
            })
            .collect()
    }

    #[test]
    fn destinations_of_one_hash_are_told_apart() {
        let all = destinations();
        let mut index = Index::with(BuildHasherDefault::<AllTheSame>::default());
        for (id, one) in (0..).zip(&all) {
            assert_eq!(index.find(one), None);
            index.insert(one.clone(), id);
        }
        index.remove(&all[2]);
        index.remove(&all[2]);
        let found: Vec<_> = all.iter().map(|one| index.find(one)).collect();
        assert_eq!(found, [Some(0), Some(1), None, Some(3), Some(4)]);
        assert_eq!(index.len(), 4);
        assert_eq!(index.ids().sum::<DestinationId>(), 8);
    }
}
