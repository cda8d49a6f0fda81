//! Maps that forget: what expired goes first, then what was noted first.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use crate::values::clock::Time;

/// Makes room for one more entry in a map of `most`.
pub(crate) fn make_room<K: Clone + Ord, V>(
    map: &mut BTreeMap<K, V>,
    most: usize,
    noted: impl Fn(&V) -> Time,
    has_expired: impl Fn(&V) -> bool,
) {
    if map.len() < most {
        return;
    }
    map.retain(|_, value| !has_expired(value));
    if map.len() >= most {
        let oldest = map
            .iter()
            .min_by_key(|(_, value)| noted(value))
            .map(|(key, _)| key.clone());
        oldest.and_then(|key| map.remove(&key));
    }
}
