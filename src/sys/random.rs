//! Chance, for seeds of hashes and for spreading moments: nothing that must be kept secret.

use std::hash::{BuildHasher, RandomState};

/// Any number. std draws its keys once for each thread (getrandom(2)), so this is no system call.
pub(crate) fn draw() -> u64 {
    RandomState::new().hash_one(0)
}
