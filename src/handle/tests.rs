//! Handles, slots and their owners together.

use super::word::{GENERATION_ONE, LAST_GENERATION};
use super::*;
use crate::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::sync::Arc;
use crate::sys::fork;

macro_rules! kept {
    ($name:ident($field:ty)) => {
        #[derive(Debug)]
        #[allow(dead_code)]
        struct $name($field);
        impl Kept for $name {
            fn table() -> &'static Table<Self> {
                static TABLE: Table<$name> = Table::new(HandleKind::Conn);
                &TABLE
            }
        }
        #[allow(dead_code)]
        impl $name {
            fn insert(value: $field) -> Owned<Self> {
                Self::table()
                    .insert(Self(value))
                    .unwrap_or_else(|_| panic!("there is memory"))
            }
            fn pin(handle: usize) -> Result<Pin<Self>, Stale> {
                Self::table().pin(handle)
            }
            fn take_back(handle: usize) -> Result<Owned<Self>, Stale> {
                Self::table().take_back(handle, |_| {})
            }
        }
    };
}

mod fast_path;
mod inherited;
mod slots;

#[test]
fn a_closed_handle_never_matches_again() {
    kept!(Value(u32));
    let first = Value::insert(7).lend();
    assert_eq!(Value::pin(first).expect("live").0, 7);
    let owned = Value::take_back(first).expect("live");
    assert_eq!(Value::pin(first).err(), Some(Stale::Closed));
    let second = owned.lend();
    assert_ne!(first, second);
    assert_eq!(Value::take_back(first).err(), Some(Stale::Closed));
    drop(Value::take_back(second).expect("live"));
    let third = Value::insert(8).lend();
    for old in [first, second] {
        assert_eq!(Value::pin(old).err(), Some(Stale::Closed));
    }
    assert_eq!(Value::pin(third).expect("live").0, 8);
    drop(Value::take_back(third));
}

#[test]
fn a_handle_that_was_taken_back_can_be_lent_again() {
    kept!(Value(u32));
    let handle = Value::insert(7).lend();
    let owned = Value::take_back(handle).expect("live");
    assert_eq!(Value::pin(handle).err(), Some(Stale::Closed));
    assert_eq!(owned.lend_again(), handle);
    assert_eq!(Value::pin(handle).expect("live").0, 7);
    drop(Value::take_back(handle).expect("live"));
    assert_ne!(Value::insert(8).lend(), handle);
}

#[test]
fn garbage_is_told_from_closed_handles_where_it_can_be() {
    kept!(Value(u32));
    let live = Value::insert(1).lend();
    let on_the_stack = 0u64;
    let address: *const u64 = &on_the_stack;
    for garbage in [
        0,
        1,
        2,
        address as usize,
        usize::MAX,
        0xdead_beef,
        live ^ 1,
        live + GENERATION_ONE as usize,
    ] {
        assert_eq!(
            Value::pin(garbage).err(),
            Some(Stale::Never),
            "{garbage:#x}"
        );
        assert_eq!(
            Value::take_back(garbage).err(),
            Some(Stale::Never),
            "{garbage:#x}"
        );
    }
    drop(Value::take_back(live));
}

#[test]
fn a_slot_id_names_one_value_of_a_slot() {
    kept!(Value(u32));
    let owned = Value::insert(1);
    let id = SlotId::from_bits(owned.slot_id().to_bits());
    assert_eq!(Value::table().pin_slot(id).expect("alive").0, 1);
    drop(owned);
    assert!(Value::table().pin_slot(id).is_none());
    let next = Value::insert(2);
    assert_eq!(next.slot_id().index, id.index);
    assert!(Value::table().pin_slot(id).is_none());
}

#[test]
fn an_exhausted_slot_is_retired() {
    kept!(Value(u32));
    let owned = Value::insert(1);
    let index = owned.index();
    let slot = Value::table().known(index);
    slot.word
        .fetch_add((LAST_GENERATION - 2) << GENERATION_SHIFT, Relaxed);
    let owned = Value::take_back(owned.lend()).expect("live");
    assert!(owned.is_exhausted());
    drop(owned);
    assert_ne!(Value::insert(2).index(), index);
}

