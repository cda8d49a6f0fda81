//! How slots are found, pinned, used again and retired.

use super::super::word::{HAS_WAITER, LENT, OCCUPIED, PINS};
use super::*;

#[test]
fn each_change_of_the_free_list_has_a_number_of_its_own() {
    kept!(Value(u32));
    let changes = || Value::table().free.load(Relaxed) >> 32;
    let (first, second) = (Value::insert(1), Value::insert(2));
    assert_eq!(changes(), 0);
    drop(first);
    drop(second);
    assert_eq!(changes(), 2);
    drop((Value::insert(3), Value::insert(4)));
    assert_eq!(changes(), 6);
    assert_eq!(Value::table().used.load(Relaxed), 2);
}

#[test]
fn there_are_so_many_slots_and_no_more() {
    kept!(Value(u32));
    drop(Value::insert(1));
    Value::table().used.store(MOST_SLOTS, Relaxed);
    let last = Value::insert(2);
    assert!(Value::table().insert(Value(3)).is_err());
    drop(last);
    assert!(Value::table().insert(Value(4)).is_ok(), "a free one");
}

#[test]
fn a_slot_with_too_few_generations_left_is_retired() {
    kept!(Value(u32));
    for (left, is_used_again) in [(2, true), (1, false)] {
        let owned = Value::insert(1);
        let index = owned.index();
        let word = &owned.slot().word;
        let generation = LAST_GENERATION - left;
        word.store(generation << GENERATION_SHIFT | OCCUPIED, Relaxed);
        drop(owned);
        assert_eq!(Value::insert(2).index() == index, is_used_again, "{left}");
    }
}

#[test]
fn an_index_that_was_never_used_has_no_slot() {
    kept!(Value(u32));
    let owned = Value::insert(1);
    let mut id = owned.slot_id();
    assert!(Value::table().pin_slot(id).is_some());
    id.index += 1;
    assert!(Value::table().pin_slot(id).is_none());
    id.index = MOST_SLOTS;
    assert!(Value::table().pin_slot(id).is_none());
    let handle = owned.lend();
    let next = handle + (1 << KIND_BITS);
    assert_eq!(Value::pin(next).err(), Some(Stale::Never));
    let generation_zero = handle & ((1 << GENERATION_SHIFT) - 1);
    assert_eq!(Value::pin(generation_zero).err(), Some(Stale::Never));
    drop(Value::take_back(handle));
}

#[test]
fn a_slot_id_tells_slot_and_epoch() {
    let id = SlotId { index: 5, epoch: 9 };
    assert_eq!((id.index(), id.to_bits()), (5, 9 << 32 | 5));
    assert_eq!(SlotId::from_bits(id.to_bits()), id);
    kept!(Value(u32));
    let owned = Value::insert(1);
    let first = owned.slot_id();
    let handle = owned.lend();
    assert_eq!(Value::pin(handle).expect("live").slot_id(), first);
    drop(Value::take_back(handle));
    let next = Value::insert(2).slot_id();
    assert_eq!((next.index, next.epoch), (first.index, first.epoch + 1));
}

#[test]
fn every_value_is_shown_lent_or_not() {
    kept!(Value(u32));
    let (owned, gone) = (Value::insert(1), Value::insert(2));
    let handle = Value::insert(3).lend();
    drop(gone);
    let mut shown = Vec::new();
    Value::table().each(|pin| shown.push(pin.0));
    assert_eq!(shown, [1, 3]);
    drop((owned, Value::take_back(handle)));
}

#[test]
fn a_pin_ends_with_its_value_in_place() {
    kept!(Value(u32));
    let owned = Value::insert(7);
    let slot = owned.slot();
    let id = owned.slot_id();
    let pins = || slot.word.load(Relaxed) & PINS;
    let (first, second) = (Value::table().pin_slot(id), Value::table().pin_slot(id));
    drop(first);
    assert_eq!((second.as_ref().map_or(0, |pin| pin.0), pins()), (7, 1));
    drop(second);
    assert_eq!(pins(), 0);
    assert_eq!(owned.into_inner().0, 7);
    assert_eq!(slot.word.load(Relaxed) & OCCUPIED, 0);
}

#[test]
fn what_nobody_looks_at_is_taken_back_without_a_kick() {
    kept!(Value(u32));
    let handle = Value::insert(1).lend();
    let mut kicks = 0;
    let owned = Value::table().take_back(handle, |_| kicks += 1);
    assert_eq!(kicks, 0);
    drop(owned);
}

#[test]
fn an_owner_that_is_dropped_waits_for_the_last_of_its_pins() {
    kept!(Value(Arc<AtomicU32>));
    let inside = Arc::new(AtomicU32::new(0));
    let owned = Value::insert(inside.clone());
    let slot = owned.slot();
    let pins = [0, 1].map(|_| Value::table().pin_slot(owned.slot_id()).expect("there"));
    let leave = std::thread::spawn(move || {
        for pin in pins {
            while slot.word.load(Acquire) & HAS_WAITER == 0 {
                std::thread::yield_now();
            }
            pin.0.fetch_add(1, Release);
            drop(pin);
        }
    });
    drop(owned);
    assert_eq!(inside.load(Acquire), 2, "both have left");
    assert_eq!(slot.word.load(Relaxed) & (HAS_WAITER | LENT | OCCUPIED), 0);
    leave.join().expect("no panic");
}
