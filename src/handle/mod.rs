//! The slot table behind every C handle, and the one place that turns a C value into a reference.
//!
//! A handle is a number in a pointer's clothes: `generation << 27 | slot << 3 | kind`. It is never
//! dereferenced. The kind is never 0, so no aligned pointer of the program is a handle. Slots are
//! mapped once and never unmapped, so a look at a slot is always safe, whatever was passed in, in a
//! forked child too; nothing here takes a lock.
//!
//! One word per slot holds everything that must change together (`word` has its bits):
//!
//! | state of a slot | LENT | OCCUPIED | who may reach the value |
//! |---|---|---|---|
//! | vacant | 0 | 0 | nobody; the slot is on the free list |
//! | owned | 0 | 1 | the one [`Owned`], and pins by [`SlotId`] |
//! | lent | 1 | 1 | pins by the handle of this generation, and by slot id |
//!
//! - vacant → owned: [`Table::insert`]. The generation goes up, so that no word of the slot ever
//!   comes twice.
//! - owned → lent: [`Owned::lend`] makes a handle that never was one before (the generation goes
//!   up).
//! - lent → owned: [`Table::take_back`] ends the handle and waits until its last user has left.
//!   [`Owned::lend_again`] alone makes the same one live once more.
//! - owned → vacant: the [`Owned`] is dropped.
//!
//! A biased value goes from owned to lent and back without its owner (`biased`). A slot whose
//! generation is used up (2^37 - 1 borrows) is retired, so no handle value ever comes twice.
//!
//! In a forked child the first call has every table [`adopt`](Table::adopt) what it holds, before
//! anything else looks at it: pins of threads that exist only in the parent are taken off. Pools
//! and tokens live on. Connections and lookups are left as they are: their handles are closed,
//! their slots never used again, and [`take_inherited`](Table::take_inherited) and
//! [`take_lent`](Table::take_lent) show each of them once more.
//!
//! This table stands below `pool`, not above it: a connection lives in its slot from dial to close,
//! so that one number names it to the C program, to epoll and to a forked child, and an idle
//! connection costs no second allocation.

mod biased;
mod chunked;
pub(crate) mod fd_owners;
mod inherited;
mod owned;
mod pin;
mod slot;
mod slot_id;
mod table;
pub(crate) mod word;

pub(crate) use self::biased::{CachedSlot, Offer, SlotInfo};
pub(crate) use self::inherited::Inherited;
pub(crate) use self::owned::Owned;
pub(crate) use self::pin::Pin;
pub(crate) use self::slot_id::SlotId;
pub(crate) use self::table::Table;
pub(crate) use self::word::CheckedOut;

use self::word::GENERATION_SHIFT;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("a handle needs the 64 bits of a pointer");

const KIND_BITS: u32 = 3;
const INDEX_BITS: u32 = 24;
const _: () = assert!(GENERATION_SHIFT == KIND_BITS + INDEX_BITS);

const MOST_SLOTS: u32 = 1 << INDEX_BITS;

/// What a handle stands for; the low bits of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum HandleKind {
    Pool = 1,
    Conn = 2,
    Queue = 3,
    Cancel = 4,
    Resolved = 5,
    /// Never lent: a socket that is being connected.
    ConnectingSocket = 7,
}

/// Why a value names nothing that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    /// It never was a handle of this kind.
    Never,
    /// It was one, and is closed.
    Closed,
}

/// There is no memory for another slot, or as many are in use as there can be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoRoom;

/// A type whose values live in a table of their own.
pub(crate) trait Kept: Sized + Send + Sync + 'static {
    /// The one table of this type.
    fn table() -> &'static Table<Self>;

    /// Lent by the library itself, for as long as a callback runs: no borrower in a forked child
    /// knows its handle.
    fn is_lent_to_callback(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