#[test]
fn the_owner_sees_a_slot_that_is_often_lent_without_it() {
    kept!(Value(u32));
    fork::enter(|_| {});
    for turns in [1 << 24, 1 << 32, LAST_GENERATION + 1] {
        let owned = Value::insert(1);
        let slot = owned.slot();
        let so_far = slot.word.load(Relaxed) >> GENERATION_SHIFT;
        slot.word
            .fetch_add((turns - 4 - so_far) << GENERATION_SHIFT, Relaxed);
        owned.bias(SlotInfo {
            fd: 3,
            needs_peek: false,
            asks_at_return: false,
        });
        let [mut cached, _] = owned.cached_slots();
        let offer = cached.offer(1, || 0).expect("idle");
        let handle = cached.borrow(&offer).expect("two go by");
        assert!(Value::table().give_back_biased(handle, 0));
        let last = cached.borrow(&offer).expect("one more");
        assert!(Value::table().give_back_biased(last, 0));
        assert!(cached.offer(1, || 0).is_some());
        assert_eq!(cached.borrow(&offer), None, "the next one is its owner's");
        owned.revoke_since(0);
        let owned = Value::take_back(owned.lend()).expect("live");
        assert_eq!(owned.is_exhausted(), turns > LAST_GENERATION);
    }
}

#[test]
fn an_owner_that_is_dropped_leaves_what_is_out_to_its_borrower() {
    kept!(Value(Arc<()>));
    fork::enter(|_| {});
    let count = Arc::new(());
    let owned = Value::insert(count.clone());
    let since = owned.generation();
    owned.bias(SlotInfo {
        fd: 3,
        needs_peek: false,
        asks_at_return: false,
    });
    let [mut cached, _] = owned.cached_slots();
    let offer = cached.offer(1, || 0).expect("idle");
    let handle = cached.borrow(&offer).expect("idle");
    assert!(owned.revoke_since(since).is_out);
    drop(owned);
    assert_eq!(Arc::strong_count(&count), 2);
    drop(Value::take_back(handle).expect("the borrower's"));
    assert_eq!(Arc::strong_count(&count), 1);
}

#[test]
fn every_value_is_dropped_once_and_slots_are_used_again() {
    kept!(Value(Arc<()>));
    let count = Arc::new(());
    for _ in 0..3 {
        let owned: Vec<_> = (0..1000).map(|_| Value::insert(count.clone())).collect();
        assert_eq!(Arc::strong_count(&count), 1001);
        drop(owned);
        assert_eq!(Arc::strong_count(&count), 1);
    }
    assert_eq!(Value::table().used.load(Relaxed), 1000);
}

#[test]
fn closing_waits_for_the_one_who_is_inside() {
    kept!(Value(crate::sync::atomic::AtomicU32));
    let handle = Value::insert(AtomicU32::new(0)).lend();
    let pin = Value::pin(handle).expect("live");
    let inside = std::thread::spawn(move || {
        while pin.0.load(Acquire) == 0 {
            std::thread::yield_now();
        }
        pin.0.store(2, Release);
    });
    let owned = Value::table()
        .take_back(handle, |value| value.0.store(1, Release))
        .expect("live");
    assert_eq!(owned.0.load(Acquire), 2);
    inside.join().expect("no panic");
}

#[test]
fn of_many_threads_that_close_one_handle_one_succeeds() {
    kept!(Value(u32));
    for _ in 0..200 {
        let handle = Value::insert(1).lend();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(move || {
                    drop(Value::pin(handle));
                    Value::take_back(handle).is_ok()
                })
            })
            .collect();
        let closed = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        assert_eq!(closed.filter(|&won| won).count(), 1);
    }
}

#[test]
fn a_table_that_is_full_takes_no_more() {
    kept!(Value(u32));
    let first = Value::insert(7);
    Value::table().used.store(MOST_SLOTS, Relaxed);
    assert_eq!(
        Value::table().insert(Value(8)).err().map(|one| one.0),
        Some(8)
    );
    drop(first);
    assert_eq!(Value::insert(9).index(), 0);
}
