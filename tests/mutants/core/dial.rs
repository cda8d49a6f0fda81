//! The race, and what it imports.

mod bounded;
pub(crate) mod callbacks;
pub(crate) mod race;
