//! The part of the library's slot table that knows no slot.

pub(crate) mod word;

pub(crate) use self::word::CheckedOut;
