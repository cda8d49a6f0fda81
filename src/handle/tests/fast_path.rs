//! What a borrower, the pool and a third thread see of a biased value.

use super::*;

const PLAIN: SlotInfo = SlotInfo {
    fd: 3,
    needs_peek: false,
    asks_at_return: false,
};

kept!(Value(u32));

/// Biased, and where it is then. Its slot is not the first, so that its index is seen in its
/// handle.
fn biased(info: SlotInfo) -> (Owned<Value>, CachedSlot<Value>) {
    fork::enter(|_| {});
    let first = Value::insert(0);
    let owned = Value::insert(1);
    drop(first);
    owned.set_idle_since(0);
    owned.bias(info);
    let [cached, _] = owned.cached_slots();
    (owned, cached)
}

fn borrow(cached: &mut CachedSlot<Value>) -> usize {
    let offer = cached.offer(1, || 0).expect("idle");
    cached.borrow(&offer).expect("idle")
}

fn table() -> &'static Table<Value> {
    Value::table()
}

#[test]
fn cached_slots_are_one_if_slot_and_word_are() {
    let (one, other) = (Value::insert(1), Value::insert(2));
    let [now, later] = one.cached_slots();
    let again = now;
    assert!(now == again && now != later);
    let word = one.slot().word.load(Relaxed);
    other.slot().word.store(word, Relaxed);
    let [elsewhere, _] = other.cached_slots();
    assert!(elsewhere != now, "another slot with the same word");
}

#[test]
fn a_borrower_is_told_what_the_owner_left() {
    for (needs_peek, asks_at_return) in [(false, false), (true, false), (false, true), (true, true)]
    {
        let info = SlotInfo {
            fd: 1_000_001,
            needs_peek,
            asks_at_return,
        };
        let (owned, mut cached) = biased(info);
        owned.set_owner_data(77);
        assert_eq!(cached.offer(1, || 0).expect("idle").info, info);
        let handle = borrow(&mut cached);
        assert_eq!(table().asks_at_return(handle), asks_at_return);
        assert_eq!(table().owner_data(owned.index()), 77);
        assert_eq!(table().give_back_biased(handle, 0), !asks_at_return);
        owned.forget();
    }
    assert!(!table().asks_at_return(0));
}

#[test]
fn what_was_idle_for_the_limit_is_not_offered() {
    let (owned, mut cached) = biased(PLAIN);
    owned.set_idle_since(1_000_000_000);
    assert_eq!(owned.idle_since(), 1_000_000_000);
    assert!(cached.offer(5, || 1_005_000_000).is_none());
    let late = cached.offer(5, || 1_004_999_999).expect("in time");
    let handle = cached.borrow(&late).expect("idle");
    assert_eq!(Value::pin(handle).expect("out").idle_before(), 4_999_999);
    assert!(cached.offer(5, || 0).is_none(), "it is out");
    assert!(table().give_back_biased(handle, 2_000_000_000));
    assert_eq!(owned.idle_since(), 2_000_000_000);
    let early = cached.offer(5, || 1_999_999_990).expect("a moment ago");
    let handle = cached.borrow(&early).expect("idle");
    assert_eq!(Value::pin(handle).expect("out").idle_before(), -10);
    owned.forget();
}

#[test]
fn an_owner_that_lends_it_notes_how_long_it_was_idle() {
    let owned = Value::insert(1);
    owned.set_idle_since(100);
    owned.note_idle_before(130);
    assert_eq!(owned.slot().idle_before.load(Relaxed), 30);
    owned.note_idle_before(90);
    assert_eq!(owned.slot().idle_before.load(Relaxed), 0);
}

#[test]
fn another_process_neither_borrows_nor_gives_back() {
    let (owned, mut cached) = biased(PLAIN);
    let another = fork::epoch() + 1;
    owned.slot().made_in.store(another, Relaxed);
    assert!(cached.offer(1, || 0).is_none());
    owned.slot().made_in.store(fork::epoch(), Relaxed);
    let handle = borrow(&mut cached);
    owned.slot().made_in.store(another, Relaxed);
    assert!(!table().give_back_biased(handle, 0));
    owned.slot().made_in.store(fork::epoch(), Relaxed);
    assert!(table().give_back_biased(handle, 0));
    owned.revoke_since(0);
}

#[test]
fn only_what_is_out_under_that_handle_is_given_back() {
    let (owned, mut cached) = biased(PLAIN);
    let handle = borrow(&mut cached);
    let another_kind = handle + 1;
    let no_slot = handle | (MOST_SLOTS as usize - 1) << KIND_BITS;
    let next_loan = handle + (1 << GENERATION_SHIFT);
    for wrong in [another_kind, no_slot, next_loan] {
        assert!(!table().give_back_biased(wrong, 0), "{wrong:#x}");
    }
    assert!(table().give_back_biased(handle, 0));
    assert!(!table().give_back_biased(handle, 0), "it is back");
    owned.revoke_since(0);
}

#[test]
fn a_pin_of_a_cached_slot_is_of_a_loan_that_was_not_revoked() {
    let (owned, mut cached) = biased(PLAIN);
    borrow(&mut cached);
    let pin = table().pin_biased(&cached).expect("out");
    assert!(pin.is_biased() && pin.generation() == owned.generation());
    drop(pin);
    assert!(owned.revoke_since(0).is_out);
    assert_eq!(table().pin_biased(&cached).err(), Some(Stale::Closed));
    owned.forget();
}

#[test]
fn its_only_pin_gives_it_back() {
    let (owned, mut cached) = biased(PLAIN);
    let since = owned.generation();
    let handle = borrow(&mut cached);
    let (pin, second) = (Value::pin(handle), Value::pin(handle));
    let pin = pin.expect("out").give_back(9).expect_err("two pins");
    drop(second);
    assert!(pin.give_back(9).is_ok());
    assert_eq!(owned.idle_since(), 9);
    let seen = owned.checked_out_since(since);
    assert_eq!((seen.loans, seen.is_out), (1, false));
    assert!(cached.offer(1, || 9).is_some(), "nothing pins it");
    owned.revoke_since(since);
}

#[test]
fn a_forced_one_is_borrowed_again_once_it_is_biased_anew() {
    let (owned, cached) = biased(PLAIN);
    table().force_slow(owned.index());
    assert!(cached.offer(1, || 0).is_none());
    owned.bias(PLAIN);
    assert!(cached.offer(1, || 0).is_some());
    owned.revoke_since(0);
    assert!(cached.offer(1, || 0).is_none(), "revoked");
}

#[test]
fn two_who_saw_the_same_offer_do_not_both_borrow() {
    let (owned, mut cached) = biased(PLAIN);
    let mut second = cached;
    let offer = cached.offer(1, || 0).expect("idle");
    let handle = cached.borrow(&offer).expect("idle");
    assert!(second.borrow(&offer).is_none());
    assert!(table().give_back_biased(handle, 0));
    owned.revoke_since(0);
}
