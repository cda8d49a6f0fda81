//! The part of the library's slot table that knows no slot.

#[path = "../../../src/handle/word.rs"]
pub(crate) mod word;

pub(crate) use self::word::CheckedOut;
